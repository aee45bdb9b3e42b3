"""What ``status --fleet`` tells of the whole fleet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cronwrap.commands import views
from cronwrap.commands.views import Cell, Screen
from cronwrap.fleet.view import Counts, Job
from cronwrap.manage import fleet
from cronwrap.manage.runs import result_words
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
            raise click.UsageError(f"{'-' if len(name) == 1 else '--'}{name} goes with --fleet")


def status(app: App, *, host: str | None, job: str | None, limit: int | None, as_json: bool) -> bool:
    """Show the jobs of all hosts, what fails first, then what is late; tell whether one is failing."""
    if as_json:
        failures = 0

        def public(job: Job) -> dict[str, Any]:
            nonlocal failures
            failures += job.tally.failures
            return fleet.public(job)

        # They may be a million: each is let go of once it is told.
        every = fleet.every_job(app.settings(), host=host, job=job, limit=limit)
        views.write(views.objects(map(public, every)))
        return failures > 0
    most = limit or JOBS_SHOWN
    found, known = fleet.jobs(app.settings(), host=host, job=job, limit=most + 1)
    views.write(status_lines(Screen(), found[:most], known, more=len(found) > most))
    return any(one.tally.failures for one in found)


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
    result = result_words(tally.result, tally.exit_code, tally.signal) or "never"
    return [
        Cell(text=views.fit(views.printable(job.host), NAME_COLUMNS)),
        Cell(text=views.fit(views.printable(tally.job), NAME_COLUMNS)),
        Cell(
            text="" if job.running and not tally.run else result, colour=views.COLOURS.get(tally.result, "")
        ),
        Cell(text=ago(job.now - tally.ended) if tally.run else ""),
        Cell(text="" if tally.duration is None else duration(tally.duration)),
        Cell(text="" if job.usual is None else duration(job.usual)),
        Cell(text=", ".join(fleet.remarks(job))),
    ]
