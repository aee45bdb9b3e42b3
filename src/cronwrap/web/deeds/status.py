"""How many jobs stand how, and what waits."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.manage import listing
from cronwrap.outbox.store import LOUD_AFTER, summary
from cronwrap.web.deeds.base import Arguments, Surroundings
from cronwrap.web.deeds.jobs import current

COUNTED = (listing.FAILING, listing.RUNNING, listing.PAUSED, listing.MUTED, listing.LATE)


def counts(around: Surroundings, arguments: Arguments) -> dict[str, int]:
    """Give the numbers of SPEC 9: jobs, failing, running, paused, muted, late, queued, failed."""
    del arguments
    found, _faults = current(around)
    waiting = summary(around.state_dir)
    return {
        "jobs": len(found),
        **{state: sum(state in job.states for job in found) for state in COUNTED},
        "queued": waiting.queued if waiting else 0,
        "failed": waiting.failed if waiting else 0,
    }


def waiting(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give what waits in the outbox in a few numbers, for every page's head."""
    del arguments
    found = summary(around.state_dir)
    if found is None:
        return {"queued": 0, "failed": 0, "loud": False, "since": None, "why": ""}
    return {
        "queued": found.queued,
        "failed": found.failed,
        "loud": bool(found.oldest_age > LOUD_AFTER or found.failed),
        "since": time.time() - found.oldest_age if found.queued else None,
        "why": found.last_error,
    }
