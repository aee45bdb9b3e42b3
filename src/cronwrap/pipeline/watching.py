"""Mails about other hosts of the fleet: a job that did not start, a host gone silent, and both well again."""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterator

from cronwrap.address import fallback
from cronwrap.log import log
from cronwrap.mail import Report
from cronwrap.model import Command
from cronwrap.outbox.store import Outbox
from cronwrap.pipeline.addressing import addressed, recipients, sender
from cronwrap.pipeline.context import new_run
from cronwrap.report.compose import compose
from cronwrap.report.unfinished import heard_again, missed
from cronwrap.report.verdict import Policy
from cronwrap.spans import ago
from cronwrap.text import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.fleet.watch import Alarm
    from cronwrap.pipeline.context import RunContext
    from cronwrap.settings.load import Settings

HOST_ITSELF = "(host)"
"""Stands for the job in a mail about a host."""


def tell(settings: Settings, alarms: list[Alarm]) -> None:
    """Store a mail for each; StateError when one cannot be. Each has the same name whoever tells it."""
    run = new_run(Command(argv=("cronwrap",), text="cronwrap fleet"), settings)
    box = Outbox(settings.state_dir)
    for alarm in alarms:
        log(f"{alarm.host}: {words(alarm, time.time())}")
        if to := recipients(run):
            box.store(_identity(alarm), addressed(settings, compose(_report(run, alarm, to))), time.time())


def words(alarm: Alarm, now: float) -> str:
    """Give what has happened in one line."""
    due = moment(alarm.due)
    seen = f"last heard of {ago(now - alarm.seen)}" if alarm.seen else "never heard of"
    if alarm.what == "silent":
        return f"the host has gone silent: its next job was due at {due}, {seen}"
    if alarm.what == "heard":
        since = f"it had been silent since a job was due at {due}"
        return f"the host is heard of again: {since}; what was due meanwhile may not have run"
    said = " and ".join(alarm.schedule.split("\n")) or "its crontab"
    if alarm.what == "ran":
        return f"the job has started again: it had not when {said} was due at {due}"
    return f"the job did not start when {said} was due at {due}; its host is up, {seen}"


def _report(run: RunContext, alarm: Alarm, to: tuple[str, ...]) -> Report:
    now = time.time()
    judge = missed if alarm.what in ("missed", "silent") else heard_again
    return Report(
        run_id=_identity(alarm),
        job=alarm.job or HOST_ITSELF,
        command=alarm.job or "(the host itself)",
        user=alarm.user_name or run.user,
        host=alarm.host,
        sender=sender(run) or fallback(run.user, run.host),
        recipients=to,
        verdict=judge(words(alarm, now), Policy(on=("always",)), told_by=run.host),
        outcomes=(),
        started=alarm.due,
        ended=now,
        duration=0.0,
        environment=dict(os.environ),
        facts=tuple(_facts(alarm, now)),
    )


def _facts(alarm: Alarm, now: float) -> Iterator[tuple[str, str]]:
    if alarm.job:
        yield "job", alarm.job
    yield "host", alarm.host
    if alarm.job:
        yield "user", alarm.user_name
        yield "crontab says", " and ".join(alarm.schedule.split("\n")) or "nothing any more"
    yield "was due", moment(alarm.due)
    yield "last heard of", f"{moment(alarm.seen)}, {ago(now - alarm.seen)}" if alarm.seen else "never"
    yield "more", f"cronwrap status --fleet --host {shlex.quote(alarm.host)}"


def _identity(alarm: Alarm) -> str:
    known = f"{alarm.host}\0{alarm.user_name}\0{alarm.job}\0{alarm.due:.0f}"
    return f"{alarm.what}-{hashlib.sha256(known.encode(errors='surrogateescape')).hexdigest()[:24]}"
