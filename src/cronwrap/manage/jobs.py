"""The jobs as they stand: what ran last, what runs, what is held back, what is due."""

from __future__ import annotations

from typing import Any

from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.named import next_time
from cronwrap.history.run import Run
from cronwrap.history.runs import jobs
from cronwrap.history.tally import Tally, durations
from cronwrap.job import holds, use
from cronwrap.job.holds import Hold
from cronwrap.manage.known import in_crontab
from cronwrap.manage.runs import uses
from cronwrap.model import Record
from cronwrap.paths import user_name
from cronwrap.pipeline.held_back import active
from cronwrap.settings.load import Settings
from cronwrap.text import iso, median


class JobState(Record):
    """A job as it stands: its last run, the one under way, what holds it back, when it is due."""

    tally: Tally
    running: Run | None = None
    pause: Hold | None = None
    mute: Hold | None = None
    """Also one that has ended, as long as no mail has said so."""
    muted: bool = False
    next: float | None = None


def states(settings: Settings, now: float, *, by_next: bool = False) -> list[JobState]:
    """Give each job that has run; ``by_next``: those of the crontab that never ran, too, soonest first."""
    state_dir = settings.state_dir
    held = {(hold.kind, hold.job): hold for hold in holds.every(state_dir)}
    found = []
    for tally, running in jobs(state_dir):
        pause, mute = held.get((holds.PAUSE, tally.job)), held.get((holds.MUTE, tally.job))
        muted = mute is not None and active(state_dir, mute, tally.user)
        pause = None if pause and pause.over(now) else pause
        found.append(JobState(tally=tally, running=running, pause=pause, mute=mute, muted=muted))
    if not by_next:
        return found
    due = _due(settings, now)
    user = user_name()
    mine = {state.tally.job for state in found if state.tally.user == user}
    for name in due.keys() - mine:
        pause, mute = held.get((holds.PAUSE, name)), held.get((holds.MUTE, name))
        found.append(JobState(tally=Tally(job=name, user=user), pause=pause, mute=mute, muted=bool(mute)))
    found = [
        state.replace(next=due.get(state.tally.job) if state.tally.user == user else None) for state in found
    ]
    return sorted(found, key=lambda state: (state.next is None, state.next or 0.0, state.tally.job))


def _due(settings: Settings, now: float) -> dict[str, float | None]:
    """Give the jobs of the user's crontabs, and when each is due next, None where that cannot be told."""
    zone, due = host_zone(), dict[str, float | None]()
    for one in in_crontab(settings)[0]:
        if one.names:
            at = next_time(one.job, now, zone)
            known = [one_time for one_time in (at, due.get(one.names[0])) if one_time is not None]
            due[one.names[0]] = min(known, default=None)
    return due


def of_tally(tally: Tally, usual: float | None) -> dict[str, Any]:
    """Give for programs how a job stands by its runs; ``usual`` is how many seconds one usually takes."""
    return {
        "job": tally.job,
        "user": tally.user,
        "run": tally.run or None,
        "result": tally.result or None,
        "exit_code": tally.exit_code,
        "signal": tally.signal,
        "started": iso(tally.started) if tally.run else None,
        "ended": iso(tally.ended) if tally.run else None,
        "duration": tally.duration,
        "usual_duration": usual,
        "failures_in_a_row": tally.failures,
        "failing_since": iso(tally.failing_since),
        "last_success": iso(tally.last_success),
    }


def public(state: JobState) -> dict[str, Any]:
    """Give a job for programs; the run under way has its id in ``running``."""
    tally, running = state.tally, state.running
    usual = durations(tally)
    return {
        **of_tally(tally, median(usual) if usual else None),
        "running": running.run if running else None,
        "uses": uses(use.of_run(running) if running else None),
        "running_since": iso(running.started) if running else None,
        "paused": state.pause is not None,
        "paused_until": iso(state.pause.until) if state.pause else None,
        "muted": state.muted,
        "muted_until": iso(state.mute.until) if state.mute and state.muted else None,
        "muted_until_ok": bool(state.mute and state.muted and state.mute.until_ok),
        "next": iso(state.next),
    }
