"""The output of a run as it comes, without any script: one page that takes as long as the run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.web.api.events import BEAT, UNCHANGED
from cronwrap.web.asking import Asking
from cronwrap.web.pages.output import Paper
from cronwrap.web.pages.render import page
from cronwrap.web.streaming import Live, Pieces, begun, every

HERE = b"<!--output-->"
"""Where in the page the output goes: whatever else is in it has no such signs, which are escaped."""
LOST = "… the rest cannot be told from here: the page of the run has what is kept …"
SILENCE = "<!-- -->"
"""Sent when nothing has come for a while: proxies give up on what says nothing."""


async def live(request: Request) -> Response:
    """Give what a run has said, and go on with what it says until it has ended."""
    run = request.path_params["run"]
    wanted = {"run": run, "user": request.query_params.get("user", "")}
    first, pieces = await begun(Asking(request), "runs.tail", wanted)
    around = page(request, "live.html", title=f"Run {run}", run=run)
    head, _, foot = bytes(around.body).partition(HERE)
    headers = {**UNCHANGED, "Content-Encoding": "identity"}  # packed, it would be held back
    if request.method == "HEAD":
        return Response(headers=headers, media_type="text/html")
    return Live(_written(head, every(first, pieces), foot), headers=headers, media_type="text/html")


async def _written(head: bytes, pieces: Pieces, foot: bytes) -> AsyncIterator[bytes]:
    yield head
    paper, last, words = Paper(), time.monotonic(), "It is not known how the run has ended."
    async for piece in pieces:
        text = ""
        if not isinstance(piece, dict):
            text = paper.take(piece[1], piece[2]) if piece[2] else ""
        elif "gap" in piece:
            text = paper.gap(piece["gap"])
        elif "lost" in piece:
            text = f'{paper.end()}<span class="gap">\n[{LOST}]\n</span>'
        elif piece.get("status") is not None:
            words = f"The run has ended with exit status {int(piece['status'])}."
        if not text and time.monotonic() - last >= BEAT:
            text = SILENCE
        if text:
            last = time.monotonic()
            yield text.encode("utf-8", "replace")
    yield f'{paper.end()}\n<span class="gap" role="status">{words}</span>\n'.encode()
    yield foot


ROUTES = [Route("/runs/{run}/live", live)]
