"""What is in force and from where, and what doctor says."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.web.asking import Asking
from cronwrap.web.guard import FORM
from cronwrap.web.pages.render import page


async def shown(request: Request) -> Response:
    """Give every setting with its source."""
    return await _page(request, request.query_params.get("user", ""), [])


async def doctor(request: Request) -> Response:
    """Give the same, with what doctor says: it asks relays, so a form asks for it."""
    user = request.scope[FORM].get("user", [""])[0]
    asking = Asking(request)
    found = await asking.one(user or asking.visitor.user, "doctor.run")
    return await _page(request, user, found["items"])


async def _page(request: Request, user: str, checks: list[dict[str, Any]]) -> Response:
    asking = Asking(request)
    user = user or asking.visitor.user
    found = await asking.one(user, "settings.show")
    return page(
        request,
        "settings.html",
        title="Settings",
        user=user,
        users=await asking.users(),
        items=sorted(found["items"], key=lambda item: not item["source"]),  # what is set comes first
        faults=found["faults"],
        paths=found["paths"],
        checks=checks,
        sound=bool(checks) and all(check["ok"] for check in checks),
    )


ROUTES = [Route("/settings", shown), Route("/settings/doctor", doctor, methods=["POST"])]
