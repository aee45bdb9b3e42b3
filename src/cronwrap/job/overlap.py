"""Runs of the same job at the same time: who goes first, who goes away.

The key is user (whose state directory it is) and job name. A run that allows others holds the lock too,
shared, so that one that does not allow them sees it.
"""

from __future__ import annotations

from cronwrap.lock import Lock
from cronwrap.state import file_name, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.history.stopping import Place
    from cronwrap.state import Directory


class Guard:
    """A run's place among those of its job; ``turn.Turn`` for who does not want to be there beside others."""

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

    def _open(self) -> Lock:
        self._place = state(self._state_dir, "locks", make=True)
        self._lock = Lock(f"{self.name}.lock", self._place.fd)
        return self._lock

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

    def leave(self) -> None:
        """Let the next run go; the report of this one must not keep it waiting."""
        if self._lock:
            self._lock.release(inherited=True)
