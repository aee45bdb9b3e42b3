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
from cronwrap.web.api.parameters import OFFSET
from cronwrap.web.api.table import Route
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


async def _every(first: Any, pieces: Pieces) -> Pieces:
    yield first
    async for piece in pieces:
        yield piece


async def tail(route: Route, request: Request, arguments: Arguments) -> Response:
    """Give the output of a run as events."""
    apart = arguments.pop("apart", False)
    arguments["offset"] = _last_seen(request, arguments.get("offset", 0))
    first, pieces = await begun(Asking(request), route.deed, arguments)
    if request.method == "HEAD":
        return Response(headers=events.HEADERS)
    return Live(events.events(_every(first, pieces), apart=apart), headers=events.HEADERS)


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
    download = arguments.pop("download", False)
    about, pieces = await begun(Asking(request), route.deed, arguments)
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
