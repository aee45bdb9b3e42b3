"""Runs under way that a person wants to end: which may be meant, and the one told."""

from __future__ import annotations

import os
import signal
from typing import Any

from cronwrap.errors import StateError
from cronwrap.history import records, stopping
from cronwrap.history.finding import CANDIDATES, find
from cronwrap.job.procfs import Process, send
from cronwrap.manage.runs import result_words


def under_way(state_dir: str, word: str | None) -> list[dict[str, Any]]:
    """Give what is on record of the runs under way that may be meant: by id, by job, by a part of an id."""
    every = [*records.running(state_dir), *stopping.waiting(state_dir)]
    found = every if word is None else []
    for test in (_is_run, _is_job, _has_part):
        if word is not None and not found:
            found = [fields for fields in every if test(fields, word)]
    return found


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
    words = result_words(ended.result, ended.exit_code, ended.signal)
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
    if not told and lives(state_dir, run):
        stopping.withdraw(state_dir, run)
        raise StateError(f"the cronwrap of run {run} cannot be reached from here: it may be in a container")


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return False
    return True


def lives(state_dir: str, run: str) -> bool:
    """Tell whether a run is under way, or waits for its time."""
    return any(f["run"] == run for f in (*records.running(state_dir), *stopping.waiting(state_dir)))
