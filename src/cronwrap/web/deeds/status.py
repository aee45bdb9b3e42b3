"""How many jobs stand how, and what waits."""

from __future__ import annotations

from cronwrap.manage import listing
from cronwrap.outbox.summary import summary
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
        **{state: number for state, number in listing.counts(found).items() if state in COUNTED},
        "queued": waiting.queued if waiting else 0,
        "failed": waiting.failed if waiting else 0,
    }
