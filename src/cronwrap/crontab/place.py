"""Whether cron reads a file at all where it is."""

from __future__ import annotations

import os
import re
import stat

from cronwrap.crontab.dialect import CRONIE, DEBIAN, DEFAULT, Dialect
from cronwrap.crontab.lines import is_system_path

_RUN_PARTS_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CRONIE_PASSES = (".rpmsave", ".rpmorig", ".rpmnew", "~", ".cfsaved")


def passed_over(path: str, dialect: Dialect, *, look: bool) -> tuple[str, ...]:
    """Give why cron passes over a file, if it does; ``look`` says that this host's file is the one meant."""
    path = os.path.abspath(path)
    directory, name = os.path.split(path)
    found = []
    if os.path.basename(directory) == "cron.d":
        if dialect in (DEBIAN, DEFAULT) and not _RUN_PARTS_NAME.fullmatch(name):
            who = "Debian's cron passes over" if dialect == DEFAULT else "cron passes over"
            found.append(
                f"{who} {name!r} in {os.path.basename(directory)}: "
                "a name there has letters, digits, - and _ alone, so no dot"
            )
        elif dialect == CRONIE and (name.startswith((".", "#")) or name.endswith(_CRONIE_PASSES)):
            found.append(f"cronie passes over {name!r} in cron.d")
    if look and is_system_path(path):
        found += _of_mode(path)
    return tuple(found)


def _of_mode(path: str) -> list[str]:
    try:
        state = os.stat(path)
    except OSError:
        return []
    found = []
    if state.st_uid != 0:
        found.append(f"cron passes over a system crontab that is not root's: chown root {path}")
    if stat.S_IMODE(state.st_mode) & 0o022:
        found.append(f"cron passes over a system crontab that others may write: chmod go-w {path}")
    return found
