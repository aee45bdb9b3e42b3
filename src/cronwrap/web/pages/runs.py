"""The list of the runs, one run with its output, and its end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.model import STDERR, STDOUT
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Piece, Refused
from cronwrap.web.guard import FORM
from cronwrap.web.pages import words
from cronwrap.web.pages.jobs import of_job
from cronwrap.web.pages.output import Paper
from cronwrap.web.pages.render import address, after, page

PAGE = 50
SHOWN = 1024 * 1024
"""Octets of an output on its page; of more it is said so, and all that is kept can be downloaded."""
FOUND = 200
"""Lines of an output that a search shows."""
NAMES = {STDOUT: "stdout", STDERR: "stderr"}


async def listed(request: Request) -> Response:
    """Give the runs that the visitor may see, newest first."""
    asking = Asking(request)
    asked = {name: request.query_params.get(name, "") for name in ("failed", "since", "user")}
    cursor = request.query_params.get("cursor", "")
    wanted = {"failed": asked["failed"] == "true", "since": asked["since"], "cursor": cursor, "limit": PAGE}
    found, refused = await asking.everyone("runs.list", wanted, user=asked["user"])
    every = sorted(chain.from_iterable(answer["items"] for _user, answer in found), key=_order, reverse=True)
    part = every[:PAGE]
    more = len(every) > PAGE or any(answer["next"] for _user, answer in found)
    following = f"{words.unix(part[-1]['started'])!r} {part[-1]['run']}" if part and more else ""
    return page(
        request,
        "runs.html",
        title="Runs",
        runs=part,
        asked=asked,
        filters=[
            ("All", address("runs", since=asked["since"], user=asked["user"]), not asked["failed"]),
            ("Failed", address("runs", **{**asked, "failed": "true"}), bool(asked["failed"])),
        ],
        spans=[
            (name, address("runs", **{**asked, "since": since}), asked["since"] == since)
            for since, name in (("", "Ever"), ("1h", "1 hour"), ("1d", "1 day"), ("7d", "7 days"))
        ],
        first=address("runs", **asked) if cursor else "",
        following=address("runs", **asked, cursor=following) if following else "",
        faults=[f"{user}: {one.detail or one.title}" for user, one in refused],
        several=len(await asking.users()) > 1,
    )


def _order(run: dict[str, Any]) -> tuple[float, str]:
    return words.unix(run["started"]) or 0.0, run["run"]


async def one(request: Request) -> Response:
    """Give a run: its output first, and what is known of it beside."""
    asking = Asking(request)
    run = request.path_params["run"]
    query, stream = (request.query_params.get(name, "") for name in ("q", "stream"))
    stream = stream if stream in NAMES.values() else ""
    user, found = await asking.anywhere("runs.one", {"run": run}, user=request.query_params.get("user", ""))
    pieces = asking.stream(user, "runs.output", {"run": run, **({"stream": stream} if stream else {})})
    output = await shown(pieces, query, goes_on=found["result"] == "running")
    kind, sign = words.of_result(found["result"])
    whose = user if user != asking.visitor.user else ""
    return page(
        request,
        "run.html",
        title=f"{found['job']}: {found['result_words']}",
        run=found,
        kind=kind,
        sign=sign,
        user=user,
        output=output,
        asked={"q": query, "stream": stream, "user": whose},
        job_address=of_job(user, found["job"]),
        here=address("runs", run, user=whose),
        streams=[
            (name, address("runs", run, user=whose, q=query, stream=value), stream == value)
            for value, name in (("", "All"), ("stdout", "stdout"), ("stderr", "stderr"))
        ],
        download=f"/api/v1/runs/{run}/output?{urlencode({'user': user, 'download': 'true'})}",
        tail=f"/api/v1/runs/{run}/tail?{urlencode({'user': user})}",
        live=found["result"] == "running" and not query and not stream,
        alarm=alarm(found),
        events={"running": found["result"] == "running"},
        now_until=time.time(),
    )


def alarm(run: dict[str, Any]) -> str:
    """Give why a run is not all right."""
    said = [
        reason for reason in run["reasons"] if not reason.startswith("exit status")
    ]  # the headline has it
    return "; ".join(said) if run["result"] not in ("ok", "running") else ""


async def shown(
    pieces: AsyncIterator[Piece | dict[str, Any]], query: str, *, goes_on: bool
) -> dict[str, Any]:
    """Give an output as HTML, up to so much, or the lines that have what is searched for.

    Of one that goes on, what may be half a character is left to who goes on from ``behind``.
    """
    paper, html = Paper(), []
    left_out, behind, octets, lines = 0, 0, 0, _Lines(query)
    async for piece in pieces:
        if isinstance(piece, dict):
            left_out = piece.get("left_out", left_out)
            continue
        offset, stream, data = piece
        behind = offset + len(data)
        octets += len(data)
        if query:
            lines.take(stream, data)
        elif octets <= SHOWN:
            html.append(paper.take(stream, data))
    cut = not query and octets > SHOWN
    if goes_on and not cut:
        behind -= paper.held
    else:
        html.append(paper.end())
    return {
        "html": Markup("".join(html)),  # noqa: S704  # Paper escapes
        "octets": octets,
        "behind": behind,
        "left_out": left_out,
        "cut": cut,
        "matches": lines.end() if query else [],
        "more": lines.more,
    }


class _Lines:
    """The lines of an output that have a text in them, whatever its case, by number."""

    def __init__(self, query: str) -> None:
        self._query, self._number = query.lower(), 0
        self._rest: dict[int, bytes] = {}
        self._found: list[tuple[int, int, str]] = []
        self.more = 0

    def take(self, stream: int, octets: bytes) -> None:
        """Look at what comes."""
        *whole, rest = (self._rest.pop(stream, b"") + octets).split(b"\n")
        for line in whole:
            self._look(stream, line)
        self._rest[stream] = rest

    def _look(self, stream: int, line: bytes) -> None:
        self._number += 1
        if self._query in line.decode("utf-8", "replace").lower():
            if len(self._found) >= FOUND:
                self.more += 1
                return
            paper = Paper()
            html = Markup(paper.take(stream, line) + paper.end())  # noqa: S704  # Paper escapes
            self._found.append((self._number, stream, html))

    def end(self) -> list[tuple[int, int, str]]:
        """Give what was found: number, stream and line."""
        for stream, rest in self._rest.items():
            if rest:
                self._look(stream, rest)
        return self._found


async def stop(request: Request) -> Response:
    """Have a run ended, and lead back to it."""
    run = request.path_params["run"]
    user = request.scope[FORM].get("user", [""])[0]
    asking = Asking(request)
    user, _found = await asking.anywhere("runs.one", {"run": run}, user=user)
    try:
        said = (await asking.one(user, "runs.stop", {"run": run}))["said"]
    except Refused as refused:
        if refused.status != 409:
            raise
        said = f"{refused.title}. {refused.detail}"
    return after(address("runs", run, user=user if user != asking.visitor.user else ""), said)


ROUTES = [
    Route("/runs", listed),
    Route("/runs/{run}", one),
    Route("/runs/{run}/stop", stop, methods=["POST"]),
]
