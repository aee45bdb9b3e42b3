"""The checked values of the configuration files, kept beside the state so that a run need not parse TOML.

The cache counts as long as the files are the very ones that it was made from, and nobody else could have
written it. It holds no secret.
"""

from __future__ import annotations

import marshal
import os

from cronwrap import __version__
from cronwrap.state import checksum, put, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CACHE = "settings.cache"
CHECK_LENGTH = 16
"""Octets before the values: their checksum in hexadecimal digits, which no stretch of NULs passes for."""
CACHE_LIMIT = 4 << 20
"""Octets; what a megabyte of settings can become."""
EFFECTIVE_IDS = os.access in os.supports_effective_ids


def signature(path: str) -> tuple[Any, ...] | None:
    """Give what tells one state of a file from another, or None when there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # Who belongs to a group is no matter of the file, so whether it can be read is one of its own.
    readable = os.access(path, os.R_OK, effective_ids=EFFECTIVE_IDS)
    changes = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino)
    return (*changes, found.st_mode, found.st_uid, readable)


def key(signatures: list[tuple[str, Any]]) -> tuple[Any, ...]:
    """Give what a cache has to be made from to count, by path and signature."""
    return __version__, os.geteuid(), tuple(signatures)


def read(directory: str, key: tuple[Any, ...]) -> dict[str, dict[str, Any]] | None:
    """Give the values made from just these files, from a cache that nobody else could have written."""
    try:
        handle = state(directory).open(CACHE)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if found.st_mode & 0o077 or found.st_size > CACHE_LIMIT:
            return None
        content = os.read(handle, found.st_size)
        body = content[CHECK_LENGTH:]
        if content[:CHECK_LENGTH] != _check_of(body):
            return None
        stored, values = marshal.loads(body)  # noqa: S302  # our own file, and whole
    except Exception:  # noqa: BLE001  # whatever marshal makes of it: the files themselves are there
        return None
    finally:
        os.close(handle)
    return values if stored == key else None


def _check_of(body: bytes) -> bytes:
    return b"%016x" % checksum(body)


def write(directory: str, key: tuple[Any, ...], values: dict[str, dict[str, Any]]) -> None:
    """Write the cache; what cannot be written is simply read again next time."""
    try:
        body = marshal.dumps((key, values))
        put(state(directory, make=True).fd, CACHE, _check_of(body) + body, f"{CACHE}.{os.getpid()}")
    except OSError:
        return
