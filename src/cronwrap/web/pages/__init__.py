"""Pages for people: thin handlers, each an address that can be shared.

To add one: a module here with ``ROUTES``, its line below, a template.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from cronwrap.web.pages import crontabs, jobs, new_job

ROUTES: list[BaseRoute] = [
    *crontabs.ROUTES,
    *jobs.ROUTES,
    *new_job.ROUTES,
]
