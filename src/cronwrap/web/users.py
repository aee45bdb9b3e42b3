"""Whose jobs root's page shows: users with a crontab, with a line in the system's, or with a history."""

from __future__ import annotations

import os
import pwd
import time

import anyio.to_thread

from cronwrap.crontab.store import SPOOLS
from cronwrap.manage.known import users_of_system
from cronwrap.paths import state_variable, user_name

KEPT = 5.0
"""Seconds for which what was found holds."""
MOST = 2000
"""Users of the password database that are looked at; a directory service may have any number."""

_found: tuple[float, list[str]] = (0.0, [])


async def users() -> list[str]:
    """Give their names, root first; for root's page alone."""
    global _found  # noqa: PLW0603  # one answer for all who ask within some seconds
    if not _found[1] or time.monotonic() - _found[0] > KEPT:
        _found = (time.monotonic(), await anyio.to_thread.run_sync(_look))
    return _found[1]


def _look() -> list[str]:
    own = user_name()
    if state_variable(os.environ):  # a directory that was named is the only one
        return [own]
    known = {entry.pw_name: entry for entry in pwd.getpwall()[:MOST]}
    named = {name for spool in SPOOLS for name in _names(spool)} | users_of_system()
    named |= {name for name, entry in known.items() if _has_state(entry)}
    found = {name for name in named if _is_another(name)}
    return [own, *sorted(found - {own})]


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _has_state(entry: pwd.struct_passwd) -> bool:
    return bool(entry.pw_uid) and os.path.isdir(os.path.join(entry.pw_dir, ".local/state/cronwrap"))


def _is_another(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name).pw_uid)
    except (KeyError, ValueError):
        return False
