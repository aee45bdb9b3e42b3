"""``cronwrap stop``: ends a run, its whole tree, as ``--timeout`` would."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import Any

import click

from cronwrap.commands import views
from cronwrap.commands.history import bring_up_to_date
from cronwrap.commands.others import become_owner
from cronwrap.errors import CronwrapError, StateError
from cronwrap.history import records, stopping
from cronwrap.history.runs import CANDIDATES, find
from cronwrap.job.procfs import Process, send
from cronwrap.paths import user_name
from cronwrap.spans import duration

PAUSE = 0.05
"""Seconds between two looks whether the run has ended."""
PATIENCE = 60.0
"""Seconds for a run to end: ``--kill-after`` is 10 s as a rule, and then nothing is left of it."""


@click.command("stop")
@click.argument("word", metavar="[RUN|JOB]", required=False)
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
    while _lives(state_dir, run):
        if time.monotonic() - began > PATIENCE:
            raise CronwrapError(f"run {run} was asked to end, and has not after {duration(PATIENCE)}")
        time.sleep(PAUSE)
    bring_up_to_date(state_dir, settings["history.keep"] if state_dir == settings.state_dir else None)
    try:
        ended = find(state_dir, run)
    except StateError:
        views.say(f"run {run} of {fields['job']} has ended")
        return
    words = views.result_words(ended.result, ended.exit_code, ended.signal)
    took = "" if ended.duration is None else f" after {duration(ended.duration)}"
    views.say(f"run {run} of {ended.job}: {words}{took}")


def under_way(state_dir: str, word: str | None) -> list[dict[str, Any]]:
    """Give what is on record of the runs under way that may be meant: by id, by job, by a part of an id."""
    every = [*records.running(state_dir), *stopping.waiting(state_dir)]
    found = every if word is None else []
    for test in (_is_run, _is_job, _has_part):
        if word is not None and not found:
            found = [fields for fields in every if test(fields, word)]
    return found


def _named(state_dir: str, word: str | None) -> list[tuple[str, str]]:
    return [(fields["run"], fields["job"]) for fields in under_way(state_dir, word)]


def the_one(state_dir: str, word: str | None) -> dict[str, Any]:
    """Give what is on record of the run under way that is meant; ``StateError`` unless it is one alone."""
    found = under_way(state_dir, word)
    if not found:
        raise StateError(_nothing(state_dir, word))
    if len(found) > 1:
        names = ", ".join(f"{fields['run']} ({fields['job']})" for fields in found[:CANDIDATES])
        raise StateError(f"{len(found)} runs are under way: {names}; say which: cronwrap stop RUN")
    return found[0]


def _nothing(state_dir: str, word: str | None) -> str:
    if word is None:
        return "no run is under way"
    try:
        ended = find(state_dir, word)
    except StateError as error:
        return str(error)
    words = views.result_words(ended.result, ended.exit_code, ended.signal)
    return f"no run of {ended.job} is under way; the last one, {ended.run}: {words}"


def _is_run(fields: dict[str, Any], word: str) -> bool:
    return bool(fields["run"] == word)


def _is_job(fields: dict[str, Any], word: str) -> bool:
    return bool(fields["job"] == word)


def _has_part(fields: dict[str, Any], word: str) -> bool:
    return word in str(fields["run"])


def stop(state_dir: str, fields: dict[str, Any], asker: str) -> None:
    """Tell a run's cronwrap to end it, and who wants that; ``StateError`` when it cannot be told."""
    run = fields["run"]
    if fields.get("node") != os.uname().nodename:
        raise StateError(f"run {run} is under way on {fields.get('node')}: stop it there")
    try:
        stopping.ask(state_dir, run, asker)
    except OSError as error:
        raise StateError(f"run {run} cannot be told to end: {error.filename}: {error.strerror}") from error
    # The record's lock has just shown that its cronwrap lives; pid and start time that this is the one.
    if fields.get("pid_started"):
        told = send(Process(pid=fields["pid"], started=fields["pid_started"]), signal.SIGTERM)
    else:
        told = _kill(fields["pid"])
    if not told and _lives(state_dir, run):
        stopping.withdraw(state_dir, run)
        raise StateError(f"the cronwrap of run {run} cannot be reached from here: it may be in a container")


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return False
    return True


def _lives(state_dir: str, run: str) -> bool:
    return any(f["run"] == run for f in (*records.running(state_dir), *stopping.waiting(state_dir)))


def who() -> str:
    """Give who asks: ``by alice (uid 1000)``; with sudo whose shell it is."""
    behind = os.environ.get("SUDO_USER", "") if not os.getuid() else ""
    name = f"{behind} as {user_name()}" if behind and behind.isprintable() else user_name()
    return f"by {name} (uid {os.getuid()})"
