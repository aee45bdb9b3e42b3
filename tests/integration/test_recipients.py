"""Whoever is named badly, by whatever variable: the report reaches somebody who was named well."""

from __future__ import annotations

import os
import socket

import pytest

from cronwrap.address import at_home
from support.relay import PASSWORD, USER

OPS = "ops@example.test"
DESCRIBED = "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"


@pytest.fixture
def job(cli, relay):
    """Run a failing job where ``mailto`` is ops, with more variables; gives result and mail."""

    def run(*options, config=f'mailto = "{OPS}"\n', **env):
        cli.write_config(config + relay.table)
        before = len(relay.messages)
        result = cli(*options, "--", "sh", "-c", "exit 4", **env)
        assert result.status == 4
        (mail,) = relay.messages[before:]
        return result, mail

    return run


BAD = (
    "ops at example.com",
    "a@b x",
    "a@example.com;b@example.com",
    "ops@",
    "@example.com",
    "a@b..com",
    "<a@b",
)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("variable", ["MAILTO", "CRONWRAP_MAILTO"])
def test_a_variable_that_names_nobody_of_use_is_told_of_and_mailto_stands_in(job, variable, bad):
    result, mail = job(**{variable: bad})
    assert mail.recipients == (OPS,)
    assert f"{variable}: " in mail.body
    assert f"{variable}: " in result.stderr


def test_mailto_stands_in_for_a_bad_variable_of_ours(job):
    assert job(CRONWRAP_MAILTO="ops at x", MAILTO="b@example.test")[1].recipients == ("b@example.test",)


def test_one_good_address_among_bad_ones_gets_it_alone(job):
    _, mail = job(MAILTO="a@b x, good@example.test, @example.com")
    assert mail.recipients == ("good@example.test",)


@pytest.mark.parametrize("bad", [word for word in BAD if "<" not in word])
def test_a_bad_mailto_in_the_file_of_all_leaves_it_to_the_variable(job, bad):
    assert job(config=f'mailto = "{bad}"\n', MAILTO=OPS)[1].recipients == (OPS,)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "ops@",
            "@example.com",
            "ops@example..com",
            ".ops@example.com",
            "ops.@example.com",
            "o..ps@example.com",
        ),
        *("ops@.example.com", "ops@-example.com", "ops@example-.com", "ops@192.0.2.1", "ops@exam ple.com"),
        *(
            "ops@example.com;b@example.com",
            "a@b@c",
            "ops:x@example.com",
            "ops@example/com",
            "a b",
            "ops@@x.com",
        ),
        "x" * 70 + "@example.com",
        "ops@" + "x" * 64 + ".com",
    ],
)
@pytest.mark.parametrize("key", ["mailto", "mailfrom"])
def test_config_check_faults_what_is_no_address(cli, key, bad):
    cli.write_config(f'{key} = "{bad}"\n')
    result = cli("config", "check")
    assert result.status == 1
    assert f"{key}: " in result.stdout + result.stderr


@pytest.mark.parametrize(
    "good", ["root", "ops@example.com", "a.b+c@x-y.example.com", "ops@localhost", "o@[192.0.2.1]"]
)
def test_config_check_finds_nothing_in_good_ones(cli, good):
    cli.write_config(f'mailto = "{good}"\nmailfrom = "{good}"\n')
    result = cli("config", "check")
    assert "mailto: " not in result.stdout + result.stderr
    assert "mailfrom: " not in result.stdout + result.stderr


# Quotes


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_variables_whole_value_are_taken_off(cli, relay, quote):
    variables = {
        "MAILTO": "a@example.test,b@example.test",
        "MAILFROM": "cron@example.test",
        "CRONWRAP_RELAY": relay.url,
        "CRONWRAP_RELAY_USER": USER,
        "CRONWRAP_RELAY_PASSWORD": PASSWORD,
        "CRONWRAP_RELAY_CA_FILE": relay.authority.ca_file,
        "CRONWRAP_DELIVERY_BACKGROUND": "false",
        "CRONWRAP_STATE_DIR": os.path.join(cli.directory, "quoted"),
    }
    if quote in PASSWORD:
        del variables["CRONWRAP_RELAY_PASSWORD"]
        cli.env["CRONWRAP_RELAY_PASSWORD"] = PASSWORD
    quoted = {name: f"{quote}{value}{quote}" for name, value in variables.items()}
    result = cli("--", "false", **quoted)
    assert result.err == b""
    (mail,) = relay.messages
    assert (mail.recipients, mail.sender) == (("a@example.test", "b@example.test"), "cron@example.test")
    assert os.path.isdir(variables["CRONWRAP_STATE_DIR"])


