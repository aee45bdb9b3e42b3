"""How many jobs stand how, and what waits."""

from __future__ import annotations

from typing import Any

from cronwrap.outbox.store import summary
from cronwrap.web.deeds.base import Arguments, Surroundings
from cronwrap.web.deeds.jobs import rows


def counts(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the numbers of SPEC 9: jobs, failing, running, paused, muted, late, queued, failed."""
    del arguments
    found = rows(around)
    waiting = summary(around.state_dir)
    return {
        "jobs": len(found),
        **{state: sum(state in row["states"] for row in found) for state in ("failing", "running")},
        **{state: sum(state in row["states"] for row in found) for state in ("paused", "muted", "late")},
        "queued": waiting.queued if waiting else 0,
        "failed": waiting.failed if waiting else 0,
    }
