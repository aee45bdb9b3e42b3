"""What a killed run leaves behind, and what the next one makes of it: one report, and the right one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from cronwrap.model import Command
from cronwrap.outbox.store import Outbox
from cronwrap.pipeline.context import RunContext, mark, name_of_mark, unmark
from cronwrap.settings.load import load
from cronwrap.state import process_started, tag
from support.cli import CRONWRAP
from support.tracing import need_strace, with_faults

SAID = CRONWRAP, "-n", "j", "--", "sh", "-c", "echo said; mkdir ran; exit 7"


@pytest.fixture
def job(cli, relay):
    need_strace()
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    os.utime(cli.config, (1_700_000_000, 1_700_000_000))
    assert cli("-n", "j", "--", "true").status == 0
    return cli


def killed(job, calls, injection, *words):
    process = job.start(*with_faults(calls, injection)[1:], *(words or SAID), program="strace")
    return process.wait(60)


def results(relay):
    return [mail.parsed["X-Cronwrap-Result"] for mail in relay.messages]


def test_a_run_killed_between_fork_and_record_is_reported_as_abandoned(job, relay):
    words = CRONWRAP, "-n", "j", "--", "mkdir", "ran"
    process = job.start(
        "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone,fork,vfork,waitid,wait4", "-e",
        "inject=wait4:signal=KILL:when=2", *words, program="strace",
    )  # fmt: skip
    process.wait(60)
    (left,) = [name for name in os.listdir(f"{job.state}/runs") if not name.endswith(".end")]
    assert job("-n", "j", "--", "true").status == 0
    assert results(relay) == ["abandoned"]
    assert left.removeprefix(".new-").rpartition(".")[0] in relay.messages[0].body


def test_a_run_killed_before_it_is_on_record_leaves_its_mark(job, relay):
    name = f"20260101T000000-deadbeef.{tag('j')}"
    with open(f"{job.state}/runs/.new-{name}", "w", encoding="utf-8") as file:
        file.write(f"4194000\n77\n{os.uname().nodename}\nroot\n1767225600.0\nj")
    os.chmod(file.name, 0o600)
    assert job("-n", "j", "--", "true").status == 0
    assert results(relay) == ["abandoned"]
    assert job("-n", "j", "--", "true").status == 0
    assert len(relay.messages) == 1


def test_a_run_killed_at_once_is_told_of_by_its_command_and_its_user(job, relay):
    assert job("-n", "j", "-c", "echo a\nb; kill -9 $PPID").status == -signal.SIGKILL
    assert job("-n", "j", "--", "true").status == 0
    (mail,) = relay.messages
    who, _, command = mail.parsed["Subject"].partition("> ")
    assert command == "echo a b; kill -9 $PPID"
    assert who.startswith(f"Cron <{job.env['LOGNAME']}@")


def test_a_secret_in_a_command_is_not_left_with_the_word_of_a_run(cli, monkeypatch):
    run = RunContext(
        run_id="20260101T000000-deadbeef", host="h",
        command=Command(argv=("x",), text="x --password hunter2"),
        settings=load({"name": "j"}, cli.env), started=1.0, posted=[],
    )  # fmt: skip
    monkeypatch.delitem(sys.modules, "cronwrap.redact.redactor", raising=False)
    for command in ("j", "x --password [redacted]"):
        mark(run)
        with open(f"{cli.state}/runs/{name_of_mark(run)}", encoding="utf-8") as file:
            assert file.read().split("\n")[5:] == ["j", command]
        unmark(run)
        assert os.listdir(f"{cli.state}/runs") == []
        import cronwrap.redact.redactor  # noqa: F401, PLC0415


def test_the_mark_of_a_living_run_is_left_alone(job, relay):
    name = f"20260101T000000-deadbeef.{tag('j')}"
    born = process_started("self")
    with open(f"{job.state}/runs/.new-{name}", "w", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n{born}\n{os.uname().nodename}\nroot\n1767225600.0\nj")
    os.chmod(file.name, 0o600)
    assert job("-n", "j", "--", "true").status == 0
    assert relay.messages == []


@pytest.mark.parametrize("number", range(1, 9))
def test_a_run_killed_around_its_report_makes_one_mail_that_does_not_contradict_itself(job, relay, number):
    """Of the renames of a run one puts it on record, one queues its report, one ends its record."""
    killed(job, "renameat,renameat2,rename", f"renameat:signal=KILL:when={number}")
    assert job("-n", "j", "--", "true").status == 0
    job("outbox", "flush")
    last = [json.loads(line) for line in job("history", "--json").stdout.splitlines()]
    if os.path.exists(f"{job.home}/ran"):
        assert results(relay) in (["exit 7"], ["abandoned"])
        assert len([run for run in last if run["result"] != "ok"]) == 1
    else:  # it was killed before the job could start, for the settings' cache
        assert results(relay) in ([], ["abandoned"])
    assert Outbox(job.state).ids() == []


DYING_SENDER = """
import os, sys
from cronwrap.outbox import sender
def die(*words, **more):
    os.kill(os.getpid(), 9)
from cronwrap.outbox import dispatch
dispatch.drain_and_look_again = die
from cronwrap.__main__ import leave, main
leave(main(sys.argv[1:]))
"""


def test_a_sender_that_dies_is_replaced_by_one_that_waits(job, relay):
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    process = job.start("-c", DYING_SENDER, *SAID[1:], program=sys.executable, stderr=subprocess.PIPE)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert b"kept" in err
    relay.wait_for(1, timeout=30)
    for one in job.processes():
        one.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("mark", ["", ".new-"])
def test_a_dead_run_whose_record_is_garbage_is_reported_once_by_the_next_run_of_its_job(job, relay, mark):
    assert job("-n", "j", "--", "true").status == 0
    path = f"{job.state}/runs/{mark}20260102T030405-0badcafe.{tag('j')}"
    with open(path, "wb") as file:
        file.write(b"\xff" * 400)
    os.chmod(path, 0o600)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert job("-n", "other", "--", "true").status == 0
    assert relay.messages == []
    for _ in range(2):
        assert job("-n", "j", "--", "true").status == 0
    (mail,) = relay.messages
    assert mail.parsed["X-Cronwrap-Result"] == "abandoned"
    assert "can be read from its record" in mail.body
    assert "0badcafe" in job("history", "--failed").stdout
