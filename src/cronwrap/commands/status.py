"""``cronwrap status``: a line a job, and the outbox when something waits there."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import click

from cronwrap.commands import views
from cronwrap.commands.history import JOB_COLUMNS, bring_up_to_date
from cronwrap.commands.views import Cell, Screen
from cronwrap.errors import StateError
from cronwrap.history import journal
from cronwrap.history.runs import Run, jobs
from cronwrap.history.tally import Tally, durations
from cronwrap.job import use
from cronwrap.outbox import dispatch
from cronwrap.outbox.store import LOUD_AFTER, Summary, summary
from cronwrap.spans import ago, count, duration
from cronwrap.text import median, size


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a job.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show each job: last result, when, how long against its usual, failures in a row; and the outbox."""
    settings = ctx.obj.settings()
    # A run whose cronwrap died is found here or by the job's next run; whoever finds it reports it.
    if dead := journal.abandoned(settings.state_dir):
        ctx.obj.report_abandoned(dead)
        dispatch.leave_waiter(settings)
    if as_json:
        bring_up_to_date(settings.state_dir, settings["history.keep"])
        views.write(views.objects(itertools.starmap(public, jobs(settings.state_dir))))
        return
    screen = Screen()
    told, loud = outbox_lines(screen, settings.state_dir)
    if loud:
        views.write(told)
    try:
        bring_up_to_date(settings.state_dir, settings["history.keep"])
        views.write(lines(screen, jobs(settings.state_dir), time.time()))
    finally:  # a history that cannot be used hides no report that waits
        if not loud:
            views.write(told)


def outbox_lines(screen: Screen, state_dir: str) -> tuple[list[str], bool]:
    """Give what is to be said of the outbox, and whether it comes before everything else."""
    try:
        waiting = summary(state_dir)
    except StateError as error:
        return [screen.paint(views.printable(str(error)), views.RED)], True
    if waiting is None:
        return [], False
    loud = waiting.oldest_age > LOUD_AFTER or waiting.failed > 0
    return [outbox_line(screen, waiting, loud=loud)], loud


def public(tally: Tally, running: Run | None) -> dict[str, Any]:
    """Give a job for programs; the run under way has its id in ``running``."""
    usual = durations(tally)
    return {
        "job": tally.job,
        "user": tally.user,
        "run": tally.run or None,
        "result": tally.result or None,
        "exit_code": tally.exit_code,
        "signal": tally.signal,
        "started": views.moment(tally.started) if tally.run else None,
        "ended": views.moment(tally.ended) if tally.run else None,
        "duration": tally.duration,
        "usual_duration": median(usual) if usual else None,
        "failures_in_a_row": tally.failures,
        "failing_since": views.moment(tally.failing_since),
        "last_success": views.moment(tally.last_success),
        "running": running.run if running else None,
        "uses": views.uses(use.of_run(running) if running else None),
    }


def outbox_line(screen: Screen, waiting: Summary, *, loud: bool) -> str:
    """Give a line on what waits in the outbox."""
    parts = []
    if waiting.queued:
        waits = "waits" if waiting.queued == 1 else "wait, the oldest"
        parts.append(f"{count(waiting.queued, 'report')} {waits} for {duration(waiting.oldest_age)}")
    if waiting.failed:
        parts.append(f"{count(waiting.failed, 'report')} could not be delivered{waiting.refusing}")
    why = f" ({views.printable(waiting.last_error)})" if waiting.last_error else ""
    line = f"outbox: {', '.join(parts)}{why}; see: cronwrap outbox list"
    return screen.paint(line, views.RED if loud else views.YELLOW)


def lines(screen: Screen, found: list[tuple[Tally, Run | None]], now: float) -> Iterator[str]:
    """Give the lines that people see."""
    if not found:
        yield "no job has run yet"
        return
    heads = ("JOB", "RESULT", "ENDED", "TOOK", "USUALLY", "")
    yield from views.table(screen, heads, [_row(tally, running, now) for tally, running in found])


def _row(tally: Tally, running: Run | None, now: float) -> list[Cell]:
    usual = durations(tally)
    remarks = []
    if tally.failures:
        since = "" if tally.failing_since is None else f" in {duration(now - tally.failing_since)}"
        remarks.append(f"{count(tally.failures, 'failure')}{since if tally.failures > 1 else ''}")
    if running:
        remarks.append(f"running for {duration(now - running.started)}")
        if uses := use.of_run(running):
            remarks.append(f"{size(uses.rss_bytes)} of memory")
            remarks.append(f"{duration(uses.cpu_seconds)} of CPU time")
    return [
        Cell(text=views.fit(views.printable(tally.job), JOB_COLUMNS)),
        Cell(
            text=views.result_words(tally.result, tally.exit_code, tally.signal),
            colour=views.COLOURS.get(tally.result, ""),
        ),
        Cell(text=ago(now - tally.ended) if tally.run else ""),
        Cell(text="" if tally.duration is None else duration(tally.duration)),
        Cell(text=duration(median(usual)) if usual else ""),
        Cell(text=", ".join(remarks)),
    ]
