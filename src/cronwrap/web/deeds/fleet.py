"""The fleet: its hosts, their jobs and runs, from the database that they share; for who may see it.

A visitor asks with their own [fleet] alone. Each question opens a connection, and none is waited for long:
the rest of the page must not wait behind a database that hangs.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cronwrap.fleet import view
from cronwrap.fleet.database import Database, RecordError, RefusedError, UnreachableError
from cronwrap.fleet.view import Asked, Host, Job
from cronwrap.history.kept_output import Kept
from cronwrap.history.run import Run
from cronwrap.manage import fleet
from cronwrap.manage.listing import STATES
from cronwrap.manage.runs import result_words
from cronwrap.manage.runs import whole as everything
from cronwrap.web.deeds import runs
from cronwrap.web.deeds.base import Arguments, Piece, Refused, Surroundings, wanted
from cronwrap.web.deeds.jobs import limit_of, offset_of
from cronwrap.web.deeds.output import pieces_of

ANSWER = 10.0
"""Seconds for an answer of the database."""
AT_ONCE = 4
"""Questions at a time in one process; further ones wait, and no longer than an answer may take."""
PAGE = 100
HOSTS, NAMES = 25, 24
"""Hosts and jobs of the table of both."""
NEEDY = 20
"""Jobs that need somebody, of the first page; the list has the others."""
BEHIND = 300.0
"""Seconds that a run of a host may wait to be sent before a word is said of it."""
RESULTS = 20
"""Results in the strip of a job."""

NO_CURSOR = Refused(422, "The cursor is none", "Take it from the next of a list, as it is")

_room = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _asked(around: Surroundings) -> Iterator[Database]:
    """Give a connection to the database. Refused when there is no fleet, or it cannot be asked."""
    if around.settings.fleet is None:
        raise Refused(404, "No fleet is configured", "It would stand under [fleet] in the configuration.")
    if not _room.acquire(timeout=ANSWER):
        raise Refused(503, "The fleet cannot be shown now", "Its database answers too slowly.")
    try:
        with fleet.opened(around.settings, ANSWER) as database:
            yield database
    except RecordError as error:
        raise Refused(422, "This cannot be asked", str(error)) from error
    except RefusedError as error:
        advice = "cronwrap fleet init --viewer ROLE prints what lets a role see it"
        raise Refused(403, "This role may not see the fleet", f"{error}; {advice}") from error
    except UnreachableError as error:
        raise Refused(503, "The fleet cannot be shown now", str(error)) from error
    finally:
        _room.release()


def overview(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the fleet at a glance: how much there is, what needs somebody, and a table of hosts and jobs.

    The table begins with the hosts and the jobs that need somebody; ``cursor`` and ``column`` say with which
    it goes on. A host has as many cells as there are ``names``, None where it has no such job.
    """
    first, column = offset_of(arguments), offset_of(arguments, "column")
    with _asked(around) as database:
        known = view.counts(database)
        hosts = view.hosts_by_need(database, first=first, limit=HOSTS + 1)
        shown = [host.host for host in hosts[:HOSTS]]
        names = view.names(database, shown, first=column, limit=NAMES + 1)
        cells = view.cells(database, shown, names[:NAMES])
        needy = [job for job in view.jobs(database, limit=NEEDY) if job.rank < len(view.STATES)]
    return {
        "counts": _counts(known),
        "needy": list(map(_job, needy)),
        "hosts": _table(hosts[:HOSTS], names[:NAMES], cells),
        "names": names[:NAMES],
        "next": str(first + HOSTS) if len(hosts) > HOSTS else None,
        "next_column": str(column + NAMES) if len(names) > NAMES else None,
    }


def _table(hosts: list[Host], names: list[str], jobs: list[Job]) -> list[dict[str, Any]]:
    """Give the hosts with their cells; of a job that two users of a host have the one that stands worse."""
    gravest: dict[tuple[str, str], dict[str, Any]] = {}
    for job in sorted(jobs, key=_gravity, reverse=True):
        gravest[job.host, job.tally.job] = _job(job)
    return [{**_host(host), "cells": [gravest.get((host.host, name)) for name in names]} for host in hosts]


def _gravity(job: Job) -> tuple[int, float]:
    """Give what comes first of a job of two users on one host."""
    found = fleet.states(job)
    return STATES.index(found[0]) if found else len(STATES), -job.tally.ended


