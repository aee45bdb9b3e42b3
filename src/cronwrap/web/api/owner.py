"""Whose a run or a message is: an address of the API has its id alone."""

from __future__ import annotations

from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments

OWNERS = {"run": "runs.one", "id": "outbox.show"}
"""By which deed that is found, from the name of the path's part."""


async def owner(asking: Asking, arguments: Arguments, user: str) -> str:
    """Give whose a run or a message is. Refused when nobody has it whose things may be seen."""
    name = next(name for name in OWNERS if name in arguments)
    return (await asking.anywhere(OWNERS[name], {name: arguments[name]}, user=user))[0]
