"""The names of the fleet's hosts as last heard, in a file: for who decides without the database."""

from __future__ import annotations

import json
import os

from cronwrap.state import put, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "fleet.hosts"
SIZE_LIMIT = 4 << 20
"""Octets; ten thousand hosts with long names."""


def peers(state_dir: str, fleet: tuple[str, bool, str] | None) -> tuple[str, list[str]]:
    """Give this host's name in the fleet, and the names of all as last heard."""
    mine = (fleet[2] if fleet else "") or os.uname().nodename
    try:
        with open(state(state_dir).open(FILE), "rb") as file:
            known = json.loads(file.read(SIZE_LIMIT))
    except (OSError, ValueError):
        return mine, []
    return mine, [name for name in known if isinstance(name, str)] if isinstance(known, list) else []


def remember(state_dir: str, names: Iterable[str]) -> None:
    """Write down the names of all hosts; OSError when that cannot be done."""
    put(state(state_dir).fd, FILE, json.dumps(sorted(names)).encode(), f"{FILE}.new")
