"""A page from a template: what all of them have around, and how what comes from elsewhere is shown.

Every text that a template writes is made harmless first (``text.harmless``) and escaped then: what a job, a
crontab or a mail says is never markup, turns no direction and hides nothing. ``verbatim`` is for the fields
of a form, whose text has to come back as it was.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cronwrap.crontab import places
from cronwrap.spans import ago, count, duration
from cronwrap.text import harmless, moment, size
from cronwrap.web.actor import Actor
from cronwrap.web.deeds.base import Refused
from cronwrap.web.guard import VISITOR
from cronwrap.web.pages import words
from cronwrap.web.visitor import Door, Visitor

HERE = os.path.dirname(os.path.dirname(__file__))
NAVIGATION = (
    ("Jobs", "/"),
    ("Runs", "/runs"),
    ("Crontab", "/crontab"),
    ("Outbox", "/outbox"),
    ("Settings", "/settings"),
)
FLEET = ("Fleet", "/fleet")
"""Stands behind the others for who has one."""
SECTIONS = {
    "": "Jobs",
    "jobs": "Jobs",
    **{where[1:]: name for name, where in (*NAVIGATION, FLEET) if where != "/"},
}
_KEY = os.urandom(32)
SAID_LONGEST = 500
"""Characters of what the page before has to say."""


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


def stamp(text: str, now: float) -> str:
    """Give a time that has been: ``10:12:05``, ``yesterday 10:12``, ``Sunday 10:12``, ``2 March 10:12``."""
    at = words.unix(text) or 0.0
    named = words.day(at, now)
    if named == "today":
        return time.strftime("%H:%M:%S", time.localtime(at))
    return f"{named} {words.clock(at)}"


def crontab_address(place: str, user: str) -> str:
    """Give the address of a crontab: that of a file, or for ``crontab`` the user's own."""
    found = places.at(place) or places.own(user)
    return f"/crontab/{found.id}"


def clocked(now: float) -> str:
    """Give the time of the day with seconds."""
    return time.strftime("%H:%M:%S", time.localtime(now))


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "brief": words.brief,
    "clocked": clocked,
    "count": count,
    "crontab_address": crontab_address,
    "duration": duration,
    "exact": words.exact,
    "long": long,
    "moment": moment,
    "of_result": words.of_result,
    "segment": segment,
    "since": words.since,
    "size": size,
    "stamp": stamp,
    "unix": words.unix,
    "verbatim": verbatim,
    "when": words.when,
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
        "host": host_name(),
        "navigation": (*NAVIGATION, FLEET) if has_fleet(request, visitor.user) else NAVIGATION,
        "section": section(request.scope["path"]),
        "badge_count": request.app.state.badges.get(visitor.user, 0),
        "token": "" if visitor.read_only else door.token(visitor),
        "now": time.time(),
        "zone": time.strftime("%Z"),
        "said": said_by_us(request.query_params.get("said", ""), request.query_params.get("by", "")),
    }
    text = request.app.state.templates.render(name, {**around, **context})
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status)


def has_fleet(request: Request, user: str) -> bool:
    """Tell whether a user has a fleet, as far as is known: another's settings are read by their own deeds."""
    known: dict[str, bool] = request.app.state.fleets
    actor: Actor = request.app.state.actor
    if user not in known and user == actor.user:
        known[user] = actor.settings().fleet is not None
    return known.get(user, False)


def host_name() -> str:
    """Give the name of this host, for people."""
    return os.uname().nodename


def section(path: str) -> str:
    """Give under which heading a page is."""
    return SECTIONS.get(path[1:].partition("/")[0], "")


def address(*parts: str, **query: Any) -> str:
    """Give an address of ours from its parts and what it asks for; what is empty is left out."""
    path = "/" + "/".join(map(segment, parts))
    asked = urlencode({name: value for name, value in query.items() if value not in ("", None)})
    return f"{path}?{asked}" if asked else path


async def refusal(request: Request, refused: Refused) -> Response:
    """Give a page that says why something is not done."""
    if VISITOR not in request.scope:  # nothing comes so far without one
        return Response(status_code=refused.status)
    return page(request, "refusal.html", status=refused.status, refused=refused)


def after(where: str, said: str = "") -> Response:
    """Lead on after a change: what is loaded anew changes nothing again; ``said`` is shown there."""
    if said:
        place, mark, part = where.partition("#")
        said = said[:SAID_LONGEST]
        asked = urlencode({"said": said, "by": _signed(said)})
        where = f"{place}{'&' if '?' in place else '?'}{asked}{mark}{part}"
    return RedirectResponse(where, status_code=303)


def said_by_us(said: str, signature: str) -> str:
    """Give what the page before has to say; nothing where a link from elsewhere puts words into our mouth."""
    return (
        said
        if said and hmac.compare_digest(_signed(said).encode(), signature.encode("utf-8", "replace"))
        else ""
    )


def _signed(text: str) -> str:
    return hmac.new(_KEY, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


def back(request: Request, otherwise: str) -> str:
    """Give the page that a form was on, by its path alone: a form of ours leads to no other host."""
    found = urlsplit(request.headers.get("referer", ""))
    ours = found.netloc == request.headers.get("host") and found.path.startswith("/")
    if not ours or found.path[1:2] in ("/", "\\"):
        return otherwise
    query = urlencode([(name, value) for name, value in parse_qsl(found.query) if name not in ("said", "by")])
    return f"{found.path}?{query}" if query else found.path
