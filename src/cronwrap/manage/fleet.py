"""The fleet as its database knows it: hosts, jobs and runs, what fails first, for programs and for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cronwrap.errors import ConfigError, StateError
from cronwrap.fleet import view
from cronwrap.fleet.database import Database, connected
from cronwrap.fleet.view import Asked, Counts, Host, Job
from cronwrap.history.kept_output import Kept
from cronwrap.history.run import Run
from cronwrap.manage.jobs import of_tally
from cronwrap.manage.listing import FAILING, LATE, MUTED, PAUSED, RUNNING
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings
from cronwrap.spans import ago, count, duration
from cronwrap.text import iso

PART = 1000
"""Jobs that are asked for at a time where all are."""


def in_force(settings: Settings) -> Fleet:
    """Give the fleet as configured; ConfigError when there is none."""
    found = fleet_in_force(settings.paths)
    if found is None:
        raise ConfigError(
            'no fleet is configured: write [fleet] url = "postgresql://…" into the configuration'
        )
    return found


@contextmanager
def opened(settings: Settings, seconds: float | None = None) -> Iterator[Database]:
    """Give a connection to the fleet's database to look at it; each question has ``seconds`` at most."""
    there = in_force(settings)
    if seconds is not None:
        there = there.replace(timeout=min(there.timeout, seconds))
    with connected(there, writing=False) as database:
        yield database


def every_job(settings: Settings, *, host: str | None, job: str | None, limit: int | None) -> Iterator[Job]:
    """Give all jobs, or so many, in the order of ``jobs``, a part at a time: there may be a million."""
    with opened(settings) as database:
        after, left = None, limit
        while left is None or left:
            part = PART if left is None else min(left, PART)
            found = view.jobs(database, host=host, job=job, after=after, limit=part)
            yield from found
            if len(found) < part:
                return
            after, left = found[-1].place, None if left is None else left - part


def jobs(settings: Settings, *, host: str | None, job: str | None, limit: int) -> tuple[list[Job], Counts]:
    """Give jobs of all hosts, what fails first, then what is late; and how much there is."""
    with opened(settings) as database:
        return view.jobs(database, host=host, job=job, limit=limit), view.counts(database)


def runs(settings: Settings, asked: Asked, limit: int) -> list[Run]:
    """Give the runs of all hosts, newest first."""
    with opened(settings) as database:
        return view.runs(database, asked, limit=limit)


def find(settings: Settings, word: str | None) -> tuple[Run, Kept]:
    """Give the run of any host that is meant, and its output; without a word the latest."""
    with opened(settings) as database:
        if word is None:
            latest = view.runs(database, Asked(), limit=1)
            if not latest:
                raise StateError("no run is on record in the fleet yet")
            word = latest[0].run
        return view.find(database, word)


def states(job: Job) -> tuple[str, ...]:
    """Give what a job falls under, the gravest first; the words are those of a host's own list."""
    found = {
        FAILING: job.tally.failures > 0,
        LATE: job.late,
        RUNNING: bool(job.running),
        PAUSED: job.paused,
        MUTED: job.muted,
    }
    return tuple(state for state, holds in found.items() if holds)


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
        **of_tally(tally, job.usual),
        "running": job.running or None,
        "running_since": iso(job.running_since),
        "paused": job.paused,
        "paused_until": iso(job.paused_until),
        "muted": job.muted,
        "schedule": job.schedule or None,
        "next": iso(job.next),
        "late": job.late,
    }


def public_host(host: Host) -> dict[str, Any]:
    """Give a host for programs."""
    times = ("seen", "oldest", "next")
    known = {name: getattr(host, name) for name in Host.fields() if name != "now"}
    return {name: iso(value) if name in times else value for name, value in known.items()}
