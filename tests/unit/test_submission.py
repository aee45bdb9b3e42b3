"""sendmail's command line, and what becomes of a message that other programs hand in."""

from __future__ import annotations

import email
import email.policy
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.address import Address
from cronwrap.mail import Envelope
from cronwrap.relay.conversation import on_the_wire
from cronwrap.sendmail import submission
from cronwrap.sendmail.command_line import Rejected, Request, read
from cronwrap.sendmail.submission import Site, submit

NOW = 1_772_420_706.0
OPS = Address(name="", spec="ops@example.test")
SITE = Site(
    host="web1.corp.test",
    local_domains=frozenset({"localhost", "web1", "web1.corp.test"}),
    mailto=(OPS,),
    sender=Address(name="", spec="cron@example.test"),
)
TO_A = Request(recipients=("a@x.test",))
FROM_HEADER = Request(from_header=True)


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def sent(content, request=TO_A, site=SITE):
    return submit(content, request, site, "20260302T030506-4711", NOW).message


# The command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("-t", {"from_header": True}),
        ("-t -i", {"from_header": True, "ends_with_dot": False}),
        ("-ti", {"from_header": True, "ends_with_dot": False}),
        ("-oi -t", {"from_header": True, "ends_with_dot": False}),
        ("-o i a@x", {"ends_with_dot": False, "recipients": ("a@x",)}),
        # cronie
        (
            "-FCronDaemon -i -odi -oem -oi -t -f root",
            {"name": "CronDaemon", "ends_with_dot": False, "from_header": True, "sender": "root"},
        ),
        # Debian's cron
        (
            "-i -FCronDaemon -B8BITMIME -oem root",
            {"name": "CronDaemon", "ends_with_dot": False, "recipients": ("root",)},
        ),
        # PHP, with the parameter that its manual recommends
        ("-t -i -fwebmaster@x", {"from_header": True, "ends_with_dot": False, "sender": "webmaster@x"}),
        # bsd-mailx, s-nail, mutt, git send-email
        ("-i -- root a@x", {"ends_with_dot": False, "recipients": ("root", "a@x")}),
        ("-i -r b@x -- -odd@x", {"ends_with_dot": False, "sender": "b@x", "recipients": ("-odd@x",)}),
        ("-oem -oi -f b@x -- a@x", {"ends_with_dot": False, "sender": "b@x", "recipients": ("a@x",)}),
        ("-f b@x -i a@x", {"ends_with_dot": False, "sender": "b@x", "recipients": ("a@x",)}),
        # flags with values, which are no recipients
        (
            "-v -N never -R hdrs -V id -O DeliveryMode=b -C /x -h 3 -B 8BITMIME -X /l -L tag -p smtp a@x",
            {"recipients": ("a@x",)},
        ),
        ("-bm -Am -Ac -G -U -n -m -q30m -d8.99 a@x", {"recipients": ("a@x",)}),
        ("-odb a@x -i", {"ends_with_dot": False, "recipients": ("a@x",)}),
        ("-bp", {"mode": "p"}),
        ("-bi", {"mode": "i"}),
        ("-q", {"mode": "q"}),
        ("-q -t", {"from_header": True}),
        ("", {}),
    ],
)
def test_flags_are_understood_as_their_callers_write_them(words, wanted):
    assert read(words.split()) == Request(**wanted)


@pytest.mark.parametrize("words", ["-bs", "-bd", "-bt", "-bv", "-f", "-F", "-o", "--read-recipients"])
def test_what_cannot_be_done_is_a_usage_error(words):
    with pytest.raises(Rejected) as caught:
        read([words])
    assert caught.value.status == 64


def outcome(work):
    """Give what some work gives, or the status it is refused with."""
    try:
        return work(), 0
    except Rejected as error:
        return None, error.status


@given(st.lists(st.text(st.sampled_from("-tifFrbonq =@a8"), max_size=6)))
def test_any_command_line_is_understood_or_refused(words):
    request, status = outcome(lambda: read(words))
    assert status in (0, 64)
    assert status or set(request.recipients) <= set(words)


# crond's mails ------------------------------------------------------------------------------------

CRONIE = b"""From: "(Cron Daemon)" <root>
To: root
Subject: Cron <root@web1> /usr/local/bin/backup --all
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
Auto-Submitted: auto-generated
Precedence: bulk
X-Cron-Env: <XDG_SESSION_ID=4>
X-Cron-Env: <SHELL=/bin/sh>
X-Cron-Env: <HOME=/root>

disk full: /srv/b\xc3\xa4ckup
"""
DEBIAN = b"""From: root (Cron Daemon)
To: root
Subject: Cron <root@web1> echo hello
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
X-Cron-Env: <SHELL=/bin/sh>
X-Cron-Env: <LOGNAME=root>

hello
"""


