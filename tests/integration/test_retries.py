"""Tries after a failure, and the wait before the first one."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from itertools import pairwise

from cronwrap import run as pipeline
from cronwrap.model import Command
from cronwrap.pipeline import under_way
from cronwrap.settings.load import load
from support.jobs import catches, number, rehearse

COUNT = 'n=$(($(cat n 2>/dev/null) + 1)); echo $n >n; echo "try $n"; '


def test_a_run_that_succeeds_at_last_is_no_failure_and_has_all_tries_in_one_report(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    line = COUNT + "[ $n = 3 ]"
    assert cli("--retries", "5", "--retry-delay", "0.01s", "--", "sh", "-c", line).status == 0
    (mail,) = relay.wait_for(1)
    assert mail.parsed["X-Cronwrap-Result"] == "ok"
    for word in ("try 1", "try 2", "try 3", "1: exit status 1", "2: exit status 1", "3: exit status 0"):
        assert word in mail.body
    (run,) = [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]
    assert (run["tries"], run["result"]) == (3, "ok")


def test_when_all_tries_fail_the_last_one_gives_the_status(cli):
    line = COUNT + "exit $((n + 10))"
    run = rehearse(cli, "--retries", "2", "--retry-delay", "0.01s", "--", "sh", "-c", line)
    assert (run.status, run.headline.split(" after ")[0]) == (13, "exit status 13")
    assert re.fullmatch(r"exit status 13 after 3 tries, [\d.]+ s", run.headline)
    tries = re.findall(r"^(\d): exit status (\d+)", run.details["tries"], re.MULTILINE)
    assert tries == [("1", "11"), ("2", "12"), ("3", "13")]


def test_a_first_success_is_not_repeated(cli):
    assert rehearse(cli, "--retries", "3", "--", "sh", "-c", COUNT).output == "try 1\n"


def test_what_counts_as_a_failure_is_tried_again(cli):
    line = COUNT + "[ $n = 2 ] || echo ERROR"
    options = "--fail-match", "ERROR", "--retries", "3", "--retry-delay", "0.01s"
    run = rehearse(cli, *options, "--", "sh", "-c", line)
    assert run.details["tries"].count("exit status 0") == 2


def test_the_timeout_is_for_each_try(cli):
    line = COUNT + "[ $n = 3 ] || exec sleep 60; sleep 0.2"
    options = "--timeout", "0.4", "--retries", "3", "--retry-delay", "0.01s"
    run = rehearse(cli, *options, "--", "sh", "-c", line)
    assert run.status == 0
    assert run.details["tries"].count("ended by cronwrap (timeout)") == 2


def test_the_delay_doubles_each_time(cli):
    options = "--retries", "3", "--retry-delay", "0.1s"
    run = rehearse(cli, *options, "--", "sh", "-c", "date +%s.%N >>times; exit 1")
    with open(f"{cli.home}/times", encoding="ascii") as file:
        times = [float(line) for line in file]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert run.status == 1
    for pause, wanted in zip(pauses, (0.1, 0.2, 0.4), strict=True):
        assert wanted <= pause < wanted + 0.35


def test_a_signal_during_a_try_ends_the_job_and_the_retrying(cli, tmp_path, wait_until):
    line = f"echo 1 >>{tmp_path}/tried; exec sleep 60"
    process = cli.start("--retries", "5", "--retry-delay", "0s", "--", "sh", "-c", line)
    wait_until(lambda: number(f"{tmp_path}/tried"))
    process.terminate()
    assert process.wait(20) == 143
    assert (tmp_path / "tried").read_text() == "1\n"


def test_a_signal_between_two_tries_ends_the_retrying(cli, tmp_path, wait_until):
    line = f"echo $PPID >>{tmp_path}/tried; exit 4"
    process = cli.start("--retries", "5", "--retry-delay", "1h", "--", "sh", "-c", line)
    wait_until(lambda: number(f"{tmp_path}/tried"))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) in {4, 130}
    assert len((tmp_path / "tried").read_text().splitlines()) == 1


def test_what_an_earlier_try_left_behind_is_not_ended_with_a_later_one(cli, wait_until):
    line = COUNT + "[ $n = 2 ] && exec sleep 60; setsid sleep 61 >/dev/null 2>&1 & exit 1"
    options = "--retries", "1", "--retry-delay", "0.1s", "--timeout", "0.4"
    run = rehearse(cli, *options, "--", "sh", "-c", line)
    assert run.status == 124
    wait_until(lambda: [process.cmdline() for process in cli.processes()] == [["sleep", "61"]])


def test_a_command_that_is_not_there_is_looked_for_again(cli, wait_until):
    process = cli.start("--retries", "50", "--retry-delay", "0.01s", "--on", "never", "--", "./late")
    wait_until(lambda: catches(process.pid, signal.SIGTERM))
    cli.write_config("")  # whatever time that takes
    with open(f"{cli.home}/late.new", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 0\n")
    os.chmod(f"{cli.home}/late.new", 0o755)
    os.rename(f"{cli.home}/late.new", f"{cli.home}/late")
    assert process.wait(30) == 0


# Jitter -----------------------------------------------------------------------------------------


def jitter(cli, job, longest):
    settings = load({"name": job, "jitter": longest}, cli.env, "true")
    return under_way._jitter(pipeline.new_run(Command(argv=("true",), text="true"), settings))


def test_the_jitter_is_the_same_each_time_and_another_for_another_job(cli):
    parts = [jitter(cli, f"job {n}", 100.0) for n in range(200)]
    assert parts == [jitter(cli, f"job {n}", 100.0) for n in range(200)]
    assert len(set(parts)) == 200
    assert 0 <= min(parts) < 10
    assert 90 < max(parts) < 100


def test_the_job_waits_for_its_jitter(cli):
    part = jitter(cli, "some job", 0.5)
    before = time.time()
    run = rehearse(cli, "-n", "some job", "--jitter", "0.5s", "--", "date", "+%s.%N")
    assert before + part <= float(run.output) < before + part + 2


def test_a_signal_during_the_jitter_ends_the_run_before_its_job(cli, wait_until):
    process = cli.start("-n", "x", "--jitter", "400d", "--", "touch", "traces")
    wait_until(lambda: catches(process.pid, signal.SIGTERM))
    process.terminate()
    assert process.wait(20) == 143
