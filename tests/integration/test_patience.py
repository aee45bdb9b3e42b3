"""What is wrong with a relay is known before the run stops waiting: on standard error and on record."""

from __future__ import annotations

import json
import time

import pytest

from cronwrap.outbox import dispatch
from cronwrap.outbox.sender import in_time
from cronwrap.settings import relays as endpoint

INLINE = 5.0
SLACK = 8.0
"""Seconds that two Pythons may take to start on a busy machine."""


def table(url, authority, **more):
    lines = [f'url = "{url}"', 'user = "cron@example.test"', 'password = "secret"']
    lines += [f'ca-file = "{authority.ca_file}"', *(f'{key} = "{value}"' for key, value in more.items())]
    return "[[relay]]\n" + "\n".join(lines) + "\n"


def run(cli, *tables):
    cli.write_config(f'mailto = "ops@example.test"\n[delivery]\ninline = "{INLINE}s"\n' + "".join(tables))
    began = time.monotonic()
    result = cli("--", "false")
    assert result.status == 1
    assert time.monotonic() - began < INLINE + dispatch.FAREWELL + SLACK
    return result.stderr


def told_everywhere(cli, stderr, *words):
    (item,) = (json.loads(line) for line in cli("outbox", "--json").stdout.splitlines())
    shown = cli("show").stdout
    for word in words:
        assert word in stderr
        assert word in item["last_error"]
        assert word in shown


@pytest.mark.parametrize("background", ["false", "true"])
def test_a_submission_url_at_a_port_that_speaks_tls_at_once_is_told_as_such(
    cli, relay, authority, background
):
    cli.env["CRONWRAP_DELIVERY_BACKGROUND"] = background
    stderr = run(cli, table(f"submission://localhost:{relay.port}", authority))
    told_everywhere(cli, stderr, "speaks TLS at once", f'write url = "smtps://localhost:{relay.port}"')


def test_an_smtps_url_at_a_port_that_wants_starttls_is_told_as_such(cli, make_relay, authority):
    relay = make_relay(tls="starttls")
    stderr = run(cli, table(f"smtps://localhost:{relay.port}", authority))
    told_everywhere(cli, stderr, "only after STARTTLS", f'write url = "submission://localhost:{relay.port}"')


@pytest.mark.parametrize("stage", ["connect", "banner", "ehlo", "auth"])
def test_a_relay_that_keeps_silent_is_told_by_its_stage_and_with_advice(cli, make_misbehaving, stage):
    server = make_misbehaving(stage, "hang")
    stderr = run(cli, table(server.url, server.authority))
    told_everywhere(cli, stderr, server.url)
    assert "no relay has taken it yet" not in stderr
    assert "told to end" not in stderr
    assert ";" in stderr


def test_a_relay_that_drips_through_all_stages_is_bounded_as_a_whole(cli, make_misbehaving):
    server = make_misbehaving("banner", "drip", drip_interval=0.05)
    stderr = run(cli, table(server.url, server.authority))
    told_everywhere(cli, stderr, server.url)
    assert "no relay has taken it yet" not in stderr


def test_the_second_relay_has_its_turn_while_the_run_waits(cli, make_misbehaving, relay, authority):
    silent = make_misbehaving("banner", "hang")
    assert run(cli, table(silent.url, authority), relay.table) == ""
    assert len(relay.messages) == 1


def test_a_command_for_the_password_that_hangs_is_told_in_time(cli, relay, authority):
    config = table(relay.url, authority).replace('password = "secret"', 'password-command = "sleep 60"')
    told_everywhere(cli, run(cli, config), "password-command did not end within")


def test_who_waits_for_nobody_has_the_configured_time():
    relays = (endpoint.parse({"url": "smtps://h"}, "test"),) * 3
    assert in_time(relays, 0.0) == relays
    bounded = in_time(relays, 30.0)
    assert sum(relay.opening for relay in bounded) < 30.0
    assert all(relay.timeout < relay.opening for relay in bounded)
    assert in_time((relays[0].replace(timeout=1.0),), 30.0)[0].timeout == 1.0
