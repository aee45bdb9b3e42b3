"""A page from a template: what all of them have around, and how what comes from elsewhere is shown.

Every text that a template writes is made harmless first (``text.harmless``) and escaped then: what a job, a
crontab or a mail says is never markup, turns no direction and hides nothing. ``verbatim`` is for the fields
of a form, whose text has to come back as it was.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cronwrap.spans import ago, count, duration
from cronwrap.text import harmless, moment, size
from cronwrap.web.deeds.base import Refused
from cronwrap.web.guard import VISITOR
from cronwrap.web.visitor import Door, Visitor

HERE = os.path.dirname(os.path.dirname(__file__))
NAVIGATION = (
    ("Jobs", "/"),
    ("Runs", "/runs"),
    ("Crontab", "/crontab"),
    ("Outbox", "/outbox"),
    ("Settings", "/settings"),
)


class Templates:
    """The templates, read when they are asked for the first time."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(os.path.join(HERE, "templates")),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=shown,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= FILTERS
        self._environment.globals |= {"asset": asset}
        self._assets: dict[str, str] = {}

    def render(self, name: str, context: dict[str, Any]) -> str:
        """Give a page."""
        return self._environment.get_template(name).render(context)


def shown(value: Any) -> Any:
    """Give what a template writes for a value: text made harmless, nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else harmless(value, one=True)


def verbatim(text: str) -> Markup:
    """Give a text for a field of a form: as it is, escaped."""
    return escape(text)


def segment(text: str) -> str:
    """Give a text as a part of an address."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def long(text: str) -> str:
    """Give a text of several lines made harmless, its line ends kept."""
    return Markup(escape(harmless(text)))  # noqa: S704  # it is escaped


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "count": count,
    "duration": duration,
    "long": long,
    "moment": moment,
    "segment": segment,
    "size": size,
    "verbatim": verbatim,
}
_versions: dict[str, str] = {}


def asset(name: str) -> str:
    """Give the address of a file of ours, with what changes when it changes."""
    if name not in _versions:
        with open(os.path.join(HERE, "static", name), "rb") as file:
            _versions[name] = hashlib.sha256(file.read()).hexdigest()[:12]
    return f"/static/{name}?v={_versions[name]}"


def page(request: Request, name: str, *, status: int = 200, **context: Any) -> Response:
    """Give a page: the template ``name`` with what it is given, and what every page has."""
    visitor: Visitor = request.scope[VISITOR]
    door: Door = request.app.state.door
    around = {
        "visitor": visitor,
        "host": os.uname().nodename,
        "navigation": NAVIGATION,
        "here": request.scope["path"],
        "token": "" if visitor.read_only else door.token(visitor),
        "now": time.time(),
        "zone": time.strftime("%Z"),
        "said": request.query_params.get("said", ""),
    }
    text = request.app.state.templates.render(name, {**around, **context})
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status)


async def refusal(request: Request, refused: Refused) -> Response:
    """Give a page that says why something is not done."""
    if VISITOR not in request.scope:  # nothing comes so far without one
        return Response(status_code=refused.status)
    return page(request, "refusal.html", status=refused.status, refused=refused)


def after(address: str) -> Response:
    """Lead a browser on, after a change: what it loads anew changes nothing again."""
    return RedirectResponse(address, status_code=303)
