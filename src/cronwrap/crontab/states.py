"""Every earlier state of a crontab, as far as it was seen, in the state directory of whoever it belongs to.

    STATE/crontabs/CRONTAB.MOMENT.HASH      one line of JSON (whose, when, by whom, what), then the octets

CRONTAB stands for its name, MOMENT counts nanoseconds, HASH begins the SHA-256 of the octets. A file is put
in place whole and never changed, so two at once take nothing from each other, and what a crash leaves is not
taken for a state. What somebody did besides (``crontab -e``) is kept as soon as it is seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from typing import TYPE_CHECKING

from cronwrap.errors import StateError
from cronwrap.lock import Lock
from cronwrap.model import Record
from cronwrap.state import state
from cronwrap.whole_file import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cronwrap.state import Directory

CRONTABS = "crontabs"
MOST_STATES = 200
"""Of one crontab: of one that is changed each working day, those of most of a year."""
MOST_OCTETS = 16 << 20
"""Of one crontab's states together; the newest two are kept whatever their size."""
LEAST_STATES = 2
HEAD_LIMIT = 16 * 1024
"""Octets of the first line; a name has a few hundred."""
LOCK = "lock"
PATIENCE, LOOKED = 5.0, 0.05
"""Seconds that a change waits for another, and between two looks: one takes some milliseconds."""
STALE = 3600.0
"""Seconds after which a file that was never put in place is what a crash left."""
OUTSIDE = "changed outside of this page"
SEEN = "first seen"
"""What is said of the oldest state: where it came from nobody knows."""
_NAME = re.compile(r"[0-9a-f]{16}\.[0-9]{20}\.[0-9a-f]{16}")
_ID = re.compile(r"[0-9]{20}\.[0-9a-f]{16}")


class State(Record):
    """One state of a crontab."""

    id: str
    """Of it among those of the same crontab, fit for an address."""
    when: float
    """Unix time at which it was first seen."""
    by: str
    """Who made it so, empty where that is not known."""
    what: str
    """What was done: ``saved``, ``restored``, …"""
    digest: str
    """SHA-256 of the octets, in hexadecimal: their ETag as well."""
    octets: int
    """How many."""


def etag(octets: bytes) -> str:
    """Give what tells one state of a crontab from every other."""
    return hashlib.sha256(octets).hexdigest()


def every(state_dir: str, crontab: str) -> Iterator[State]:
    """Give the states of a crontab, the newest first; StateError when they cannot be looked at.

    A file that is damaged is left out.
    """
    try:
        directory = state(state_dir, CRONTABS)
        names = _names(directory, crontab)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _fault(state_dir, error, "read") from error
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            yield _load(directory, name, crontab)[0]


