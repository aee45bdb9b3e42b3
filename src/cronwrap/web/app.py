"""The application: its routes, and what a refusal looks like to a person or to a program."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from cronwrap.web import api, pages
from cronwrap.web.actor import Actor
from cronwrap.web.deeds.base import Refused
from cronwrap.web.guard import API
from cronwrap.web.json_text import dumped
from cronwrap.web.pages.render import Templates, refusal
from cronwrap.web.visitor import Door

STATIC = os.path.join(os.path.dirname(__file__), "static")
GZIP_LEAST, GZIP_LEVEL = 1024, 5


def application(actor: Actor, door: Door) -> Starlette:
    """Give the application; the guard goes around it."""
    routes: list[BaseRoute] = [
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
        *api.ROUTES,
        *pages.ROUTES,
    ]
    found = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=GZIP_LEAST, compresslevel=GZIP_LEVEL)],
        exception_handlers={Refused: _refused, HTTPException: _not_there, Exception: _bug},
    )
    found.router.redirect_slashes = False
    found.state.actor, found.state.door, found.state.templates = actor, door, Templates()
    found.state.badges, found.state.fleets = {}, {}
    return found


def problem(refused: Refused) -> Response:
    """Give a refusal for programs (RFC 9457)."""
    found = {key: value for key, value in refused.as_object().items() if value != ""}
    body = dumped(found).encode() + b"\n"
    return Response(body, status_code=refused.status, media_type="application/problem+json")


async def _refused(request: Request, refused: Any) -> Response:
    if request.scope["path"].startswith(API):
        return problem(refused)
    return await refusal(request, refused)


async def _not_there(request: Request, error: Any) -> Response:
    words = {404: "There is nothing here", 405: "There is no such method here"}
    refused = Refused(error.status_code, words.get(error.status_code, str(error.detail)))
    answer = await _refused(request, refused)
    answer.headers.update(error.headers or {})  # Allow, say
    return answer


async def _bug(request: Request, error: Any) -> Response:
    words = f"{type(error).__name__}: {error}"
    return await _refused(request, Refused(500, "An error inside cronwrap", words))
