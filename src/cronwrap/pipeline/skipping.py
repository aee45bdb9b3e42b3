"""A run that does not take place: put on record, and told of where that is wanted."""

from __future__ import annotations

import os

from cronwrap.exit_status import EXIT_ENDED, EXIT_SIGNAL_BASE, EXIT_SKIPPED
from cronwrap.model import Record
from cronwrap.pipeline import under_way
from cronwrap.pipeline.context import Tries, policy_of
from cronwrap.pipeline.housekeeping import do_for_others
from cronwrap.pipeline.reporting import Judged, report, say
from cronwrap.pipeline.stuck import Stuck
from cronwrap.pipeline.telling import whom_to_notify
from cronwrap.pipeline.tries import on_record
from cronwrap.report.unfinished import skipped, stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.job.signals import Signals
    from cronwrap.job.turn import Turn
    from cronwrap.model import Verdict
    from cronwrap.pipeline.context import RunContext
    from cronwrap.report.verdict import Policy


class Skip(Record):
    """Why a run does not take place."""

    why: str
    interrupted: int
    """The signal that ended its wait, or 0."""
    turn: Turn | None
    """What knows of the runs that are in its way, where that is the reason."""


def skip(run: RunContext, because: Skip, signals: Signals) -> int:
    """Record, and report if that is wanted, a run that does not take place; give the exit status."""
    why, turn = because.why, because.turn
    by = _stopped_by(run) if because.interrupted else ""
    if os.isatty(2):
        say(f"not run: {f'stopped {by}' if by else why}")
    stuck: Stuck | None = None
    if turn and not because.interrupted and run.settings["overlap"] in ("skip", "wait"):
        stuck = Stuck(run, why, turn.in_the_way)

    def decide(policy: Policy) -> Verdict:
        verdict = stopped(by, policy) if by else skipped(why, policy)
        return stuck.verdict(verdict, policy) if stuck else verdict

    verdict = decide(policy_of(run.settings))
    told, fault = whom_to_notify(run, verdict.events, decide)
    faults = [*run.settings.faults, *([fault] if fault else [])]
    entry = on_record(run, faults)
    tries = Tries(outcomes=(), entry=entry, faults=tuple(faults))
    report(run, tries, Judged(verdict=verdict, told=told), signals)
    do_for_others(run, tries.entry, signals, mailed=False)
    if by:
        return EXIT_ENDED
    return EXIT_SIGNAL_BASE + because.interrupted if because.interrupted else EXIT_SKIPPED


def _stopped_by(run: RunContext) -> str:
    """Give who asked for the run's end, or an empty text, also where the state does not answer."""
    try:
        return under_way.stopped_by(run)
    except OSError:
        return ""
