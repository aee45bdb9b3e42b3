"""A job held back, and let go: paused and resumed, muted and unmuted."""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.pipeline.held_back import unsaid


def held(state_dir: str, kind: str, job: str) -> Hold | None:
    """Give what holds a job back, or None, also where what was written down of it is damaged."""
    try:
        return holds.read(state_dir, kind, job)
    except (OSError, holds.Damaged):
        return None


def pause(state_dir: str, job: str, until: float | None, by: str) -> Hold:
    """Pause a job; one that is paused already gets another end. StateError when it cannot be written."""
    hold = Hold(kind=holds.PAUSE, job=job, since=time.time(), until=until, by=by)
    before = held(state_dir, holds.PAUSE, job)
    if before and not before.over(hold.since):
        hold = hold.replace(since=before.since)
    holds.write(state_dir, hold)
    return hold


def resume(state_dir: str, job: str, user: str) -> str:
    """End a pause, and say so; StateError when it cannot be ended."""
    try:
        hold = holds.read(state_dir, holds.PAUSE, job)
    except (OSError, holds.Damaged):
        holds.remove(state_dir, holds.PAUSE, job)
        return f"{job} runs again; what was written down of its pause was damaged"
    if hold is None:
        return f"{job} is not paused"
    try:
        holds.end_pause(state_dir, hold, time.time())
    except StateError:
        holds.remove(state_dir, holds.PAUSE, job)  # a full disk must not keep the job from running
        return f"{job} runs again"
    ended = holds.read(state_dir, holds.PAUSED, job) or hold
    words = unsaid(state_dir, ended, user)
    if not words:
        holds.remove(state_dir, holds.PAUSED, job)
    return f"{job} runs again. {words or 'No run was skipped.'}"


def mute(state_dir: str, hold: Hold) -> Hold:
    """Mute a job; what an earlier mute left unsaid is told after this one. StateError when it fails."""
    before, now = held(state_dir, holds.MUTE, hold.job), time.time()
    hold = hold.replace(since=before.since if before else now, asked=now)
    holds.write(state_dir, hold)
    return hold


def unmute(state_dir: str, job: str, user: str) -> str:
    """End a mute, and say so; StateError when it cannot be ended."""
    try:
        hold = holds.read(state_dir, holds.MUTE, job)
    except (OSError, holds.Damaged):
        holds.remove(state_dir, holds.MUTE, job)
        return f"{job} mails again; what was written down of its mute was damaged"
    if hold is None:
        return f"{job} is not muted"
    now = time.time()
    hold = hold.replace(until=now if hold.until is None else min(now, hold.until))
    words = unsaid(state_dir, hold, user)
    try:
        if words:
            holds.write(state_dir, hold)
        else:
            holds.remove(state_dir, holds.MUTE, job)
    except StateError:
        holds.remove(state_dir, holds.MUTE, job)  # a full disk must not keep it silent
    return f"{job} mails again. {words or 'Nothing was left unsaid.'}"
