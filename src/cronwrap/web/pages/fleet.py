"""The fleet: what needs somebody, hosts and jobs as a table, one job on all hosts, runs, one run."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cronwrap.spans import ago, count
from cronwrap.web.asking import Asking
from cronwrap.web.deeds.base import Arguments
from cronwrap.web.pages import charts, words
from cronwrap.web.pages.render import address, page
from cronwrap.web.pages.runs import NAMES, alarm, shown

PAGE = 100
RUNS_PAGE = 50
LATEST = 20
"""Runs on the page of a job of a host."""
SILENT = 5
"""Silent hosts that are told of one by one."""
PARTS = (("Overview", ()), ("Jobs", ("jobs",)), ("Hosts", ("hosts",)), ("Runs", ("runs",)))


async def _ask(request: Request, deed: str, arguments: Arguments) -> Any:
    """Have a deed of the fleet done for the visitor, whose settings name the database, and nobody else."""
    asking = Asking(request)
    found = await asking.one(asking.visitor.user, f"fleet.{deed}", arguments)
    request.app.state.fleets[asking.visitor.user] = True
    return found


def _asked(request: Request, *names: str) -> dict[str, str]:
    return {name: request.query_params.get(name, "") for name in names}


def _page(request: Request, template: str, part: str, **context: Any) -> Response:
    parts = [(name, address("fleet", *where), name == part) for name, where in PARTS]
    return page(request, template, parts=parts, **context)


async def overview(request: Request) -> Response:
    """Give the fleet at a glance."""
    at = _asked(request, "cursor", "column")
    found = await _ask(request, "overview", at)
    now = time.time()
    silent = [host for host in found["hosts"] if host["silent"]]
    return _page(
        request,
        "fleet.html",
        "Overview",
        title="Fleet",
        counts=found["counts"],
        chips=_chips(found["counts"], None),
        alarms=[_silence(host, now) for host in silent[:SILENT]],
        more_silent=max(0, found["counts"]["silent"] - SILENT) if len(silent) > SILENT else 0,
        needy=[] if at["cursor"] or at["column"] else [as_row(job, now) for job in found["needy"]],
        hosts=[_host(host, now) for host in found["hosts"]],
        names=[(name, address("fleet", "jobs", job=name)) for name in found["names"]],
        first=address("fleet", column=at["column"]) if at["cursor"] else "",
        following=address("fleet", cursor=found["next"], column=at["column"]) if found["next"] else "",
        first_column=address("fleet", cursor=at["cursor"]) if at["column"] else "",
        next_column=address("fleet", cursor=at["cursor"], column=found["next_column"])
        if found["next_column"]
        else "",
    )


def _chips(counts: dict[str, Any], state: str | None) -> list[dict[str, Any]]:
    """Give the numbers, each leading to what it counts; those that nothing falls under left out.

    ``state`` is what the page shows of them, if it does.
    """
    more = "+" if counts["more_late"] else ""
    found = (
        ("All jobs", "", counts["jobs"], "", address("fleet", "jobs")),
        ("Failing", "bad", counts["failing"], "failing", address("fleet", "jobs", state="failing")),
        ("Late", "late", counts["late"], "late", address("fleet", "jobs", state="late")),
        ("Silent hosts", "bad", counts["silent"], "silent", address("fleet", "hosts")),
    )
    return [
        {
            "name": name,
            "class": kind,
            "count": f"{number:,}{more if which == 'late' else ''}",
            "here": which == state,
            "address": where,
        }
        for name, kind, number, which, where in found
        if number or not kind or which == state
    ]


def _silence(host: dict[str, Any], now: float) -> dict[str, str]:
    """Give what is to be said of a host that has gone silent."""
    seen, due = words.unix(host["seen"]), words.unix(host["next"])
    heard = "It was never heard of" if seen is None else f"It was last heard of {ago(now - seen)}"
    was_due = "" if due is None else f", and its next job was due {ago(now - due)}"
    return {
        "host": host["host"],
        "address": address("fleet", "jobs", host=host["host"]),
        "words": f"{heard}{was_due}.",
    }


def _host(host: dict[str, Any], now: float) -> dict[str, Any]:
    kind, sign, said = ("ok", "✓", "all is well")
    if host["failing"]:
        kind, sign, said = "bad", "✕", f"{count(host['failing'], 'job')} failing"
    if host["silent"]:
        kind, sign, said = "late", "!", "silent"
    skew = host["skew"] or 0.0
    return {
        **host,
        "class": kind,
        "sign": sign,
        "words": said,
        "address": address("fleet", "jobs", host=host["host"]),
        "cells": [_cell(cell, now) if cell else None for cell in host.get("cells", ())],
        "clock": f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}" if abs(skew) >= 1 else "",
    }


def _cell(job: dict[str, Any], now: float) -> dict[str, Any]:
    kind, sign, said = words.state(_as_of_a_host(job))
    ended = words.unix(job["ended"])
    return {
        "class": kind,
        "sign": sign,
        "job": job["job"],
        "words": said + (f", {ago(now - ended)}" if ended is not None else ""),
        "address": address("fleet", "jobs", host=job["host"], job=job["job"]),
    }


def _as_of_a_host(job: dict[str, Any]) -> dict[str, Any]:
    """Give a job as the list of a host has it, so that both are told in the same words."""
    return {
        **job,
        "last_words": job["words"],
        "last_run": job["run"],
        "last_result": job["result"],
        "last_duration": job["duration"],
        "failures": job["failures_in_a_row"],
        "missed": int(job["late"]),
        "missed_since": job["next"],
        "wrapped": True,
        "waits": False,
    }


def as_row(job: dict[str, Any], now: float) -> dict[str, Any]:
    """Give a job of a host with what the page says of it."""
    known = _as_of_a_host(job)
    kind, sign, said = words.state(known)
    return {
        **known,
        "class": kind,
        "sign": sign,
        "words": said,
        "notes": _notes(known, now),
        "strip": charts.strip([(result, None) for result in job["results"]]),
        "address": address("fleet", "jobs", host=job["host"], job=job["job"]),
        "of_job": address("fleet", "jobs", job=job["job"]),
        "of_host": address("fleet", "jobs", host=job["host"]),
        "last_address": address("fleet", "runs", job["run"], host=job["host"]) if job["run"] else "",
    }


def _notes(row: dict[str, Any], now: float) -> list[str]:
    found = words.notes({**row, "paused": False, "muted": False}, now)
    if row["paused"]:
        found.append("paused" + (f" {words.until(row, 'paused', now)}" if row["paused_until"] else ""))
    if row["muted"]:
        found.append("muted: it runs, and mails nothing")
    return found


# Jobs -------------------------------------------------------------------------------------------


async def jobs(request: Request) -> Response:
    """Give jobs: all, those of a host, one on all hosts side by side, or one of a host with its runs."""
    asked = _asked(request, "host", "job", "state")
    cursor = request.query_params.get("cursor", "")
    found = await _ask(request, "jobs", {**asked, "cursor": cursor, "limit": PAGE})
    now = time.time()
    rows = [as_row(job, now) for job in found["items"]]
    longest = max((row["duration"] or 0.0 for row in rows), default=0.0)
    latest = []
    if asked["host"] and asked["job"]:
        wanted = {"host": asked["host"], "job": asked["job"], "limit": LATEST}
        latest = (await _ask(request, "runs", wanted))["items"]
    return _page(
        request,
        "fleet_jobs.html",
        "" if asked["host"] or asked["job"] else "Jobs",
        title=_title(asked),
        asked=asked,
        rows=[{**row, "bar": charts.level(row["duration"], longest, row["class"])} for row in rows]
        if asked["job"]
        else rows,
        chips=_chips(found["counts"], asked["state"]) if found["counts"] else [],
        of=_host(found["host"], now) if found["host"] else None,
        latest=[_run(run) for run in latest],
        of_job=address("fleet", "jobs", job=asked["job"]),
        more_runs=address("fleet", "runs", host=asked["host"], job=asked["job"]),
        first=address("fleet", "jobs", **asked) if cursor else "",
        following=address("fleet", "jobs", **asked, cursor=found["next"]) if found["next"] else "",
    )


def _title(asked: dict[str, str]) -> str:
    if asked["job"] and asked["host"]:
        return f"{asked['job']} on {asked['host']}"
    if asked["job"]:
        return f"{asked['job']} on all hosts"
    return f"Jobs of {asked['host']}" if asked["host"] else "Jobs of all hosts"


async def hosts(request: Request) -> Response:
    """Give the hosts, what needs somebody first."""
    asked, cursor = _asked(request, "q"), request.query_params.get("cursor", "")
    found = await _ask(request, "hosts", {**asked, "cursor": cursor, "limit": PAGE})
    now = time.time()
    return _page(
        request,
        "fleet_hosts.html",
        "Hosts",
        title="Hosts of the fleet",
        asked=asked,
        hosts=[_host(host, now) for host in found["items"]],
        first=address("fleet", "hosts", **asked) if cursor else "",
        following=address("fleet", "hosts", **asked, cursor=found["next"]) if found["next"] else "",
    )


# Runs -------------------------------------------------------------------------------------------


async def runs(request: Request) -> Response:
    """Give the runs of all hosts, newest first."""
    asked = _asked(request, "host", "job", "failed", "since")
    cursor = request.query_params.get("cursor", "")
    wanted = {**asked, "failed": asked["failed"] == "true", "cursor": cursor, "limit": RUNS_PAGE}
    found = await _ask(request, "runs", wanted)
    return _page(
        request,
        "fleet_runs.html",
        "" if asked["host"] or asked["job"] else "Runs",
        title="Runs of " + (_title(asked) if asked["job"] else asked["host"] or "all hosts"),
        asked=asked,
        runs=[_run(run) for run in found["items"]],
        filters=[
            ("All", address("fleet", "runs", **{**asked, "failed": ""}), not asked["failed"]),
            ("Failed", address("fleet", "runs", **{**asked, "failed": "true"}), bool(asked["failed"])),
        ],
        first=address("fleet", "runs", **asked) if cursor else "",
        following=address("fleet", "runs", **asked, cursor=found["next"]) if found["next"] else "",
    )


def _run(run: dict[str, Any]) -> dict[str, Any]:
    return {
        **run,
        "address": address("fleet", "runs", run["run"], host=run["host"]),
        "of_job": address("fleet", "jobs", job=run["job"]),
        "of_host": address("fleet", "jobs", host=run["host"]),
    }


async def one(request: Request) -> Response:
    """Give a run of a host: its output, where it mailed, and what is known of it beside."""
    run, host = request.path_params["run"], request.query_params.get("host", "")
    wanted = {"run": run, "host": host}
    query, stream = (request.query_params.get(name, "") for name in ("q", "stream"))
    stream = stream if stream in NAMES.values() else ""
    found = await _ask(request, "run", wanted)
    asking = Asking(request)
    pieces = asking.stream(asking.visitor.user, "fleet.output", {**wanted, "stream": stream})
    kind, sign = words.of_result(found["result"])
    place = ("fleet", "runs", run)
    return _page(
        request,
        "fleet_run.html",
        "",
        title=f"{found['job']} on {found['host']}: {found['result_words']}",
        run=_run(found),
        kind=kind,
        sign=sign,
        output=await shown(pieces, query, goes_on=False),
        asked={"q": query, "stream": stream, "host": host},
        alarm=alarm(found),
        here=address(*place, host=host),
        streams=[
            (name, address(*place, host=host, q=query, stream=value), stream == value)
            for value, name in (("", "All"), ("stdout", "stdout"), ("stderr", "stderr"))
        ],
        job_address=address("fleet", "jobs", host=found["host"], job=found["job"]),
    )


ROUTES = [
    Route("/fleet", overview),
    Route("/fleet/jobs", jobs),
    Route("/fleet/hosts", hosts),
    Route("/fleet/runs", runs),
    Route("/fleet/runs/{run}", one),
]
