"""Server-sent events of a run's output (HTML, 9.2): octets in base64, and the offset behind them as their id.

A client that was cut off says with ``Last-Event-ID`` where it got to, and goes on there: what it has received
is what the run has said, to the octet, whatever lies between the two.
"""

from __future__ import annotations

import json
import time
from binascii import b2a_base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

from cronwrap.model import STDERR
from cronwrap.web.deeds.base import Piece

BEAT = 15.0
"""Seconds of silence before a comment is sent: proxies give up on what says nothing, nginx after 60 s."""
RETRY = 1000
"""Milliseconds after which a browser that was cut off comes again."""
CHUNK = 12 * 1024
"""Octets in one event, a multiple of three: where the line is cut all the time, some get through whole."""
UNCHANGED = {
    "Cache-Control": "no-store, no-transform",  # nothing on the way may compress, and so hold back
    "X-Accel-Buffering": "no",  # nginx gives on what comes as it comes
}
"""The headers of what has to arrive as it is sent."""
HEADERS = {"Content-Type": "text/event-stream", **UNCHANGED}
BEGINNING = b":\nretry: %d\n\n" % RETRY
"""Sent at once, so that headers do not wait in a proxy for the first octet."""
COMMENT = b":\n\n"


async def events(
    pieces: AsyncIterator[Piece | dict[str, Any]], *, apart: bool, beat: float = BEAT
) -> AsyncIterator[bytes]:
    """Give what is sent of a run's output; with ``apart`` each event is named for its stream."""
    yield BEGINNING
    last = time.monotonic()
    async for piece in pieces:
        if isinstance(piece, dict):
            yield _about(piece)
        elif piece[2]:
            for event in _octets(piece, apart=apart):
                yield event
        elif time.monotonic() - last < beat:
            continue
        else:
            yield COMMENT
        last = time.monotonic()


def _about(found: dict[str, Any]) -> bytes:
    """Give the event for what is not octets."""
    behind = found["next"]
    if "gap" in found:
        return event(b"gap", behind, b"%d" % found["gap"])
    if "lost" in found:
        return event(b"lost", behind, b"what follows is not to be had by its offset")
    return event(b"end", behind, json.dumps({"status": found["status"]}).encode())


def _octets(piece: Piece, *, apart: bool) -> Iterator[bytes]:
    begin, stream, octets = piece
    name = (b"stderr" if stream == STDERR else b"stdout") if apart else b""
    for at in range(0, len(octets), CHUNK):
        chunk = octets[at : at + CHUNK]
        yield event(name, begin + at + len(chunk), b2a_base64(chunk, newline=False))


def event(name: bytes, behind: int, data: bytes) -> bytes:
    """Give one event; the data are one line, and not empty: else a browser would not tell of it."""
    return (b"event: %s\n" % name if name else b"") + b"id: %d\ndata: %s\n\n" % (behind, data)
