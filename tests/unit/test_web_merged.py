"""Lists over several users: in one order, page by page, nothing twice and nothing left out."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.web.api.merged import listed, summed
from cronwrap.web.deeds.base import Pace, Refused

USERS = ["root", "alice", "bob"]


class Asking:
    """Users who have things, each a number: what is asked for of these."""

    def __init__(self, things):
        self.things = {user: sorted(numbers) for user, numbers in things.items()}

    async def users(self):
        return list(self.things)

    async def one(self, user, deed, arguments):
        mine, limit = self.things[user], arguments["limit"]
        if deed == "runs.list":
            cursor = arguments.get("cursor")
            after = [one for one in mine if cursor is None or one > -float(cursor.split()[0])]
            part, more = after[:limit], len(after) > limit
            following = f"{-part[-1]!r} x" if more else None
        else:
            first = int(arguments.get("cursor") or 0)
            part = mine[first : first + limit]
            following = str(first + limit) if len(mine) > first + limit else None
        items = [{"run": f"{one}"} for one in part]
        return {"items": items, "ranks": [[float(one)] for one in part], "next": following}

    async def everyone(self, deed, arguments, *, user=""):
        whose = [user] if user else list(self.things)
        return [(one, await self.one(one, deed, arguments)) for one in whose], []


def pages(asking, deed, limit, user=""):
    """Give all items, page after page."""
    found, cursor = [], None
    for _ in range(100):
        more = {} if cursor is None else {"cursor": cursor}
        page = asyncio.run(listed(asking, deed, {"limit": limit, **more}, user))
        assert len(page["items"]) <= limit
        found += [(int(item["run"]), item["user"]) for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found
    raise AssertionError("there is no end to it")


@given(
    things=st.lists(st.sampled_from(USERS), max_size=14),
    users=st.integers(1, 3),
    limit=st.integers(1, 6),
    deed=st.sampled_from(["runs.list", "jobs.list"]),
)
@settings(max_examples=60)
def test_every_thing_comes_once_in_one_order_with_whose_it_is(things, users, limit, deed):
    known = USERS[:users]
    whose = {user: [n for n, one in enumerate(things) if one == user] for user in known}
    expected = sorted((number, user) for user, numbers in whose.items() for number in numbers)
    asking = Asking(whose)
    assert pages(asking, deed, limit) == expected
    assert pages(asking, deed, limit, "root") == [pair for pair in expected if pair[1] == "root"]


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 50, "\u0661"])
def test_a_cursor_that_was_never_given_is_refused(cursor):
    with pytest.raises(Refused):
        asyncio.run(listed(Asking({"a": [1], "b": [2]}), "jobs.list", {"cursor": cursor}, ""))


def test_numbers_are_added_up():
    class Counting:
        async def everyone(self, _deed, _arguments, *, user):
            return [(one, {"jobs": 2, "failing": 1}) for one in ([user] if user else USERS)], []

    assert asyncio.run(summed(Counting(), "status.counts", {}, "")) == {"jobs": 6, "failing": 3}
    assert asyncio.run(summed(Counting(), "status.counts", {}, "bob")) == {"jobs": 2, "failing": 1}


def test_a_stream_that_says_nothing_is_looked_at_less_often_until_it_speaks():
    pace = Pace()
    silent = [pace.pause((0, 0, b"")) for _ in range(Pace.SILENT + 5)]
    assert (silent[0], silent[-1]) == (Pace.SHORT, Pace.LONG)
    assert pace.pause((0, 1, b"x")) == pace.pause({"gap": 1, "next": 2}) == 0.0
    assert pace.pause((1, 0, b"")) == Pace.SHORT
