"""Who is told beside the mail: targets of ``[[notify]]`` over real HTTPS, and programs."""

from __future__ import annotations

import json
import os
import time

import pytest

from cronwrap.channels import webhook
from cronwrap.settings.notify import parse
from support.cli import write_private
from support.hook import SECRET

NO_MAIL = 'mailto = ""\n'


@pytest.fixture
def notify(cli):
    """Write a configuration that mails nobody and has these tables."""
    return lambda *tables, more="": cli.write_config(NO_MAIL + "".join(f"{table}\n" for table in tables) + more)


def outbox(cli):
    return [json.loads(line) for line in cli("outbox", "--json").stdout.splitlines()]


def test_a_failure_is_told_as_signed_json_that_has_what_history_has(cli, notify, make_hook):
    hook = make_hook()
    secret = write_private(f"{cli.directory}/secret", SECRET)
    notify(f'{hook.table}secret-file = "{secret}"')
    ran = cli("-n", "backup", "--", "sh", "-c", "echo password=hunter2secret; exit 3")
    assert (ran.status, ran.stderr) == (3, "")
    [call] = hook.calls
    assert call.signed
    assert (call.path, call.headers["content-type"]) == ("/hooks/cron", "application/json")
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < 60
    assert (call.json["type"], call.json["timestamp"]) == ("cronwrap.run", call.data["ended"])
    told = call.data
    known = json.loads(cli("history", "--json").stdout)
    but_times = set(known) - {"ended", "duration"}
    assert {key: told[key] for key in but_times} == {key: known[key] for key in but_times}
    assert told["event"] == "failure"
    assert told["headline"].startswith("exit status 3 after")
    assert "hunter2secret" not in call.body.decode()
    assert told["key"] == f"backup.{known['user']}.{known['host']}"
    assert told["id"] == call.headers["webhook-id"]
    assert outbox(cli) == []
