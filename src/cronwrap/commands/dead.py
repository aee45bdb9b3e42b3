"""Runs whose cronwrap died, found by a person who looks at the runs."""

from __future__ import annotations

from typing import Any

from cronwrap.history import records, runs
from cronwrap.outbox import dispatch
from cronwrap.settings.load import Settings


def report_dead(app: Any, settings: Settings) -> None:
    """Report the runs whose cronwrap died, if there are any; a job's next run would do the same."""

    def known() -> list[str]:
        return [tally.job for tally, _ in runs.jobs(settings.state_dir)]

    if dead := records.abandoned(settings.state_dir, known=known):
        app.report_abandoned(dead)
        dispatch.leave_waiter(settings)
