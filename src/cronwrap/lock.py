"""Advisory locks on files (flock(2)): the kernel lets go of them with their process; none is ever stale."""

from __future__ import annotations

import fcntl
import os
from errno import EPERM
from stat import S_ISREG

NAME_LIMIT = 240
"""Octets of a file name made from a job's; file systems take 255, and a suffix follows."""


class Lock:
    """A lock on one file, which stays where it is: removing it would let two hold "the" lock."""

    def __init__(self, path: str, dir_fd: int | None = None) -> None:
        """Open the file, making it; OSError when that cannot be done, or it is no regular file of ours."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        self._handle = os.open(path, flags, 0o600, dir_fd=dir_fd)
        found = os.fstat(self._handle)
        if not S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            self.release()
            raise PermissionError(EPERM, "not a regular file of this user", path)

    def take(self, *, shared: bool = False) -> bool:
        """Take the lock, or say that somebody else has it."""
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self, *, inherited: bool = False) -> None:
        """Let go; harmless a second time.

        The lock belongs to the open file: a child that was forked meanwhile holds it on, unless
        ``inherited`` takes it from all of them.
        """
        if self._handle >= 0:
            if inherited:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
            os.close(self._handle)
            self._handle = -1


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
