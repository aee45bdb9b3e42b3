"""When a message or a relay is tried again. Pure."""

from __future__ import annotations

FIRST_RETRY, LONGEST_RETRY = 60.0, 3600.0
"""Seconds from one attempt to the next: doubling from the first to the longest."""

ENOUGH_ATTEMPTS = 10
"""Attempts, by their schedule some five hours, before a message is given up; fewer for a short lifetime."""


def retry_after(attempts: int, identity: str) -> float:
    """Give the seconds to wait after that many attempts; spread by the id, so that not all come at once."""
    whole = min(FIRST_RETRY * 2.0 ** min(max(attempts, 1) - 1, 10), LONGEST_RETRY)
    spread = sum(identity.encode(errors="surrogateescape")) % 32 / 32  # the same whoever computes it
    return whole * (1 - 0.1 * spread)


def enough(attempts: int, lifetime: float) -> bool:
    """Tell whether a message was tried often enough to be given up after ``lifetime`` seconds.

    Age alone says nothing: the clock may have stood at 1970, the machine may have been off for a week.
    """
    needed, at = 1, 0.0
    while (
        needed < ENOUGH_ATTEMPTS
        and (at := at + min(FIRST_RETRY * 2.0 ** (needed - 1), LONGEST_RETRY)) < lifetime
    ):
        needed += 1
    return attempts >= needed


def due(next_attempt: float, queued: float, now: float) -> bool:
    """Tell whether a message is to be tried now.

    A message from the future, or one that is to wait for longer than any schedule says, shows that the
    clock was set back: its times mean nothing any more.
    """
    return next_attempt <= now or queued > now or next_attempt > now + LONGEST_RETRY
