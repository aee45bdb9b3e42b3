"""``cronwrap unmute``: a mute ends."""

from __future__ import annotations

import time

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import check_known
from cronwrap.errors import StateError
from cronwrap.job import holds
from cronwrap.paths import user_name
from cronwrap.pipeline.held_back import unsaid


@click.command("unmute")
@click.argument("job")
@click.pass_context
def command(ctx: click.Context, job: str) -> None:
    """End the mute of a job; say what was left unsaid. The next mail says so, too."""
    settings = ctx.obj.settings()
    check_known(settings, job)
    views.say(unmute(settings.state_dir, job, user_name()))


def unmute(state_dir: str, job: str, user: str) -> str:
    """End a mute, and say so; StateError when it cannot be ended."""
    try:
        hold = holds.read(state_dir, holds.MUTE, job)
    except (OSError, holds.Damaged):
        holds.remove(state_dir, holds.MUTE, job)
        return f"{job} mails again; what was written down of its mute was damaged"
    if hold is None:
        return f"{job} is not muted"
    now = time.time()
    hold = hold.replace(until=now if hold.until is None else min(now, hold.until))
    words = unsaid(state_dir, hold, user)
    try:
        if words:
            holds.write(state_dir, hold)
        else:
            holds.remove(state_dir, holds.MUTE, job)
    except StateError:
        holds.remove(state_dir, holds.MUTE, job)  # a full disk must not keep it silent
    return f"{job} mails again. {words or 'Nothing was left unsaid.'}"
