"""What ``status``, ``history`` and ``show`` tell of the whole fleet (``--fleet``)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cronwrap.commands import views
from cronwrap.commands.views import Cell, Screen
from cronwrap.errors import ConfigError
from cronwrap.fleet import view
from cronwrap.fleet.database import Database, connected
from cronwrap.fleet.view import Counts, Job
from cronwrap.history.kept_output import Kept
from cronwrap.history.runs import Run
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings
from cronwrap.spans import ago, count, duration

if TYPE_CHECKING:
    from cronwrap.commands.cli import App

JOBS_SHOWN = 200
"""Jobs that a person is shown unless more are asked for; a fleet may have a million."""
NAME_COLUMNS = 20


def only_with_fleet(*, fleet: bool, **given: object) -> None:
    """Refuse options that are of the fleet alone."""
    for name, value in given.items():
        if value is not None and not fleet:
            raise click.UsageError(f"--{name} goes with --fleet")


def in_force(settings: Settings) -> Fleet:
    """Give the fleet as configured; ConfigError when there is none."""
    found = fleet_in_force(settings.paths)
    if found is None:
        raise ConfigError(
            'no fleet is configured: write [fleet] url = "postgresql://…" into the configuration'
        )
    return found


def status(app: App, *, host: str | None, job: str | None, limit: int | None, as_json: bool) -> None:
    """Show the jobs of all hosts: what fails first, then what is late."""
    most = limit or JOBS_SHOWN
    with connected(in_force(app.settings()), writing=False) as database:
        found = view.jobs(database, host=host, job=job, limit=most + 1)
        known = view.counts(database)
    if as_json:
        views.write(views.objects(map(public, found if limit is None else found[:limit])))
        return
    views.write(status_lines(Screen(), found[:most], known, more=len(found) > most))


def status_lines(screen: Screen, found: list[Job], known: Counts, *, more: bool = False) -> Iterator[str]:
    """Give the lines that people see."""
    if not found:
        yield "no job is on record in the fleet"
        return
    heads = ("HOST", "JOB", "RESULT", "ENDED", "TOOK", "USUALLY", "")
    yield from views.table(screen, heads, [_row(job) for job in found])
    if more:
        whole = f"{count(known.jobs, 'job')} on {count(known.hosts, 'host')}, {known.failing} failing"
        yield screen.paint(f"{whole}; these are the first {len(found)}: -n shows more", views.DIM)


def _row(job: Job) -> list[Cell]:
    tally = job.tally
    result = views.result_words(tally.result, tally.exit_code, tally.signal) or "never"
    return [
        Cell(text=views.fit(views.printable(job.host), NAME_COLUMNS)),
        Cell(text=views.fit(views.printable(tally.job), NAME_COLUMNS)),
        Cell(
            text="" if job.running and not tally.run else result, colour=views.COLOURS.get(tally.result, "")
        ),
        Cell(text=ago(job.now - tally.ended) if tally.run else ""),
        Cell(text="" if tally.duration is None else duration(tally.duration)),
        Cell(text="" if job.usual is None else duration(job.usual)),
        Cell(text=", ".join(_remarks(job))),
    ]


def _remarks(job: Job) -> Iterator[str]:
    if job.late and job.next is not None:
        yield f"late: was due {ago(job.now - job.next)}"
    if job.paused:
        yield "paused" + (f" for {duration(job.paused_until - job.now)}" if job.paused_until else "")
    if job.muted:
        yield "muted"
    if failures := job.tally.failures:
        since = job.tally.failing_since
        told = f" in {duration(job.now - since)}" if since is not None and failures > 1 else ""
        yield f"{count(failures, 'failure')}{told}"
    if job.running:
        yield "running" + (
            "" if job.running_since is None else f" for {duration(job.now - job.running_since)}"
        )


def public(job: Job) -> dict[str, Any]:
    """Give a job for programs, by the names of ``status --json``."""
    tally = job.tally
    return {
        "host": job.host,
        "job": tally.job,
        "user": tally.user,
        "run": tally.run or None,
        "result": tally.result or None,
        "exit_code": tally.exit_code,
        "signal": tally.signal,
        "started": views.moment(tally.started) if tally.run else None,
        "ended": views.moment(tally.ended) if tally.run else None,
        "duration": tally.duration,
        "usual_duration": job.usual,
        "failures_in_a_row": tally.failures,
        "failing_since": views.moment(tally.failing_since),
        "last_success": views.moment(tally.last_success),
        "running": job.running or None,
        "running_since": views.moment(job.running_since),
        "paused": job.paused,
        "paused_until": views.moment(job.paused_until),
        "muted": job.muted,
        "next": views.moment(job.next),
        "late": job.late,
    }


def history(
    settings: Settings,
    *,
    host: str | None,
    job: str | None,
    failed: bool,
    since: float | None,
    limit: int,
) -> list[Run]:
    """Give the runs of all hosts, newest first; ``since``: those that began so many seconds ago at most."""

    def ask(database: Database) -> list[Run]:
        first = None if since is None else time.time() - since
        return view.runs(database, host=host, job=job, failed=failed, since=first, limit=limit)

    with connected(in_force(settings), writing=False) as database:
        return ask(database)


def find(settings: Settings, word: str | None) -> tuple[Run, Kept]:
    """Give the run of any host that is meant, and its output; without a word the latest."""
    with connected(in_force(settings), writing=False) as database:
        if word is None:
            latest = view.runs(database, host=None, job=None, failed=False, since=None, limit=1)
            word = next(itertools.chain((run.run for run in latest), ("(any)",)))
        return view.find(database, word)
