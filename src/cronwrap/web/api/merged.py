"""One list of what several users have, a page at a time; for root, who sees everybody's."""

from __future__ import annotations

from heapq import merge
from itertools import repeat
from typing import Any

from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Refused

LIMIT = 100
"""Items of a page, unless another number is asked for."""
DIGITS = 7
"""Of a cursor: nobody pages through more."""


async def listed(asking: Asking, deed: str, arguments: Arguments, user: str) -> dict[str, Any]:
    """Give the ``items`` of a page, and ``next``, where to go on, or None.

    Of one user the deed itself goes on from its cursor. Of several a cursor is the number of items before:
    of each so many and a page are asked for, and put in order by their ``ranks``; what has none comes as it
    is, one user after the other. Runs are any number, and go on from when the last one began.
    """
    limit = arguments.setdefault("limit", LIMIT)
    whose = [user] if user else await asking.users()
    if len(whose) == 1:
        return _whose(whose[0], await asking.one(whose[0], deed, arguments))
    first = 0 if deed == "runs.list" else _first(arguments.pop("cursor", ""))
    found, _refused = await asking.everyone(deed, {**arguments, "limit": first + limit})
    answers = [_whose(one, answer) for one, answer in found]
    ranked = [zip(answer.get("ranks") or repeat([]), answer["items"], strict=False) for answer in answers]
    every = list(merge(*ranked, key=lambda pair: pair[0]))
    part = every[first : first + limit]
    more = len(every) > first + limit or any(answer.get("next") is not None for answer in answers)
    following = str(first + limit) if more and part else None
    if deed == "runs.list" and following:
        (rank,), last = part[-1]
        following = f"{-rank!r} {last['run']}"
    return {"items": [item for _rank, item in part], "next": following}


def _whose(user: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Give an answer whose items say whose they are."""
    return {**answer, "items": [{"user": user, **item} for item in answer["items"]]}


async def summed(asking: Asking, deed: str, arguments: Arguments, user: str) -> dict[str, int]:
    """Give numbers added up over users."""
    total: dict[str, int] = {}
    for _user, answer in (await asking.everyone(deed, arguments, user=user))[0]:
        for name, number in answer.items():
            total[name] = total.get(name, 0) + number
    return total


def _first(cursor: str) -> int:
    """Give how many items come before. Refused for what was no ``next`` of ours."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= DIGITS):
        raise Refused(400, "Wrong value", "cursor: take it from the next of a list, as it is.")
    return int(cursor)
