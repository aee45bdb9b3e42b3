"""A relay that finds a report too large: somebody hears of the job all the same, and where the rest is."""

from __future__ import annotations

import json

import pytest

from support.relay import PASSWORD, USER

JOB = 'i=0; while [ $i -lt 9000 ]; do echo "a line of output, number $i of many"; i=$((i+1)); done; exit 3'
LEFT_OUT = "Left out here: "


def configured(cli, *relays):
    tables = "".join(
        f'[[relay]]\nurl = "{relay.url}"\nuser = "{USER}"\npassword = \'{PASSWORD}\'\n'
        f'ca-file = "{relay.authority.ca_file}"\n'
        for relay in relays
    )
    cli.write_config(f'mailto = "ops@example.test"\n{tables}')
    return cli


def outbox(cli):
    return [json.loads(line) for line in cli("outbox", "--json").stdout.splitlines()]


@pytest.mark.parametrize("limit", [50_000, 6_000])
def test_a_report_over_the_announced_size_goes_smaller_and_names_where_the_rest_is(cli, make_relay, limit):
    relay = make_relay(size_limit=limit)
    result = configured(cli, relay)("--name", "big", "-c", JOB)
    assert (result.status, result.err) == (3, b"")
    (mail,) = relay.messages
    assert len(mail.content) <= limit
    assert mail.body.startswith("exit status 3 after ")
    assert LEFT_OUT in mail.body
    run = json.loads(cli("history", "--json").stdout)["run"]
    assert f"cronwrap show {run}" in mail.body
    assert f"takes {limit} at most" in mail.body
    assert "number 8999 of many" in cli("show", run).stdout
    assert outbox(cli) == []


@pytest.mark.parametrize(
    ("verb", "reply"), [("DATA", "552 5.3.4 Message too big"), ("RCPT", "552 5.2.3 too big for this mailbox")]
)
def test_a_relay_that_says_so_later_gets_it_smaller_over_the_same_connection(cli, make_relay, verb, reply):
    relay = make_relay()
    relay.refuse(verb, reply, times=1)
    assert configured(cli, relay)("--name", "big", "-c", JOB).status == 3
    (mail,) = relay.messages
    assert LEFT_OUT in mail.body
    assert reply[:9] in mail.body
    assert (relay.counters.connections, relay.counters.logins) == (1, 1)
    assert outbox(cli) == []


def test_what_is_put_off_stays_whole_in_the_outbox_for_the_next_attempt(cli, make_relay):
    relay = make_relay(size_limit=50_000)
    relay.refuse("RCPT", "451 4.7.1 Greylisted", times=1)
    configured(cli, relay)("--name", "big", "-c", JOB)
    (item,) = outbox(cli)
    assert "output.txt" in cli("outbox", "show", item["id"]).stdout
    assert cli("outbox", "flush").status == 0
    (mail,) = relay.messages
    assert LEFT_OUT in mail.body
    assert outbox(cli) == []


def test_what_fits_nowhere_is_refused_with_what_the_relay_takes(cli, make_relay):
    relay = make_relay(size_limit=500)
    result = configured(cli, relay)("--name", "big", "-c", JOB)
    assert "takes 500 at most" in result.stderr
    (item,) = outbox(cli)
    assert item["state"] == "failed"


def test_somebody_elses_message_goes_without_its_files_and_is_kept_whole(cli, make_relay):
    relay = make_relay(size_limit=20_000)
    text = (
        b"To: ops@example.test\nSubject: numbers\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nThe numbers.\n'
        b'--b\nContent-Type: application/pdf; name="a.pdf"\nContent-Disposition: attachment\n'
        b"Content-Transfer-Encoding: base64\n\n"
        + b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk\n" * 1000
        + b"--b--\n"
    )
    configured(cli, relay)("sendmail", "-t", stdin=text)
    (mail,) = relay.messages
    assert "The numbers." in mail.body
    assert "a.pdf" in mail.body
    (item,) = outbox(cli)
    assert (item["state"], item["to"]) == ("failed", ["ops@example.test"])
    assert f"cronwrap outbox show --raw {item['id']}" in mail.body
    assert b"QUJDREVGR0hJSktM" in cli("outbox", "show", "--raw", item["id"]).out
