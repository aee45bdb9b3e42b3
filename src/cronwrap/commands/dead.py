"""Runs whose cronwrap died, found by a person who looks at the runs."""

from __future__ import annotations

from typing import Any

from cronwrap.history import journal
from cronwrap.outbox import dispatch
from cronwrap.settings.load import Settings


def report_dead(app: Any, settings: Settings) -> None:
    """Report the runs whose cronwrap died, if there are any; a job's next run would do the same."""
    if dead := journal.abandoned(settings.state_dir):
        app.report_abandoned(dead)
        dispatch.leave_waiter(settings)
