"""A file written whole: nobody sees half of it, what was there stays as ``NAME~``, no name is asked twice.

Root may write in a directory beside others. What a name leads to can change between two looks at it, so the
way to it is walked once (``trust``), the old file is opened once without following a link, and owner and mode
for what is new come from that descriptor. Set-id bits are given to nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Self

from cronwrap.errors import CronwrapError
from cronwrap.trust import OPENING, Way, owner_fault, write_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKUP = "~"
"""Ends the name of the file as it was. Neither cron nor cronie reads such names in /etc/cron.d (cron(8),
crond(8)); ``.bak`` cronie would."""
LARGEST = 16 << 20
"""Octets of a file that is replaced: a device or a log given by mistake must not fill the memory."""


class WholeFile:
    """A place for a file in a directory that nobody else can change; links on the way are followed, once."""

    def __init__(self, path: str) -> None:
        """Open the directory; CronwrapError when others can write to it or to what leads there."""
        self.path = path
        try:
            self._way = Way(os.path.abspath(path))
        except OSError as error:
            raise CronwrapError(f"{path} cannot be written: {error.strerror}") from None
        if self._way.fault:
            self._way.close()
            raise CronwrapError(f"{path} is not written: {self._way.fault}")
        if not self._way.name:
            self._way.close()
            raise CronwrapError(f"{path} cannot be written: it is a directory")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._way.close()

    def create(self, content: bytes) -> None:
        """Write a file where there is none, 0600; FileExistsError where one came in between."""
        with self._scratch(content, None) as scratch:
            directory = {"src_dir_fd": self._way.fd, "dst_dir_fd": self._way.fd}
            os.link(scratch, self._way.name, **directory, follow_symlinks=False)
        self._sync()

    def replace(self, content: bytes, was: bytes | None = None, *, private: bool = False) -> None:
        """Write a file over the one that is there, which remains as its backup.

        Owner and mode are those of the old one, but for set-id bits; ``private``: ours, 0600. CronwrapError
        when it is not what it ``was``, if that is given, or is no file; FileNotFoundError when it has gone.
        """
        old, found = self._read(was)
        like = None if private else found
        with self._scratch(old, like) as scratch:
            self._rename(scratch, self._way.name + BACKUP)
        with self._scratch(content, like) as scratch:
            # Not airtight without a lock that editors do not take either, but as short as can be.
            now, again = self._read(was)
            if now != old or (again.st_dev, again.st_ino) != (found.st_dev, found.st_ino):
                raise self._changed()
            self._rename(scratch, self._way.name)
        self._sync()

    def _read(self, was: bytes | None) -> tuple[bytes, os.stat_result]:
        with open(os.open(self._way.name, os.O_RDONLY | OPENING, dir_fd=self._way.fd), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CronwrapError(f"{self.path} is not written: it is no regular file")
            directory = os.fstat(self._way.fd)
            # Where others can write, the sticky bit lets them take nothing away but what is their own.
            if write_fault(directory, self._way.directory, self._way.fd) and (
                fault := owner_fault(found, self.path)
            ):
                raise CronwrapError(f"{self.path} is not written: {fault}")
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise CronwrapError(f"{self.path} is not written: it is larger than {LARGEST >> 20} MiB")
        if was is not None and content != was:
            raise self._changed()
        return content, found

    def _changed(self) -> CronwrapError:
        return CronwrapError(f"{self.path} was changed in the meantime; nothing is written, try again")

    def _sync(self) -> None:
        """Have the names survive a power cut; the descriptor of the way is for looking alone."""
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._way.fd)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _rename(self, name: str, new: str) -> None:
        os.rename(name, new, src_dir_fd=self._way.fd, dst_dir_fd=self._way.fd)

    @contextlib.contextmanager
    def _scratch(self, content: bytes, like: os.stat_result | None) -> Iterator[str]:
        """Give the name of a new file, written and synced; it is gone at the end unless it was renamed."""
        name = f".{self._way.name[:200]}.{os.urandom(6).hex()}{BACKUP}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=self._way.fd)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                if like and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, like.st_uid, like.st_gid)
                if like:
                    os.fchmod(handle, like.st_mode & 0o777)
                file.flush()
                os.fsync(handle)
            yield name
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._way.fd)
