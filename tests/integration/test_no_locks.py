"""Where files cannot be locked: a home on a file server without a lock daemon, or with one that hangs."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from cronwrap import beside, lock, lock_by_name
from cronwrap.lock import Lock
from cronwrap.outbox.store import Outbox
from support.cli import CRONWRAP
from support.tracing import need_strace, with_faults

ERRORS = "ENOLCK", "ENOSYS", "EIO", "EOPNOTSUPP"
HANG = 60_000_000
"""Microseconds: much longer than any of these tests takes."""
FAILING = CRONWRAP, "--", "sh", "-c", "echo said; exit 7"


@pytest.fixture
def job(cli, relay):
    need_strace()
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


def run(job, fault, *words):
    process = job.start(
        *with_faults("flock", f"flock:{fault}")[1:],
        *words,
        program="strace",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err.decode()


@pytest.mark.parametrize("error", ERRORS)
def test_a_run_is_judged_reported_and_delivered_without_locks(job, relay, error):
    assert run(job, f"error={error}", *FAILING) == (7, b"", "")
    (mail,) = relay.messages
    assert "\nsaid\n" in mail.body
    assert Outbox(job.state).ids() == []
    assert run(job, f"error={error}", CRONWRAP, "--", "true") == (0, b"", "")


@pytest.mark.parametrize("how", ["allow", "skip", "wait", "kill"])
def test_a_job_runs_without_locks_and_hears_so_where_it_asked_for_one(job, relay, how):
    status, _out, err = run(job, "error=ENOLCK", CRONWRAP, "--overlap", how, "--", "sh", "-c", "exit 7")
    assert status == 7
    assert ("cannot be told apart" in err) == (how != "allow")
    assert len(relay.messages) == 1


def test_doctor_says_that_there_are_no_locks(job):
    status, out, _err = run(job, "error=ENOLCK", CRONWRAP, "doctor")
    assert status == 1
    assert b"cannot be locked: No locks available" in out


@pytest.mark.parametrize("how", ["allow", "skip"])
def test_a_lock_that_hangs_does_not_keep_a_job_from_starting(job, tmp_path, wait_until, how):
    traces = str(tmp_path / "ran")
    words = [*with_faults("flock", f"flock:delay_enter={HANG}")[1:], CRONWRAP, "--overlap", how]
    began = time.monotonic()
    process = job.start(*words, "--", "touch", traces, program="strace", stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(traces), timeout=beside.PATIENCE + 20)
    assert time.monotonic() - began < HANG / 2e6
    process.kill()


def test_a_lock_that_hangs_costs_neither_the_output_nor_the_report(job, relay):
    words = [*with_faults("flock", f"flock:delay_enter={HANG}")[1:], CRONWRAP, "--", "sh", "-c"]
    big = "head -c 300000 /dev/zero | tr '\\0' x; exit 7"  # more than a pipe holds
    process = job.start(*words, big, program="strace", stderr=subprocess.DEVNULL)
    (mail,) = relay.wait_for(1, timeout=HANG / 2e6)
    assert mail.parsed["X-Cronwrap-Result"] == "exit 7"
    process.kill()


# By name ----------------------------------------------------------------------------------------


@pytest.fixture
def unlocked(monkeypatch, tmp_path):
    """Locks on a file system that has none."""

    def refuse(_handle, _how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    return lambda: Lock(str(tmp_path / "lock"))


def test_without_locks_two_still_cannot_have_it(unlocked):
    first, second = unlocked(), unlocked()
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_without_locks_many_can_share_it(unlocked):
    assert all(one.take(shared=True) for one in (unlocked(), unlocked()))


def test_without_locks_a_killed_holder_leaves_nothing_stale(unlocked):
    pid = os.fork()
    if not pid:
        unlocked().take()
        os._exit(0)
    os.waitpid(pid, 0)
    other = unlocked()
    assert os.path.exists(other._path + ".held")
    assert other.take()
    other.release()
    assert not os.path.exists(other._path + ".held")


def test_without_locks_a_child_holds_on_what_it_was_left(unlocked):
    first, second = unlocked(), unlocked()
    assert first.take()
    hear, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(tell)
        os.read(hear, 1)
        first.release()
        os._exit(0)
    first.hand_over(pid)
    first.release()
    assert not second.take()
    os.close(hear)
    os.close(tell)
    os.waitpid(pid, 0)
    assert second.take()
    second.release()


def test_without_locks_another_machines_holder_counts_until_it_is_old(unlocked):
    first, second = unlocked(), unlocked()
    assert first.take()
    path = first._path + ".held"
    with open(path, "w", encoding="ascii") as file:
        file.write("elsewhere boot 1 1\n")
    assert not second.take()
    old = time.time() - lock_by_name.STALE - 1
    os.utime(path, (old, old))
    assert second.take()