def jobs(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give jobs, what fails first, then what is late: ``items``, ``next``, and of one ``host`` what it is.

    ``host`` and ``job`` choose by whole names, ``state`` one of ``view.STATES``.
    """
    host, job, state = (arguments.get(name) or None for name in ("host", "job", "state"))
    if state and state not in view.STATES:
        raise Refused(422, "There is no such state", f"{state}: write one of {', '.join(view.STATES)}")
    limit, after = limit_of(arguments, PAGE), _place(arguments)
    with _asked(around) as database:
        found = view.jobs(database, host=host, job=job, state=state or "", after=after, limit=limit + 1)
        known = view.hosts(database, host) if host else []
        counts = None if host or job else view.counts(database)
    return {
        "items": list(map(_job, found[:limit])),
        "next": json.dumps(found[limit - 1].place) if len(found) > limit else None,
        "host": _host(known[0]) if known else None,
        "counts": _counts(counts) if counts else None,
    }


def hosts(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give hosts, what needs somebody first: ``items``, ``next``; ``q`` is a part of their names."""
    first, limit = offset_of(arguments), limit_of(arguments, PAGE)
    with _asked(around) as database:
        part = str(arguments.get("q") or "").strip() or None
        found = view.hosts_by_need(database, part=part, first=first, limit=limit + 1)
    following = str(first + limit) if len(found) > limit else None
    return {"items": list(map(_host, found[:limit])), "next": following}


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give the runs of all hosts, newest first: ``items``, ``next``.

    ``host``, ``job``, ``failed`` and ``since`` choose.
    """
    asked = Asked(
        host=arguments.get("host") or None,
        job=arguments.get("job") or None,
        failed=bool(arguments.get("failed")),
        since=runs.since_of(arguments),
    )
    limit, before = limit_of(arguments, PAGE), _before(arguments)
    with _asked(around) as database:
        found = view.runs(database, asked, before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return {
        "items": list(map(runs.as_row, found[:limit])),
        "next": json.dumps([last.started, last.run, last.host]) if last else None,
    }


def one(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give all that is known of a run but its output. Refused (404) when there is no such run."""
    found, kept = _the_run(around, arguments)
    known = everything(found, kept)
    del known["output_head"], known["output_tail"]  # ``output`` gives them
    return {**known, **runs.as_row(found), "kept": bool(kept.head or kept.tail)}


def output(around: Surroundings, arguments: Arguments) -> Iterator[Piece | dict[str, Any]]:
    """Give what is kept of a run's output, or of one ``stream`` of it, as ``output.output`` does."""
    found, kept = _the_run(around, arguments)
    yield from pieces_of(found, kept, arguments.get("stream", ""))


def _the_run(around: Surroundings, arguments: Arguments) -> tuple[Run, Kept]:
    run = wanted(arguments, "run")
    with _asked(around) as database:
        found = view.one_run(database, run, arguments.get("host") or None)
    if found is None:
        raise Refused(
            404, "There is no such run in the fleet", "It may have been forgotten, or not been sent."
        )
    return found


# Where a list goes on ---------------------------------------------------------------------------


def _place(arguments: Arguments) -> view.Place | None:
    """Give where a list of jobs goes on. Refused for what was no ``next`` of ours."""
    found = _cursor(arguments)
    if found is None:
        return None
    match found:
        case [int(rank), None, str(job), str(host), str(user)] if rank == len(view.STATES):
            return rank, None, job, host, user
        case [int(rank), float(moment), str(job), str(host), str(user)] if 0 <= rank < len(
            view.STATES
        ) and math.isfinite(moment):
            return rank, moment, job, host, user
    raise NO_CURSOR


def _before(arguments: Arguments) -> view.Before | None:
    """Give where a list of runs goes on. Refused likewise."""
    found = _cursor(arguments)
    if found is None:
        return None
    match found:
        case [float(started), str(run), str(host)] if math.isfinite(started):
            return started, run, host
    raise NO_CURSOR


def _cursor(arguments: Arguments) -> Any:
    text = str(arguments.get("cursor") or "")
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        raise NO_CURSOR from None


# As JSON ----------------------------------------------------------------------------------------


def _counts(known: view.Counts) -> dict[str, Any]:
    found = {name: getattr(known, name) for name in view.Counts.fields()}
    return {**found, "more_late": known.late >= view.COUNTED}


def _host(host: Host) -> dict[str, Any]:
    return {
        **fleet.public_host(host),
        "behind": bool(host.waiting and host.oldest and host.now - host.oldest > BEHIND),
    }


def _job(job: Job) -> dict[str, Any]:
    tally = job.tally
    return {
        **fleet.public(job),
        "words": result_words(tally.result, tally.exit_code, tally.signal),
        "states": list(fleet.states(job)),
        "results": tally.results.split()[-RESULTS:],
    }
