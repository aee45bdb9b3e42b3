"""Processes of our own beside the run: work done apart, and what goes on when the run has ended."""

from __future__ import annotations

import marshal
import os
import select
import time

from cronwrap.beside import SLICES, fork_alone
from cronwrap.state import NO_ANSWER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    import _signal

DEFAULTED = (
    _signal.SIGTERM,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGCHLD,
)

DESCRIPTORS = 256
"""How many are looked at where they cannot be listed: what shells and crond hand on has small numbers."""


def detach() -> None:
    """Leave session, terminal, directory and standard streams: crond waits until its pipes are closed.

    What cronwrap itself was handed goes too: a lock of ``flock 9; cronwrap …`` must end with the run.
    """
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    for descriptor in _handed_on():
        os.close(descriptor)
    _signal.set_wakeup_fd(-1)
    for number in DEFAULTED:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)


def _handed_on() -> list[int]:
    """Give the descriptors above 2 that came from whoever started cronwrap; its own are not inheritable."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(3, DESCRIPTORS))
    found = []
    for number in numbers:
        try:
            if number > 2 and os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # not open, or that of the list just read
    return found


def become(name: str, uid: int, gid: int) -> None:
    """Become a user for good, with their groups; only root can. OSError when that cannot be done."""
    os.initgroups(name, gid)
    os.setgid(gid)
    os.setuid(uid)  # last: it takes the right to do the others away, and for root the saved id with it


def _read_in_time(descriptor: int, patience: float) -> bytes | None:
    """Give what a pipe has, to its end; None when it does not come within ``patience`` in seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    left = [patience / SLICES] * SLICES  # as in ``beside.Beside``: who was stopped looks once more
    content = b""
    while left:
        began = time.monotonic()
        if not poll.poll(left[-1] * 1000):
            left.pop()
            continue
        left[-1] = max(0.0, left[-1] - (time.monotonic() - began))
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return content
        content += chunk
    return None


def compute(work: Callable[[], T], patience: float) -> T:
    """Give what ``work`` gives, of types that ``marshal`` knows; done here where no process is to be had.

    TimeoutError when it takes longer than ``patience`` in seconds: it reads from a file system that hangs.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        ours, theirs = os.pipe()
        pid = fork_alone()
        if not pid:
            _signal.set_wakeup_fd(-1)  # what is said to the process group is noted once, by our parent
    except OSError:
        return work()
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    if not pid:
        try:
            os.close(ours)
            value: Any = work()
            rest = memoryview(marshal.dumps(value))
            while rest:
                rest = rest[os.write(theirs, rest) :]
        finally:
            os._exit(0)
    os.close(theirs)
    content = _read_in_time(ours, patience)
    os.close(ours)
    if content is None:
        from errno import ETIMEDOUT  # noqa: PLC0415  # rare; to make its 130 names costs

        os.kill(pid, _signal.SIGKILL)  # and if it cannot die, it is nobody's concern any more
        raise TimeoutError(ETIMEDOUT, NO_ANSWER)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # SIGCHLD is ignored: nobody has to be waited for
    try:
        result: T = marshal.loads(content)  # noqa: S302  # our own child's
    except (ValueError, EOFError, TypeError):
        return work()  # it came to nothing there: here the reason shows
    return result
