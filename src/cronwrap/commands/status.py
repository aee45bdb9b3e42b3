"""``cronwrap status``: a line a job, and the outbox when something waits there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.commands.dead import report_dead
from cronwrap.commands.history import JOB_COLUMNS, bring_up_to_date
from cronwrap.commands.views import Cell, Screen
from cronwrap.errors import CronwrapError, StateError
from cronwrap.history.shipping import Shipping, shipping
from cronwrap.history.tally import durations
from cronwrap.job import use
from cronwrap.job.holds import Hold
from cronwrap.manage.jobs import JobState, public, states
from cronwrap.manage.known import no_such_job
from cronwrap.manage.runs import result_words
from cronwrap.outbox.store import LOUD_AFTER
from cronwrap.outbox.summary import Summary, summary
from cronwrap.pipeline.held_back import unsaid, until
from cronwrap.settings.load import Settings
from cronwrap.spans import ago, count, duration
from cronwrap.text import median, moment, size


@click.command("status")
@click.option(
    "--next", "by_next", is_flag=True, help="Tell when each job of the crontab is due; soonest first."
)
@click.option("--long", "long", is_flag=True, help="Tell the ids of the runs, and what was held back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a job.")
@click.option("--fleet", "whole_fleet", is_flag=True, help="The jobs of all hosts: what fails first.")
@click.option("--host", metavar="HOST", help="With --fleet: of this host alone.")
@click.option(
    "-j", "--job", metavar="NAME", callback=read_job, help="Only this job; with --fleet on all hosts."
)
@click.option(
    "-n", "limit", metavar="N", type=click.IntRange(min=1), help="With --fleet: at most N jobs.  [200]"
)
@click.pass_context
def command(
    ctx: click.Context, /, as_json: bool, by_next: bool, long: bool, whole_fleet: bool, **chosen: Any
) -> None:
    """Show each job: last result, when, how long against its usual, failures in a row; and the outbox.

    Exit with 1 while a job is failing.
    """
    settings = ctx.obj.settings()
    if whole_fleet or chosen["host"] is not None or chosen["limit"] is not None:
        local = by_next or long
        failing = _of_fleet(ctx, as_json=as_json, whole_fleet=whole_fleet, local=local, chosen=chosen)
    else:
        report_dead(ctx.obj, settings)
        found = _of_host(settings, chosen["job"], as_json=as_json, by_next=by_next, long=long)
        failing = any(state.tally.failures for state in found)
    if failing:
        ctx.exit(1)


def _of_host(
    settings: Settings, job: str | None, *, as_json: bool, by_next: bool, long: bool
) -> list[JobState]:
    """Show the jobs of this host and user, or one of them; give them."""
    now = time.time()
    if as_json:
        bring_up_to_date(settings.state_dir, settings["history.keep"])
        found = _asked(states(settings, now, by_next=by_next), job)
        views.write(views.objects(map(public, found)))
        return found
    screen = Screen()
    told, loud = outbox_lines(screen, settings.state_dir)
    if loud:
        views.write(told)
    try:
        bring_up_to_date(settings.state_dir, settings["history.keep"])
        found = _asked(states(settings, now, by_next=by_next), job)
        views.write(lines(screen, found, now, by_next=by_next))
        if long:
            views.write(more(settings.state_dir, found))
    finally:  # a history that cannot be used hides no report that waits
        if not loud:
            views.write(told)
    if settings.fleet:
        views.write(fleet_lines(screen, shipping(settings.state_dir), now))
    return found


def _asked(found: list[JobState], job: str | None) -> list[JobState]:
    if job is None:
        return found
    if one := [state for state in found if state.tally.job == job]:
        return one
    raise CronwrapError(no_such_job(job, {state.tally.job for state in found}))


def _of_fleet(
    ctx: click.Context, *, as_json: bool, whole_fleet: bool, local: bool, chosen: dict[str, Any]
) -> bool:
    """Show the jobs of the fleet; tell whether one of them is failing."""
    from cronwrap.commands import fleet_views  # noqa: PLC0415  # for those who have one

    fleet_views.only_with_fleet(fleet=whole_fleet, host=chosen["host"], n=chosen["limit"])
    if local:
        raise click.UsageError("--next and --long are of this host alone, not of the fleet")
    return fleet_views.status(ctx.obj, as_json=as_json, **chosen)


def fleet_lines(screen: Screen, behind: Shipping, now: float) -> Iterator[str]:
    """Give what is to be said of what the fleet's database does not have yet; nothing when all is well."""
    if words := behind.words(now):
        yield screen.paint(views.printable(f"fleet: {words}; see: cronwrap fleet status"), views.YELLOW)


