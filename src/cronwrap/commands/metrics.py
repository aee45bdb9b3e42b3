"""``cronwrap metrics``: what Prometheus is told of the jobs."""

from __future__ import annotations

import sys

import click

from cronwrap.commands import views
from cronwrap.errors import StateError
from cronwrap.metrics import textfile
from cronwrap.paths import user_name


@click.command("metrics")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print what Prometheus is told of the jobs, as [metrics] textfile has it written after each run."""
    settings = ctx.obj.settings()
    fault = ""
    try:
        text = textfile.whole(settings.state_dir, user_name())
    except StateError as error:
        fault, text = str(error), textfile.without_history(settings.state_dir, user_name())
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()
    if fault:
        views.say(f"cronwrap: {fault}", err=True)
        ctx.exit(1)
