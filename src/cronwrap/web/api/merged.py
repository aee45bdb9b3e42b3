"""One list of what several users have, a page at a time; for root, who sees everybody's."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Refused

LIMIT = 100
"""Items of a page, unless another number is asked for."""


async def listed(asking: Asking, deed: str, arguments: Arguments, user: str) -> dict[str, Any]:
    """Give the ``items`` of a page, and ``next``, where to go on, or None.

    Users come one after the other, each in the order of the deed: with that every page goes on exactly where
    the one before has ended, whatever has been added meanwhile.
    """
    whose = [user] if user else await asking.users()
    first, cursor = _read(arguments.pop("cursor", ""), whose)
    wanted = arguments.get("limit", LIMIT)
    items: list[Any] = []
    refused: list[Refused] = []
    for number, one in enumerate(whose[first:], first):
        left = wanted - len(items)
        if not left:
            return {"items": items, "next": _written(whose[number], "")}
        more = {"cursor": cursor} if cursor else {}
        try:
            found = await asking.one(one, deed, {**arguments, **more, "limit": left})
        except Refused as error:
            refused.append(error)
            continue
        finally:
            cursor = ""
        items += found["items"]
        if found.get("next") is not None:
            return {"items": items, "next": _written(one, str(found["next"]))}
    if refused and len(refused) == len(whose):
        raise refused[0]
    return {"items": items, "next": None}


async def summed(asking: Asking, deed: str, arguments: Arguments, user: str) -> dict[str, int]:
    """Give numbers added up over users."""
    total: dict[str, int] = {}
    for _user, answer in (await asking.everyone(deed, arguments, user=user))[0]:
        for name, number in answer.items():
            total[name] = total.get(name, 0) + number
    return total


def _written(user: str, cursor: str) -> str:
    return urlsafe_b64encode(json.dumps([user, cursor]).encode()).decode().rstrip("=")


def _read(text: str, whose: list[str]) -> tuple[int, str]:
    """Give at which user, and where of theirs, a page begins. Refused for what was no ``next`` of ours."""
    if not text:
        return 0, ""
    try:
        user, cursor = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(user, str) and isinstance(cursor, str):
            return whose.index(user), cursor
    except (ValueError, TypeError, RecursionError):
        pass
    raise Refused(400, "Wrong value", "cursor: take it from the next of a list, as it is.")
