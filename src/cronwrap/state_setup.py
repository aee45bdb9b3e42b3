"""What is rare about the state directory: it is made, closed to others, or refused with words."""

from __future__ import annotations

import os
from errno import ELOOP, ENOTDIR, EPERM, ETIMEDOUT
from stat import S_ISREG

OWN_NAMES = ("outbox", "locks", "runs", "pauses", "history.db", "settings.cache", "init.answers")
"""What the names in a state directory begin with."""
USUAL = "/var/lib/cronwrap"
"""Root's own: it is cronwrap's even while it is empty."""


def make_private(path: str, dir_fd: int | None = None) -> None:
    """Make a directory, 0700, and what leads to it; in ``dir_fd`` nothing does. Harmless a second time."""
    if dir_fd is None:
        _make_parents(os.path.dirname(path))
    try:
        os.mkdir(path, 0o700, dir_fd=dir_fd)
    except FileExistsError:
        pass  # another process was faster


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


def close_to_others(fd: int, found: os.stat_result, path: str, *, inner: bool) -> None:
    """Close a directory of ours that others may look into, no more than that; PermissionError for any other.

    Nobody else can have put anything there, so what is in it is ours. Whether an empty one is cronwrap's, its
    name alone tells: root may have made it for anything.
    """
    if found.st_uid != os.geteuid():
        why = f"belongs to another user (uid {found.st_uid}): chown it, or set CRONWRAP_STATE_DIR"
        raise PermissionError(EPERM, why, path)
    names = os.listdir(fd)
    known = bool(names) or path == USUAL or os.geteuid() != 0
    own = known and all(name.startswith(OWN_NAMES) for name in names)
    if inner or found.st_mode & 0o022 or not own:
        raise PermissionError(EPERM, f"is open to other users: chmod 700 {path}", path)
    os.fchmod(fd, 0o700)


def foreign_file(found: os.stat_result, path: str) -> PermissionError:
    """Give the error for a file that is not ours alone."""
    if not S_ISREG(found.st_mode):
        why = "not a regular file"
    elif found.st_uid != os.geteuid():
        why = f"belongs to another user (uid {found.st_uid})"
    else:
        why = "can be written by other users"
    return PermissionError(EPERM, why, path)


def no_answer(words: str, path: str) -> TimeoutError:
    """Give the error for a directory on a file system that did not answer."""
    return TimeoutError(ETIMEDOUT, words, path)


def explained(error: OSError, path: str) -> OSError:
    """Give the error of opening something, with its path, and a link called by its name."""
    if error.errno == ELOOP or (error.errno == ENOTDIR and os.path.islink(path)):  # as Linux has it
        return PermissionError(EPERM, "is a link: name what it leads to", path)
    return OSError(error.errno, error.strerror, path)
