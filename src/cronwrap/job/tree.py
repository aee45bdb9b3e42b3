"""The process tree of a job: telling all of it to end, and ending what does not.

Whatever a job starts stays below cronwrap, however it detaches itself, since cronwrap is the subreaper of
orphans among its descendants (prctl(2), Linux). Elsewhere those that were seen before are remembered.
"""

from __future__ import annotations

import os

from cronwrap.job import procfs
from cronwrap.job.signals import tell_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Collection

    from cronwrap.job.procfs import Process
else:
    import _signal

NAMES_LIMIT = 20
"""Processes named in a report."""


class Tree:
    """The job's processes: all our descendants but those that were there before it."""

    def __init__(self, job: int, since: float, others: Collection[int]) -> None:
        """``job`` is the pid of the job and of its group; the rest is for ``usage.walk``."""
        self._job = job
        self._since = since
        self._others = others
        self._seen: set[Process] = set()
        self.names: list[str] = []
        """The processes that were ended, as ``pid command``."""

    def processes(self) -> list[Process]:
        """Give the processes there are, nearest first."""
        return list(procfs.walk(os.getpid(), self._since, self._others))

    def resident(self) -> int:
        """Give the resident memory of all of them in octets."""
        return procfs.resident(self.processes())

    def terminate(self) -> None:
        """Ask everybody to end, each once (SIGTERM); while the job itself has not been waited for.

        Its group is told in one go, so that nobody in it can fork away from the signal.
        """
        self._see(self.processes())
        tell_group(self._job, _signal.SIGTERM)
        elsewhere = [process for process in self._seen if _group(process.pid) != self._job]
        for number in (_signal.SIGTERM, _signal.SIGCONT):  # who is stopped sees the one after the other
            for process in elsewhere:
                procfs.send(process, number)
        tell_group(self._job, _signal.SIGCONT)

    def ask_rest(self) -> None:
        """Ask what the job has left behind to end; its own pid may be another's by now."""
        found = self.processes()
        self._see(found)
        for number in (_signal.SIGTERM, _signal.SIGCONT):
            for process in found:
                procfs.send(process, number)

    def tell(self, number: int) -> None:
        """Send a signal to the members of the job's group once the job itself is no more.

        Its pid, the group's name, may have been given to somebody else: only who descends from us is told.
        """
        for process in self.processes():
            if _group(process.pid) == self._job:
                procfs.send(process, number)

    def kill(self, *, whole_group: bool) -> int:
        """Kill what there is; give how many that were. To be called until there are none.

        Each process is stopped as it is found, so that it cannot fork away before it is killed; a group
        whose leader was not waited for yet (``whole_group``) dies in one go.
        """
        if whole_group:
            tell_group(self._job, _signal.SIGKILL)
        found = []
        for process in procfs.walk(os.getpid(), self._since, self._others):
            procfs.send(process, _signal.SIGSTOP)
            found.append(process)
        self._see(found)
        self._seen = {process for process in self._seen if procfs.send(process, _signal.SIGKILL)}
        return len(self._seen)

    def _see(self, processes: list[Process]) -> None:
        """Remember processes, and the names of the first of them for the report."""
        for process in processes:
            if process not in self._seen:
                self._seen.add(process)
                if len(self.names) < NAMES_LIMIT and not procfs.is_zombie(process.pid):
                    self.names.append(procfs.describe(process.pid))


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1
