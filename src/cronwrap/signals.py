"""Signals that reach cronwrap, turned into something that can be waited for together with pipes.

``_signal`` is the builtin below ``signal``, whose import (of ``enum``) costs milliseconds.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterator
else:
    import _signal

ENDING = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT)
"""The signals that ask a process to end."""
FORWARDED = (*ENDING, _signal.SIGUSR1, _signal.SIGUSR2)
"""The signals that are passed on to the job's process group."""
JOB_CONTROL = (_signal.SIGTSTP, _signal.SIGCONT, _signal.SIGWINCH)
"""Signals of the terminal, handled so that Ctrl-Z and ``fg`` work."""
RESTORED = (_signal.SIGPIPE, getattr(_signal, "SIGXFSZ", _signal.SIGPIPE))
"""Python ignores these from its start on and tells nobody what was before; the job gets the default."""


class Signals:
    """Collects signals; ``descriptor`` becomes readable when there is one."""

    def __init__(self, *, terminal: bool) -> None:
        """Install the handlers; a signal that was ignored stays ignored, for the job too (nohup)."""
        self.descriptor, self._wakeup = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._wakeup, False)
        _signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self.child_ignored = _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN
        wanted = (*FORWARDED, *JOB_CONTROL) if terminal else FORWARDED
        self._caught = [number for number in wanted if _signal.getsignal(number) != _signal.SIG_IGN]
        self._caught.append(_signal.SIGCHLD)  # ignored, it would let exit statuses vanish
        for number in self._caught:
            _signal.signal(number, _note)

    def take(self) -> Iterator[int]:
        """Give the numbers of the signals that came since, in order."""
        try:
            octets = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return iter(b"")
        return iter(octets)

    def asked_to_end(self) -> int:
        """Give the first waiting signal that asks for an end (TERM, INT, HUP, QUIT), or 0."""
        return next((number for number in self.take() if number in ENDING), 0)

    def wait(self, seconds: float) -> int:
        """Wait; give the first signal that asks for an end (TERM, INT, HUP, QUIT), or 0 after the time."""
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000 + 1) and (number := self.asked_to_end()):
                return number
        return 0

    def restore(self) -> None:
        """Put the dispositions back; for a child, before it executes another program."""
        _signal.set_wakeup_fd(-1)
        for number in (*self._caught, *RESTORED):
            _signal.signal(number, _signal.SIG_DFL)
        if self.child_ignored:
            _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)

    def close(self) -> None:
        """Put the dispositions back and let go of the pipe."""
        self.restore()
        os.close(self.descriptor)
        os.close(self._wakeup)


def _note(number: int, frame: object) -> None:
    """Do nothing: the wake-up pipe has the number already."""


def block_all() -> set[int]:
    """Block every signal; give the mask that was."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())


def set_mask(mask: set[int]) -> None:
    """Set the mask of blocked signals."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
