"""Pages for people: thin handlers, each an address that can be shared.

To add one: a module here with ``ROUTES``, its line below, a template.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from cronwrap.web.pages import jobs, live, outbox, runs, settings

ROUTES: list[BaseRoute] = [
    *jobs.ROUTES,
    *runs.ROUTES,
    *live.ROUTES,
    *outbox.ROUTES,
    *settings.ROUTES,
]