def content(state_dir: str, crontab: str, which: str) -> bytes | None:
    """Give the octets of a state, None when there is none of that name; StateError when it is damaged."""
    if not _ID.fullmatch(which):
        return None
    try:
        return _load(state(state_dir, CRONTABS), f"{_tag(crontab)}.{which}", crontab)[1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _fault(state_dir, error, "read") from error
    except ValueError as error:
        raise StateError(f"{state_dir}/{CRONTABS}: this state is not what was written: {error}") from None


@contextlib.contextmanager
def alone(state_dir: str) -> Iterator[None]:
    """Be the only one of cronwrap's that changes a crontab of this user; StateError when another stays at it.

    ``crontab -e`` knows nothing of it: what it does meanwhile shows when the crontab is read.
    """
    try:
        directory = state(state_dir, CRONTABS, make=True)  # held on to: another thread may open it anew
        lock = Lock(LOCK, directory.fd)
    except OSError as error:
        raise _fault(state_dir, error, "written") from error
    try:
        _wait_for(lock, state_dir)
        yield
    finally:
        lock.release()


def _wait_for(lock: Lock, state_dir: str) -> None:
    until = time.monotonic() + PATIENCE
    try:
        while not lock.take():
            if time.monotonic() > until:
                raise StateError("another change of a crontab is under way; try again")
            time.sleep(LOOKED)
    except OSError as error:
        raise _fault(state_dir, error, "written") from error


def notice(state_dir: str, crontab: str, octets: bytes) -> None:
    """Keep what a crontab is now, unless that is its newest state: somebody changed it elsewhere."""
    if _is_news(state_dir, crontab, octets):
        with alone(state_dir):
            notice_alone(state_dir, crontab, octets)


def notice_alone(state_dir: str, crontab: str, octets: bytes) -> None:
    """Keep what a crontab is now, as ``notice`` does, by who is ``alone`` already."""
    if _is_news(state_dir, crontab, octets):
        first = next(every(state_dir, crontab), None) is None
        keep(state_dir, crontab, octets, by="", what=SEEN if first else OUTSIDE)


def _is_news(state_dir: str, crontab: str, octets: bytes) -> bool:
    newest = next(every(state_dir, crontab), None)
    return newest is None or newest.digest != etag(octets)


def keep(state_dir: str, crontab: str, octets: bytes, *, by: str, what: str) -> State:
    """Keep a state as the newest one; StateError when that cannot be done. The oldest ones make room."""
    when = time.time_ns()
    newest = next(every(state_dir, crontab), None)
    if newest is not None:  # the clock may have been set back; their order is that of their names
        when = max(when, int(newest.id.partition(".")[0]) + 1)
    digest = etag(octets)
    which = f"{when:020d}.{digest[:16]}"
    kept = State(id=which, when=when / 1e9, by=by, what=what, digest=digest, octets=len(octets))
    head = {"crontab": crontab, "when": kept.when, "by": by, "what": what, "digest": digest}
    try:
        directory = state(state_dir, CRONTABS, make=True)
        _write(directory, f"{_tag(crontab)}.{which}", json.dumps(head).encode() + b"\n" + octets)
        _make_room(directory, crontab)
    except OSError as error:
        raise _fault(state_dir, error, "written") from error
    return kept


def _names(directory: Directory, crontab: str) -> list[str]:
    """Give the files of a crontab's states, the newest first."""
    tag = _tag(crontab)
    found = (name for name in directory.names() if name.startswith(f"{tag}.") and _NAME.fullmatch(name))
    return sorted(found, reverse=True)


def _load(directory: Directory, name: str, crontab: str) -> tuple[State, bytes]:
    """Give a state and its octets; ValueError when the file is not what was written."""
    with open(directory.open(name), "rb") as file:
        head, line_feed, octets = file.read(HEAD_LIMIT + LARGEST).partition(b"\n")
    if not line_feed or len(head) > HEAD_LIMIT:
        raise ValueError("it has no first line")
    try:
        told = json.loads(head)
    except RecursionError:
        raise ValueError("its first line cannot be read") from None
    digest = etag(octets)
    right = isinstance(told, dict) and told.get("digest") == digest and told.get("crontab") == crontab
    if not right or name.rpartition(".")[2] != digest[:16]:
        raise ValueError("its checksum is another")
    by, what, when = told.get("by"), told.get("what"), told.get("when")
    if type(by) is not str or type(what) is not str or type(when) not in (int, float):
        raise ValueError("its first line is another")
    which = name.partition(".")[2]
    return State(id=which, when=when, by=by, what=what, digest=digest, octets=len(octets)), octets


def _write(directory: Directory, name: str, whole: bytes) -> None:
    new = f".{name}.{os.urandom(4).hex()}"
    fd = directory.create(new)
    try:
        with open(fd, "wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(fd)
        directory.rename(new, name)
        os.fsync(directory.fd)
    except OSError:
        with contextlib.suppress(OSError):
            directory.unlink(new)
        raise


def _make_room(directory: Directory, crontab: str) -> None:
    """Remove the oldest states of a crontab beyond the bounds, and what writers who died have left."""
    octets = 0
    for count, name in enumerate(_names(directory, crontab), 1):
        with contextlib.suppress(OSError):
            octets += directory.stat(name).st_size
            if count > LEAST_STATES and (count > MOST_STATES or octets > MOST_OCTETS):
                directory.unlink(name)
    for name in directory.names():
        if name.startswith(".") and _NAME.match(name[1:]):
            with contextlib.suppress(OSError):
                if time.time() - directory.stat(name).st_mtime > STALE:
                    directory.unlink(name)


def _tag(crontab: str) -> str:
    return hashlib.sha256(crontab.encode()).hexdigest()[:16]


def _fault(state_dir: str, error: OSError, done: str) -> StateError:
    return StateError(f"{state_dir}/{CRONTABS}: states cannot be {done}: {error.strerror or error}")