@pytest.mark.parametrize("mail", [CRONIE, DEBIAN])
def test_a_mail_of_crond_gets_addresses_and_keeps_the_rest_to_the_octet(mail):
    message = sent(mail, read(["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"]))
    assert message.envelope.sender == "cron@example.test"
    assert message.envelope.recipients == ("ops@example.test",)
    found = parsed(message.content)
    assert found["To"] == "ops@example.test"
    assert str(found["From"].addresses[0].addr_spec) == "cron@example.test"
    assert "Cron Daemon" in found["From"].addresses[0].display_name
    header, _, body = mail.replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    for line in header.split(b"\r\n")[2:]:
        assert b"\r\n" + line + b"\r\n" in message.content
    assert message.content.endswith(b"\r\n\r\n" + body)
    assert found["Message-ID"] == "<20260302T030506-4711.cronwrap@web1.corp.test>"
    assert found["Date"]
    assert message.subject.startswith("Cron <root@web1> ")


def test_what_is_complete_is_not_touched_at_all():
    mail = CRONIE.replace(b"<root>", b"<cron@example.test>").replace(b"To: root", b"To: ops@example.test")
    mail = (b"Date: Mon, 2 Mar 2026 03:05:06 +0000\nMessage-ID: <1@x>\n" + mail).replace(b"\n", b"\r\n")
    assert sent(mail, FROM_HEADER).content == mail


# Recipients and senders ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("a@x.test",), ("a@x.test",)),
        (("a@x.test, b@x.test", "Name <c@x.test>"), ("a@x.test", "b@x.test", "c@x.test")),
        (("a@x.test", "a@x.test"), ("a@x.test",)),
        (("root",), ("ops@example.test",)),
        (("root@localhost", "www-data@WEB1", "x@web1.corp.test"), ("ops@example.test",)),
        (("root", "a@x.test"), ("ops@example.test", "a@x.test")),
        (("x@corp.test",), ("x@corp.test",)),
    ],
)
def test_recipients_are_completed_and_each_gets_one_copy(arguments, expected):
    message = sent(b"Subject: x\n\ntext\n", Request(recipients=arguments))
    assert message.envelope.recipients == expected


def test_with_t_the_recipients_are_those_of_the_header_and_bcc_is_hidden():
    mail = b"To: a@x.test\nCC: B <b@x.test>,\n  root\nBcc: c@x.test,\n d@x.test\nSubject: x\n\ntext\n"
    message = sent(mail, Request(from_header=True, recipients=("e@x.test",)))
    wanted = ("e@x.test", "a@x.test", "b@x.test", "ops@example.test", "c@x.test", "d@x.test")
    assert message.envelope.recipients == wanted
    assert b"c@x.test" not in message.content
    assert b"d@x.test" not in message.content
    assert parsed(message.content)["Cc"] == "B <b@x.test>, ops@example.test"


def test_without_t_the_header_names_nobody_and_bcc_is_hidden_all_the_same():
    message = sent(b"To: b@x.test\nBcc: c@x.test\nSubject: x\n\ntext\n")
    assert message.envelope.recipients == ("a@x.test",)
    assert b"c@x.test" not in message.content


def test_a_message_that_is_sent_on_goes_to_those_it_is_sent_on_to():
    message = sent(b"To: b@x.test\nResent-To: c@x.test\nSubject: x\n\ntext\n", FROM_HEADER)
    assert message.envelope.recipients == ("c@x.test",)


def test_groups_are_taken_apart():
    message = sent(b"To: Ops: a@x.test, b@x.test;\nSubject: x\n\n", FROM_HEADER)
    assert message.envelope.recipients == ("a@x.test", "b@x.test")


def test_a_recipient_that_is_no_address_is_told_and_costs_the_others_nothing():
    mail = b"To: a@x.test, b@@x.test\nSubject: x\n\ntext\n"
    found = submit(mail, FROM_HEADER, SITE, "id", NOW)
    assert "a@x.test" in found.message.envelope.recipients
    assert found.remarks or found.message.envelope.recipients != ("a@x.test",)


