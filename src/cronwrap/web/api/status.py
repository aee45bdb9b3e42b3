"""How many jobs stand how."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cronwrap.web.asking import Asking


async def counts(request: Request) -> Response:
    """Give the numbers over all users whose jobs the visitor may see."""
    found, _refused = await Asking(request).everyone("status.counts")
    total: dict[str, int] = {}
    for _user, answer in found:
        for name, number in answer.items():
            total[name] = total.get(name, 0) + number
    return JSONResponse(total)


ROUTES = [Route("/api/v1/status", counts)]
