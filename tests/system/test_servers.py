"""Real servers: good and bad logins, sizes, greylisting, 7 bits; the mails read by IMAP and by strangers."""

from __future__ import annotations

import email
import email.policy
import imaplib
import json
import os
import ssl
import subprocess

import pytest

from support import servers
from support.debian import find
from support.servers import NODE_MODULES, PASSWORD, SIZE, TOKEN, USER

JOB = "echo 'Grüße aus dem Lauf'; echo nicht gut >&2; exit 4"
PACKED = f"head -c {SIZE * 3} /dev/urandom; exit 3"
"""Octets that cannot be packed: more than SIZE, and more than a text shows."""
KINDS = (servers.PostfixWithDovecot, servers.Exim, servers.NodeServer)
by_each_mechanism = pytest.mark.parametrize(
    ("server", "mechanism"),
    [
        pytest.param(kind, mechanism, id=f"{kind.name}-{mechanism}")
        for kind in KINDS
        for mechanism in kind.mechanisms
    ],
    indirect=["server"],
)
BY_TOKEN = ("xoauth2", "oauthbearer")


@pytest.fixture
def send(cli, server):
    """Run a job under a name, with more lines in the relay's table; gives the result."""

    def run(name, command, secret=f'password = "{PASSWORD}"', more=""):
        table = server.table.replace(f'password = "{PASSWORD}"', secret)
        cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "{USER}"\n{table}{more}')
        return cli("--name", name, "-c", command)

    return run


def mails(server, name):
    parsed = [email.message_from_bytes(raw, policy=email.policy.default) for raw in server.raw()]
    return [mail for mail in parsed if mail["X-Cronwrap-Job"] == name]


def arrived(server, wait_until, name):
    wait_until(lambda: mails(server, name), timeout=30, what=f"the delivery of {name}")
    (mail,) = mails(server, name)
    return mail


def queued(cli):
    return [json.loads(line) for line in cli("outbox", "list", "--json").stdout.splitlines()]


def secret_for(mechanism, *, right):
    if mechanism in BY_TOKEN:
        return f'token-command = "echo {TOKEN if right else "stale"}"'
    return f'password = "{PASSWORD if right else "not the password"}"'


@by_each_mechanism
def test_a_login_by_each_mechanism_delivers(send, server, wait_until, mechanism):
    name = f"good-{mechanism}"
    result = send(name, JOB, secret_for(mechanism, right=True), f'auth = "{mechanism}"\n')
    assert (result.status, result.stderr) == (4, "")
    mail = arrived(server, wait_until, name)
    assert "Grüße aus dem Lauf" in mail.get_body(("plain",)).get_content()


@by_each_mechanism
def test_a_bad_login_keeps_the_report_and_says_what_to_do(send, server, cli, mechanism):
    result = send(f"bad-{mechanism}", JOB, secret_for(mechanism, right=False), f'auth = "{mechanism}"\n')
    assert result.status == 4
    (item,) = queued(cli)
    assert f"refused the login of {USER} by {mechanism.upper()}: " in item["last_error"]
    assert "not the password" not in result.stderr
    if (server.name, mechanism) == ("postfix", "oauthbearer"):
        return  # Dovecot 2.3 dies of the answer that RFC 7628 wants, so Postfix says 454
    assert ": 535" in item["last_error"]
    assert ("token-command" if mechanism in BY_TOKEN else "check user and password") in result.stderr


def test_a_report_over_the_size_goes_without_its_attachment(send, server, wait_until):
    server.limit(SIZE)
    try:
        result = send("too-large", PACKED)
        assert (result.status, result.stderr) == (3, "")
        mail = arrived(server, wait_until, "too-large")
    finally:
        server.limit(0)
    text = mail.get_body(("plain",)).get_content()
    assert "Left out here: " in text
    assert "cronwrap show " in text
    assert not list(mail.iter_attachments())


def test_a_report_that_was_greylisted_arrives_once(send, server, cli, wait_until):
    server.greylist(True)
    try:
        assert send("greylisted", JOB).status == 4
        (item,) = queued(cli)
        assert item["last_error"].startswith("45")
        assert "Greylisted" in item["last_error"]
    finally:
        server.greylist(False)
    assert cli("outbox", "flush").status == 0
    arrived(server, wait_until, "greylisted")
    assert queued(cli) == []


