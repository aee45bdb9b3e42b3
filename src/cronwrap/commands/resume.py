"""``cronwrap resume``: a pause ends."""

from __future__ import annotations

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.manage.holding import resume
from cronwrap.manage.known import check_known
from cronwrap.paths import user_name


@click.command("resume")
@click.argument("job", callback=read_job)
@click.pass_context
def command(ctx: click.Context, job: str) -> None:
    """End the pause of a job; say what was skipped. The next mail says so, too."""
    settings = ctx.obj.settings()
    check_known(settings, job)
    views.say(resume(settings.state_dir, job, user_name()))
