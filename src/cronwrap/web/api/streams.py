"""The answers that stream: what a run has said, and what it says as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from cronwrap.web.api import events
from cronwrap.web.api.parameters import OFFSET
from cronwrap.web.api.table import Route
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Refused
from cronwrap.web.streaming import Live, Pieces, begun, every


async def tail(route: Route, request: Request, arguments: Arguments) -> Response:
    """Give the output of a run as events."""
    apart = arguments.pop("apart", False)
    arguments["offset"] = _last_seen(request, arguments.get("offset", 0))
    first, pieces = await begun(Asking(request), route.deed, arguments)
    if request.method == "HEAD":
        return Response(headers=events.HEADERS)
    return Live(events.events(every(first, pieces), apart=apart), headers=events.HEADERS)


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
