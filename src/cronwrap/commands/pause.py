"""``cronwrap pause``: the runs of a job are skipped for a while."""

from __future__ import annotations

import time

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, check_known, ends, one_end
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.pipeline.held_back import until as words


@click.command("pause")
@click.argument("job")
@ends
@click.pass_context
def command(ctx: click.Context, job: str, span: float | None, until: float | None) -> None:
    """Skip the runs of a job until then, or until it is resumed. A run under way goes on."""
    one_end(span, until)
    settings = ctx.obj.settings()
    check_known(settings, job)
    hold = pause(settings.state_dir, job, until or span, asked_by())
    views.say(f"{job} is paused {words(hold)}: its runs are skipped")


def pause(state_dir: str, job: str, until: float | None, by: str) -> Hold:
    """Pause a job; one that is paused already gets another end. StateError when it cannot be written."""
    hold = Hold(kind=holds.PAUSE, job=job, since=time.time(), until=until, by=by)
    try:
        before = holds.read(state_dir, holds.PAUSE, job)
    except (OSError, holds.Damaged):
        before = None
    if before and not before.over(hold.since):
        hold = hold.replace(since=before.since)
    holds.write(state_dir, hold)
    return hold
