"""What each route of the table does: reads the request, has the deed done, and gives what came as JSON."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from cronwrap.web.api import streams
from cronwrap.web.api.merged import listed, summed
from cronwrap.web.api.openapi import document
from cronwrap.web.api.owner import owner
from cronwrap.web.api.parameters import of_body, of_query
from cronwrap.web.api.schemas import shaped
from cronwrap.web.api.table import PREFIX, Route
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments, Refused
from cronwrap.web.guard import BODY, VISITOR
from cronwrap.web.json_text import dumped

Handler = Callable[[Request], Awaitable[Response]]
OF_OWNER = ("runs.", "outbox.")
"""What the names of deeds begin with that are about one thing of whoever has it."""
OF_VISITOR = "fleet."
"""And those of what is nobody's: the visitor's own settings say where it is."""


def handler(route: Route) -> Handler:
    """Give what answers the requests of a route."""
    answer = {
        "list": _list,
        "sum": _sum,
        "output": streams.output,
        "events": streams.tail,
        "crontab": _crontab,
        "new crontab": _save,
    }.get(route.kind, _one)

    async def handle(request: Request) -> Response:
        arguments = of_query(request.query_params.multi_items(), route.query)
        if route.method == "POST":
            arguments |= of_body(request.scope[BODY], route.body)
        if route.deed.startswith(OF_VISITOR):
            arguments["user"] = request.scope[VISITOR].user
        return await answer(route, request, {**arguments, **request.path_params})

    return handle


async def openapi(request: Request) -> Response:
    """Give the document that describes all this."""
    of_query(request.query_params.multi_items(), ())
    return as_json(document())


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Give JSON: ASCII alone, whatever a job or a crontab says."""
    return Response(dumped(value) + "\n", status, headers, "application/json")


async def _list(route: Route, request: Request, arguments: Arguments) -> Response:
    user = arguments.pop("user", "")
    found = await listed(Asking(request), route.deed, arguments, user)
    following = None
    if found.get("next") is not None:
        said = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
        following = f"{PREFIX}{route.path}?{urlencode([*said, ('cursor', str(found['next']))])}"
    items = [shaped(route.answer, item) for item in found["items"]]
    return as_json({"items": items, "next": following})


async def _sum(route: Route, request: Request, arguments: Arguments) -> Response:
    user = arguments.pop("user", "")
    return as_json(shaped(route.answer, await summed(Asking(request), route.deed, arguments, user)))


async def _one(route: Route, request: Request, arguments: Arguments) -> Response:
    asking = Asking(request)
    user = arguments.pop("user", "")
    if route.deed.startswith(OF_OWNER):
        user = await owner(asking, arguments, user)
    found = await asking.one(user or asking.visitor.user, route.deed, arguments)
    return as_json(shaped(route.answer, found), route.status)


async def _crontab(route: Route, request: Request, arguments: Arguments) -> Response:
    found = await _about_crontab(route, request, arguments)
    headers = {"ETag": f'"{found["etag"]}"', "Content-Type": "text/plain"}
    if found["etag"] in _etags(request.headers.getlist("if-none-match"), weak=True):
        return Response(status_code=304, headers=headers)
    return Response(b64decode(found["text"]), headers=headers)


async def _save(route: Route, request: Request, arguments: Arguments) -> Response:
    etags = _etags(request.headers.getlist("if-match"))
    if len(etags) != 1:
        words = "Send If-Match with the ETag that the crontab was read with: no change made since is lost."
        raise Refused(428, "Which state of it was changed?", words)
    arguments |= {"etag": etags[0], "text": b64encode(request.scope[BODY]).decode()}
    try:
        found = await _about_crontab(route, request, arguments)
    except Refused as refused:
        if refused.status != 409:  # the page's word for it; of If-Match it is another (RFC 9110, 13.1.1)
            raise
        raise Refused(412, refused.title, refused.detail, **refused.more) from None
    return as_json(shaped(route.answer, found), headers={"ETag": f'"{found["etag"]}"'})


async def _about_crontab(route: Route, request: Request, arguments: Arguments) -> Any:
    asking = Asking(request)
    user = arguments.pop("user", "")
    return await asking.one(user or asking.visitor.user, route.deed, arguments)


def _etags(headers: list[str], *, weak: bool = False) -> list[str]:
    """Give the entity tags that a header has; weak ones where they will do (RFC 9110, 8.8.3)."""
    found = []
    for word in ",".join(headers).split(","):
        tag = word.strip()
        tag = tag.removeprefix("W/") if weak else tag
        if len(tag) > 1 and tag[0] == tag[-1] == '"':
            found.append(tag[1:-1])
    return found
