"""The page that adds a job to a crontab: looked at, tried, and only then shown as a difference."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.web.deeds.base import Refused
from cronwrap.web.pages.crontabs import Crontab, crontab_page, shown_difference

FIELDS = (
    *("when", "schedule", "minute", "hour", "day", "month", "weekday", "step", "past", "date"),
    *("command", "user", "name", "mailto", "timeout", "overlap", "retries", "options"),
)
"""Of the form, that go to the deed as they are."""
TIMES = ("daily", "weekly", "monthly")
"""Ways to say when that have a time of day, each in a field of its own: ``time-daily``."""
DAYS = (("1", "Mon"), ("2", "Tue"), ("3", "Wed"), ("4", "Thu"), ("5", "Fri"), ("6", "Sat"), ("0", "Sun"))
STEPS = ("1", "2", "3", "5", "10", "15", "20", "30")
FIRST = {
    "when": "daily",
    "time-daily": "03:00",
    "time-weekly": "08:30",
    "time-monthly": "04:00",
    "days": "1,2,3,4,5",
}
FIRST |= {"step": "10", "past": "5", "date": "1", "wrapped": "yes"}
"""What an empty form begins with."""


async def add(request: Request) -> Response:
    """Give the form; what was filled in is looked at, tried or, in the end, shown as a difference."""
    crontab = Crontab(request)
    if request.method == "GET":
        found = await crontab.deed("read")
        return _form(request, found, dict.fromkeys(FIELDS, "") | FIRST | _asked(request), None, None)
    form = _filled(crontab)
    asked = {name: form.get(name, "") for name in FIELDS}
    asked["time"] = form.get(f"time-{asked['when']}", "")
    what = crontab.field("do")
    deed = "try" if what == "try" else "line"
    found = await crontab.deed(deed, **asked, days=form["days"], wrapped=form["wrapped"])
    if what == "next" and found["line"]:
        read = await crontab.deed("read")
        return await shown_difference(request, crontab, read, found["text"], "job added")
    return _form(request, found, form, found, found.get("trial"))


def _asked(request: Request) -> dict[str, str]:
    """Give a schedule or a command that an address brings along: it fills in fields, and nothing else."""
    given = request.query_params
    found = {name: given[name] for name in ("command", "name", "schedule", "user") if name in given}
    return {**found, "when": "written"} if "schedule" in found else found


def _filled(crontab: Crontab) -> dict[str, str]:
    form = {name: crontab.field(name) for name in (*FIELDS, *(f"time-{name}" for name in TIMES))}
    form["days"] = ",".join(day for day in crontab.fields.get("days", []) if day.isdigit())
    form["wrapped"] = crontab.field("wrapped") or "no"
    if any("\udc80" <= char <= "\udcff" for text in form.values() for char in text):
        raise Refused(422, "The form is not text")
    return form


def _form(
    request: Request, crontab: dict[str, Any], form: dict[str, str], found: dict[str, Any] | None, tried: Any
) -> Response:
    faults = found["faults"] if found else {}
    return crontab_page(
        request,
        "crontab_add.html",
        crontab,
        "Add a job",
        form=form,
        found=found,
        faults=faults,
        tried=tried,
        days=DAYS,
        steps=STEPS,
        chosen=form["days"].split(","),
        status=422 if faults else 200,
    )


ROUTES = [Route("/crontab/{id}/add", add, methods=["GET", "POST"])]
