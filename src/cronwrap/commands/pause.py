"""``cronwrap pause``: the runs of a job are skipped for a while."""

from __future__ import annotations

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, ends, one_end, read_job
from cronwrap.manage.holding import pause
from cronwrap.manage.known import check_known
from cronwrap.pipeline.held_back import until as words


@click.command("pause")
@click.argument("job", callback=read_job)
@ends
@click.pass_context
def command(ctx: click.Context, job: str, span: float | None, until: float | None) -> None:
    """Skip the runs of a job until then, or until it is resumed. A run under way goes on."""
    one_end(span, until)
    settings = ctx.obj.settings()
    check_known(settings, job)
    hold = pause(settings.state_dir, job, until or span, asked_by())
    views.say(f"{job} is paused {words(hold)}: its runs are skipped")
