"""Postfix in between as a relay that is stopped, defers, and comes back: late, and once."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def job(cli, postfix):
    """Run a job that fails, under a name of its own; gives the result."""
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{postfix.table}')

    def run(name):
        return cli("--name", name, "-c", "echo something broke; exit 4", timeout=60)

    return run


def arrived(postfix, name):
    return [mail for mail in postfix.mails() if mail["X-Cronwrap-Job"] == name]


def queued(cli):
    return [json.loads(line) for line in cli("outbox", "list", "--json").stdout.splitlines()]


def test_a_report_outlives_a_stopped_relay_and_arrives_once(cli, job, postfix, wait_until):
    postfix.stop()
    try:
        result = job("relay-stopped")
        assert result.status == 4
        (item,) = queued(cli)
        assert (item["job"], item["state"]) == ("relay-stopped", "queued")
        assert "refused" in item["last_error"].lower()
    finally:
        postfix.start()
    flushed = cli("outbox", "flush")
    assert flushed.status == 0, flushed.stderr
    wait_until(lambda: arrived(postfix, "relay-stopped"), what="the delivery")
    assert queued(cli) == []
    cli("outbox", "flush")
    assert len(arrived(postfix, "relay-stopped")) == 1


def test_a_report_outlives_a_relay_that_defers(cli, job, postfix, wait_until):
    postfix.setting("smtpd_sender_restrictions=defer")
    try:
        assert job("relay-deferring").status == 4
        (item,) = queued(cli)
        assert item["state"] == "queued"
        assert "450" in item["last_error"]
    finally:
        postfix.setting("smtpd_sender_restrictions=")
    flushed = cli("outbox", "flush")
    assert flushed.status == 0, flushed.stderr
    wait_until(lambda: arrived(postfix, "relay-deferring"), what="the delivery")
    assert queued(cli) == []


def test_a_wrong_password_keeps_the_report_and_names_the_login(cli, postfix, wait_until):
    cli.write_config(
        f'mailto = "ops@example.test"\n{postfix.table}'.replace("correct horse battery", "not the password")
    )
    result = cli("--name", "wrong-password", "-c", "exit 5")
    assert result.status == 5
    (item,) = queued(cli)
    assert "535" in item["last_error"]
    assert "login" in item["last_error"].lower()
    cli.write_config(f'mailto = "ops@example.test"\n{postfix.table}')
    assert cli("outbox", "flush").status == 0
    wait_until(lambda: arrived(postfix, "wrong-password"), what="the delivery")
