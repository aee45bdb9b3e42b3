"""A job started by hand in a process of its own, which outlives whoever asked; and the id of its run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable

from cronwrap.crontab.named import NamedJob
from cronwrap.crontab.store import this_program
from cronwrap.errors import CronwrapError, StateError
from cronwrap.history import records, stopping
from cronwrap.history.lists import page
from cronwrap.history.runs import fold
from cronwrap.history.totals import text as storable
from cronwrap.manage.by_hand import find, prepare
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings

PATIENCE = 8.0
"""Seconds in which a run has an id: the shell and the interpreter start, on a machine under load."""
PAUSE = 0.02
LATEST = 20
"""Runs among which one that has ended meanwhile is looked for."""


def start(settings: Settings, job: str, line: str | None, by: str) -> str:
    """Run a job of the crontab now, as cron would; give the id of its run, empty when none came in time.

    CronwrapError when there is no such job, or more than one line is meant.
    """
    found = find(settings, job, line, "")
    prepare(found, user_name(), by)  # what is wrong is said here, and not where nobody listens
    began = time.time()
    launch(["run", "--line", found.line])
    return _run_of(settings, found, began)


def launch(words: list[str]) -> subprocess.Popen[bytes]:
    """Start ``cronwrap WORDS`` in a session of its own, listened to by nobody."""
    program = this_program()
    if program is None:
        raise CronwrapError("the program cronwrap is not on the PATH here")
    try:
        return subprocess.Popen(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")},
        )
    except OSError as error:
        raise CronwrapError(f"{program} cannot be started: {error.strerror}") from None


def _run_of(settings: Settings, found: NamedJob, began: float) -> str:
    """Give the id of the first run by hand of a job since a time."""
    names = set(map(storable, found.names))
    while time.time() - began < PATIENCE:
        fields = [*records.running(settings.state_dir), *stopping.waiting(settings.state_dir)]
        begun = [
            (one["started"], one["run"], one["job"])
            for one in fields
            if one.get("by_hand") and one["started"] >= began
        ]
        if run := _first(begun, names):
            return run
        try:
            fold(settings.state_dir)
            ended = page(settings.state_dir, since=began, limit=LATEST)
            if run := _first(((one.started, one.run, one.job) for one in ended if one.by_hand), names):
                return run
        except StateError:
            pass  # a run is seen while it lasts all the same
        time.sleep(PAUSE)
    return ""


def _first(runs: Iterable[tuple[float, str, str]], names: set[str]) -> str:
    fitting = [(started, run) for started, run, job in runs if not names or storable(job) in names]
    return min(fitting)[1] if fitting else ""
