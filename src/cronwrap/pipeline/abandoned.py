"""Runs whose cronwrap died: told of by the next run of their job, with what they said, and put on record."""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.history.live_output import remove
from cronwrap.history.records import why_abandoned
from cronwrap.history.so_far import so_far
from cronwrap.log import log
from cronwrap.mail import Report
from cronwrap.model import Outcome
from cronwrap.outbox.store import Outbox
from cronwrap.pipeline import held_back, notifying
from cronwrap.pipeline.addressing import addressed, recipients, sender
from cronwrap.pipeline.reporting import PRINTED, environment, post, say
from cronwrap.pipeline.run_entry import ending, write_down
from cronwrap.report.compose import compose
from cronwrap.report.unfinished import abandoned
from cronwrap.report.verdict import ABANDONED, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.history.journal import Entry
    from cronwrap.model import Verdict
    from cronwrap.pipeline.context import RunContext


def report_abandoned(run: RunContext, entries: list[Entry]) -> None:
    """Report the runs of this job whose cronwrap died, as failures, each once, with their output so far."""
    for entry in entries:
        entry.on_end = lambda run_id=entry.fields["run"]: remove(run.settings.state_dir, run_id)
        if entry.end is None:
            _report(run, entry)
        else:
            _complete(run, entry, entry.end)


def _report(run: RunContext, entry: Entry) -> None:
    fields = entry.fields
    why, began = why_abandoned(fields), float(fields["started"])
    verdict = abandoned(why, on=run.settings["on"])
    outcomes = _output_of_the_dead(run, fields)
    silence = held_back.silence(run)
    verdict = silence.applied_to(verdict) if verdict.mail else verdict
    told = not silence.why and _notify(run, fields, why, outcomes)
    mailed = verdict.mail and bool(recipients(run))
    if mailed:
        mailed = _mail(run, fields, verdict, outcomes)
        if silence.over:
            held_back.told(run.settings.state_dir, run.job)
    write_down(entry, ending(began, verdict, outcomes, mailed=mailed, notified=told), outcomes)


def _output_of_the_dead(run: RunContext, fields: dict[str, Any]) -> tuple[Outcome, ...]:
    """Give what a run whose cronwrap died had said, as far as it was put where others can read it."""
    output = so_far(run.settings.state_dir, fields["run"])
    if output is None:
        return ()
    return (Outcome(started=float(fields["started"]), duration=0.0, output=output),)


def _mail(run: RunContext, fields: dict[str, Any], verdict: Verdict, outcomes: tuple[Outcome, ...]) -> bool:
    """Put the mail on its way; give whether it is."""
    began, now = float(fields["started"]), time.time()
    report = Report(
        run_id=fields["run"],
        job=fields["job"],
        command=fields["command"],
        user=fields["user"],
        host=fields["host"],
        sender=sender(run),
        recipients=recipients(run),
        verdict=verdict,
        outcomes=outcomes,
        started=began,
        ended=now,
        duration=max(0.0, now - began),
        by_hand=bool(fields.get("by_hand")),
        environment=environment(),
    )
    return post(run.settings, _identity(fields), addressed(run.settings, compose(report))) != PRINTED


def _identity(fields: dict[str, Any]) -> str:
    return f"{fields['run']}-{ABANDONED}"  # it may have left a report of its own before it died


def _notify(run: RunContext, fields: dict[str, Any], why: str, outcomes: tuple[Outcome, ...]) -> bool:
    """Tell the targets of ``[[notify]]``; give whether there are any."""
    policy = Policy(on=run.settings["on"])
    told = notifying.due(run.settings, policy, lambda policy: abandoned(why, on=policy.on))
    ended = ending(float(fields["started"]), abandoned(why, on=policy.on), outcomes, mailed=False)
    facts = notifying.facts(_identity(fields), {**fields, **ended}, outcomes)
    _prepared, faults = notifying.store(run.settings, told, facts)
    for fault in faults:
        say(fault)
        log(f"{run.job}: {fault}")
    return bool(told)


def _complete(run: RunContext, entry: Entry, end: dict[str, Any]) -> None:
    """Put on record how a run ended that died when its report was to go into the queue, and see it there."""
    try:
        Outbox(run.settings.state_dir).complete(entry.fields["run"])
        entry.finish(end)
    except StateError as error:
        log(str(error))
        entry.release()  # the next run sees to it
