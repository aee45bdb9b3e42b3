"""``cronwrap resume``: a pause ends."""

from __future__ import annotations

import time

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import check_known
from cronwrap.errors import StateError
from cronwrap.job import holds
from cronwrap.paths import user_name
from cronwrap.pipeline.held_back import unsaid


@click.command("resume")
@click.argument("job")
@click.pass_context
def command(ctx: click.Context, job: str) -> None:
    """End the pause of a job; say what was skipped. The next mail says so, too."""
    settings = ctx.obj.settings()
    check_known(settings, job)
    views.say(resume(settings.state_dir, job, user_name()))


def resume(state_dir: str, job: str, user: str) -> str:
    """End a pause, and say so; StateError when it cannot be ended."""
    try:
        hold = holds.read(state_dir, holds.PAUSE, job)
    except (OSError, holds.Damaged):
        holds.remove(state_dir, holds.PAUSE, job)
        return f"{job} runs again; what was written down of its pause was damaged"
    if hold is None:
        return f"{job} is not paused"
    try:
        holds.end_pause(state_dir, hold, time.time())
    except StateError:
        holds.remove(state_dir, holds.PAUSE, job)  # a full disk must not keep the job from running
        return f"{job} runs again"
    ended = holds.read(state_dir, holds.PAUSED, job) or hold
    words = unsaid(state_dir, ended, user)
    if not words:
        holds.remove(state_dir, holds.PAUSED, job)
    return f"{job} runs again. {words or 'No run was skipped.'}"
