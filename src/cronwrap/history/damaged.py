"""The record of a run that never ended, where it cannot be read: what is known all the same, written anew.

A power cut leaves files empty, and disks fail; that a run was begun, and never ended, the file's name says.
"""

from __future__ import annotations

import os
import time

from cronwrap.errors import StateError
from cronwrap.history.journal import frame, run_of, write_at
from cronwrap.paths import user_name
from cronwrap.state import RUNS, state, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cronwrap.history.journal import Fields

BROKEN = "broken"
"""Where a copy of what could not be read is kept, below the records."""
COPIED = 1 << 20
"""Octets of it that are: no start comes near."""
UNKNOWN = "unknown"
"""The job's name, where nothing known has the digest in the file's name."""
DAMAGED = "damaged"
"""A key of such a start: where the copy is."""
TAG_LENGTH = 8
STAMP = "%Y%m%dT%H%M%S"
"""What a run's id begins with."""


def named_as_run(name: str) -> bool:
    """Tell whether a name is one that ``journal.begin`` gives."""
    run, _, digest = name.rpartition(".")
    return bool(run) and len(digest) == TAG_LENGTH and all(char in "0123456789abcdef" for char in digest)


def mend(state_dir: str, name: str, fd: int, jobs: Iterable[str]) -> Fields:
    """Write a start into a record that cannot be read, by whoever has its lock, and give it; OSError.

    ``jobs`` are the names that may be its job's.
    """
    copy = _keep_copy(state_dir, name, fd)
    run, _, digest = name.rpartition(".")
    job = next((job for job in jobs if tag(job) == digest), UNKNOWN)
    host = os.uname().nodename
    fields: Fields = {
        "run": run,
        "job": job,
        "command": job,
        "host": host,
        "user": user_name(),
        "node": host,
        "boot_id": "",
        "started": _began(name, fd),
        "pid": 0,
        "pid_started": 0,
        "locked": True,  # whoever would still run held it
        DAMAGED: copy,
    }
    content = frame(fields)
    write_at(fd, content, 0)
    os.ftruncate(fd, len(content))
    return fields


def _keep_copy(state_dir: str, name: str, fd: int) -> str:
    """Give where a copy of what could not be read is; empty when nothing was there, or it cannot be kept."""
    try:
        content = os.pread(fd, COPIED, 0)
        if not content:
            return ""
        handle = state(state_dir, RUNS, BROKEN, make=True).open(name, os.O_WRONLY | os.O_CREAT)
        try:
            write_at(handle, content, 0)
        finally:
            os.close(handle)
    except (OSError, StateError):
        return ""
    return os.path.join(state_dir, RUNS, BROKEN, name)


def _began(name: str, fd: int) -> float:
    """Give when the run began, by its id; if that does not say, when its record was written."""
    try:
        return time.mktime(time.strptime(run_of(name).partition("-")[0], STAMP))
    except (ValueError, OverflowError):
        return os.fstat(fd).st_mtime
