"""``cronwrap unmute``: a mute ends."""

from __future__ import annotations

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.manage.holding import unmute
from cronwrap.manage.known import check_known
from cronwrap.paths import user_name


@click.command("unmute")
@click.argument("job", callback=read_job)
@click.pass_context
def command(ctx: click.Context, job: str) -> None:
    """End the mute of a job; say what was left unsaid. The next mail says so, too."""
    settings = ctx.obj.settings()
    check_known(settings, job)
    views.say(unmute(settings.state_dir, job, user_name()))
