"""``status`` and ``show`` of a run under way: what its processes use at this moment."""

from __future__ import annotations

import json
import os
import pwd
import signal

import psutil
import pytest

from cronwrap.history import journal
from cronwrap.history.run import Run
from cronwrap.job import use
from support.waiting import wait_until

ME = pwd.getpwuid(os.getuid()).pw_name


def objects(cli, *words):
    return [json.loads(line) for line in cli(*words, "--json").stdout.splitlines()]


def test_show_and_status_tell_what_the_processes_of_a_run_use(cli):
    assert cli("--name", "busy", "--", "true").status == 0
    (ended,) = objects(cli, "show")
    assert ended["uses"] is None
    process = cli.start("--name", "busy", "--", "sh", "-c", "sleep 60 & sleep 60 & wait")
    wait_until(lambda: [run["uses"] and run["uses"]["processes"] for run in objects(cli, "show")] == [3])
    (job,) = objects(cli, "status")
    assert job["running"]
    assert job["uses"]["rss_bytes"] > 100_000
    assert 0 <= job["uses"]["cpu_seconds"] < 10
    assert "of CPU time in 3 processes" in cli("show").stdout
    assert "of memory, " in cli("status").stdout
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    (job,) = objects(cli, "status")
    assert (job["running"], job["uses"]) == (None, None)


@pytest.fixture
def sleeper(cli):
    """Give a process of ours with a child, in place of a cronwrap with a job."""
    process = cli.start("-c", "sleep 60; :", program="/bin/sh")
    wait_until(lambda: psutil.Process(process.pid).children())
    return process


def run(process, **more):
    known = {"run": "r", "job": "j", "command": "c", "host": "h", "user": ME}
    started = psutil.Process(process.pid).create_time()
    return Run(**{**known, "started": started, "pid": process.pid, "boot_id": journal.boot_id(), **more})


def test_a_run_of_ours_is_looked_at(sleeper):
    assert use.of_run(run(sleeper)).processes == 1


@pytest.mark.parametrize(
    "more", [{"boot_id": "another"}, {"pid": 0}, {"pid": 2**22 + 1}, {"user": "somebody"}, {"started": 1.0}]
)
def test_nothing_is_said_of_a_process_that_may_be_another_one(sleeper, more):
    assert use.of_run(run(sleeper, **more)) is None