def test_quotes_that_belong_to_an_address_stay(job):
    _, mail = job(MAILTO='"Doe, Jo" <jo@example.test>, "Roe, Al" <al@example.test>')
    assert mail.recipients == ("jo@example.test", "al@example.test")


def test_an_empty_pair_of_quotes_is_an_empty_mailto(cli, relay):
    cli.write_config(f'mailto = "{OPS}"\n{relay.table}')
    assert cli("--", "false", MAILTO='""').status == 1
    assert relay.messages == []


# Local names


@pytest.mark.parametrize("name", ["root", "root@localhost", f"root@{socket.gethostname()}"])
def test_a_local_name_means_mailto_where_there_is_one(job, name):
    _, mail = job(MAILTO=name)
    assert mail.recipients == (OPS,)
    assert mail.parsed["To"] == OPS


def test_a_local_name_on_the_command_line_means_mailto_as_well(job):
    assert job("--mailto", "root,b@example.test")[1].recipients == (OPS, "b@example.test")


@pytest.mark.parametrize("config", ["", 'mailto = ""\n'])
def test_without_a_mailto_a_local_name_is_at_this_host(job, config):
    _, mail = job(config=config, MAILTO="root")
    assert mail.recipients == (f"root@{socket.gethostname()}",)


def test_a_host_of_the_mail_domains_own_name_keeps_its_addresses():
    assert at_home("bob@example.test, root", "example.test", OPS) == f"bob@example.test, {OPS}"
    assert at_home("bob@web1, x y, <", "web1", OPS).count("x y") == 1
    assert at_home('"unclosed', "web1", OPS) == '"unclosed'


# sendmail


@pytest.mark.parametrize(
    ("words", "to"),
    [
        (["-t"], "ops at example.com"),
        (["-t", "-i"], "a b@@c"),
        (["-i", "-FCronDaemon", "a b@x"], "whoever"),
        (["-t"], '"unclosed <a@b>'),
    ],
)
@pytest.mark.parametrize(
    "mime", ["", "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"]
)
def test_a_garbled_recipient_costs_no_output(cli, relay, words, to, mime):
    cli.write_config(f'mailto = "{OPS}"\n{relay.table}')
    text = f"From: root (Cron Daemon)\nTo: {to}\nSubject: Cron <root@web> x\n{mime}\noutput of the jöb\n"
    result = cli("sendmail", *words, stdin=text.encode())
    assert result.status == 0, result
    (mail,) = relay.messages
    assert mail.recipients == (OPS,)
    assert str(mail.parsed["To"]) == OPS
    assert "is not an address" in mail.body or "closing" in mail.body
    whole = "".join(
        part.get_content() for part in mail.parsed.walk() if part.get_content_type() == "text/plain"
    )
    assert "output of the jöb" in whole
    assert "goes to mailto" in result.stderr


def test_a_message_of_several_parts_keeps_them_below_the_line_that_says_why(cli, relay):
    cli.write_config(f'mailto = "{OPS}"\n{relay.table}')
    text = (
        b"To: ops at example.com\nSubject: x\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nfirst\n'
        b"--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nQUJD\n--b--\n"
    )
    assert cli("sendmail", "-t", stdin=text).status == 0
    (mail,) = relay.messages
    kinds = [part.get_content_type() for part in mail.parsed.walk()]
    assert kinds == ["multipart/mixed", "text/plain", "multipart/mixed", "text/plain", "application/pdf"]
    assert mail.parsed.defects == []
