"""Replies judged, messages made fit for the wire, certificates read: all of it bytes from outside."""

from __future__ import annotations

import re
import ssl
import tempfile
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.relay import certificate, replies, seven_bit
from cronwrap.relay.conversation import hello_name, on_the_wire
from cronwrap.relay.replies import ACCOUNT, LARGE, PERMANENT, TEMPORARY, Reply, judge, judge_recipient
from cronwrap.relay.smtp import mailbox
from support.pki import Authority


@given(st.integers(-1, 999), st.text())
def test_every_reply_has_a_judgement_and_one_printable_line(code, text):
    reply = Reply(code=code, text=text)
    assert judge(reply) in (TEMPORARY, PERMANENT, ACCOUNT, LARGE)
    assert str(reply).isprintable()
    assert len(str(reply)) <= replies.TEXT_LIMIT


@pytest.mark.parametrize(
    ("code", "text", "verdict"),
    [
        (450, "4.7.1 Greylisted", TEMPORARY),
        (451, "5.0.0 the basic code decides", TEMPORARY),
        (550, "5.1.1 unknown", PERMANENT),
        (554, "4.0.0 the basic code decides", PERMANENT),
        (530, "5.7.0 login first", ACCOUNT),
        (354, "what?", TEMPORARY),
    ],
)
def test_the_basic_code_decides(code, text, verdict):
    assert judge(Reply(code=code, text=text)) == verdict


@pytest.mark.parametrize(
    ("code", "text", "others", "verdict"),
    [
        (552, "too many", True, TEMPORARY),
        (552, "mailbox full", False, TEMPORARY),
        (552, "5.2.2 mailbox full", True, TEMPORARY),
        (552, "Requested mail action aborted: exceeded storage allocation", False, TEMPORARY),
        (552, "5.3.4 message too big", True, LARGE),
        (552, "message size exceeds what this mailbox takes", True, LARGE),
        (550, "5.5.3 too many", False, TEMPORARY),
        (452, "4.5.3 too many", False, TEMPORARY),
    ],
)
def test_552_to_a_recipient_means_too_many_or_a_full_mailbox_unless_it_speaks_of_the_size(
    code, text, others, verdict
):
    assert judge_recipient(Reply(code=code, text=text), others_accepted=others) == verdict


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            550,
            "5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to x",
        ),
        (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that is too high"),
        (552, "5.2.2 The email account that you tried to reach is over quota"),
        (552, "Mailbox size limit exceeded"),
        (552, "sorry, the recipient's mailbox is full"),
        (550, "mailbox full"),
        (554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"),
        (554, "Disk quota exceeded"),
        (554, "5.7.1 Rate limit exceeded"),
        (554, "rate-limited, slow down"),
        (550, "Domain example.com has exceeded the max emails per hour (150/150 (100%)) allowed."),
        (550, "5.1.90 Your message can't be sent because you've reached your daily limit for recipients"),
        (554, "Too many messages from your address"),
        (
            554,
            "5.7.0 Not sent. The limit on the number of allowed outgoing messages was exceeded",
        ),
        (550, "5.7.1 Sending quota exceeded"),
        (552, "User over quota"),
        (554, "5.3.1 insufficient disk space, please try later"),
        (550, "5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit"),
        (550, "You have exceeded your hourly allowance"),
        (571, "temporarily blocked, try again later"),
    ],
)
def test_a_5xx_that_speaks_of_a_quota_a_rate_or_a_full_mailbox_is_temporary(code, text):
    assert judge(Reply(code=code, text=text)) == TEMPORARY


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (552, "5.3.4 Message size exceeds fixed limit"),
        (552, "size"),
        (552, "Requested mail action aborted: exceeded storage allocation"),
        (552, "message size exceeds fixed maximum message size"),
        (554, "5.3.4 too big"),
        (550, "5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient"),
        (523, "the message size exceeds the recipient's limit"),
        (554, "Message too big for system"),
        (550, "Message content is too large"),
        (554, "Your message exceeded the maximum message size"),
        (500, "Too much mail data"),
        (552, ""),
    ],
)
def test_a_message_too_large_is_told_from_a_mailbox_that_is_full(code, text):
    assert judge(Reply(code=code, text=text)) == LARGE


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, "5.1.1 <quota@example.com>: Recipient address rejected: User unknown"),
        (550, "5.1.1 no such user, see https://example.com/mail/quota/limit-exceeded"),
        (550, "5.7.1 Message rejected as spam by content filtering"),
        (554, "5.7.1 Service unavailable; client host blocked using zen.example.org"),
        (550, "5.1.1 The email account that you tried to reach does not exist. Please check and try again"),
        (554, "5.4.6 Too many hops"),
        (554, "5.4.0 Error: too many hops; message exceeded max hop count"),
        (550, "5.7.26 This message does not pass authentication checks (SPF and DKIM both do not pass)"),
        (550, "maximum allowed line length is 998 octets, got 1200"),
        (553, "5.7.1 Sender address rejected: not owned by user cron@example.com"),
        (554, "5.7.1 Relay access denied"),
        (550, "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your provider"),
    ],
)
def test_any_other_5xx_is_for_good(code, text):
    assert judge(Reply(code=code, text=text)) == PERMANENT


