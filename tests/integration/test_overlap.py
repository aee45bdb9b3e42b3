"""Runs of one job at the same time: who runs, who does not, who is ended; and nothing stale."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from cronwrap.history import records
from support.cli import CRONWRAP
from support.jobs import catches, lives, number

JOB = "-n", "nightly"


@pytest.fixture
def earlier(cli, tmp_path, wait_until):
    """An earlier run of the job that goes on until it is told to end."""

    def start(*options, line="exec sleep 60"):
        path = tmp_path / f"pid{len(cli._started)}"
        process = cli.start(*JOB, *options, "--", "sh", "-c", f"echo $$ >{path}; {line}")
        process.job = wait_until(lambda: number(str(path)))
        # Its place among the runs of its job is taken, and put on record, while the job runs.
        wait_until(lambda: process.pid in [fields["pid"] for fields in records.running(cli.state)])
        return process

    return start


def history(cli):
    return [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]


def results(cli):
    return sorted(run["result"] for run in history(cli))


# skip -------------------------------------------------------------------------------------------


def test_of_fifty_at_the_same_instant_just_one_runs(cli, tmp_path):
    """They are released together, and the one that runs stays until all others have gone."""
    line = (
        "while [ ! -e go ]; do sleep 0.02; done; "
        f"exec {CRONWRAP} -n one --overlap skip -- sh -c 'echo ran >>{tmp_path}/ran; cat {tmp_path}/end'"
    )
    os.mkfifo(tmp_path / "end")
    end = os.open(tmp_path / "end", os.O_RDWR)
    shells = [cli.start("-c", line, program="/bin/sh") for _ in range(50)]
    with open(os.path.join(cli.home, "go"), "wb"):
        pass
    waiting = set(shells)
    statuses = []
    while len(waiting) > 1:
        pid, status = os.wait()
        process = next(process for process in waiting if process.pid == pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        statuses.append(process.returncode)
        waiting.remove(process)
    assert statuses == [75] * 49
    with open(tmp_path / "end", "wb"):
        os.close(end)
    assert waiting.pop().wait(20) == 0
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_skipped_run_is_75_says_nothing_and_is_on_record(cli, earlier):
    first = earlier()
    result = cli(*JOB, "--overlap", "skip", "--", "touch", "traces")
    assert (result.status, result.out, result.err) == (75, b"", b"")
    assert os.listdir(cli.home) == []
    (skipped,) = [run for run in history(cli) if run["result"] == "skipped"]
    assert (skipped["job"], skipped["exit_code"], skipped["mailed"]) == ("nightly", None, False)
    assert first.poll() is None


def test_a_skip_is_mailed_where_that_is_wanted_and_names_the_other_run(cli, earlier, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    first = earlier()
    assert cli(*JOB, "--overlap", "skip", "--on", "skip", "--", "true").status == 75
    (mail,) = relay.wait_for(1)
    assert mail.parsed["X-Cronwrap-Result"] == "skipped"
    assert "the same job still runs" in mail.body
    assert f"pid {first.pid}" in mail.body


def test_another_job_is_not_in_the_way(cli, earlier):
    earlier()
    assert cli("-n", "weekly", "--overlap", "skip", "--", "true").status == 0


def test_another_user_is_not_in_the_way(cli, earlier, tmp_path):
    earlier()
    other = {"CRONWRAP_STATE_DIR": str(tmp_path / "of-somebody-else")}
    assert cli(*JOB, "--overlap", "skip", "--", "true", **other).status == 0


def test_runs_that_allow_others_run_together_and_are_seen_by_who_does_not(cli, earlier):
    earlier()
    earlier()
    assert cli(*JOB, "--overlap", "skip", "--", "true").status == 75


def test_nothing_is_stale_when_cronwrap_was_killed(cli, earlier):
    first = earlier("--overlap", "skip")
    first.kill()
    first.wait()
    assert lives(first.job)
    assert cli(*JOB, "--overlap", "skip", "--", "true").status == 0


def test_the_jobs_leftovers_do_not_hold_the_lock(cli):
    line = "setsid sleep 60 >/dev/null 2>&1 &"
    assert cli(*JOB, "--overlap", "skip", "--", "sh", "-c", line).status == 0
    assert cli(*JOB, "--overlap", "skip", "--", "true").status == 0


def test_the_next_run_does_not_wait_for_this_ones_report(cli, make_relay, wait_until):
    relay = make_relay(delay=20.0)
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    first = cli.start(*JOB, "--overlap", "skip", "--", "false")
    wait_until(lambda: relay.counters.connections)
    assert cli(*JOB, "--overlap", "skip", "--", "true").status == 0
    assert first.poll() is None


@pytest.mark.parametrize("obstacle", ["file", "no permission", "no locks"])
def test_a_lock_that_cannot_be_had_does_not_keep_the_job_from_running(cli, obstacle, tmp_path):
    os.mkdir(cli.state, 0o700)
    if obstacle == "file":
        with open(f"{cli.state}/locks", "wb"):
            pass
    elif obstacle == "no permission":
        os.symlink("/proc/self/nothing", f"{cli.state}/locks")
    else:
        os.mkdir(f"{cli.state}/locks")
        os.symlink("/dev/null", f"{cli.state}/locks/nightly.lock")
    result = cli("--dry-run", *JOB, "--overlap", "skip", "--", "sh", "-c", "echo ran; exit 3")
    assert result.status == 3
    cli(*JOB, "--overlap", "skip", "--", "sh", "-c", f"echo ran >{tmp_path}/ran; exit 3")
    assert (tmp_path / "ran").exists()


# wait -------------------------------------------------------------------------------------------


def test_who_waits_runs_after_the_other(cli, tmp_path, earlier, wait_until):
    line = f"trap 'echo first >>{tmp_path}/order; exit 0' TERM; while :; do sleep 0.02; done"
    first = earlier("--overlap", "wait", line=line)
    line = f"echo second >>{tmp_path}/order"
    second = cli.start(*JOB, "--overlap", "wait", "--", "sh", "-c", line)
    wait_until(lambda: catches(second.pid, signal.SIGTERM))
    assert second.poll() is None
    first.terminate()
    assert first.wait(20) == 0
    assert second.wait(20) == 0
    assert (tmp_path / "order").read_text() == "first\nsecond\n"


def test_the_longest_wait_ends_as_a_skip(cli, earlier):
    earlier()
    result = cli(*JOB, "--overlap", "wait", "--overlap-wait", "0.3", "--", "true")
    assert result.status == 75
    assert "skipped" in results(cli)


def test_a_signal_ends_the_waiting(cli, earlier, wait_until):
    earlier()
    second = cli.start(*JOB, "--overlap", "wait", "--", "touch", "traces")
    wait_until(lambda: catches(second.pid, signal.SIGTERM))
    second.terminate()
    assert second.wait(20) == 143
    assert os.listdir(cli.home) == []


def test_who_waits_shows_a_person_for_whom(cli, earlier):
    first = earlier()
    terminal = cli.terminal(*JOB, "--overlap", "wait", "--", "true")
    terminal.read_until(b"waiting for the same job")
    terminal.read_until(f"pid {first.pid}".encode())
    first.terminate()
    assert terminal.wait(20) == 0


# kill -------------------------------------------------------------------------------------------


def test_the_later_run_ends_the_earlier_ones_whole_tree(cli, earlier, tmp_path, wait_until):
    line = (
        f"setsid sh -c 'echo $$ >{tmp_path}/daemon; trap \"\" TERM; while :; do sleep 60; done' & "
        "trap '' TERM; while :; do sleep 60; done"
    )
    first = earlier("--kill-after", "0.2", line=line)
    daemon = wait_until(lambda: number(f"{tmp_path}/daemon"))
    assert cli(*JOB, "--overlap", "kill", "--", "true").status == 0
    assert first.wait(20) == 124
    assert not lives(first.job)
    assert not lives(daemon)


def test_the_earlier_run_reports_who_ended_it(cli, earlier, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    first = earlier()
    assert cli(*JOB, "--overlap", "kill", "--", "true").status == 0
    assert first.wait(20) == 124
    (mail,) = relay.wait_for(1)
    assert mail.parsed["X-Cronwrap-Result"] == "overlap"
    (later,) = [run["run"] for run in history(cli) if run["result"] == "ok"]
    assert f"asked for by run {later} of the same job" in mail.body
    assert not os.path.exists(f"{cli.state}/locks/nightly.end")


def test_several_earlier_runs_are_all_ended(cli, earlier):
    runs = [earlier() for _ in range(3)]
    assert cli(*JOB, "--overlap", "kill", "--", "true").status == 0
    assert [run.wait(20) for run in runs] == [124] * 3


def test_of_several_that_kill_one_is_left(cli, earlier):
    """Each ends whoever runs before it; in the end the last one has run, and nobody hangs."""
    first = earlier()
    later = [cli.start(*JOB, "--overlap", "kill", "--", "sleep", "0.05") for _ in range(4)]
    statuses = [process.wait(30) for process in later]
    assert first.wait(20) == 124
    assert set(statuses) <= {0, 124}
    assert 0 in statuses


def test_an_earlier_run_that_waits_to_try_again_goes_as_well(cli, tmp_path, wait_until):
    first = cli.start(
        *JOB, "--retries", "5", "--retry-delay", "1h", "--", "sh", "-c", f"echo 1 >{tmp_path}/tried; exit 3"
    )
    wait_until(lambda: number(f"{tmp_path}/tried"))
    assert cli(*JOB, "--overlap", "kill", "--", "true").status == 0
    assert first.wait(20) == 3


def test_a_word_that_cannot_be_left_does_not_keep_the_later_run_waiting(cli, earlier):
    first = earlier()
    os.mkdir(f"{cli.state}/locks/nightly.end")
    assert cli(*JOB, "--overlap", "kill", "--", "true").status == 0
    assert first.wait(20) == 143  # the plain signal, passed on


def test_a_descriptor_locked_by_the_caller_is_not_kept_by_what_stays_behind(cli, tmp_path):
    """``flock 9; cronwrap …``: the process that goes on sending must not hold the caller's lock."""
    cli.write_config('mailto = "ops@example.test"\n[[relay]]\nurl = "smtps://127.0.0.1:9"\n')
    lock = str(tmp_path / "lock")
    line = f"exec 9>{lock}; flock 9; {CRONWRAP} -n held -- false"
    env = {"CRONWRAP_DELIVERY_BACKGROUND": "true"}
    shell = cli.start("-c", line, program="/bin/sh", env=env, stderr=subprocess.DEVNULL)
    assert shell.wait(30) == 1
    assert cli.processes(), "a process was to stay and retry"
    assert subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0
