"""When a target's notifications may go: the oldest of each job, unless it asked for peace. Pure."""

from __future__ import annotations

from cronwrap.outbox.backoff import LONGEST_RETRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cronwrap.outbox.message_file import Item


def held(items: Iterable[Item], now: float) -> float:
    """Give the Unix time until which the target asked to be left alone; 0 when it did not, or no longer.

    One that is further away than any schedule goes was made by a wrong clock.
    """
    return max(
        (item.held_until for item in items if now < item.held_until <= now + LONGEST_RETRY), default=0.0
    )


def heads(items: Sequence[Item]) -> list[Item]:
    """Give the oldest notification of each job; ``items`` come the oldest first."""
    found: dict[str, Item] = {}
    for item in items:
        found.setdefault(item.job, item)
    return list(found.values())


def next_attempt(items: Sequence[Item], now: float) -> float:
    """Give the Unix time at which the next one is to be tried; 0: now, infinity: there is none."""
    until = held(items, now)
    times = (0.0 if item.due(now) else item.next_attempt for item in heads(items))
    return max(min(times, default=float("inf")), until)
