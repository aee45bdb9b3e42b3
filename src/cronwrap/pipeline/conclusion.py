"""The end of a run: judged, reported if that is due, put on record; then what each run does for others."""

from __future__ import annotations

import os

from cronwrap import load_also
from cronwrap.beside import answered
from cronwrap.exit_status import AftermathError
from cronwrap.job.overlap import Guard
from cronwrap.pipeline.context import judged, policy_of
from cronwrap.pipeline.on_demand import on_demand
from cronwrap.pipeline.tries import live, supervise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.job.signals import Signals
    from cronwrap.job.spawn import Begun
    from cronwrap.job.turn import Turn
    from cronwrap.model import Outcome, Verdict
    from cronwrap.pipeline.context import RunContext, Tries
    from cronwrap.pipeline.shared import Fleet


def see_through(
    run: RunContext, begun: Begun, signals: Signals, turn: Turn | None, fleet: Fleet | None
) -> int:
    """Watch the job to its end and see to its report; give its exit status."""
    guard = turn or Guard(run.settings.state_dir, run.job, run.run_id)
    tries = supervise(run, begun, signals, guard, fleet)
    status = tries.outcomes[-1].exit_status
    try:
        if fleet:
            fleet.close()
        _conclude(run, tries, signals, guard)
    except Exception as error:  # whatever is wrong with us, the status is the job's
        if not run.posted:
            _print_output(run, tries, error)
        raise AftermathError(status, told=run.run_id not in run.posted) from error
    return status


def _conclude(run: RunContext, tries: Tries, signals: Signals, guard: Guard) -> None:
    """Judge the run, report it if that is due, put it on record; let the next one go before that."""
    tries = _without_secrets(run, tries)
    last = tries.outcomes[-1]
    if last.error and live(run.settings):
        from cronwrap.pipeline.reporting import say  # noqa: PLC0415

        say(last.error)
    policy = policy_of(run.settings)
    verdict = judged(tries, policy, None)
    loud = verdict.mail or verdict.failed or tries.faults or last.output.total_bytes or tries.told_running
    if loud or tries.ping or run.settings.notify or "recovery" in policy.on:
        load_also("report")
        tries = on_demand("within_reach", run, tries, guard) or tries
        from cronwrap.pipeline.telling import tell  # noqa: PLC0415  # a quiet run has no use for it

        verdict = tell(run, tries, verdict, signals)
    else:
        _end_quietly(run, tries, verdict, guard)
    run.posted.append(run.run_id)  # what is left is for others
    from cronwrap.pipeline.housekeeping import do_for_others  # noqa: PLC0415

    do_for_others(run, tries.entry, signals, mailed=verdict.mail)


def _end_quietly(run: RunContext, tries: Tries, verdict: Verdict, guard: Guard) -> None:
    from cronwrap.pipeline.run_entry import finish  # noqa: PLC0415

    def end() -> None:
        guard.leave()
        if tries.entry:
            finish(tries.entry, verdict, tries.outcomes)

    try:
        answered(run.settings.state_dir, end)
    except TimeoutError as error:
        on_demand("end_late", run, tries, verdict, error)


def _without_secrets(run: RunContext, tries: Tries) -> Tries:
    """Take secrets out of all words that a run is judged and told in; its output follows when it is told."""
    patterns = run.settings["redact.patterns"]
    worded = [o for o in tries.outcomes if o.matched or o.error or o.holders or o.ended_processes]
    if not (worded or patterns):
        return tries
    from cronwrap.pipeline import redacted  # noqa: PLC0415  # a quiet run has no words
    from cronwrap.redact.redactor import redactor  # noqa: PLC0415

    outcomes = tuple(redacted.words(outcome, redactor(patterns)) for outcome in tries.outcomes)
    return tries.replace(outcomes=outcomes, faults=(*tries.faults, *redactor(patterns).faults))


def _print_output(run: RunContext, tries: Tries, error: Exception) -> None:
    """Give what the job said to standard error, for crond: there will be no report."""
    last = tries.outcomes[-1]
    words = f"internal error: {type(error).__name__}: {error}: no report could be made"
    text = last.error or f"{run.command.text} ended with {last.exit_status}"
    said = "; what it said follows" if any(outcome.output.kept for outcome in tries.outcomes) else ""
    parts = [f"cronwrap: {words}: {text}{said}\n".encode(errors="backslashreplace")]
    rest = memoryview(b"".join((*parts, *(_shown(run, outcome) for outcome in tries.outcomes))))
    try:
        while rest:
            rest = rest[os.write(2, rest) :]
    except OSError:
        pass
    if tries.entry:
        tries.entry.withdraw()  # it would be called abandoned


def _shown(run: RunContext, outcome: Outcome) -> bytes:
    """Give what a try said, without its secrets as far as what takes them out is there."""
    try:
        from cronwrap.redact.redactor import redactor  # noqa: PLC0415

        return redactor(run.settings["redact.patterns"]).redact_output(outcome.output).kept
    except Exception:  # noqa: BLE001  # the package has gone: crond would have mailed all of it
        return outcome.output.kept
