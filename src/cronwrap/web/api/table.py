"""The API as one table: what is served, asked and answered; the OpenAPI document is made of it."""

from __future__ import annotations

from typing import Any

from cronwrap.fleet.view import STATES as FLEET_STATES
from cronwrap.manage.listing import ALIASES, ORDERS, STATES
from cronwrap.model import Record
from cronwrap.web.api.parameters import (
    DURATION,
    FLAG,
    LIMIT,
    MOMENT,
    NAME,
    OFFSET,
    TEXT,
    Parameter,
    one_of,
)
from cronwrap.web.deeds import DEEDS

PREFIX = "/api/v1"


class Route(Record):
    """One address and method."""

    method: str
    path: str
    """Below ``PREFIX``; ``{name}`` is a part of it, ``{name:path}`` one that may have slashes."""
    deed: str
    about: str
    query: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] = ()
    answer: str
    """The schema of what it gives, or of each of the items of a list."""
    kind: str = "object"
    """``object``, ``list``, ``sum``, ``output``, ``events``, ``crontab``, ``new crontab``"""
    status: int = 200


USER = Parameter(name="user", kind=NAME, about="whose; root alone may ask for another user's")
CURSOR = Parameter(name="cursor", kind=TEXT, about="where to go on: as `next` of the list before says")
AT_MOST = Parameter(name="limit", kind=LIMIT, about="items at most")
UNTIL = (
    Parameter(name="for", kind=DURATION, about="how long"),
    Parameter(name="until", kind=MOMENT, about="until when"),
)
HOST = Parameter(name="host", kind=NAME, about="of this host of the fleet alone")
STREAM = Parameter(name="stream", kind=one_of("stdout", "stderr"), about="this stream alone")
WHICH_RUNS = (
    Parameter(name="job", kind=NAME, about="the runs of this job alone"),
    Parameter(name="failed", kind=FLAG, about="those that failed alone"),
    Parameter(name="since", kind=DURATION, about="those that began in the time before now"),
    AT_MOST,
    CURSOR,
)
WHICH_OUTPUT = (STREAM, Parameter(name="download", kind=FLAG, about="as a file to be saved"))