@pytest.mark.parametrize(
    ("mail", "request_", "status"),
    [
        (b"Subject: x\n\ntext\n", FROM_HEADER, 67),
        (b"", FROM_HEADER, 67),
        (b"Bcc:\nTo: undisclosed-recipients:;\n\n", FROM_HEADER, 67),
    ],
)
def test_a_message_for_nobody_is_refused(mail, request_, status):
    with pytest.raises(Rejected) as caught:
        sent(mail, request_)
    assert caught.value.status == status


@pytest.mark.parametrize("sender", ["cron at web1", "a@@b", "a@x\nBcc: b@x", "J <a@x", "\udcff@x.test"])
def test_a_sender_that_is_no_address_is_told_and_costs_no_message(sender):
    found = submit(b"Subject: x\n\ntext\n", Request(recipients=("a@x.test",), sender=sender), SITE, "id", NOW)
    assert found.message.envelope == Envelope(sender="cron@example.test", recipients=("a@x.test",))
    assert "Bcc" not in found.message.content.decode()
    (remark,) = found.remarks
    assert remark.startswith("sender passed over: -f: ")


def test_more_recipients_than_any_relay_takes_are_refused():
    many = ", ".join(f"u{number}@x.test" for number in range(submission.RECIPIENT_LIMIT + 1))
    with pytest.raises(Rejected) as caught:
        sent(b"\n", Request(recipients=(many,)))
    assert caught.value.status == 65


@pytest.mark.parametrize(
    ("flag", "header", "configured", "envelope", "shown"),
    [
        ("", b"", True, "cron@example.test", "cron@example.test"),
        ("root", b"From: root\n", True, "cron@example.test", "cron@example.test"),
        ("www@x.test", b"", True, "www@x.test", "www@x.test"),
        ("www@x.test", b"From: app@x.test\n", True, "www@x.test", "app@x.test"),
        ("", b"From: app@x.test\n", True, "cron@example.test", "app@x.test"),
        ("", b"From: app@x.test\n", False, "app@x.test", "app@x.test"),
        ("", b"From: root\n", False, "cron@example.test", "cron@example.test"),
        ("<>", b"", True, "cron@example.test", "cron@example.test"),
    ],
)
def test_the_sender_is_one_that_relays_take(flag, header, configured, envelope, shown):
    site = SITE.replace(sender_configured=configured)
    message = sent(header + b"Subject: x\n\ntext\n", TO_A.replace(sender=flag), site)
    assert message.envelope.sender == envelope
    assert parsed(message.content)["From"].addresses[0].addr_spec == shown


def test_the_full_name_is_for_messages_without_a_sender():
    message = sent(b"Subject: x\n\ntext\n", TO_A.replace(name='Evil\r\nBcc: b@x.test "x'))
    found = parsed(message.content)
    assert found["From"].addresses[0].addr_spec == "cron@example.test"
    assert found["Bcc"] is None


# The message's form -------------------------------------------------------------------------------


def test_a_message_that_names_nobody_shows_a_reader_no_other_ones_address():
    assert parsed(sent(b"Subject: x\n\n").content)["To"] == "a@x.test"
    several = sent(b"Subject: x\n\n", Request(recipients=("a@x.test", "b@x.test"))).content
    assert b"x.test" not in several.partition(b"To:")[2].partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("mail", "body"),
    [
        (b"just text\nmore\n", b"just text\r\nmore\r\n"),
        (b"\nSubject: body\n", b"Subject: body\r\n"),
        (b"Subject: x\nno field\n\nmore\n", b"no field\r\n\r\nmore\r\n"),
        (b" folded\nSubject: x\n\nb\n", b" folded\r\nSubject: x\r\n\r\nb\r\n"),
        (b"From root Mon Mar  2 03:05:06 2026\nSubject: x\n\nb\n", b"b\r\n"),
        (b"Subject: x\r\n\r\nb\r\nc\n", b"b\r\nc\r\n"),
        (b"Subject: x\n\nno end", b"no end\r\n"),
        (b"Subject: x\n", b""),
        (b"", b""),
        (b".\nSubject: x\n\nb", b".\r\nSubject: x\r\n\r\nb\r\n"),
    ],
)
def test_header_and_body_are_told_apart(mail, body):
    assert sent(mail).content.partition(b"\r\n\r\n")[2] == body


def test_a_lone_carriage_return_makes_no_field_of_its_own():
    message = sent(b"Subject: a\rBcc: evil@x.test\n\ntext\n")
    assert b"\r\nBcc" not in on_the_wire(message.content)


