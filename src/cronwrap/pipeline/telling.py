"""Telling of a run that somebody may want to hear of: by its past, to the monitor, the targets, by mail.

A quiet run has no use for any of this.
"""

from __future__ import annotations

from cronwrap import load_also
from cronwrap.errors import StateError
from cronwrap.pipeline.context import judged, policy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.job.signals import Signals
    from cronwrap.model import Verdict
    from cronwrap.past import Past
    from cronwrap.pipeline.context import RunContext, Tries
    from cronwrap.pipeline.notifying import Told
    from cronwrap.report.verdict import Policy
    from cronwrap.settings.load import Settings

    Decide = Callable[[Policy], Verdict]


def tell(run: RunContext, tries: Tries, verdict: Verdict, signals: Signals) -> Verdict:
    """Tell whoever wants to hear of the run, if anybody, and put it on record; give the verdict."""
    policy, past = policy_of(run.settings), None
    recovery = "recovery" in policy.on or (run.settings.notify and "recovery" in _asked_for(run.settings))
    if verdict.failed or verdict.mail or recovery:
        past, fault = _past(run)
        verdict = judged(tries, policy, past)
        tries = tries.replace(faults=(*tries.faults, fault)) if fault else tries
    if tries.ping:
        tries = _tell_monitor(run, tries, verdict, past)
    told: tuple[Told, ...] = ()
    if run.settings.notify:
        events = (*verdict.events, "recovery") if past and past.failures_in_a_row else verdict.events
        told, fault = whom_to_notify(run, events, lambda policy: judged(tries, policy, past))
        tries = tries.replace(faults=(*tries.faults, fault)) if fault else tries
    spoke = tries.outcomes[-1].output.total_bytes
    if verdict.mail or verdict.failed or tries.faults or spoke or tries.told_running or told:
        from cronwrap.pipeline.reporting import Judged, report  # noqa: PLC0415

        report(run, tries, Judged(verdict=verdict, past=past, told=told), signals)
    elif tries.entry:
        from cronwrap.pipeline.run_entry import finish  # noqa: PLC0415

        finish(tries.entry, verdict, tries.outcomes)
    return verdict


def whom_to_notify(run: RunContext, events: tuple[str, ...], decide: Decide) -> tuple[tuple[Told, ...], str]:
    """Give the targets of ``[[notify]]`` that are to be told of events, and what kept us from finding out."""
    if not _asked_for(run.settings) & {*events, "always"}:
        return (), ""  # as a rule: nothing need be loaded
    try:
        from cronwrap.pipeline.notifying import due  # noqa: PLC0415  # for those who have any

        return due(run.settings, policy_of(run.settings), decide), ""
    except Exception as error:  # noqa: BLE001  # a module that has gone: it costs the notification, no more
        return (), f"nobody could be notified: {type(error).__name__}: {error}"


def _asked_for(settings: Settings) -> set[str]:
    """Give the events that the targets of ``[[notify]]`` want to hear of, all together."""
    return {event for _key, _name, on, _jobs in settings.notify for event in on or settings["on"]}


def _tell_monitor(run: RunContext, tries: Tries, verdict: Verdict, past: Past | None) -> Tries:
    try:
        from cronwrap.pipeline.monitor import tell_monitor  # noqa: PLC0415

        tell_monitor(run, tries, verdict, past)
    except Exception as error:  # noqa: BLE001  # it costs the monitor's word, no more
        fault = f"the monitor could not be told of the end: {type(error).__name__}: {error}"
        return tries.replace(faults=(*tries.faults, fault))
    return tries


def _past(run: RunContext) -> tuple[Past | None, str]:
    """Give what is known of the job's earlier runs, or None and the reason why nothing is."""
    try:
        load_also("history")
        from cronwrap.history.past import past  # noqa: PLC0415  # imports `_sqlite3`

        return past(run.settings.state_dir, run.job, run.user), ""
    except StateError as error:
        return None, f"the history could not be asked: {error}"
    except Exception as error:  # noqa: BLE001  # no `_sqlite3`, say: it costs the history, no more
        return None, f"the history could not be asked: {type(error).__name__}: {error}"
