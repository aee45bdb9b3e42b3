"""Which crontabs somebody may see, and under what names: one's own, and for root everyone's and the system's.

A name (``user:alice``, ``system``, ``cron.d:backup``) stays the same as long as the crontab is where it is,
and fits into an address: of a file's name all but letters, digits, ``.``, ``_`` and ``-`` is written ``=2F``.
"""

from __future__ import annotations

import os
import re

from cronwrap.crontab.lines import SYSTEM_PATHS
from cronwrap.crontab.store import SPOOLS, File, Own, Store, is_user
from cronwrap.model import Record

USER, SYSTEM, CRON_D = "user", "system", "cron.d"
ROOT = "root"
BUSYBOX_SPOOL = "/etc/crontabs"
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


def places(user: str, *, everyone: bool) -> list[Place]:
    """Give the crontabs that a user sees; ``everyone``: as root does. Nothing of them is read."""
    found = [own(user)]
    if everyone:
        found += [own(name) for name in _users() if name != user]
        found += [place for path in _files() if (place := at(path))]
    return found


def find(name: str, user: str, *, everyone: bool) -> Place | None:
    """Give the crontab of a name, None when that user sees none so called. There need not be one yet."""
    kind, _, rest = name.partition(":")
    if len(name) > LONGEST_ID or (rest and not _WRITTEN.fullmatch(rest)):
        return None
    if kind == USER and rest:
        whose = os.fsdecode(_octets(rest))
        seen = whose == user or (everyone and is_user(whose))
        return own(whose) if seen and own(whose).id == name else None
    if not everyone:
        return None
    return next((place for path in _files() if (place := at(path)) and place.id == name), None)


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


def _users() -> list[str]:
    """Give the users who have a crontab in a spool that this process may look into."""
    found: set[str] = set()
    for spool in (*SPOOLS, BUSYBOX_SPOOL):
        try:
            names = os.listdir(spool)
        except OSError:
            continue
        # crontab(1) has its scratch files there as well.
        found.update(name for name in names if is_user(name) and os.path.isfile(os.path.join(spool, name)))
    return sorted(found)


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
