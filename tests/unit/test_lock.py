"""Locks: whose they are, when they end, and the file names they have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap.lock import Lock
from cronwrap.state import NAME_LIMIT, file_name

HOLD = """
import sys, time
from cronwrap.lock import Lock
lock = Lock(sys.argv[1])
assert lock.take()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def lock_path(tmp_path):
    return str(tmp_path / "job.lock")


@pytest.fixture
def holder(lock_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, lock_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"taken\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_cannot_have_it(lock_path):
    first, second = Lock(lock_path), Lock(lock_path)
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_many_can_share_it_and_nobody_has_it_alone_then(lock_path):
    locks = [Lock(lock_path) for _ in range(3)]
    assert locks[0].take(shared=True)
    assert locks[1].take(shared=True)
    assert not locks[2].take()
    for lock in locks:
        lock.release()


def test_a_killed_holder_leaves_nothing_stale(lock_path, holder):
    lock = Lock(lock_path)
    assert not lock.take()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock.take()
    lock.release()


def test_letting_go_twice_is_harmless(lock_path):
    lock = Lock(lock_path)
    lock.take()
    lock.release()
    lock.release()
    lock.release(inherited=True)


@pytest.mark.parametrize("inherited", [False, True])
def test_what_a_child_inherited_ends_only_when_that_is_asked_for(lock_path, inherited):
    lock, other = Lock(lock_path), Lock(lock_path)
    assert lock.take()
    copy = os.dup(lock._handle)  # as a forked child has it
    lock.release(inherited=inherited)
    assert other.take() is inherited
    os.close(copy)
    other.release()


def test_no_program_that_is_executed_inherits_it(lock_path):
    lock = Lock(lock_path)
    assert not os.get_inheritable(lock._handle)
    lock.release()


def test_a_link_in_its_place_is_not_followed(lock_path, tmp_path):
    os.symlink(tmp_path / "elsewhere", lock_path)
    with pytest.raises(OSError, match="symbolic links"):
        Lock(lock_path)
    assert not os.path.lexists(tmp_path / "elsewhere")


def test_the_file_is_closed_to_others(lock_path):
    Lock(lock_path).release()
    assert os.stat(lock_path).st_mode & 0o777 == 0o600


@given(st.text(max_size=300))
@example("")
@example("..")
@example("../../etc/passwd")
@example("x" * 300)
@example("ü" * 200)
def test_any_job_name_is_a_file_name(name):
    found = file_name(name)
    assert found.isascii()
    assert found.isprintable()
    assert found
    assert "/" not in found
    assert not found.startswith(".")
    assert len(found) <= NAME_LIMIT


@given(st.lists(st.text(max_size=20) | st.text("ab%.", max_size=6), min_size=2, max_size=8, unique=True))
@example(["", "%"])
@example(["x" * 300, "x" * 301])
def test_different_jobs_have_different_files(names):
    assert len({file_name(name) for name in names}) == len(names)