def test_a_long_reply_is_shown_once_and_short():
    assert str(Reply(code=550, text="5.7.1 one\n5.7.1 two")) == "550 5.7.1 one two"
    assert str(Reply(code=550, text="x" * 999)).endswith("…")


@given(st.binary())
def test_nothing_in_a_message_ends_it_early(content):
    sent = on_the_wire(content)
    assert (b"\r\n" + sent).endswith(b"\r\n.\r\n")
    assert b"\r\n.\r\n" not in (b"\r\n" + sent)[:-3]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", sent)
    assert re.sub(rb"(?m)^\.", b"", sent[:-3]).rstrip(b"\r\n") == re.sub(
        rb"\r\n|\r|\n", b"\r\n", content
    ).rstrip(b"\r\n")


@given(st.binary())
def test_seven_bits_are_seven_bits_or_nothing(content):
    converted = seven_bit.convert(content)
    assert converted is None or converted.isascii()


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=1))
def test_a_body_survives_seven_bits(text):
    head = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    converted = seven_bit.convert(head + text.replace("\n", "\r\n").encode())
    message = message_from_bytes(converted, policy=policy.default)
    body = message.get_payload(decode=True).replace(b"\r\n", b"\n").decode()
    assert body.rstrip("\n") == text.rstrip("\n")


def test_every_part_of_a_message_is_made_fit():
    part = b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa4\r\n"
    content = (
        b'Subject: \xc3\xa4\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n%b--b\r\n%b--b--\r\n'
        % (part, part)
    )
    message = message_from_bytes(seven_bit.convert(content), policy=policy.default)
    assert [part.get_content().strip() for part in message.iter_parts()] == ["ä", "ä"]


@given(st.text())
def test_an_address_cannot_leave_its_brackets(address):
    try:
        written = mailbox(address)
    except ValueError:
        return
    assert not any(octet < 0x20 for octet in written)
    outside = re.sub(rb'^".*"(?=@)', b"", written, flags=re.DOTALL)
    assert not set(outside) & set(b" <>\r\n")


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ('"a b"@x.test', b'"a b"@x.test'),
        ("root", b"root"),
        ("a@münchen.test", b"a@xn--mnchen-3ya.test"),
        ("", b""),
    ],
)
def test_good_addresses_are_written_as_they_are(address, written):
    assert mailbox(address) == written


@given(st.binary())
def test_any_octets_are_a_certificate_of_sorts(der):
    assert str(certificate.describe(der)).isprintable()
    assert re.fullmatch(r"sha256:([0-9A-F]{2}:){31}[0-9A-F]{2}", certificate.describe(der).fingerprint)


def test_a_certificate_is_read_without_being_trusted(tmp_path):
    issued = Authority(str(tmp_path)).certificate("mail.example.test", "192.0.2.1")
    der = issued.leaf.cert_chain_pems[0].bytes().decode()
    found = certificate.describe(ssl.PEM_cert_to_DER_cert(der))
    assert found.names == ("mail.example.test", "192.0.2.1")
    assert found.issuer.startswith("trustme")
    assert found.fingerprint == issued.fingerprint
    assert found.days_left > 0


def test_a_certificate_is_named_by_its_digest_where_nothing_can_be_written(tmp_path, monkeypatch):
    issued = Authority(str(tmp_path)).certificate()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    der = ssl.PEM_cert_to_DER_cert(issued.leaf.cert_chain_pems[0].bytes().decode())
    assert certificate.describe(der).fingerprint == issued.fingerprint
    assert not certificate.describe(der).expires


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web1.example.test", "web1.example.test"),
        *(
            (name, "[127.0.0.1]")
            for name in ("web1", "a b.c", "localhost.localdomain", "LOCALHOST.LOCALDOMAIN")
        ),
        *(
            (f"web1.{name}", "[127.0.0.1]")
            for name in ("local", "lan", "internal", "ec2.internal", "home.arpa")
        ),
        *((name, name) for name in ("mylan.example.test", "locallan.test")),
    ],
)
def test_the_name_for_ehlo_is_a_full_one_or_an_address(monkeypatch, name, said):
    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert hello_name(None) == said
    monkeypatch.setattr("socket.gethostname", lambda: "other.example.test")
    assert hello_name(None, name) == said
