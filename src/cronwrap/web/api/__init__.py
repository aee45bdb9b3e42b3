"""JSON for programs, under /api/v1: thin handlers over the deeds.

To add a route: a module here with ``ROUTES``, and its line below.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from cronwrap.web.api import status

ROUTES: list[BaseRoute] = [
    *status.ROUTES,
]
