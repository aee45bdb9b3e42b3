"""A process of our own that searches for regular expressions which people wrote.

A pattern like ``(a+)+$`` can take years for one line, and nothing in this process could interrupt it. So
another one searches, which the kernel ends when its time is up.
"""

from __future__ import annotations

import marshal
import mmap
import os

from cronwrap.forked import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal

IGNORED = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)
"""What reaches a whole control group, as when systemd stops a unit: the helper ends with who asks it."""
LENGTH = 8
"""Octets of the length before each question and each answer."""
LEAST_TIME = 0.01
"""Seconds; a timer of nothing would be none."""
READ_SIZE = 1 << 18


class Desk:
    """The helper's own side: questions come, answers go."""

    def __init__(self, questions: int, answers: int, note: mmap.mmap) -> None:
        self._questions, self._answers, self._note = questions, answers, note
        self._waiting = bytearray()

    def questions(self) -> list[bytes]:
        """Give the questions that have come, one at least; none when nobody asks any more."""
        while not (found := taken(self._waiting)):
            data = os.read(self._questions, READ_SIZE)
            if not data:
                return []
            self._waiting += data
        return found

    def answer(self, value: Any) -> None:
        """Give an answer, of types that ``marshal`` knows."""
        rest = memoryview(packed(marshal.dumps(value)))
        while rest:
            rest = rest[os.write(self._answers, rest) :]

    def allow(self, seconds: float) -> None:
        """Have the kernel end this process when it has computed for so long from now on."""
        _signal.setitimer(_signal.ITIMER_PROF, max(LEAST_TIME, seconds))

    def at(self, number: int) -> None:
        """Note which pattern is at work, where the other side can read it when it has come to nothing."""
        self._note[0] = number & 0xFF


class Helper:
    """A process that searches, as who asks it sees it."""

    def __init__(self, serve: Callable[[Desk], None]) -> None:
        """Start it; OSError when there is no process or pipe to be had."""
        self._note = mmap.mmap(-1, mmap.PAGESIZE)
        descriptors: list[int] = []
        try:
            for _ in range(2):
                descriptors += os.pipe()
            self.pid = os.fork()
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        questions, self.questions, self.answers, answers = descriptors
        if not self.pid:
            _be_helper(serve, Desk(questions, answers, self._note))
        os.close(questions)
        os.close(answers)

    @property
    def at(self) -> int:
        """The number of the pattern that it was at, of the first 256."""
        return self._note[0]

    def end(self, *, waited_for: bool = False) -> None:
        """End it, whatever it does; one that was ``waited_for`` has ended, and its pid may be another's."""
        for descriptor in (self.questions, self.answers):
            os.close(descriptor)
        if waited_for:
            return
        try:
            os.kill(self.pid, _signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # SIGCHLD is ignored


def _be_helper(serve: Callable[[Desk], None], desk: Desk) -> None:
    """Do the helper's work and end; nothing comes back from here."""
    try:
        detach()
        for number in IGNORED:
            _signal.signal(number, _signal.SIG_IGN)
        _signal.signal(_signal.SIGPROF, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGPROF,))
        # A pipe of the job that stays open here would outlive cronwrap.
        ours = sorted((desk._questions, desk._answers))  # noqa: SLF001  # of the same module
        os.closerange(3, ours[0])
        os.closerange(ours[0] + 1, ours[1])
        os.closerange(ours[1] + 1, os.sysconf("SC_OPEN_MAX"))
        serve(desk)
    finally:
        os._exit(0)


def packed(data: bytes) -> bytes:
    """Give a question or an answer as it goes through a pipe."""
    return len(data).to_bytes(LENGTH, "little") + data


def taken(waiting: bytearray) -> list[bytes]:
    """Take all that has come whole out of what was read from a pipe."""
    found = []
    at = 0
    while at + LENGTH <= len(waiting):
        end = at + LENGTH + int.from_bytes(waiting[at : at + LENGTH], "little")
        if end > len(waiting):
            break
        found.append(bytes(waiting[at + LENGTH : end]))
        at = end
    del waiting[:at]
    return found
