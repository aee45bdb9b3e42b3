"""Advisory locks on files (flock(2)): the kernel lets go of them with their process; none is ever stale.

Where files cannot be locked (a home on a file server whose lock daemon is not there, or does not answer),
``lock_by_name`` stands in. Nobody waits for a lock: a job must not, and a report must not either.
"""

from __future__ import annotations

import fcntl
import os
from stat import S_ISREG

from cronwrap.beside import Beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.lock_by_name import Named

_answered: list[bool] = []


class Lock:
    """A lock on one file, which stays where it is: removing it would let two hold "the" lock."""

    def __init__(self, path: str, dir_fd: int | None = None) -> None:
        """Open the file, making it; OSError when that cannot be done, or it is no regular file of ours."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        self._path, self._dir_fd = path, dir_fd
        self._handle = os.open(path, flags, 0o600, dir_fd=dir_fd)
        self._locked = False
        self._named: Named | None = None
        self.fault = ""
        """Why there is no locking here, in words; another process may not see that we have it."""
        found = os.fstat(self._handle)
        if not S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            self.release()
            from errno import EPERM  # noqa: PLC0415  # rare, and not loaded yet

            raise PermissionError(EPERM, "not a regular file of this user", path)

    def take(self, *, shared: bool = False, waited_for: bool = True) -> bool:
        """Take the lock, or say that somebody else has it; see ``fault`` for whether that can be told.

        The kernel's answer is waited for ``PATIENCE`` at most; not ``waited_for``: as long as it takes.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            if waited_for:
                bounded(lambda: fcntl.flock(self._handle, kind | fcntl.LOCK_NB))
            else:
                fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
                _answered.append(True)
        except BlockingIOError:
            return False
        except OSError as error:
            self.fault = error.strerror or str(error)
            return shared or self._take_by_name()
        self._locked = True
        return True

    def _take_by_name(self) -> bool:
        from cronwrap.lock_by_name import Named  # noqa: PLC0415  # rare

        self._named = self._named or Named(f"{self._path}.held", self._dir_fd)
        return self._named.take()

    def hand_over(self, pid: int) -> None:
        """Leave it to a child that was forked since it was taken; to be released here all the same."""
        if self._named:
            self._named.hand_over(pid)

    def release(self, *, inherited: bool = False) -> None:
        """Let go; harmless a second time.

        The lock belongs to the open file: a child that was forked meanwhile holds it on, unless
        ``inherited`` takes it from all of them.
        """
        if self._named:
            self._named.release()
        if self._handle >= 0:
            if inherited and self._locked:  # else it may hang
                try:
                    fcntl.flock(self._handle, fcntl.LOCK_UN)
                except OSError as error:
                    self.fault = error.strerror or str(error)  # the file's end lets go of it
            os.close(self._handle)
            self._handle = -1


def bounded(work: Callable[[], None]) -> None:
    """Have a lock taken; TimeoutError when the kernel does not answer within ``PATIENCE``.

    Once one was answered the next ones of this process, on the same file system, are not doubted.
    """
    if _answered:
        work()
    else:
        Beside(work).wait()
        _answered.append(True)
