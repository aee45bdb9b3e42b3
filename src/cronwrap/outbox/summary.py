"""The outbox in a few numbers, for whoever looks."""

from __future__ import annotations

import time

from cronwrap.model import Record
from cronwrap.outbox.sent import Delivered
from cronwrap.outbox.store import FAILED, Outbox


class Summary(Record):
    """The outbox in a few numbers."""

    queued: int
    failed: int
    oldest_age: float
    """Seconds the oldest queued message has waited."""
    last_error: str
    """Why it waits."""
    refusing: str = ""
    """The targets of notifications among the failed, in words."""
    delivered: int = 0
    """Messages that have reached everybody, and cannot be removed from the queue; not among the queued."""


def summary(state_dir: str, now: float | None = None) -> Summary | None:
    """Give the numbers of an outbox, or None when nothing is in it; StateError when it cannot be read."""
    box = Outbox(state_dir).look()
    if not box.ids() and not box.ids(FAILED):
        return None
    delivered = Delivered(box)
    items, _ = box.items()
    waiting = [item for item in items if not delivered(item)]
    moment = time.time() if now is None else now
    return Summary(
        queued=len(waiting),
        failed=len(box.ids(FAILED)),
        oldest_age=max(0.0, moment - waiting[0].queued) if waiting else 0.0,
        last_error=waiting[0].last_error if waiting else "",
        refusing=box.refusing(),
        delivered=len(items) - len(waiting),
    )
