"""Pages for people: thin handlers, each an address that can be shared.

To add one: a module here with ``ROUTES``, its line below, a template.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from cronwrap.web.pages import crontabs, fleet, jobs, live, new_job, outbox, runs, settings

ROUTES: list[BaseRoute] = [
    *jobs.ROUTES,
    *runs.ROUTES,
    *live.ROUTES,
    *new_job.ROUTES,
    *crontabs.ROUTES,
    *outbox.ROUTES,
    *settings.ROUTES,
    *fleet.ROUTES,
]
