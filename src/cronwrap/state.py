"""The state directory: made, closed to others, and checked to be ours.

And what every package that stores something needs: names that survive a power cut, and a checksum.
"""

from __future__ import annotations

import os
from errno import EPERM

OWN_NAMES = ("outbox", "locks", "runs", "history.db", "settings.cache")
"""What the names in a state directory begin with."""
CHECK_MODULUS = 0xFFFFFFFFFFFFFFC5
"""The largest prime of 64 bits: a remainder tells a torn file as a CRC would, and needs no import."""


def make_private(directory: str) -> None:
    """Make a directory, 0700, and what leads to it; OSError when that cannot be done.

    One that somebody else made is refused: they could read, change or remove whatever is put there.
    """
    try:
        try:
            os.mkdir(directory, 0o700)
        except FileNotFoundError:
            _make_parents(os.path.dirname(directory))
            os.mkdir(directory, 0o700)
    except FileExistsError:
        owner = os.stat(directory).st_uid
        if owner not in (0, os.geteuid()):
            text = f"belongs to another user (uid {owner}): chown it, or set CRONWRAP_STATE_DIR"
            raise PermissionError(EPERM, text, directory) from None


def _make_parents(directory: str) -> None:
    """Make what leads to a private directory, 0700 as the XDG Base Directory Specification has it."""
    missing = []
    while directory and not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def make_state(directory: str) -> None:
    """Make the state directory, 0700; one of ours that others may enter is closed to them.

    One that holds anything else is left as it is: whoever named ``/srv`` did not mean to close it.
    """
    make_private(directory)
    state = os.stat(directory)
    if state.st_mode & 0o077 and state.st_uid == os.geteuid() and only_ours(directory):
        os.chmod(directory, 0o700)


def only_ours(directory: str) -> bool:
    """Tell whether nothing is in a directory but what cronwrap has put there."""
    return all(name.startswith(OWN_NAMES) for name in os.listdir(directory))


def sync_directory(directory: str) -> None:
    """Have the names in a directory survive a power cut (fsync(2))."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(octets: bytes) -> int:
    """Give a number of 64 bits that tells octets from what a crash may leave of them."""
    return int.from_bytes(octets, "big") % CHECK_MODULUS
