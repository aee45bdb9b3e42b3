"""Runs of the same job at the same time: who goes first, who goes away.

The key is user (whose state directory it is) and job name. A run that allows others holds the lock too,
shared, so that one that does not allow them sees it.
"""

from __future__ import annotations

import os
import time

from cronwrap.lock import Lock, file_name
from cronwrap.state import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.history.stopping import Place
    from cronwrap.job.signals import Signals
    from cronwrap.state import Directory

PAUSE = 0.1
"""Seconds between two looks at a lock that somebody else has."""


class Guard:
    """A run's place among those of its job."""

    def __init__(self, state_dir: str, job: str, run_id: str) -> None:
        self._state_dir = state_dir
        self._job = job
        self._run_id = run_id
        self.name = file_name(job)
        """The job's name as a file name."""
        self._place: Directory | None = None
        self._lock: Lock | None = None
        self._asked: set[str] = set()
        self.waits: Callable[[], Place | None] = lambda: None
        """Called when the run has to wait; gives its place among those that do."""
        self.fault = ""
        """Why there is no lock; the job runs all the same."""
        self.in_the_way: tuple[dict[str, Any], ...] = ()
        """What is on record of the runs that kept this one from taking place."""
        self.interrupted = 0
        """The signal that ended the wait, or 0."""

    def join(self) -> None:
        """Take a place beside others, for a later run that does not allow others to see it.

        The job runs already: a file system that answers late, or never, is waited for by nobody.
        """
        try:
            self._open().take(shared=True, waited_for=False)
        except OSError:
            return

    def enter(self, how: str, limit: float | None, signals: Signals) -> str:
        """Take the place alone; give an empty text, or why this run must not take place.

        ``how`` is ``skip``, ``wait`` or ``kill``; ``limit`` the longest wait in seconds.
        """
        try:
            lock = self._open()
            taken = lock.take()
            if lock.fault:
                self.fault = f"runs of this job cannot be told apart: {self._path()}: {lock.fault}"
            if taken:
                return ""
            if how == "skip":
                return f"the same job still runs{self._holders()}"
            return self._wait(lock, how, limit, signals)
        except OSError as error:  # a full disk, no permission
            place = self._path() or error.filename
            self.fault = f"runs of this job cannot be told apart: {place}: {error.strerror}"
            return ""

    def _open(self) -> Lock:
        self._place = state(self._state_dir, "locks", make=True)
        self._lock = Lock(f"{self.name}.lock", self._place.fd)
        return self._lock

    def _path(self) -> str:
        return f"{self._place.path}/{self.name}.lock" if self._place else ""

    def _wait(self, lock: Lock, how: str, limit: float | None, signals: Signals) -> str:
        place = self.waits()
        try:
            return self._wait_for_others(lock, how, limit, signals)
        finally:
            if place:
                place.leave()

    def _wait_for_others(self, lock: Lock, how: str, limit: float | None, signals: Signals) -> str:
        self._show_whom()
        end = None if limit is None else time.monotonic() + limit
        while not lock.take():
            if how == "kill":
                self._ask()
            if end is not None and time.monotonic() >= end:
                return f"the same job still runs after {limit:g} s of waiting{self._holders()}"
            self.interrupted = signals.wait(PAUSE if end is None else min(PAUSE, end - time.monotonic()))
            if self.interrupted:
                return f"signal {self.interrupted} came while it waited for the same job"
        self._withdraw()
        return ""

    def _show_whom(self) -> None:
        """Tell a person who watches for whom it waits."""
        if not os.isatty(2):
            return
        from cronwrap.text import harmless  # noqa: PLC0415  # for a person

        try:
            line = harmless(f"cronwrap: waiting for the same job{self._holders()}")
            os.write(2, f"{line}\n".encode(errors="replace"))
        except OSError:
            return

    def _running(self) -> list[dict[str, Any]]:
        """Give what is on record of the runs of this job that are under way."""
        from cronwrap.errors import StateError  # noqa: PLC0415
        from cronwrap.history import records  # noqa: PLC0415

        try:
            return list(records.running(self._state_dir, self._job))
        except StateError:
            return []  # the lock alone decides; this was to name names

    def _holders(self) -> str:
        self.in_the_way = tuple(self._running())
        runs = [f"run {fields['run']}, pid {fields['pid']}" for fields in self.in_the_way]
        return f" ({'; '.join(runs[:5])})" if runs else ""

    def _ask(self) -> None:
        """Ask the runs before this one to end, through their own cronwrap, which knows their trees."""
        from _signal import SIGTERM  # noqa: PLC0415

        from cronwrap.job.procfs import Process, send  # noqa: PLC0415

        for fields in self._running():
            if fields["run"] in self._asked or fields.get("node", os.uname().nodename) != os.uname().nodename:
                continue
            self._asked.add(fields["run"])
            self._say_why(fields["run"])
            if fields.get("pid_started"):
                send(Process(pid=fields["pid"], started=fields["pid_started"]), SIGTERM)
                continue
            try:
                os.kill(fields["pid"], SIGTERM)  # it holds the lock of its run: it is the one
            except OSError:
                continue  # it has just ended

    def _say_why(self, run: str) -> None:
        """Leave word of who asks; without it the signal is passed on to the job, as any other."""
        if not self._place:
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(self._place.open(f"{self.name}.end", flags), "a", encoding="ascii") as stream:
                stream.write(f"{run} {self._run_id}\n")
        except OSError:
            return

    def asked_by(self) -> str:
        """Give the id of the later run that asked for this one's end, or an empty text."""
        if not self._place:
            return ""
        try:
            handle = self._place.open(f"{self.name}.end")
            with open(handle, encoding="ascii", errors="replace") as stream:
                for line in stream:
                    target, _, asker = line.strip().partition(" ")
                    if target == self._run_id:
                        return asker
        except OSError:
            return ""
        return ""

    def _withdraw(self) -> None:
        """Remove what was asked: whoever holds the lock alone has nobody left to ask."""
        try:
            if self._place:
                self._place.unlink(f"{self.name}.end")
        except OSError:
            return

    def leave(self) -> None:
        """Let the next run go; the report of this one must not keep it waiting."""
        if self._lock:
            self._lock.release(inherited=True)