def more(state_dir: str, found: list[JobState]) -> Iterator[str]:
    """Give what ``--long`` tells of each job below the table."""
    for state in found:
        tally = state.tally
        ids = [f"last run {tally.run}"] if tally.run else []
        ids += [f"running {state.running.run}"] if state.running else []
        if state.pause:
            ids.append(f"paused {until(state.pause)}")
        if state.mute and state.muted:
            ids.append(f"muted {until(state.mute)}")
        ids += [f"next {moment(state.next)}"] if state.next is not None else []
        words = [unsaid(state_dir, hold, tally.user) for hold in (state.pause, state.mute) if hold]
        yield views.printable(f"{tally.job}: {'; '.join((*ids, *filter(None, words))) or 'never ran'}")


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


def outbox_line(screen: Screen, waiting: Summary, *, loud: bool) -> str:
    """Give a line on what waits in the outbox."""
    parts = []
    if waiting.queued:
        waits = "waits" if waiting.queued == 1 else "wait, the oldest"
        parts.append(f"{count(waiting.queued, 'report')} {waits} for {duration(waiting.oldest_age)}")
    if waiting.failed:
        parts.append(f"{count(waiting.failed, 'report')} could not be delivered{waiting.refusing}")
    if waiting.delivered:
        parts.append(f"{count(waiting.delivered, 'delivered report')} cannot be removed")
    why = f" ({views.printable(waiting.last_error)})" if waiting.last_error else ""
    line = f"outbox: {', '.join(parts)}{why}; see: cronwrap outbox list"
    return screen.paint(line, views.RED if loud else views.YELLOW)


def lines(screen: Screen, found: list[JobState], now: float, *, by_next: bool = False) -> Iterator[str]:
    """Give the lines that people see."""
    if not found:
        yield "no job has run yet"
        return
    heads = ("JOB", "RESULT", *(("NEXT",) if by_next else ("ENDED", "TOOK", "USUALLY")), "")
    yield from views.table(screen, heads, [_row(state, now, by_next=by_next) for state in found])


def _row(state: JobState, now: float, *, by_next: bool) -> list[Cell]:
    tally = state.tally
    usual = durations(tally)
    times = [
        Cell(text=ago(now - tally.ended) if tally.run else ""),
        Cell(text="" if tally.duration is None else duration(tally.duration)),
        Cell(text=duration(median(usual)) if usual else ""),
    ]
    if by_next:
        times = [Cell(text="" if state.next is None else ago(now - state.next))]
    result = result_words(tally.result, tally.exit_code, tally.signal) or "never"
    return [
        Cell(text=views.fit(views.printable(tally.job), JOB_COLUMNS)),
        Cell(
            text="" if state.running and not tally.run else result, colour=views.COLOURS.get(tally.result, "")
        ),
        *times,
        Cell(text=", ".join(_remarks(state, now))),
    ]


def _left(hold: Hold, now: float) -> str:
    """Give how long a hold lasts in few columns; ``--long`` has the moment."""
    return until(hold) if hold.until is None else f"for {duration(hold.until - now)}"


def _remarks(state: JobState, now: float) -> Iterator[str]:
    """Give what is to be said of a job besides, what is most urgent first."""
    tally, running = state.tally, state.running
    if state.pause:
        yield f"paused {_left(state.pause, now)}"
    if state.mute:
        yield f"muted {_left(state.mute, now)}" if state.muted else "was muted"
    if tally.failures:
        since = "" if tally.failing_since is None else f" in {duration(now - tally.failing_since)}"
        yield f"{count(tally.failures, 'failure')}{since if tally.failures > 1 else ''}"
    if running:
        yield f"running for {duration(now - running.started)}"
        if uses := use.of_run(running):
            yield f"{size(uses.rss_bytes)} of memory"
            yield f"{duration(uses.cpu_seconds)} of CPU time"
