"""Every job of a user as it stands, from history, crontabs and holds together: what needs somebody first.

Two steps, so that ten thousand jobs are no trouble: ``standings`` gives each in as little as it takes to
choose and to order them, ``rows`` all that is known of those that are shown.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from cronwrap.crontab.lines import split_input
from cronwrap.history.finding import under_way
from cronwrap.history.lists import Standing, standings, tallies
from cronwrap.history.run import Run
from cronwrap.history.stopping import waiting
from cronwrap.history.tally import Tally, durations
from cronwrap.history.totals import text as storable
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.manage import planned
from cronwrap.manage.planned import Line
from cronwrap.manage.runs import result_words
from cronwrap.paths import user_name
from cronwrap.pipeline.held_back import active
from cronwrap.settings.load import Settings
from cronwrap.text import iso, median, strip

FAILING, LATE, RUNNING, PAUSED, MUTED, UNWRAPPED = STATES = (
    *("failing", "late", "running", "paused", "muted", "unwrapped"),
)
ALIASES = {"missed": LATE}
LAST = len(STATES)
ORDERS = ("attention", "name", "last", "next", "took")
LONGER = 2.0
"""How many times its usual duration a run takes that is said to take long."""
AT_LEAST = 5.0
"""Seconds longer than usual from which on that is worth a word."""


class Job:
    """A job as it stands. Ten thousand are made for a list: what is not known of one costs nothing."""

    last: Standing | None = None
    lines: tuple[Line, ...] = ()
    running: Run | None = None
    waits = False
    """Whether a run waits for its time, or for another to end."""
    pause: Hold | None = None
    mute: Hold | None = None
    missed = False
    next: float | None = None
    states: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def started(self) -> float:
        """Give when its latest run began, 0 when there was none."""
        return max(self.last.started if self.last else 0.0, self.running.started if self.running else 0.0)

    @property
    def wrapped(self) -> bool | None:
        """Give whether a line of its calls cronwrap; None when it has no line here."""
        return any(line.wrapped for line in self.lines) if self.lines else None


class _Found(dict[str, Job]):
    """Jobs by name; one that is asked for and not there yet begins to be."""

    def __missing__(self, name: str) -> Job:
        job = self[name] = Job(name)
        return job


def every(settings: Settings, now: float | None = None) -> tuple[list[Job], str]:
    """Give every job of this user, in no order, and why their crontab cannot be read, or an empty text."""
    now = time.time() if now is None else now
    state_dir = settings.state_dir
    found = _Found()
    for last in standings(state_dir):
        job = found[last.job]
        job.last = last if job.last is None or last.started > job.last.started else job.last
    for run in reversed(under_way(state_dir)):
        found[run.job].running = run
    for fields in waiting(state_dir):
        found[storable(str(fields["job"]))].waits = True
    lines, fault = planned.lines(settings, user_name())
    for line in lines:
        names = line.job or (line.where,)
        name = names[0] if len(names) == 1 else next((one for one in names if one in found), names[0])
        job = found[name]
        job.lines = (*job.lines, line)
    _hold(state_dir, found, now)
    for job in found.values():
        _judge(job, now)
    return list(found.values()), fault


def one(settings: Settings, name: str, now: float | None = None) -> Job | None:
    """Give a job by its name; None when none of that name has run, is held back, or is in the crontab."""
    now = time.time() if now is None else now
    found = Job(name)
    for last in standings(settings.state_dir, name):
        found.last = last if found.last is None or last.started > found.last.started else found.last
    found.running = next((run for run in under_way(settings.state_dir) if run.job == name), None)
    found.waits = any(storable(str(fields["job"])) == name for fields in waiting(settings.state_dir))
    known = found.last or found.running
    for line in planned.lines(settings, user_name())[0]:
        if name in line.job[: None if known else 1] or (not line.job and name == line.where):
            found.lines = (*found.lines, line)
    holding = _Found({name: found})
    _hold(settings.state_dir, holding, now)
    if not (found.last or found.running or found.waits or found.lines or found.pause or found.mute):
        return None
    _judge(found, now)
    return found


def _hold(state_dir: str, found: _Found, now: float) -> None:
    for hold in holds.every(state_dir):
        name = storable(hold.job)
        job = found[name]
        if hold.kind == holds.PAUSE and not hold.over(now):
            job.pause = hold
        elif hold.kind == holds.MUTE and active(state_dir, hold, user_name()):
            job.mute = hold


def _judge(job: Job, now: float) -> None:
    """Find out when a job is due, whether it was missed, and what it falls under."""
    wrapped, missed = None, False
    started = 0.0 if job.running or job.waits else job.started
    for line in job.lines:
        due = planned.times(line, now)
        if due.next is not None and (job.next is None or due.next < job.next):
            job.next = due.next
        if line.wrapped:
            wrapped = True
            missed = missed or bool(started and due.missed(started, now))
        elif wrapped is None:
            wrapped = False
    if missed:
        job.missed = True
    if wrapped and not (missed or job.running or job.pause or job.mute or (job.last and job.last.failures)):
        return  # as nearly all are
    last = job.last
    job.states = (
        *((FAILING,) if last is not None and last.failures else ()),
        *((LATE,) if job.missed else ()),
        *((RUNNING,) if job.running else ()),
        *((PAUSED,) if job.pause else ()),
        *((MUTED,) if job.mute else ()),
        *((UNWRAPPED,) if wrapped is False else ()),
    )


def counts(jobs: Iterable[Job]) -> dict[str, int]:
    """Give how many jobs are in each state."""
    found = dict.fromkeys(STATES, 0)
    for states, number in Counter(job.states for job in jobs).items():
        for state in states:
            found[state] += number
    return found


def chosen(jobs: Iterable[Job], query: str) -> list[Job]:
    """Give the jobs in whose name, command or schedule each word of a query is, whatever its case."""
    wanted = query.lower().split()
    if not wanted:
        return list(jobs)
    return [job for job in jobs if all(word in _searched(job) for word in wanted)]


def _searched(job: Job) -> str:
    return " ".join([job.name, *(f"{line.command} {line.schedule}" for line in job.lines)]).lower()


def ranked(jobs: list[Job], order: str, most: int) -> list[tuple[tuple[Any, ...], Job]]:
    """Give the first jobs in an order, at most so many, each with what it is ordered by."""
    some = jobs
    if order == "attention":  # those that need somebody are before the others, which are many
        some = [job for job in jobs if job.states and job.states != (UNWRAPPED,)]
        if len(some) < most:
            some = jobs
    return sorted(((rank(job, order), job) for job in some), key=itemgetter(0))[:most]


def rank(job: Job, order: str) -> tuple[Any, ...]:
    """Give what jobs are ordered by; of JSON's types, so that the lists of several users can be merged."""
    if order == "name":
        return (job.name.lower(),)
    if order == "last":
        return (-job.started, job.name.lower())
    if order == "next":
        return (job.next is None, job.next or 0.0, job.name.lower())
    if order == "took":
        took = job.last.duration if job.last else None
        return (-(took or 0.0), job.name.lower())
    first = STATES.index(job.states[0]) if job.states else LAST
    if first == 0 and job.mute:  # it is known, and somebody is at it
        first = STATES.index(MUTED)
    return (first if first < LAST - 1 else 2 * LAST - first, job.name.lower())


