"""Advisory locks on files (flock(2)): the kernel lets go of them with their process; none is ever stale."""

from __future__ import annotations

import fcntl
import os


class Lock:
    """A lock on one file, which stays where it is: removing it would let two hold "the" lock."""

    def __init__(self, path: str) -> None:
        """Open the file, making it; OSError when that cannot be done."""
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, *, shared: bool = False) -> bool:
        """Take the lock, or say that somebody else has it."""
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go; harmless a second time."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def file_name(name: str) -> str:
    """Give a job's name as a file name: percent-encoded where it is not plain, one to one."""
    plain = all(char.isascii() and (char.isalnum() or char in "-_.") for char in name)
    if plain and not name.startswith("."):
        return name
    octets = name.encode(errors="surrogateescape")
    keep = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    text = "".join(chr(octet) if octet in keep else f"%{octet:02x}" for octet in octets)
    if len(text) > 240:  # a file name has 255 octets at most
        from binascii import crc32  # noqa: PLC0415

        text = f"{text[:230]}%{crc32(octets):08x}"
    return text
