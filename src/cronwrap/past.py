"""What is known of the earlier runs of a job; a run that ends well, as the one before, has no use for it."""

from __future__ import annotations

from cronwrap.model import Record


class Past(Record):
    """What is known of the earlier runs of a job, newest last."""

    results: tuple[str, ...] = ()
    """The results of the last runs, oldest first (``ok``, ``failed``, ``signal``, …), at most 20."""
    durations: tuple[float, ...] = ()
    """Seconds each of the last runs took, oldest first; successful runs only."""
    failures_in_a_row: int = 0
    """Failed runs since the last good one, this run not counted."""
    failing_since: float | None = None
    """Unix time of the first of them."""
    last_success: float | None = None
    """Unix time when the last good run ended."""
    last_failure_mailed: float | None = None
    """Unix time of the last failure mail of the present row of failures; None when there was none."""
    failures_since_mail: int = 0
    """Failures in the present row that came after that mail (and were not mailed)."""
    last_failure_digest: str = ""
    """Digest of the last failed run's output, to say "same as last time"."""
