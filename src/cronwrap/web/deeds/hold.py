"""A job of a user run now, paused, resumed, muted, unmuted."""

from __future__ import annotations

import time
from typing import Any

from cronwrap.errors import CronwrapError
from cronwrap.history.totals import text as storable
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.manage import holding
from cronwrap.manage.by_hand import find, prepare
from cronwrap.manage.known import check_known
from cronwrap.manage.started import run_of, start
from cronwrap.pipeline.held_back import until as words
from cronwrap.settings.values import duration
from cronwrap.settings.when import moment
from cronwrap.text import iso
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted

PATIENCE = 8.0
"""Seconds in which a run is on record: the shell and the interpreter start, on a machine under load."""
LOOK = 0.3


def run(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Run a job now, as cron would; give the id of its ``run``, None when it has not come yet.

    ``line`` says which, where a job has several.
    """
    job, line = wanted(arguments, "job"), arguments.get("line") or None
    _known(around, job)
    found = find(around.settings, job, str(line) if line else None, "")
    names, began = tuple(map(storable, found.names)), time.time()
    started = start(prepare(found, around.user, around.asker))
    run, ended = None, False
    while run is None and not ended and time.time() - began < PATIENCE:
        ended = started.wait(0)
        run = run_of(around.state_dir, names, began, patience=LOOK)
    if run is None and ended:
        raise Refused(409, "It ended, and no run is on record", started.said.decode("utf-8", "replace"))
    around.after = {"run": run.run if run else None}
    return {"job": job, "run": run.run if run else None}


def pause(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Have a job's runs skipped ``for`` so long, ``until`` then, or until it is resumed."""
    job = _job(around, arguments, holds.PAUSE)
    return _begun(around, holding.pause(around.state_dir, job, _end(arguments), around.asker), "paused")


def resume(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """End a pause; ``said`` tells what was skipped."""
    job = _job(around, arguments, holds.PAUSE)
    return {"job": job, "said": holding.resume(around.state_dir, job, around.user)}


def mute(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Have a job mail nothing ``for`` so long, ``until`` then, ``until_ok``, or until it is unmuted."""
    job = _job(around, arguments, holds.MUTE)
    until_ok, end = bool(arguments.get("until_ok")), _end(arguments)
    if until_ok and end is not None:
        raise Refused(422, "One end alone", "for, until and until_ok exclude each other")
    hold = Hold(kind=holds.MUTE, job=job, since=0.0, until=end, until_ok=until_ok, by=around.asker)
    return _begun(around, holding.mute(around.state_dir, hold), "muted")


def unmute(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """End a mute; ``said`` tells what was left unsaid."""
    job = _job(around, arguments, holds.MUTE)
    return {"job": job, "said": holding.unmute(around.state_dir, job, around.user)}


def _job(around: Surroundings, arguments: Arguments, kind: str) -> str:
    """Give the job that is meant, once it is noted what holds it back before."""
    job: str = wanted(arguments, "job")
    _known(around, job)
    before = holding.held(around.state_dir, kind, job)
    around.before = _as_object(before) if before else None
    return job


def _begun(around: Surroundings, hold: Hold, what: str) -> dict[str, Any]:
    around.after = _as_object(hold)
    return {"job": hold.job, **around.after, "said": f"{hold.job} is {what} {words(hold)}"}


def _known(around: Surroundings, job: str) -> None:
    try:
        check_known(around.settings, job)
    except CronwrapError as error:
        raise Refused(404, "There is no such job", str(error)) from None


def _end(arguments: Arguments) -> float | None:
    """Give when it ends, by ``for`` or ``until``; Refused for both, or for what is no time."""
    span, until = arguments.get("for") or None, arguments.get("until") or None
    if span is not None and until is not None:
        raise Refused(422, "One end alone", "for and until exclude each other")
    try:
        if span is not None:
            seconds = duration(span)
            if not seconds:
                raise Refused(422, "The time is none", f"{span!r} is over already")
            return time.time() + seconds
        return None if until is None else moment(str(until), time.time())
    except ValueError as error:
        raise Refused(422, "The time is none", str(error)) from None


def _as_object(hold: Hold) -> dict[str, Any]:
    return {"until": iso(hold.until), "until_ok": hold.until_ok, "by": hold.by, "since": iso(hold.since)}