def rows(settings: Settings, jobs: list[Job], now: float | None = None) -> list[dict[str, Any]]:
    """Give all that a list tells of some jobs, for programs."""
    now = time.time() if now is None else now
    known = tallies(settings.state_dir, [job.name for job in jobs if job.last])
    return [_row(job, known, now) for job in jobs]


def _row(job: Job, known: dict[tuple[str, str], tuple[Tally, str]], now: float) -> dict[str, Any]:
    last = job.last
    tally, command = known.get((last.job, last.user), (None, "")) if last else (None, "")
    tally = tally or Tally(job=job.name, user=user_name())
    usual = durations(tally)
    absent = _missed(job, now)
    running = job.running
    return {
        "user": user_name(),
        "job": job.name,
        "command": _command(job, command),
        "schedule": job.lines[0].schedule if job.lines else None,
        "schedule_words": planned.words(job.lines[0].schedule) if job.lines else None,
        "crontab": job.lines[0].place if job.lines else None,
        "line": job.lines[0].number if job.lines else None,
        "lines": [
            {
                "crontab": line.place,
                "line": line.number,
                "schedule": line.schedule,
                "words": planned.words(line.schedule),
                "wrapped": line.wrapped,
            }
            for line in job.lines
        ],
        "next": iso(job.next),
        "last_result": tally.result or None,
        "last_words": result_words(tally.result, tally.exit_code, tally.signal),
        "last_run": tally.run or None,
        "last_started": iso(tally.started or None),
        "last_ended": iso(tally.ended or None),
        "last_duration": tally.duration,
        "usual_duration": median(usual) if usual else None,
        "failures": tally.failures,
        "failing_since": iso(tally.failing_since),
        "last_success": iso(tally.last_success),
        "running": running.run if running else None,
        "running_since": iso(running.started if running else None),
        "waits": job.waits,
        "paused": job.pause is not None,
        "paused_until": iso(job.pause.until if job.pause else None),
        "paused_by": job.pause.by if job.pause else None,
        "muted": job.mute is not None,
        "muted_until": iso(job.mute.until if job.mute else None),
        "muted_until_ok": bool(job.mute and job.mute.until_ok),
        "muted_by": job.mute.by if job.mute else None,
        "wrapped": job.wrapped,
        "missed": len(absent),
        "missed_since": iso(absent[-1] if absent else None),
        "strip": strip(tuple(tally.results.split())),
        "bars": bars(tally, running, now),
        "states": list(job.states),
    }


def _command(job: Job, known: str) -> str:
    if job.running:
        return job.running.command
    if known or not job.lines:
        return known
    return storable(split_input(job.lines[0].command)[0])


def _missed(job: Job, now: float) -> list[float]:
    if not job.missed:
        return []
    found = {due for line in job.lines if line.wrapped for due in planned.missed(line, job.started, now)}
    return sorted(found, reverse=True)[: planned.COUNTED]


def bars(tally: Tally, running: Run | None, now: float) -> list[tuple[str, float | None]]:
    """Give result and seconds of the last runs, oldest first; of a failure before the last one no seconds."""
    results = tally.results.split()
    took = list(durations(tally))
    found: list[tuple[str, float | None]] = [
        (result, took.pop() if result == "ok" and took else None) for result in reversed(results)
    ]
    if found and found[0][0] != "ok":
        found[0] = (found[0][0], tally.duration)
    found.reverse()
    return [*found, *([("running", now - running.started)] if running else [])]
