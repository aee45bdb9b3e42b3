"""``cronwrap history``: the runs, newest first."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from cronwrap.commands import views
from cronwrap.commands.views import Cell, Screen
from cronwrap.history.run import Run
from cronwrap.history.runs import runs
from cronwrap.manage import runs as manage
from cronwrap.manage.runs import public
from cronwrap.settings.values import duration as duration_of
from cronwrap.spans import ago, duration

JOB_COLUMNS = 20
"""What a job's name may take of 80 columns."""


def _read_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else duration_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("history")
@click.option("-j", "--job", metavar="NAME", help="Only the runs of this job.")
@click.option("--failed", is_flag=True, help="Only the runs that failed.")
@click.option(
    "--since", metavar="D", callback=_read_duration, help="Only the runs that began in the last D (2h, 7d)."
)
@click.option(
    "-n", "limit", metavar="N", type=click.IntRange(min=1), default=20, help="At most N runs.  [20]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
@click.option("--fleet", "whole_fleet", is_flag=True, help="The runs of all hosts.")
@click.option("--host", metavar="HOST", help="With --fleet: of this host alone.")
@click.pass_context
def command(  # noqa: PLR0913, PLR0917  # one each option
    ctx: click.Context,
    job: str | None,
    failed: bool,
    since: float | None,
    limit: int,
    as_json: bool,
    whole_fleet: bool,
    host: str | None,
) -> None:
    """Show the runs, newest first."""
    settings = ctx.obj.settings()
    if whole_fleet or host is not None:
        from cronwrap.commands.fleet_views import only_with_fleet  # noqa: PLC0415  # for those who have one
        from cronwrap.fleet.view import Asked  # noqa: PLC0415
        from cronwrap.manage import fleet  # noqa: PLC0415

        only_with_fleet(fleet=whole_fleet, host=host)
        first = None if since is None else time.time() - since
        asked = Asked(host=host, job=job, failed=failed, since=first)
        of_all = fleet.runs(settings, asked, limit)
        views.write(
            views.objects(map(public, of_all))
            if as_json
            else lines(Screen(), of_all, time.time(), with_job=job is None, with_host=True)
        )
        return
    bring_up_to_date(settings.state_dir, settings["history.keep"])
    now = time.time()
    first = None if since is None else now - since
    found = runs(settings.state_dir, job=job, failed=failed, since=first, limit=limit)
    if as_json:
        views.write(views.objects(map(public, found)))
    else:
        views.write(lines(Screen(), list(found), now, with_job=job is None))


def bring_up_to_date(state_dir: str, keep: float | None) -> None:
    """Fold what waits in the journal; what stands in the way is said, and the rest is shown all the same."""
    for notice in manage.bring_up_to_date(state_dir, keep):
        views.say(f"cronwrap: {notice}", err=True)


def lines(
    screen: Screen, found: list[Run], now: float, *, with_job: bool, with_host: bool = False
) -> Iterator[str]:
    """Give the lines that people see."""
    if not found:
        yield "no runs"
        return
    heads = ["RUN", "STARTED", "RESULT", "TOOK", *(["JOB"] if with_job else []), "COMMAND"]
    rows = [_row(run, now, with_job=with_job) for run in found]
    if with_host:
        heads.insert(1, "HOST")
        for row, run in zip(rows, found, strict=True):
            row.insert(1, Cell(text=views.fit(views.printable(run.host), JOB_COLUMNS)))
    yield from views.table(screen, heads, rows)


def _row(run: Run, now: float, *, with_job: bool) -> list[Cell]:
    row = [
        Cell(text=run.short, colour=views.DIM),
        Cell(text=ago(now - run.started) + (" by hand" if run.by_hand else "")),
        views.result_cell(run),
        Cell(text="" if run.duration is None else duration(run.duration)),
    ]
    if with_job:
        row.append(Cell(text=views.fit(views.printable(run.job), JOB_COLUMNS)))
    return [*row, Cell(text=run.command)]
