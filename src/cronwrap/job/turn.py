"""Taking the place of a job alone: skipping, waiting for others, or asking them to end (``--overlap``)."""

from __future__ import annotations

import os
import time

from cronwrap.job.overlap import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.job.signals import Signals
    from cronwrap.lock import Lock

PAUSE = 0.1
"""Seconds between two looks at a lock that somebody else has."""


class Turn(Guard):
    """The place of a run that is there alone."""

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

    def _withdraw(self) -> None:
        """Remove what was asked: whoever holds the lock alone has nobody left to ask."""
        try:
            if self._place:
                self._place.unlink(f"{self.name}.end")
        except OSError:
            return
