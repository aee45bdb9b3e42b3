"""Messages made smaller for a relay: what is left out is told, nothing else is lost, nothing is broken."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.mail import Delivery, Envelope
from cronwrap.outbox import too_large
from cronwrap.report import shorten
from cronwrap.report.compose import compose
from support.reports import files_of, output, parsed, report, text_of

WHY, WHERE = "The relay does not take more: 552 too big", "The output is kept on the host: cronwrap show r1"
BIG = b"line of output\n" * 10_000 + Random(1).randbytes(300_000) + b"line of output\n" * 10_000
"""What is in the middle cannot be packed, and is not shown in the text."""


def big_report(**more):
    return compose(report(output(stdout=BIG), **more)).content


def forms(content, limit=0):
    return list(shorten.forms(content, WHY, WHERE, limit))


def test_a_report_goes_first_without_its_attachments_and_says_which():
    content = big_report()
    (name,) = files_of(parsed(content))
    first = parsed(forms(content)[0])
    assert not files_of(first)
    for kind in ("plain", "html"):
        text = text_of(first, kind)
        assert name in text
        assert "552 too big" in text
        assert "cronwrap show r1" in text
    headline, empty, note = text_of(first).split("\n")[:3]
    assert (headline, empty) == ("exit status 2 after 3.1 s", "")
    assert note.startswith("Left out here: ")


def test_all_forms_keep_the_header_of_the_message():
    content = big_report()
    whole = parsed(content)
    kept = [
        (name, str(value)) for name, value in whole.items() if name not in ("Content-Type", "MIME-Version")
    ]
    for form in forms(content):
        shown = [(name, str(value)) for name, value in parsed(form).items()]
        assert [pair for pair in kept if pair not in shown] == []


@pytest.mark.parametrize("limit", [4_000, 8_000, 20_000, 100_000])
def test_a_form_fits_into_the_limit_that_the_relay_names(limit):
    found = forms(big_report(), limit)
    assert found
    assert all(len(form) <= limit for form in found)
    assert text_of(parsed(found[-1])).startswith("exit status 2 after 3.1 s\n")


def test_each_form_is_smaller_than_the_one_before():
    sizes = [len(form) for form in forms(big_report())]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)


def test_a_report_in_crons_form_is_shortened_too():
    first, *_more, last = forms(big_report(format="cron"))
    assert not files_of(parsed(first))
    assert "Left out here" in text_of(parsed(first))
    assert len(last) < 5_000


def test_somebody_elses_message_keeps_its_text_and_loses_its_files_by_name():
    message = EmailMessage()
    message["Subject"], message["To"] = "Bericht", "ops@example.test"
    message.set_content("Im Anhang die Zahlen für März.\n", charset="iso-8859-1")
    message.add_attachment(b"%PDF" * 10_000, maintype="application", subtype="pdf", filename="März.pdf")
    content = message.as_bytes(policy=email.policy.SMTP)
    first = parsed(forms(content)[0])
    text = text_of(first)
    assert "die Zahlen für März" in text
    assert "März.pdf (39 KiB)" in text
    assert not files_of(first)


@given(st.binary(max_size=3000), st.integers(0, 4000))
@example(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + b"y" * 5000, 0)
@example(b"Content-Type: text/plain; charset=nonsense\r\n\r\n" + b"\xff" * 5000, 0)
@example(b"From me\nSubject: x\n\n" + b"long\n" * 3000, 900)
def test_whatever_it_is_it_becomes_smaller_or_stays_away(content, limit):
    for form in forms(content + b"x" * 2000, limit):
        assert len(form) < len(content) + 2000
        assert not 0 < limit < len(form)
        email.message_from_bytes(form, policy=email.policy.default).get_body()


# Handing over


class Picky:
    """A relay that takes messages up to a size, and remembers what it took."""

    def __init__(self, most, *, named=False):
        self.most, self.named, self.taken, self.asked = most, named, [], 0

    def __call__(self, envelope, content):
        self.asked += 1
        limit = self.most if self.named else 0
        if len(content) > self.most:
            large = tuple((address, "552 too big") for address in envelope.recipients)
            return Delivery(too_large=large, size_limit=limit)
        self.taken.append((envelope.recipients, content))
        return Delivery(delivered=envelope.recipients, size_limit=limit)


ENVELOPE = Envelope(sender="cron@example.test", recipients=("a@example.test", "b@example.test"))


@pytest.mark.parametrize("named", [False, True])
def test_a_report_too_large_is_delivered_in_the_largest_form_that_fits(named):
    content = big_report()
    relay = Picky(max(map(len, forms(content))) + 100, named=named)
    delivery = too_large.send(relay, ENVELOPE, content, "r1")
    assert (delivery.delivered, delivery.refused) == (ENVELOPE.recipients, ())
    ((_to, content),) = relay.taken
    assert parsed(content).get_body(("html",)) is not None
    assert "cronwrap show r1" in text_of(parsed(content))
    assert not files_of(parsed(content))


def test_a_message_that_fits_goes_as_it_is():
    relay = Picky(10_000_000)
    content = big_report()
    assert too_large.send(relay, ENVELOPE, content, "r1").delivered
    assert relay.taken == [(ENVELOPE.recipients, content)]


def test_what_is_too_large_in_every_form_is_refused_with_the_relays_words():
    relay = Picky(100)
    delivery = too_large.send(relay, ENVELOPE, big_report(), "r1")
    assert dict(delivery.refused) == dict.fromkeys(ENVELOPE.recipients, "552 too big")
    assert (delivery.delivered, delivery.too_large, relay.asked) == ((), (), 4)


def test_somebody_elses_message_that_went_in_part_counts_as_refused_so_that_the_whole_is_kept():
    message = EmailMessage()
    message.set_content("text\n")
    message.add_attachment(b"x" * 100_000, maintype="application", subtype="pdf", filename="a.pdf")
    relay = Picky(10_000)
    delivery = too_large.send(relay, ENVELOPE, message.as_bytes(policy=email.policy.SMTP), "m1")
    assert "outbox show --raw m1" in relay.taken[0][1].decode().replace("=\r\n", "")
    assert delivery.delivered == ()
    assert all("without its attachments" in why for _address, why in delivery.refused)


def test_only_those_for_whom_it_is_too_large_get_less():
    relay = Picky(10**9)

    def mixed(envelope, content):
        if relay.asked:
            return relay(envelope, content)
        relay.asked += 1
        return Delivery(delivered=("a@example.test",), too_large=(("b@example.test", "552 5.2.3 too big"),))

    delivery = too_large.send(mixed, ENVELOPE, big_report(), "r1")
    assert delivery.delivered == ENVELOPE.recipients
    assert relay.taken[0][0] == ("b@example.test",)
