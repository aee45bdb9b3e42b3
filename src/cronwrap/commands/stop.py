"""``cronwrap stop``: ends a run, its whole tree, as ``--timeout`` would."""

from __future__ import annotations

import os
import time
from functools import partial

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.commands.history import bring_up_to_date
from cronwrap.commands.others import become_owner
from cronwrap.errors import CronwrapError, StateError
from cronwrap.history.finding import find
from cronwrap.manage.runs import result_words
from cronwrap.manage.stopping import lives, stop, the_one, under_way
from cronwrap.paths import user_name
from cronwrap.spans import duration

PAUSE = 0.05
"""Seconds between two looks whether the run has ended."""
PATIENCE = 60.0
"""Seconds for a run to end: ``--kill-after`` is 10 s as a rule, and then nothing is left of it."""


@click.command("stop")
@click.argument("word", callback=read_job, metavar="[RUN|JOB]", required=False)
@click.pass_context
def command(ctx: click.Context, word: str | None) -> None:
    """End a run as --timeout would: SIGTERM to its whole tree, then SIGKILL after its --kill-after.

    The run is the only one that runs now; a job's only one, or the one with RUN in its id.
    """
    settings = ctx.obj.settings()
    state_dir, asker = settings.state_dir, who()
    if not under_way(state_dir, word):
        state_dir = become_owner(partial(_named, word=word), word) or state_dir
    fields = the_one(state_dir, word)
    stop(state_dir, fields, asker)
    run, began = fields["run"], time.monotonic()
    while lives(state_dir, run):
        if time.monotonic() - began > PATIENCE:
            raise CronwrapError(f"run {run} was asked to end, and has not after {duration(PATIENCE)}")
        time.sleep(PAUSE)
    bring_up_to_date(state_dir, settings["history.keep"] if state_dir == settings.state_dir else None)
    try:
        ended = find(state_dir, run)
    except StateError:
        views.say(f"run {run} of {fields['job']} has ended")
        return
    words = result_words(ended.result, ended.exit_code, ended.signal)
    took = "" if ended.duration is None else f" after {duration(ended.duration)}"
    views.say(f"run {run} of {ended.job}: {words}{took}")


def _named(state_dir: str, word: str | None) -> list[tuple[str, str]]:
    return [(fields["run"], fields["job"]) for fields in under_way(state_dir, word)]


def who() -> str:
    """Give who asks: ``by alice (uid 1000)``; with sudo whose shell it is."""
    behind = os.environ.get("SUDO_USER", "") if not os.getuid() else ""
    name = f"{behind} as {user_name()}" if behind and behind.isprintable() else user_name()
    return f"by {name} (uid {os.getuid()})"
