"""The answers that stream: what a run has said, and what it says as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Send

from cronwrap.web.api import events
from cronwrap.web.api.owner import owner
from cronwrap.web.api.parameters import OFFSET
from cronwrap.web.api.table import Route
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Piece, Refused

STUCK = 300.0
"""Seconds that a client may take for what was sent before: then it is taken for gone. What it missed lies on the
disk, and it may come again."""

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


async def begun(pieces: Pieces) -> Pieces:
    """Give pieces once the first of them is there; Refused before anything is sent."""
    first = await anext(pieces, None)

    async def every() -> Pieces:
        if first is not None:
            yield first
        async for piece in pieces:
            yield piece

    return every()


async def tail(route: Route, request: Request, arguments: Arguments) -> Response:
    """Give the output of a run as events."""
    apart, user = arguments.pop("apart", False), arguments.pop("user", "")
    arguments["offset"] = _last_seen(request, arguments.get("offset", 0))
    asking = Asking(request)
    user = await owner(asking, arguments, user)
    if request.method == "HEAD":
        return Response(headers=events.HEADERS)
    pieces = await begun(asking.stream(user, route.deed, arguments))
    return Live(events.events(pieces, apart=apart), headers=events.HEADERS)


def _last_seen(request: Request, offset: int) -> int:
    named = request.headers.get("last-event-id", "")
    if not named:
        return offset
    try:
        return int(OFFSET.read(named))
    except ValueError as error:
        raise Refused(400, "Wrong value", f"Last-Event-ID {error}") from None


async def output(route: Route, request: Request, arguments: Arguments) -> Response:
    """Give the octets that are kept of a run's output."""
    download, user = arguments.pop("download", False), arguments.pop("user", "")
    asking = Asking(request)
    user = await owner(asking, arguments, user)
    pieces = asking.stream(user, route.deed, arguments)
    about: Any = await anext(pieces)
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cronwrap-Left-Out": str(about["left_out"]),
        # It is octets: what a sandboxed reader could still take for a page is none (CSP3, 6.3.2).
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if download:
        headers["Content-Disposition"] = f'attachment; filename="{arguments["run"]}.txt"'
    return Live(_octets(pieces), headers=headers)


async def _octets(pieces: Pieces) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if not isinstance(piece, dict) and piece[2]:
            yield piece[2]
