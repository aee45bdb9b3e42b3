"""Signals that reach cronwrap, turned into something that can be waited for together with pipes.

``_signal`` is the builtin below ``signal``, whose import (of ``enum``) costs milliseconds.
"""

from __future__ import annotations

import os
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
OF_THE_LIBRARY = 33
"""The signal that glibc keeps to itself (SIGSETXID): its first thread makes a handler of it, for good."""
LONGEST_POLL = 86400.0
"""Seconds: poll(2) takes no more than 24.8 days, and a duration may be longer."""


class Signals:
    """Collects signals; ``descriptor`` becomes readable when there is one."""

    def __init__(self, *, terminal: bool, library_ignored: bool = False) -> None:
        """Install the handlers; a signal that was ignored stays ignored, for the job too (nohup).

        ``library_ignored`` is what ``library_ignored`` gave before the first thread.
        """
        self.terminal = terminal
        self._library_ignored = library_ignored
        self.descriptor, self._wakeup = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._wakeup, False)
        _signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._ignored: set[int] = set()
        self._touched: list[int] = []
        for number in (*FORWARDED, *JOB_CONTROL) if terminal else FORWARDED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                self._set(number, _note)
        # Ignored or blocked, as a careless parent may leave it, it would let exit statuses vanish.
        self._set(_signal.SIGCHLD, _note)
        if terminal:
            self._set(_signal.SIGTTOU, _signal.SIG_IGN)  # live output must not stop us (stty tostop)
        self.mask = _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGCHLD,))
        """The mask that cronwrap was started with."""

    def plain(self, mask: set[int]) -> bool:
        """Say whether default actions and this mask are all that a child needs, to be as we were started."""
        return not (self._ignored or self._library_ignored or self.terminal) and mask == self.mask

    def _set(self, number: int, handler: object) -> None:
        if _signal.signal(number, handler) == _signal.SIG_IGN:  # type: ignore[arg-type]
            self._ignored.add(number)
        self._touched.append(number)

    def take(self) -> Iterator[int]:
        """Give the numbers of the signals that came since, in order."""
        try:
            octets = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return iter(b"")
        return iter(octets)

    def asked_to_end(self) -> int:
        """Give the first waiting signal that asks for an end (TERM, INT, HUP, QUIT), or 0."""
        for number in self.take():
            if number in ENDING:
                return number
            if number == _signal.SIGTSTP:
                stop(os.getpid())
        return 0

    def wait(self, seconds: float) -> int:
        """Wait; give the first signal that asks for an end (TERM, INT, HUP, QUIT), or 0 after the time."""
        import select  # noqa: PLC0415  # a file of its own, which few runs need before their job starts

        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        while not (number := self.asked_to_end()):
            left = end - time.monotonic()
            if left <= 0:
                return 0
            poll.poll(min(left, LONGEST_POLL) * 1000 + 1)
        return number

    def restore(self) -> None:
        """Put the dispositions back; for a child, before it executes another program."""
        _signal.set_wakeup_fd(-1)
        for number in (*self._touched, *RESTORED):
            _signal.signal(number, _signal.SIG_IGN if number in self._ignored else _signal.SIG_DFL)
        if self._library_ignored:
            from cronwrap.job.kernel_signal import ignore  # noqa: PLC0415  # rare

            ignore(OF_THE_LIBRARY)


def library_ignored() -> bool:
    """Say whether the C library's own signal is ignored, as GNU Make 4.3 leaves it to its children.

    To be asked before there is a thread: from then on nobody can tell.
    """
    try:
        handle = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, _, found = os.read(handle, 8192).partition(b"\nSigIgn:\t")
        finally:
            os.close(handle)
        return bool(int(found[:16], 16) & 1 << (OF_THE_LIBRARY - 1))
    except (OSError, ValueError):  # no Linux
        return False


def _note(number: int, frame: object) -> None:
    """Do nothing: the wake-up pipe has the number already."""


def stop(target: int) -> bool:
    """Stop a process that is ourselves, or with 0 our process group, as SIGTSTP does by default.

    Returns True once somebody has us continued; False at once where nobody could (POSIX: a process group
    that is orphaned does not stop).
    """
    continued: list[int] = []
    before = [_signal.signal(_signal.SIGCONT, lambda number, _frame: continued.append(number))]
    before.append(_signal.signal(_signal.SIGTSTP, _signal.SIG_DFL))
    os.kill(target, _signal.SIGTSTP)
    for number, handler in zip((_signal.SIGCONT, _signal.SIGTSTP), before, strict=True):
        _signal.signal(number, handler)
    return bool(continued)


def block_all() -> set[int]:
    """Block every signal; give the mask that was."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())


def set_mask(mask: set[int]) -> None:
    """Set the mask of blocked signals."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def tell_group(group: int, number: int) -> None:
    """Send a signal to a process group, the leader of which has not been waited for."""
    try:
        os.killpg(group, number)
    except OSError:
        return  # everybody has gone
