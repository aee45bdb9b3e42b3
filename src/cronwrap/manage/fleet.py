"""The fleet as its database knows it: hosts, jobs and runs, what fails first, for programs and for people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cronwrap.errors import ConfigError, StateError
from cronwrap.fleet import view
from cronwrap.fleet.database import connected
from cronwrap.fleet.view import Counts, Host, Job
from cronwrap.history.kept_output import Kept
from cronwrap.history.runs import Run
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings
from cronwrap.spans import ago, count, duration
from cronwrap.text import iso


def in_force(settings: Settings) -> Fleet:
    """Give the fleet as configured; ConfigError when there is none."""
    found = fleet_in_force(settings.paths)
    if found is None:
        raise ConfigError(
            'no fleet is configured: write [fleet] url = "postgresql://…" into the configuration'
        )
    return found


def jobs(settings: Settings, *, host: str | None, job: str | None, limit: int) -> tuple[list[Job], Counts]:
    """Give jobs of all hosts, what fails first, then what is late; and how much there is."""
    with connected(in_force(settings), writing=False) as database:
        return view.jobs(database, host=host, job=job, limit=limit), view.counts(database)


def runs(
    settings: Settings,
    *,
    host: str | None,
    job: str | None,
    failed: bool,
    since: float | None,
    limit: int,
) -> list[Run]:
    """Give the runs of all hosts, newest first; ``since``: those that began so many seconds ago at most."""
    first = None if since is None else time.time() - since
    with connected(in_force(settings), writing=False) as database:
        return view.runs(database, host=host, job=job, failed=failed, since=first, limit=limit)


def find(settings: Settings, word: str | None) -> tuple[Run, Kept]:
    """Give the run of any host that is meant, and its output; without a word the latest."""
    with connected(in_force(settings), writing=False) as database:
        if word is None:
            latest = view.runs(database, host=None, job=None, failed=False, since=None, limit=1)
            if not latest:
                raise StateError("no run is on record in the fleet yet")
            word = latest[0].run
        return view.find(database, word)


def remarks(job: Job) -> Iterator[str]:
    """Give what is to be said of a job besides its last result, the gravest first."""
    if job.late and job.next is not None:
        yield f"late: was due {ago(job.now - job.next)}"
    if job.paused:
        yield "paused" + (f" for {duration(job.paused_until - job.now)}" if job.paused_until else "")
    if job.muted:
        yield "muted"
    if failures := job.tally.failures:
        since = job.tally.failing_since
        told = f" in {duration(job.now - since)}" if since is not None and failures > 1 else ""
        yield f"{count(failures, 'failure')}{told}"
    if job.running:
        yield "running" + (
            "" if job.running_since is None else f" for {duration(job.now - job.running_since)}"
        )


def public(job: Job) -> dict[str, Any]:
    """Give a job for programs, by the names of ``status --json``."""
    tally = job.tally
    return {
        "host": job.host,
        "job": tally.job,
        "user": tally.user,
        "run": tally.run or None,
        "result": tally.result or None,
        "exit_code": tally.exit_code,
        "signal": tally.signal,
        "started": iso(tally.started) if tally.run else None,
        "ended": iso(tally.ended) if tally.run else None,
        "duration": tally.duration,
        "usual_duration": job.usual,
        "failures_in_a_row": tally.failures,
        "failing_since": iso(tally.failing_since),
        "last_success": iso(tally.last_success),
        "running": job.running or None,
        "running_since": iso(job.running_since),
        "paused": job.paused,
        "paused_until": iso(job.paused_until),
        "muted": job.muted,
        "next": iso(job.next),
        "late": job.late,
    }


def public_host(host: Host) -> dict[str, Any]:
    """Give a host for programs."""
    times = ("seen", "oldest", "next")
    known = {name: getattr(host, name) for name in Host.fields() if name != "now"}
    return {name: iso(value) if name in times else value for name, value in known.items()}
