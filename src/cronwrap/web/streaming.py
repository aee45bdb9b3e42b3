"""Answers that take as long as a run: begun once there is something to give, ended with the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Piece, Refused

STUCK = 300.0
"""Seconds that a client may take for what was sent before: then it is taken for gone. What it missed lies on
the disk, and it may come again."""

Pieces = AsyncIterator[Piece | dict[str, Any]]


class Live(StreamingResponse):
    """An answer that takes as long as its client, and lets go of everything once that has gone."""

    async def stream_response(self, send: Send) -> None:
        """Send what comes, no faster than it is taken."""

        async def sent(message: Message) -> None:
            with anyio.fail_after(STUCK):
                await send(message)

        iterator: Any = self.body_iterator
        async with aclosing(iterator):
            try:
                await super().stream_response(sent)
            except TimeoutError:
                return  # the server closes what was not sent whole


async def begun(asking: Asking, deed: str, arguments: Arguments) -> tuple[Any, Pieces]:
    """Give the first piece of a stream of whoever has the run, and those behind it.

    Refused, before anything is sent, when nobody has whose things may be seen.
    """
    user = arguments.pop("user", "")
    refusals: list[Refused] = []
    for whose in [user] if user else await asking.users():
        pieces = asking.stream(whose, deed, arguments)
        try:
            return await anext(pieces), pieces
        except Refused as refused:
            refusals.append(refused)
    raise next((one for one in refusals if one.status != 404), refusals[0])


async def every(first: Any, pieces: Pieces) -> Pieces:
    """Give all pieces of a stream that was begun."""
    yield first
    async for piece in pieces:
        yield piece
