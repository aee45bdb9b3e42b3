"""``cronwrap sendmail`` as a process, in front of a real relay."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from cronwrap.commands import sendmail as sendmail_command
from cronwrap.commands.cli import main
from cronwrap.errors import StateError
from cronwrap.outbox.store import Outbox
from cronwrap.sendmail import submission
from support.cli import CRONWRAP

MAIL = b'From: "(Cron Daemon)" <root>\nTo: root\nSubject: Cron <root@web1> x\n\nsaid\n'


@pytest.fixture
def sendmail(cli, relay):
    """The program with a relay, ``mailto`` and ``mailfrom`` configured."""
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return lambda *words, stdin=MAIL, **env: cli("sendmail", *words, stdin=stdin, **env)


def test_as_the_mailer_of_crond(sendmail, relay):
    """``crond -m "cronwrap sendmail -t"`` feeds it the mail alone."""
    result = sendmail("-t")
    assert (result.status, result.out, result.err) == (0, b"", b"")
    (mail,) = relay.messages
    assert (mail.sender, mail.recipients) == ("cron@example.test", ("ops@example.test",))
    assert mail.subject == "Cron <root@web1> x"
    assert mail.parsed["From"] == '"(Cron Daemon)" <cron@example.test>'
    assert mail.body == "said\n"


def test_as_usr_sbin_sendmail_of_debians_cron(sendmail, relay):
    assert sendmail("-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root").status == 0
    assert relay.messages[0].recipients == ("ops@example.test",)


def test_as_sendmail_path_of_php(sendmail, relay):
    mail = b"To: a@x.test\r\nSubject: Hello\r\nX-PHP-Originating-Script: 0:a.php\r\n\r\nline\n.\nmore\n"
    assert sendmail("-t", "-i", "-fwww@x.test", stdin=mail).status == 0
    (mail,) = relay.messages
    assert (mail.sender, mail.recipients, mail.body) == ("www@x.test", ("a@x.test",), "line\n.\nmore\n")


def test_as_mail_uses_it_with_recipients_as_arguments(sendmail, relay):
    stdin = b"Subject: df\nTo: root\n\n90%\n.\nnot this\n"
    assert sendmail("root", "a@x.test", stdin=stdin).status == 0
    (mail,) = relay.messages
    assert (mail.recipients, mail.body) == (("ops@example.test", "a@x.test"), "90%\n")


def test_a_relay_that_takes_seven_bits_gets_seven(cli, make_relay):
    relay = make_relay(hide=("8BITMIME",))
    cli.write_config(f'mailto = "ops@example.test"\n{relay.table}')
    assert cli("sendmail", "root", stdin="Subject: x\n\ngrüße\n".encode()).status == 0
    (mail,) = relay.messages
    assert mail.content.isascii()
    assert mail.parsed.get_content().strip() == "grüße"
    assert mail.sender == "cron@example.test"  # the login


def test_mailto_of_one_crontab_does_not_take_the_mail_of_another(sendmail, relay):
    """crond hands its environment to its mailer, and has put the recipient into the message already."""
    assert sendmail("-t", MAILTO="somebody@else.test").status == 0
    assert relay.messages[0].recipients == ("ops@example.test",)


def test_the_domain_of_the_configured_addresses_is_never_local(cli, relay):
    cli.write_config(f'mailto = "ops@{os.uname().nodename}"\n{relay.table}')
    assert cli("sendmail", f"alice@{os.uname().nodename}", stdin=b"Subject: x\n\n").status == 0
    assert relay.messages[0].recipients == (f"alice@{os.uname().nodename}",)


# Exit statuses: sysexits(3) -----------------------------------------------------------------------


def test_kept_for_later_is_success(sendmail, cli, make_misbehaving):
    result = sendmail("-t", **make_misbehaving("banner", "4xx").environment)
    assert (result.status, result.out) == (0, b"")
    ((item,), _) = Outbox(cli.state).items()
    assert (item.attempts, item.subject, item.job) == (1, "Cron <root@web1> x", "sendmail")


def test_without_a_relay_it_is_kept_and_says_how_to_set_one_up(cli):
    result = cli("sendmail", "a@x.test", stdin=MAIL)
    assert result.status == 0
    assert "cronwrap init" in result.stderr
    assert len(Outbox(cli.state).ids()) == 1


def test_a_refusal_for_good_is_told_to_the_caller(sendmail, cli, relay):
    relay.refuse("RCPT", "550 5.1.1 No such user")
    result = sendmail("-t")
    assert result.status == 69
    assert "550 5.1.1 No such user" in result.stderr
    assert len(Outbox(cli.state).failed()) == 1


@pytest.mark.parametrize(
    ("words", "stdin", "status", "said"),
    [
        (["-bs"], b"", 64, "one message on standard input"),
        (["--nonsense"], b"", 64, "--nonsense"),
        (["-t"], b"Subject: x\n\n", 67, "no recipient"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_line(sendmail, relay, words, stdin, status, said):
    result = sendmail(*words, stdin=stdin)
    assert (result.status, relay.messages) == (status, [])
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_message_too_large_for_any_relay_is_refused(sendmail):
    result = sendmail("-i", "a@x.test", stdin=b"Subject: x\n\n" + b"x" * submission.MESSAGE_LIMIT)
    assert result.status == 65
    assert "64 MiB" in result.stderr


def test_neither_stored_nor_sent_is_a_temporary_failure(sendmail, cli, relay, make_misbehaving):
    os.makedirs(cli.state, mode=0o700)
    with open(os.path.join(cli.state, "outbox"), "w", encoding="ascii") as file:
        file.write("a file is in the way")
    result = sendmail("-t", **make_misbehaving("banner", "drop").environment)
    assert result.status == 75
    assert "could not be sent" in result.stderr
    assert sendmail("-t").status == 0
    assert len(relay.messages) == 1


def test_a_relay_that_hangs_is_waited_for_as_long_as_a_run_would(sendmail, cli, make_misbehaving):
    began = time.monotonic()
    server = make_misbehaving("ehlo", "hang")
    assert sendmail("-t", CRONWRAP_DELIVERY_INLINE="0.5s", **server.environment).status == 0
    assert time.monotonic() - began < 15
    assert len(Outbox(cli.state).ids()) == 1


def test_mailq_and_newaliases_have_their_forms(sendmail, cli, make_misbehaving, relay):
    sendmail("-t", **make_misbehaving("banner", "drop").environment)
    assert "Cron <root@web1> x" in sendmail("-bp").stdout
    assert sendmail("-bi").status == 0
    assert sendmail("-q", stdin=b"").status == 0
    assert len(relay.messages) == 1
    assert Outbox(cli.state).ids() == []


def test_help_is_there(sendmail):
    result = sendmail("--help")
    assert result.status == 0
    assert "-oi" in result.stdout


@pytest.mark.parametrize("name", ["sendmail", "cronwrap"])
def test_a_link_named_sendmail_is_sendmail(cli, relay, tmp_path, name):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    link = tmp_path / name
    link.symlink_to(CRONWRAP)
    words = [] if name == "sendmail" else ["sendmail"]
    process = cli.start(*words, "-t", "-i", program=str(link), stdin=subprocess.PIPE)
    process.communicate(b"To: a@example.test\nSubject: hello\n\nbody\n")
    assert process.returncode == 0
    assert [mail.subject for mail in relay.messages] == ["hello"]


@pytest.mark.parametrize(
    "header",
    [
        b"To: g: x" + b"(" * 20_000 + b")" * 20_000 + b" <a@x.test>;",
        b"To: g: x" + b"(" * 20_000 + b" <a@x.test>;",
        b"To: g: a@x.test;\nSubject: " + b"(" * 20_000,
        b"To: " + b"<" * 20_000,
        b"From: " + b"(" * 20_000 + b"\nTo: g: y z;",
    ],
)
def test_whatever_the_header_holds_the_status_is_one_of_sysexits(sendmail, header):
    assert sendmail("-t", stdin=header + b"\n\nx\n").status in (0, 65, 67, 69)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RecursionError("too deep"), 70),
        (MemoryError(), 70),
        (StateError("no state"), 75),
        (KeyboardInterrupt(), 75),
        (BrokenPipeError(32, "Broken pipe"), 74),
        (IsADirectoryError(21, "Is a directory"), 74),
    ],
)
def test_whatever_goes_wrong_the_status_is_one_of_sysexits(monkeypatch, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(sendmail_command, "receive", fail)
    assert main(["sendmail", "root"]) == status
