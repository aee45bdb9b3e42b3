"""``cronwrap mute``: a job runs, and mails nothing for a while."""

from __future__ import annotations

import time

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import asked_by, check_known, ends, one_end
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.pipeline.held_back import until as words


@click.command("mute")
@click.argument("job")
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


def mute(state_dir: str, hold: Hold) -> Hold:
    """Mute a job; what an earlier mute left unsaid is told after this one. StateError when it fails."""
    try:
        before = holds.read(state_dir, holds.MUTE, hold.job)
    except (OSError, holds.Damaged):
        before = None
    now = time.time()
    hold = hold.replace(since=before.since if before else now, asked=now)
    holds.write(state_dir, hold)
    return hold