def test_text_without_mime_fields_gets_those_it_needs():
    found = parsed(sent(b"Subject: x\n\ngr\xc3\xbc\xc3\x9fe\n").content)
    assert found.get_content() == "grüße\r\n"
    assert b"unknown-8bit" in sent(b"Subject: x\n\ngr\xfc\xdfe\n").content


def test_a_raw_subject_becomes_one_that_relays_take():
    message = sent("Subject: Grüße\n\ntext\n".encode())
    assert message.content.isascii()
    assert parsed(message.content)["Subject"] == "Grüße"
    assert message.subject == "Grüße"
    assert sent(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n").subject == "Grüße"
    assert sent(b"Subject: =?nonsense?q?Gr?=\n\n").subject


@pytest.mark.parametrize("body", [b"a\0b\n", b"x" * 999 + b"\n", b"\0" + b"\xff" * 2000])
def test_octets_that_no_relay_takes_arrive_all_the_same(body):
    content = sent(b"Subject: x\n\n" + body).content
    assert b"\0" not in content
    assert max(map(len, content.split(b"\r\n"))) <= submission.LINE_LIMIT
    assert parsed(content).get_payload(decode=True) == body.replace(b"\n", b"\r\n")


def test_a_message_of_parts_keeps_its_parts():
    mail = b'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\n\na\0b\n--b--\n'
    content = sent(mail).content
    assert content.endswith(b"\r\n\r\n--b\r\n\r\nab\r\n--b--\r\n")


def test_a_command_of_any_length_fits_into_the_subject():
    content = sent(b"Subject: Cron <root@web1> " + b"x " * 2000 + b"\nTo: root\n\ntext\n").content
    assert max(map(len, content.split(b"\r\n"))) <= submission.LINE_LIMIT
    assert parsed(content)["Subject"].startswith("Cron <root@web1> x x")


fields = st.sampled_from([b"To", b"Cc", b"Bcc", b"From", b"Subject", b"X-Y", b"Content-Type", b"Resent-To"])
some = st.binary(max_size=30) | st.sampled_from([b"a@x.test", b"root", b"\r\n ", b"=?utf-8?q?a?=", b"g: a;"])
header_lines = st.tuples(fields, some).map(lambda pair: b": ".join(pair) + b"\n")
messages = st.lists(header_lines | st.binary(max_size=20)).map(b"".join)


@given(mail=messages, body=st.binary())
@example(mail=b"To: a@x.test\nTo:", body=b"")
@example(mail=b"From: <>\nTo: a@x.test", body=b"\0")
def test_whatever_is_handed_in_becomes_one_message_that_can_be_sent(mail, body):
    for request in (TO_A, FROM_HEADER, Request()):
        message, status = outcome(lambda request=request: sent(mail + b"\n" + body, request))
        if status:
            assert status in (65, 67)
            assert not request.recipients
            continue
        assert message.envelope.recipients
        assert message.envelope.sender
        header, separator, _ = message.content.partition(b"\r\n\r\n")
        assert separator
        assert b"\0" not in message.content
        assert b"\r" not in header.replace(b"\r\n", b"")
        names = [line.partition(b":")[0].strip().lower() for line in header.split(b"\r\n") if line[:1] > b" "]
        assert {b"from", b"date", b"message-id"} <= set(names)
        assert b"bcc" not in names
        assert "\n" not in message.subject


@pytest.mark.parametrize(
    "content",
    [
        b"X-A: b\n" + b" c\n" * 300_000,
        b"Subject: b\n" + b" \xff\n" * 100_000,
        b"Cc: " + b"a@x.test, " * 20_000 + b"\n",
        b"Cc: g: " + b"x y@x.test," * 20_000 + b";\n",
        b"X: y\n" * 100_000,
        b"Cc: " + b'"a" ' * 50_000 + b"\n",
        b"Cc: " + b"(" * 50_000 + b")" * 50_000 + b"\n",
    ],
)
def test_a_header_takes_time_in_proportion(content):
    begun = time.process_time()
    sent(b"To: a@x.test\n" + content + b"\nx\n", FROM_HEADER)
    # What is quadratic takes minutes here.
    assert time.process_time() - begun < 10


def test_of_many_recipients_passed_over_some_are_named():
    content = b"To: a@x.test, " + b"x y@x.test," * 500 + b"\n\nx\n"
    remarks = submit(content, FROM_HEADER, SITE, "id", NOW).remarks
    assert len(remarks) == submission.REMARK_LIMIT + 1
    assert remarks[-1] == "recipients passed over: 480 more"
