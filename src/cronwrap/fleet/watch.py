"""What hosts tell of each other: a job that did not start when its crontab said so, a host gone silent.

Whoever looks is whoever comes first in a minute. What it finds it tells by its own mail, and only when that
is stored does the database take it for told: a host that dies in between leaves it to another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cronwrap.fleet.database import Database
from cronwrap.model import Record

WATCH = "SELECT * FROM cronwrap.watch(%(host)s)"
TOLD = "SELECT cronwrap.told(%(host)s, %(alarms)s::jsonb)"


class Alarm(Record):
    """What is to be told of a host, or of a job on it."""

    what: str
    """``missed`` or ``silent``; and when that is over ``ran`` or ``heard``."""
    host: str
    user_name: str
    job: str
    schedule: str
    due: float
    """When it was to start, by the clock of its host (Unix time); of a host: the first of its jobs."""
    seen: float | None
    """When the host was heard of last, by the clock of the database."""


Tell = Callable[[list[Alarm]], None]
"""Stores the mails about alarms; raises what keeps it from that."""


def look(database: Database, host: str, tell: Tell) -> None:
    """Look after the other hosts, if it is this one's turn, and tell what is found."""
    found = [_alarm(row) for row in database.call(WATCH, {"host": host})]
    if found:
        tell(found)
        told = [
            {name: getattr(alarm, name) for name in ("what", "host", "user_name", "job", "due")}
            for alarm in found
        ]
        database.call(TOLD, {"host": host, "alarms": json.dumps(told)})


def _alarm(row: dict[str, Any]) -> Alarm:
    seen = row["seen"]
    return Alarm(**{**row, "due": row["due"].timestamp(), "seen": seen.timestamp() if seen else None})
