"""The jobs of a user: listed, and one of them."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.history.shipping import shipping
from cronwrap.manage import listing
from cronwrap.manage.runs import bring_up_to_date
from cronwrap.outbox.store import LOUD_AFTER
from cronwrap.outbox.summary import summary
from cronwrap.text import iso
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted

PAGE, LARGEST = 100, 10_000
"""Jobs of one answer, unless another number is asked for; and the most."""


def current(around: Surroundings) -> tuple[list[listing.Job], list[str]]:
    """Give every job as it stands now, and what stands in the way of knowing more."""
    faults = list(bring_up_to_date(around.state_dir, around.settings["history.keep"]))
    found, fault = listing.every(around.settings)
    return found, [*faults, *([fault] if fault else [])]


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give jobs: ``items``, ``ranks`` to merge by, ``total``, ``counts`` by state, ``next`` as a cursor.

    ``q`` are words to be found, ``state`` one of ``listing.STATES``, ``order`` one of ``listing.ORDERS``.
    """
    found, faults = current(around)
    state, order = arguments.get("state") or "", arguments.get("order") or "attention"
    state = listing.ALIASES.get(state, state)
    if state and state not in listing.STATES:
        raise Refused(422, "There is no such state", f"{state}: write one of {', '.join(listing.STATES)}")
    if order not in listing.ORDERS:
        raise Refused(422, "There is no such order", f"{order}: write one of {', '.join(listing.ORDERS)}")
    jobs = listing.chosen(found, str(arguments.get("q") or ""))
    counts = {"all": len(jobs), **listing.counts(jobs)}
    if state:
        jobs = [job for job in jobs if state in job.states]
    first, limit = offset_of(arguments), limit_of(arguments)
    part = listing.ranked(jobs, order, first + limit)[first:]
    return {
        "items": listing.rows(around.settings, [job for _rank, job in part]),
        "ranks": [list(rank) for rank, _job in part],
        "total": len(jobs),
        "counts": counts,
        "next": str(first + limit) if first + limit < len(jobs) else None,
        "waiting": waiting(around),
        "faults": faults,
        "fleet": around.settings.fleet is not None,
        "behind": _behind(around),
    }


def _behind(around: Surroundings) -> str:
    """Give what is to be said of runs that the fleet does not have yet; nothing as long as all is well."""
    return shipping(around.state_dir).words(time.time()) if around.settings.fleet else ""


def waiting(around: Surroundings) -> dict[str, Any]:
    """Give what waits in the outbox in a few numbers."""
    found = summary(around.state_dir)
    if found is None:
        return {"queued": 0, "failed": 0, "loud": False, "since": None, "why": ""}
    return {
        "queued": found.queued,
        "failed": found.failed,
        "loud": bool(found.oldest_age > LOUD_AFTER or found.failed),
        "since": iso(time.time() - found.oldest_age) if found.queued else None,
        "why": found.last_error,
    }


def one(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give a job. Refused (404) when none of that name has run, is held back, or is in the crontab."""
    name = wanted(arguments, "job")
    bring_up_to_date(around.state_dir, around.settings["history.keep"])
    found = listing.one(around.settings, name)
    if found is None:
        raise Refused(404, "There is no such job", f"{name} has not run, and is not in the crontab")
    return listing.rows(around.settings, [found])[0]


def limit_of(arguments: Arguments, usual: int = PAGE) -> int:
    """Give how many items are asked for; Refused for a number that is none."""
    return _number(arguments, "limit", usual, 1, LARGEST)


def offset_of(arguments: Arguments, name: str = "cursor") -> int:
    """Give from which item on is asked for; Refused for a cursor that is none."""
    return _number(arguments, name, 0, 0, 10**9)


def _number(arguments: Arguments, name: str, usual: int, low: int, high: int) -> int:
    value = arguments.get(name)
    if value is None or value == "":
        return usual
    text = str(value)
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not low <= int(text) <= high:
        raise Refused(422, f"The {name} is none", f"{text[:20]!r}: write a number from {low} to {high}")
    return int(text)