def test_eight_bits_arrive_over_a_relay_of_seven(send, server, cli, wait_until):
    server.seven_bit(True)
    try:
        assert send("seven", JOB).status == 4
        text = "Subject: hand\nX-Cronwrap-Job: seven-by-hand\nMIME-Version: 1.0\n"
        text += "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n"
        assert cli("sendmail", "ops@example.test", stdin=text.encode()).status == 0
        mail = arrived(server, wait_until, "seven")
        by_hand = arrived(server, wait_until, "seven-by-hand")
    finally:
        server.seven_bit(False)
    assert "Grüße aus dem Lauf" in mail.get_body(("plain",)).get_content()
    assert by_hand["Content-Transfer-Encoding"] == "base64"
    assert by_hand.get_content().replace("\r\n", "\n") == "Grüße\n"


def test_doctor_finds_all_sound(send, cli):
    send("doctored", "true")
    result = cli("doctor")
    assert "FAULT" not in result.stdout, result.stdout


# Reading it back


def by_python(raw):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    return mail.get_body(("plain",)).get_content(), files


def by_perl(raw, place):
    script = (
        "use MIME::Parser; my $p = MIME::Parser->new; $p->output_to_core(1);"
        "my $e = $p->parse(\\*STDIN); binmode STDOUT;"
        "sub walk { my $e = shift; if ($e->parts) { walk($_) for $e->parts } else {"
        "my $n = $e->head->recommended_filename || $e->mime_type; $n =~ s{/}{_};"
        'open my $f, ">", "$ARGV[0]/$n"; binmode $f; print $f $e->bodyhandle->as_string } } walk($e);'
    )
    subprocess.run([find("perl"), "-e", script, place], input=raw, check=True)
    return saved(place)


def by_munpack(raw, place):
    with open(f"{place}/mail", "wb") as file:
        file.write(raw)
    subprocess.run([find("munpack"), "-t", "-q", "-C", place, "mail"], check=True, capture_output=True)
    return saved(place)


def by_node(raw, place):
    script = (
        f'const {{simpleParser}} = require("{NODE_MODULES}/mailparser"); const fs = require("fs");'
        "simpleParser(fs.readFileSync(0)).then(m => { const d = process.argv[1];"
        'fs.writeFileSync(d + "/text_plain", m.text);'
        "for (const a of m.attachments) fs.writeFileSync(`${d}/${a.filename}`, a.content) })"
    )
    subprocess.run([find("node"), "-e", script, place], input=raw, check=True)
    return saved(place)


def saved(place):
    found = {}
    for name in os.listdir(place):
        with open(f"{place}/{name}", "rb") as file:
            found[name] = file.read()
    return found


def test_an_imap_client_and_four_parsers_read_the_same(request, send, server, needs, wait_until, tmp_path):
    """What a job wrote is there to the octet, whoever takes the mail apart."""
    needs(*servers.READERS)
    if reason := servers.lacking(servers.NodeServer, install=request.config.getoption("complete")):
        pytest.skip(reason)
    written = b"".join(b"%05d \xff\0 of the output\n" % number for number in range(4000))
    path = tmp_path / "written"
    path.write_bytes(written)
    assert send("parsed", f"cat {path}; exit 4").status == 4
    arrived(server, wait_until, "parsed")
    raw = next(raw for raw in server.raw() if b"X-Cronwrap-Job: parsed" in raw)
    if hasattr(server, "imaps"):
        raw = fetched(server, "parsed")
    text, files = by_python(raw)
    assert list(files.values()) == [written]
    assert text.startswith("exit status 4 after ")
    for parser in (by_perl, by_munpack, by_node):
        place = tmp_path / parser.__name__
        place.mkdir()
        found = parser(raw, str(place))
        assert written in found.values(), parser
        assert any(b"exit status 4 after " in content for content in found.values()), parser


def fetched(server, name):
    """Give a message as an IMAP client gets it from Dovecot."""
    context = ssl.create_default_context(cafile=server.authority.ca_file)
    with imaplib.IMAP4_SSL("localhost", server.imaps, ssl_context=context) as client:
        client.login(USER, PASSWORD)
        client.select("INBOX", readonly=True)
        _, (numbers,) = client.search(None, "HEADER", "X-Cronwrap-Job", name)
        _, parts = client.fetch(numbers.split()[-1].decode(), "(RFC822)")
        return parts[0][1]
