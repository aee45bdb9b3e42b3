"""``cronwrap mute``: a job runs, and mails nothing for a while."""

from __future__ import annotations

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, ends, one_end, read_job
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.manage.holding import mute
from cronwrap.manage.known import check_known
from cronwrap.pipeline.held_back import until as words


@click.command("mute")
@click.argument("job", callback=read_job)
@ends
@click.option("--until-ok", is_flag=True, help="Until it succeeds.")
@click.pass_context
def command(ctx: click.Context, job: str, span: float | None, until: float | None, until_ok: bool) -> None:
    """Let a job run, and mail nothing until then; the first mail after says what was left unsaid."""
    one_end(span, until, until_ok)
    settings = ctx.obj.settings()
    check_known(settings, job)
    hold = Hold(kind=holds.MUTE, job=job, since=0.0, until=until or span, until_ok=until_ok, by=asked_by())
    hold = mute(settings.state_dir, hold)
    views.say(f"{job} is muted {words(hold)}: it runs, and mails nothing")
