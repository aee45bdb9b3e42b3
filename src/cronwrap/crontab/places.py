"""Which crontabs are somebody's to see and to change: one's own, and for root the system's.

A name (``user:alice``, ``system``, ``cron.d:backup``) stays the same as long as the crontab is where it is,
and fits into an address: of a file's name all but letters, digits, ``.``, ``_`` and ``-`` is written ``=2F``.
"""

from __future__ import annotations

import os
import re

from cronwrap.crontab.lines import SYSTEM_PATHS
from cronwrap.crontab.store import File, Own, Store
from cronwrap.model import Record

USER, SYSTEM, CRON_D = "user", "system", "cron.d"
ROOT = "root"
LONGEST_ID = 1024
"""A file's name has 255 octets at most, each written with three."""
_PLAIN = re.compile(rb"[^A-Za-z0-9._-]")
_WRITTEN = re.compile(r"(?:[A-Za-z0-9._-]|=[0-9A-F]{2})+")


class Place(Record):
    """Where a crontab is, and whose."""

    id: str
    user: str
    """Whose rights it takes to read and write it."""
    path: str = ""
    """Of the file; empty for a user's own, which only crontab(1) reaches."""

    @property
    def system(self) -> bool:
        """Give whether it has a user column."""
        return bool(self.path)

    @property
    def name(self) -> str:
        """Give it for people."""
        return self.path or f"crontab of {self.user}"

    def store(self) -> Store:
        """Give what reads and writes it, by a process that has become its user."""
        return File(self.path) if self.path else Own()


def places(user: str, *, system: bool) -> list[Place]:
    """Give the crontabs that are a user's to change: their own, and with ``system`` (root) the system's."""
    found = [own(user)]
    if system:
        found += [place for path in _files() if (place := at(path))]
    return found


def whose(name: str) -> str | None:
    """Give the user whose rights it takes for a crontab of that name; None when nothing is called so."""
    kind, colon, rest = name.partition(":")
    if len(name) > LONGEST_ID or (colon and not _WRITTEN.fullmatch(rest)):
        return None
    if kind == USER and colon:
        user = os.fsdecode(_octets(rest))
        return user if own(user).id == name else None
    return ROOT if name == SYSTEM or (kind == CRON_D and colon) else None


def find(name: str, user: str, *, system: bool) -> Place | None:
    """Give the crontab of a name, None when none is the user's. One's own need not be there yet."""
    if whose(name) is None:
        return None
    return next((place for place in places(user, system=system) if place.id == name), None)


def own(user: str) -> Place:
    """Give a user's own crontab."""
    return Place(id=f"{USER}:{_written(user)}", user=user)


def at(path: str) -> Place | None:
    """Give the system's crontab in a file, None for any other file."""
    single, directory = SYSTEM_PATHS[:2]
    if path == single:
        return Place(id=SYSTEM, user=ROOT, path=path)
    if os.path.dirname(path) == directory.rstrip("/"):
        return Place(id=f"{CRON_D}:{_written(os.path.basename(path))}", user=ROOT, path=path)
    return None


def _files() -> list[str]:
    """Give the system's crontabs, those that cron passes over among them, but for backups."""
    single, directory = SYSTEM_PATHS[:2]
    try:
        names = os.listdir(directory)
    except OSError:
        names = []  # not every cron has one
    inside = [os.path.join(directory, name) for name in sorted(names) if not name.startswith(".")]
    paths = [single, *(path for path in inside if not path.endswith("~"))]
    return [path for path in paths if os.path.isfile(path)]


def _written(name: str) -> str:
    return _PLAIN.sub(lambda match: b"=%02X" % match[0][0], os.fsencode(name)).decode("ascii")


def _octets(written: str) -> bytes:
    return re.sub(rb"=([0-9A-F]{2})", lambda match: bytes((int(match[1], 16),)), written.encode())
