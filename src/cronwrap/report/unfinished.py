"""Verdicts on runs that did not take place, or did not come to their end.

Apart from ``verdict``, whose rules they share: a run that takes place and ends has no use for them.
"""

from __future__ import annotations

from cronwrap.model import Record, Verdict
from cronwrap.report.verdict import (
    ABANDONED,
    NOT_STARTED,
    OK,
    RUNNING,
    SKIPPED,
    STOPPED,
    STUCK,
    Policy,
    asker,
    decide,
    failure,
)
from cronwrap.spans import count, duration


class InTheWay(Record):
    """A run that keeps others of its job from taking place."""

    run: str
    pid: int
    command: str
    since: str
    """When it began, for people."""
    seconds: float
    """For how long it has run."""


def skipped(reason: str, policy: Policy) -> Verdict:
    """Judge a run that did not take place: the same job still runs, or is paused."""
    verdict = Verdict(
        result=SKIPPED,
        label="skipped",
        headline=f"skipped: {reason}",
        failed=False,
        reasons=(reason,),
        events=("skip",),
    )
    return decide(verdict, policy, None, 0.0)


def missed(what: str, policy: Policy, told_by: str) -> Verdict:
    """Judge what another host of the fleet did not do; ``told_by`` is the one that says so."""
    return _of_another("missed", what, policy, told_by, ("failure",))


def heard_again(what: str, policy: Policy, told_by: str) -> Verdict:
    """Judge what another host of the fleet does again."""
    return _of_another("recovered", what, policy, told_by, ("recovery",))


def _of_another(label: str, what: str, policy: Policy, told_by: str, events: tuple[str, ...]) -> Verdict:
    verdict = Verdict(
        result=NOT_STARTED if label == "missed" else OK,
        label=label,
        headline=what,
        failed=label == "missed",
        events=events,
        notes=(f"Told by {told_by}, a host of the same fleet.",),
    )
    return decide(verdict, policy, None, 0.0)


def still_running(elapsed: float, policy: Policy) -> Verdict:
    """Judge a run that still goes on after so many seconds, as ``--still-running`` asks."""
    verdict = Verdict(
        result=RUNNING,
        label=RUNNING,
        headline=f"still running after {duration(elapsed)}",
        failed=False,
        events=(RUNNING, "failure"),  # whoever is told of failures is told of this
    )
    return decide(verdict, policy, None, 0.0)


def ended_after_all(verdict: Verdict, policy: Policy) -> Verdict:
    """Judge the end of a run of which a mail said that it still runs: good news only for who asks for it."""
    if verdict.failed or "never" in policy.on:
        return verdict
    if "recovery" in policy.on:
        events = tuple(dict.fromkeys((*verdict.events, "recovery")))
        headline = verdict.headline
        if "recovery" not in verdict.events:
            headline = f"recovered, no longer running: {headline}"
        return verdict.replace(
            mail=True, label="recovered", headline=headline, events=events, quiet_reason=""
        )
    if {"success", "always"} & {*policy.on}:
        return verdict
    return verdict.replace(mail=False, quiet_reason="told while it ran (--still-running)")


def stuck(reason: str, policy: Policy, row: int, in_the_way: tuple[InTheWay, ...]) -> Verdict:
    """Judge the run that did not take place and is the one, in a row of skips, that is told as ``stuck``."""
    since = max((run.seconds for run in in_the_way), default=0.0)
    names = ", ".join(f"run {run.run} (pid {run.pid})" for run in in_the_way)
    who = f"{names} in the way for {duration(since)}" if in_the_way else reason
    verdict = Verdict(
        result=SKIPPED,
        label=STUCK,
        headline=f"stuck: {count(row, 'run')} in a row skipped, {who}",
        failed=False,
        reasons=(f"stuck: {names}",),
        events=("skip", STUCK, "failure"),  # whoever is told of failures is told of this
        notes=tuple(
            f"In the way: run {run.run}, pid {run.pid}, since {run.since}: {run.command}"
            for run in in_the_way
        ),
    )
    decided = decide(verdict, policy, None, 0.0)
    return decided.replace(notes=verdict.notes) if decided.mail else decided


def stopped(by: str, policy: Policy) -> Verdict:
    """Judge a run that somebody stopped before it began; ``by`` says who: ``by alice (uid 1000)``."""
    words = f"stopped {by} with cronwrap stop"
    verdict = failure(STOPPED, "stopped", f"stopped {asker(by)} before it began", words)
    return decide(verdict.replace(events=("failure",)), policy, None, 0.0)


def not_run(reason: str, policy: Policy) -> Verdict:
    """Judge a run that cronwrap did not come to start."""
    verdict = failure(NOT_STARTED, "not started", f"not started: {reason}", reason)
    return decide(verdict.replace(events=("failure",)), policy, None, 0.0)


def abandoned(reason: str, on: tuple[str, ...]) -> Verdict:
    """Judge a run whose cronwrap died before it could report; ``on`` as in ``Policy``."""
    verdict = failure(ABANDONED, "abandoned", f"abandoned: {reason}", reason)
    return decide(verdict.replace(events=("failure",)), Policy(on=on), None, 0.0)