EVERY: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/jobs",
        deed="jobs.list",
        about="Every job, what needs attention first",
        query=(
            USER,
            Parameter(name="q", kind=TEXT, about="words that its name, command or schedule has"),
            Parameter(name="state", kind=one_of(*STATES, *ALIASES), about="the jobs in this state alone"),
            Parameter(name="order", kind=one_of(*ORDERS), about="what to order by"),
            AT_MOST,
            CURSOR,
        ),
        answer="Job",
        kind="list",
    ),
    Route(method="GET", path="/jobs/{user}/{job:path}", deed="jobs.one", about="One job", answer="Job"),
    Route(
        method="POST",
        path="/jobs/{user}/{job:path}/run",
        deed="jobs.run",
        about="Run a job now, as cron would",
        body=(Parameter(name="line", kind=TEXT, about="the line of the crontab, where a job has several"),),
        answer="Started",
        status=202,
    ),
    Route(
        method="POST",
        path="/jobs/{user}/{job:path}/pause",
        deed="jobs.pause",
        about="Have a job's runs skipped, for a while or until it is resumed",
        body=UNTIL,
        answer="Hold",
    ),
    Route(
        method="POST",
        path="/jobs/{user}/{job:path}/resume",
        deed="jobs.resume",
        about="End a pause",
        answer="Ended",
    ),
    Route(
        method="POST",
        path="/jobs/{user}/{job:path}/mute",
        deed="jobs.mute",
        about="Have a job's runs reported to nobody, for a while",
        body=(
            *UNTIL,
            Parameter(name="until_ok", kind=FLAG, about="until a run has ended well"),
        ),
        answer="Hold",
    ),
    Route(
        method="POST",
        path="/jobs/{user}/{job:path}/unmute",
        deed="jobs.unmute",
        about="End a mute",
        answer="Ended",
    ),
    Route(
        method="GET",
        path="/runs",
        deed="runs.list",
        about="The runs, newest first",
        query=(USER, *WHICH_RUNS),
        answer="Run",
        kind="list",
    ),
    Route(
        method="GET",
        path="/runs/{run}",
        deed="runs.one",
        about="One run",
        query=(USER,),
        answer="WholeRun",
    ),
    Route(
        method="GET",
        path="/runs/{run}/output",
        deed="runs.output",
        about="What a run has said: its octets, as far as they are kept",
        query=(USER, *WHICH_OUTPUT),
        answer="",
        kind="output",
    ),
    Route(
        method="GET",
        path="/runs/{run}/tail",
        deed="runs.tail",
        about="What a run says, as it comes: server-sent events",
        query=(
            USER,
            Parameter(name="offset", kind=OFFSET, about="where to begin; `Last-Event-ID` has the last word"),
            Parameter(name="apart", kind=FLAG, about="name each event for its stream"),
        ),
        answer="",
        kind="events",
    ),
    Route(
        method="POST",
        path="/runs/{run}/stop",
        deed="runs.stop",
        about="End a run under way",
        query=(USER,),
        answer="Stopped",
        status=202,
    ),
    Route(
        method="GET",
        path="/crontabs",
        deed="crontabs.list",
        about="The crontabs",
        query=(USER,),
        answer="Crontab",
        kind="list",
    ),
    Route(
        method="GET",
        path="/crontabs/{id:path}",
        deed="crontabs.read",
        about="A crontab as it is, to the octet",
        query=(USER,),
        answer="",
        kind="crontab",
    ),
    Route(
        method="PUT",
        path="/crontabs/{id:path}",
        deed="crontabs.save",
        about="Save a crontab that has not changed since it was read (`If-Match`)",
        query=(USER,),
        answer="Saved",
        kind="new crontab",
    ),
    Route(
        method="GET",
        path="/outbox",
        deed="outbox.list",
        about="What waits to be sent, and what was given up",
        query=(USER, AT_MOST, CURSOR),
        answer="Item",
        kind="list",
    ),
    Route(
        method="POST",
        path="/outbox/{id}/retry",
        deed="outbox.retry",
        about="Try to send a message once more, now",
        query=(USER,),
        answer="Done",
    ),
    Route(
        method="POST",
        path="/outbox/{id}/drop",
        deed="outbox.drop",
        about="Throw a message away",
        query=(USER,),
        answer="Done",
    ),
    Route(
        method="GET",
        path="/fleet/hosts",
        deed="fleet.hosts",
        about="The hosts of the fleet, what needs attention first",
        query=(Parameter(name="q", kind=TEXT, about="a part of their names"), AT_MOST, CURSOR),
        answer="FleetHost",
        kind="list",
    ),
    Route(
        method="GET",
        path="/fleet/jobs",
        deed="fleet.jobs",
        about="The jobs of all hosts: what fails first, then what is late",
        query=(
            HOST,
            Parameter(name="job", kind=NAME, about="this job alone, on all hosts"),
            Parameter(name="state", kind=one_of(*FLEET_STATES), about="the jobs in this state alone"),
            AT_MOST,
            CURSOR,
        ),
        answer="FleetJob",
        kind="list",
    ),
    Route(
        method="GET",
        path="/fleet/runs",
        deed="fleet.runs",
        about="The runs of all hosts, newest first",
        query=(HOST, *WHICH_RUNS),
        answer="Run",
        kind="list",
    ),
    Route(
        method="GET",
        path="/fleet/runs/{run}",
        deed="fleet.run",
        about="One run of a host of the fleet",
        query=(HOST,),
        answer="FleetRun",
    ),
    Route(
        method="GET",
        path="/fleet/runs/{run}/output",
        deed="fleet.output",
        about="What such a run has said, if it mailed: its octets, as far as they are kept",
        query=(HOST, *WHICH_OUTPUT),
        answer="",
        kind="output",
    ),
    Route(
        method="GET",
        path="/status",
        deed="status.counts",
        about="How many jobs stand how, and what waits",
        query=(USER,),
        answer="Status",
        kind="sum",
    ),
)

ROUTES = tuple(route for route in EVERY if route.deed in DEEDS)


def schema_of(route: Route) -> dict[str, Any]:
    """Give the schema of what a route answers in JSON."""
    one = {"$ref": f"#/components/schemas/{route.answer}"}
    if route.kind != "list":
        return one
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": one}, "next": {"type": ["string", "null"]}},
    }
