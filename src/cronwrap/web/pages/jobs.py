"""The list of the jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.web.asking import Asking
from cronwrap.web.pages.render import page


async def listed(request: Request) -> Response:
    """Give every job that the visitor may see."""
    found, refused = await Asking(request).everyone("jobs.list", {})
    rows = [row for _user, answer in found for row in answer["items"]]
    return page(request, "jobs.html", title="Jobs", rows=rows, refused=refused)


ROUTES = [Route("/", listed)]
