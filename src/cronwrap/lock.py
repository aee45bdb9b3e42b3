"""Advisory locks on files (flock(2)): the kernel lets go of them with their process; none is ever stale.

Where files cannot be locked (a home on a file server whose lock daemon is not there, or does not answer),
``lock_by_name`` stands in. Nobody waits for a lock: a job must not, and a report must not either.
"""

from __future__ import annotations

import fcntl
import os
from stat import S_ISREG

from cronwrap.state import NO_ANSWER, silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.lock_by_name import Named

NAME_LIMIT = 240
"""Octets of a file name made from a job's; file systems take 255, and a suffix follows."""
PATIENCE = 3.0
"""Seconds within which flock(2), which never waits for another holder here, has to answer at all."""

SLICES = 4
"""Waits that a patience is made of: who was stopped himself meanwhile finds an answer in the next one."""
STATE_PATIENCE = 10.0
"""Seconds within which the file system of the state has to answer where a job, or crond, waits for it: a disk
that has to spin up, or is frozen for a snapshot, may need some."""

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


class Beside:
    """Work that a thread does, since a call that hangs in a file server's stead cannot be interrupted."""

    def __init__(self, work: Callable[[], Any], late: Callable[[Any], None] | None = None) -> None:
        """Begin; ``late`` is given the result when it comes after ``wait`` has given up."""
        import _thread  # noqa: PLC0415  # builtin

        self._work, self._late = work, late
        self.gave_up = False
        """Whether it was waited for in vain."""
        self._result: Any = None
        self._raised: BaseException | None = None
        self._over, self._decided = _thread.allocate_lock(), _thread.allocate_lock()
        self._over.acquire()
        try:
            _thread.start_new_thread(self._do, ())
        except RuntimeError:  # no thread is to be had: here, then
            self._do()

    def _do(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it was asked for
            self._raised = error
        if self._decided.acquire(blocking=False):
            self._over.release()
        elif self._late and not self._raised:
            self._late(self._result)

    def wait(self, seconds: float = PATIENCE) -> Any:
        """Give what the work gives, or raise what it raised; TimeoutError when it takes too long. Once."""
        if not any(self._over.acquire(timeout=seconds / SLICES) for _ in range(SLICES)):
            if self._decided.acquire(blocking=False):
                from errno import ETIMEDOUT  # noqa: PLC0415  # rare, and not loaded yet

                self.gave_up = True
                raise TimeoutError(ETIMEDOUT, NO_ANSWER)
            self._over.acquire()
        if self._raised:
            raise self._raised
        return self._result


def answered(state_dir: str, work: Callable[[], Any]) -> Any:
    """Give what work in a state directory gives; TimeoutError when its file system does not answer.

    From then on ``state`` refuses the directory, so that a hang is waited for once in a run.
    """
    if state_dir in silent:
        from cronwrap.state_setup import no_answer  # noqa: PLC0415

        raise no_answer(NO_ANSWER, state_dir)
    beside = Beside(work, lambda _result: silent.discard(state_dir))
    try:
        return beside.wait(STATE_PATIENCE)
    except TimeoutError:
        if beside.gave_up:
            silent.add(state_dir)
        raise


def file_name(name: str) -> str:
    """Give a job's name as a file name: percent-encoded where it is not plain; each has its own."""
    plain = all(char.isascii() and (char.isalnum() or char in "-_.") for char in name)
    if plain and name and not name.startswith(".") and len(name) <= NAME_LIMIT:
        return name
    octets = name.encode(errors="surrogateescape")
    keep = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    text = "".join(chr(octet) if octet in keep else f"%{octet:02x}" for octet in octets)
    if len(text) > NAME_LIMIT:
        from binascii import crc32  # noqa: PLC0415

        text = f"{text[: NAME_LIMIT - 10]}%%{crc32(octets):08x}"  # "%%" stands in no other name
    return text or "%"
