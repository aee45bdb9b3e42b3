"""Runs that somebody asks to end, and runs that cannot be seen yet since they wait for their time.

STATE/runs/.stop-RUN    who asks for the end of a run; a signal to its cronwrap follows
STATE/runs/.wait-RUN    a run that waits (``--jitter``, ``--overlap wait``), locked by flock(2) while it does
"""

from __future__ import annotations

import fcntl
import os

from cronwrap.history.journal import STOP, _lock, frame
from cronwrap.history.records import Unreadable, _alive, _content, _parse
from cronwrap.state import RUNS, boot_id, process_started, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

WAIT = ".wait-"
WORDS_MAX = 400
"""Octets of who asked; more was not written by us."""


def ask(state_dir: str, run: str, who: str) -> None:
    """Leave word of who asks for a run's end; OSError when that cannot be done."""
    fd = state(state_dir, RUNS).open(STOP + run, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, who.encode(errors="backslashreplace")[:WORDS_MAX])
    finally:
        os.close(fd)


def asked(state_dir: str, run: str) -> str:
    """Give who asked for a run's end: ``by alice (uid 1000)``; or an empty text."""
    try:
        fd = state(state_dir, RUNS).open(STOP + run)
    except OSError:
        return ""
    try:
        return os.read(fd, WORDS_MAX).decode(errors="backslashreplace").partition("\n")[0]
    except OSError:
        return ""
    finally:
        os.close(fd)


def withdraw(state_dir: str, run: str) -> None:
    """Take the word back, of a run that has ended."""
    _unlink(state_dir, STOP + run)


class Place:
    """A run's place among those that wait, to be seen by whoever wants to end it."""

    def __init__(self, state_dir: str, fields: dict[str, Any]) -> None:
        """Take it: ``run job command host user started``; where that cannot be done nobody sees the run."""
        self._state_dir, self._name = state_dir, WAIT + str(fields["run"])
        self._fd = -1
        whole = {
            **fields,
            "node": os.uname().nodename,
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "pid_started": process_started("self"),
        }
        try:
            self._fd = state(state_dir, RUNS, make=True).create(self._name)
            os.write(self._fd, frame({**whole, "locked": _lock(self._fd)}))
        except OSError:
            return

    def leave(self) -> None:
        """Give it up: the run begins, or will not."""
        if self._fd >= 0:
            _unlink(self._state_dir, self._name)
            os.close(self._fd)
            self._fd = -1


def waiting(state_dir: str) -> Iterator[dict[str, Any]]:
    """Give what is known of the runs that wait; what the dead left is taken away."""
    try:
        directory = state(state_dir, RUNS)
        names = [name for name in directory.names() if name.startswith(WAIT)]
    except OSError:
        return
    for name in names:
        try:
            fd = directory.open(name)
        except OSError:
            continue
        try:
            fields = _parse(_content(fd))[0]
            if _alive(fd, fields, fcntl.LOCK_SH):
                yield fields
            else:
                _unlink(state_dir, name)
        except (OSError, Unreadable):
            continue
        finally:
            os.close(fd)


def _unlink(state_dir: str, name: str) -> None:
    try:
        state(state_dir, RUNS).unlink(name)
    except OSError:
        return
