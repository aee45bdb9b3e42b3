"""JSON for programs, under /api/v1: thin handlers over the deeds.

To add a route: its line in ``table.ROUTES``, and the schema of its answer in ``schemas.SCHEMAS``. The OpenAPI
document, the checks of parameters and the tests of who may what come of these.
"""

from __future__ import annotations

from starlette.routing import BaseRoute
from starlette.routing import Route as Address

from cronwrap.web.api.handlers import handler, openapi
from cronwrap.web.api.table import PREFIX
from cronwrap.web.api.table import ROUTES as TABLE

ROUTES: list[BaseRoute] = [
    Address(f"{PREFIX}/openapi.json", openapi),
    # A job may have slashes in its name: what is below it is looked for first.
    *(
        Address(f"{PREFIX}{route.path}", handler(route), methods=[route.method], name=f"api.{route.deed}")
        for route in sorted(TABLE, key=lambda route: route.path.endswith(":path}"))
    ),
]
