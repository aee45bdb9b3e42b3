"""A run from the command line to the exit status: the whole of cronwrap's main job on one page."""

from __future__ import annotations

import os
import time

from cronwrap.errors import EXIT_ENDED, EXIT_SIGNAL_BASE, EXIT_SKIPPED, AftermathError, StateError
from cronwrap.job.signals import Signals
from cronwrap.job.spawn import Start, execute
from cronwrap.job.supervise import Limits, Supervisor
from cronwrap.job.terminal import watched
from cronwrap.lock import PATIENCE, Beside
from cronwrap.paths import home
from cronwrap.pipeline.context import (
    BY_HAND,
    RunContext,
    Tries,
    has_pythons_locale,
    mark,
    may_be_paused,
    new_run,
    unmark,
)
from cronwrap.settings.command_line import job_shell
from cronwrap.settings.load import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.channels.ping import Ping
    from cronwrap.history.journal import Entry
    from cronwrap.job.overlap import Guard
    from cronwrap.job.publisher import Publisher
    from cronwrap.model import Command, Outcome, Output, Past, Verdict
    from cronwrap.pipeline.notifying import Told
    from cronwrap.pipeline.shared import Fleet
    from cronwrap.report.verdict import Policy
    from cronwrap.settings.command_line import Invocation
    from cronwrap.settings.load import Settings

    Decide = Callable[[Policy], Verdict]


def main(invocation: Invocation) -> int:
    """Run a command as the command line says; give the exit status.

    Until the job has started, whatever is wrong with us has it run unwatched; from then on nothing costs
    its status, its output or its report.
    """
    command = invocation.command(os.environ)
    signals: Signals | None = None
    try:
        settings = load(invocation.flags, os.environ.copy(), command.text, lean=True)
        run = new_run(command, settings)
        signals = Signals(terminal=watched())
    except Exception as error:  # noqa: BLE001  # no descriptor, no memory, a bug: nothing keeps a job from running
        return _unwatched(_start_without_settings(invocation, command), signals, error)
    if settings["dry-run"]:
        from cronwrap.pipeline.reporting import rehearse  # noqa: PLC0415

        if settings["jitter"] and (number := _under_way("wait_for_its_time", run, signals)):
            return EXIT_SIGNAL_BASE + int(number)
        return rehearse(run, supervise(run, signals, None), _policy(settings))
    fleet: Fleet | None = None
    if settings["once"] or settings["scope"] != "host":
        fleet, run = _shared(run, signals)
        if fleet and fleet.why_not:
            return _skipped(run, fleet.why_not, signals, fleet.interrupted)
    if settings["jitter"] and (number := _under_way("wait_for_its_time", run, signals)):
        why = f"signal {number} came while it waited for its time (--jitter)"
        return _skipped(run, why, signals, number)
    return _alone(run, signals, fleet)


def _alone(run: RunContext, signals: Signals, fleet: Fleet | None) -> int:
    """Run the job unless it is paused, or another run of it is in the way; give the exit status."""
    settings = run.settings
    try:
        from cronwrap.job.overlap import Guard  # noqa: PLC0415

        guard = Guard(settings.state_dir, run.job, run.run_id)
        guard.waits = lambda: _under_way("place", run)
        pause = ""
        if may_be_paused(run, guard.name):
            from cronwrap.pipeline.held_back import paused  # noqa: PLC0415  # rare

            pause, fault = paused(settings.state_dir, run.job)
            run = run.replace(settings=settings.replace(faults=(*settings.faults, fault))) if fault else run
        why = pause
        if not pause and settings["overlap"] != "allow":
            why = guard.enter(settings["overlap"], settings["overlap-wait"], signals)
            if fleet and not why and settings["scope"] == "fleet":
                run = fleet.lease(run, signals)
                why, guard.interrupted = fleet.why_not, fleet.interrupted
    except Exception as error:  # noqa: BLE001  # as above; overlap has to stand back behind the job
        return _unwatched(_start(run), signals, error)
    if why:
        return _skipped(run, why, signals, guard.interrupted, None if pause else guard)
    return _watched(run, signals, guard, fleet)


def _shared(run: RunContext, signals: Signals) -> tuple[Fleet | None, RunContext]:
    """Give a run's word with the fleet, and the run as the fleet has it; what fails here costs no more."""
    try:
        from cronwrap.pipeline.shared import shared  # noqa: PLC0415  # for those who share their jobs

        return shared(run, signals)
    except Exception as error:  # noqa: BLE001  # a module that has gone: the job runs, and its record says so
        return None, run.replace(note=f"the fleet was not asked: {type(error).__name__}: {error}")


def _watched(run: RunContext, signals: Signals, guard: Guard, fleet: Fleet | None) -> int:
    """Run the job and see to its report; give its exit status."""
    try:
        tries = supervise(run, signals, guard, fleet)
    except NotStartedError as error:
        unmark(run)
        return _unwatched(error.start, signals, error.__cause__ or error)
    status = tries.outcomes[-1].exit_status
    try:
        guard.leave()
        if fleet:
            fleet.close()
        conclude(run, tries, signals)
    except Exception as error:  # whatever is wrong with us, the status is the job's
        if not run.posted:
            _print_output(run, tries, error)
        raise AftermathError(status, told=run.run_id not in run.posted) from error
    return status


def _start(run: RunContext) -> Start:
    return Start(
        command=run.command,
        environment=job_environment(run.run_id, run.settings.password_variables, run.fence),
        chdir=_directory(run.settings["chdir"] or ""),
        nice=run.settings["nice"],
    )


class NotStartedError(Exception):
    """The job could not be started for a cause of ours; it is yet to run."""

    def __init__(self, start: Start) -> None:
        super().__init__("the job could not be started")
        self.start = start


def _start_without_settings(invocation: Invocation, command: Command) -> Start:
    return Start(
        command=command,
        environment=job_environment(""),
        chdir=_directory(invocation.flags.get("chdir") or ""),
        nice=invocation.flags.get("nice"),
    )


def _unwatched(start: Start, signals: Signals | None, why: object) -> int:
    try:
        from cronwrap.job.unwatched import become  # noqa: PLC0415  # rare
    except Exception as error:  # noqa: BLE001  # no descriptor left, not even for that
        os.write(
            2, f"cronwrap: the job runs, but nobody watches it: {why}; {error}\n".encode(errors="replace")
        )
        execute(start)
    return become(start, signals, why)


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


def supervise(run: RunContext, signals: Signals, guard: Guard | None, fleet: Fleet | None = None) -> Tries:
    """RunContext the job, again after a failure as far as ``--retries`` goes; put it on record meanwhile."""
    settings = run.settings
    start = _start(run)
    outcomes: list[Outcome] = []
    entry: Entry | None = None
    publisher: Publisher | None = None
    faults = [*settings.faults, *([guard.fault] if guard and guard.fault else [])]
    delay = settings["retry-delay"]
    ping = _ping(run, faults) if guard else None
    still = _Still(run)
    if guard:
        mark(run)
    while True:
        supervisor, why_not = _spawned(start, _limits(settings, still.left()), signals)
        if why_not and not outcomes and guard:
            raise NotStartedError(start) from why_not
        # The job runs: what is loaded and written from here on costs it nothing, and nobody waits for it.
        record = _OnRecord(run, guard, entry, faults)
        if guard:
            supervisor.end_asked = lambda: _under_way("asked_by", run, guard) or ("", "")
        supervisor.publisher = publisher
        supervisor.on_long_run = record.settle(outcomes, publisher)
        supervisor.on_still_running = still.tell
        supervisor.lease = fleet if fleet and fleet.holds else None
        try:
            outcomes.append(supervisor.watch())
        except Exception as error:  # noqa: BLE001  # a bug, a module that has gone: the job goes on
            outcomes.append(supervisor.rescue(error))
        entry, publisher = record.entry(), supervisor.publisher
        faults += [remark for remark in supervisor.remarks if remark not in faults]
        if len(outcomes) > settings["retries"] or not _again(run, outcomes[-1], supervisor.asked_to_end):
            break
        if fleet.wait(delay, signals) if fleet else signals.wait(delay):
            outcomes[-1] = _under_way("asked_while_it_waited", run, outcomes[-1]) or outcomes[-1]
            break
        delay *= 2
    if guard and not entry:
        unmark(run)
    if publisher or outcomes[-1].ended_by:
        _under_way("leave", run, publisher, entry, outcomes[-1])
    faults += [fleet.fault] if fleet and fleet.fault else []
    told = still.told()
    return Tries(outcomes=tuple(outcomes), entry=entry, faults=tuple(faults), ping=ping, told_running=told)


class _Still:
    """Telling, once in a run, that it still goes on: ``--still-running``, over all its tries."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._began = time.monotonic()
        self._due = run.settings["still-running"]
        self._word = -1
        """The end of a pipe in which the child says that its mail is stored."""

    def left(self) -> float | None:
        """Give the seconds until it is due, None when it never is, or not any more."""
        return None if self._due is None else max(0.0, self._began + self._due - time.monotonic())

    def tell(self, output: Callable[[], Output]) -> int:
        """Tell it in a process of its own; give its pid."""
        elapsed = time.monotonic() - self._began
        self._due = None
        from cronwrap.pipeline.still_running import tell  # noqa: PLC0415  # rare

        pid, self._word = tell(self._run, _policy(self._run.settings), elapsed, output)
        return pid

    def told(self) -> bool:
        """Say whether a mail that told it is stored."""
        if self._word < 0:
            return False
        try:
            return os.read(self._word, 1) == b"1"
        except OSError:
            return False  # it is at it, or hangs: the end is told as if it were not
        finally:
            os.close(self._word)


def _spawned(start: Start, limits: Limits, signals: Signals) -> tuple[Supervisor, Exception | None]:
    """Start the job; give who watches it, and None or why it could not be started for a cause of ours."""
    supervisor = Supervisor(start, limits, signals)
    try:
        return supervisor, supervisor.spawn()
    except Exception as error:  # noqa: BLE001  # nothing is raised once there is a process
        return supervisor, error


class _OnRecord:
    """A run's way onto the record while its job runs: in a thread, for a disk may be slow, or not answer."""

    def __init__(self, run: RunContext, guard: Guard | None, entry: Entry | None, faults: list[str]) -> None:
        self._run, self._guard, self._entry, self._faults = run, guard, entry, faults
        self._begun = Beside(self._begin, _withdraw) if guard and not entry else None
        self._settled: Beside | None = None

    def _begin(self) -> Entry | None:
        if self._guard and self._run.settings["overlap"] == "allow":
            self._guard.join()
        return _begin(self._run, self._faults)

    def settle(
        self, earlier: list[Outcome], publisher: Publisher | None
    ) -> Callable[[set[int]], Publisher | None]:
        """Give what makes ready for a job that takes its time, once it has outlived its first second."""

        def note(others: set[int]) -> Publisher | None:
            self._settled = Beside(self._settle)
            return publisher or (_under_way("publish", self._run, earlier, others) if self._guard else None)

        return note

    def _settle(self) -> None:
        from cronwrap.pipeline.run_entry import settle_in  # noqa: PLC0415

        self._await()
        self._faults += settle_in(self._entry)
        if self._entry and self._run.settings.fleet:
            from cronwrap.pipeline.housekeeping import wake_shipper  # noqa: PLC0415  # for those who have one

            wake_shipper(self._run.settings)
        if self._entry and self._run.settings["metrics.textfile"]:
            from cronwrap.pipeline.housekeeping import show  # noqa: PLC0415  # for those who want it

            show(self._run, self._entry, lean=True)

    def entry(self) -> Entry | None:
        """Give the run's place on record, or None, and the reason as a fault."""
        try:
            if self._settled:
                self._settled.wait(2 * PATIENCE)
            else:
                self._await()
        except Exception as error:  # noqa: BLE001  # a module that has gone, say: the job runs
            self._faults.append(f"this run is not safely on record: {error}")
        return self._entry

    def _await(self) -> None:
        begun, self._begun = self._begun, None
        if begun:
            self._entry = begun.wait()


def _under_way(what: str, *about: Any) -> Any:
    """Give what a function of ``pipeline.under_way`` gives, or None: a module that has gone costs no more."""
    try:
        from cronwrap.pipeline import under_way  # noqa: PLC0415  # rare

        return getattr(under_way, what)(*about)
    except Exception:  # noqa: BLE001  # it is what people look on with, and end runs: the job does without
        return None


def _withdraw(entry: Entry | None) -> None:
    if entry:
        entry.withdraw()


def conclude(run: RunContext, tries: Tries, signals: Signals) -> None:
    """Judge the run, report it if that is due, put it on record."""
    tries = _without_secrets(run, tries)
    last = tries.outcomes[-1]
    if last.error and _live(run.settings):
        from cronwrap.pipeline.reporting import say  # noqa: PLC0415

        say(last.error)
    policy = _policy(run.settings)
    verdict = _judged(tries, policy, None)
    past: Past | None = None
    recovery = "recovery" in policy.on or (run.settings.notify and "recovery" in _asked_for(run.settings))
    if verdict.failed or verdict.mail or recovery:
        past, fault = _past(run)
        verdict = _judged(tries, policy, past)
        tries = tries.replace(faults=(*tries.faults, fault)) if fault else tries
    if run.note:
        verdict = verdict.replace(reasons=(*verdict.reasons, run.note))
    if tries.ping:
        tries = _tell_monitor(run, tries, verdict, past)
    told: tuple[Told, ...] = ()
    if run.settings.notify:
        events = (*verdict.events, "recovery") if past and past.failures_in_a_row else verdict.events
        told, fault = _whom_to_notify(run, events, lambda policy: _judged(tries, policy, past))
        tries = tries.replace(faults=(*tries.faults, fault)) if fault else tries
    if (
        verdict.mail
        or verdict.failed
        or tries.faults
        or last.output.total_bytes
        or tries.told_running
        or told
    ):
        from cronwrap.pipeline.reporting import Judged, report  # noqa: PLC0415  # a quiet run has no use for it

        report(run, tries, Judged(verdict=verdict, past=past, told=told), signals)
    elif tries.entry:
        from cronwrap.pipeline.run_entry import finish  # noqa: PLC0415

        finish(tries.entry, verdict, tries.outcomes)
    run.posted.append(run.run_id)  # what is left is for others
    from cronwrap.pipeline.housekeeping import do_for_others  # noqa: PLC0415

    do_for_others(run, tries.entry, signals, mailed=verdict.mail)


def _judged(tries: Tries, policy: Policy, past: Past | None) -> Verdict:
    from cronwrap.report.verdict import judge  # noqa: PLC0415

    verdict = judge(tries.outcomes[-1], policy, past, time.time(), tries.outcomes[:-1])
    if not tries.told_running:
        return verdict
    from cronwrap.report.verdict import ended_after_all  # noqa: PLC0415

    return ended_after_all(verdict, policy)


def _asked_for(settings: Settings) -> set[str]:
    """Give the events that the targets of ``[[notify]]`` want to hear of, all together."""
    return {event for _key, _name, on, _jobs in settings.notify for event in on or settings["on"]}


def _whom_to_notify(run: RunContext, events: tuple[str, ...], decide: Decide) -> tuple[tuple[Told, ...], str]:
    """Give the targets of ``[[notify]]`` that are to be told of events, and what kept us from finding out."""
    if not _asked_for(run.settings) & {*events, "always"}:
        return (), ""  # as a rule: nothing need be loaded
    try:
        from cronwrap.pipeline.notifying import due  # noqa: PLC0415  # for those who have any

        return due(run.settings, _policy(run.settings), decide), ""
    except Exception as error:  # noqa: BLE001  # a module that has gone: it costs the notification, no more
        return (), f"nobody could be notified: {type(error).__name__}: {error}"


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


def _tell_monitor(run: RunContext, tries: Tries, verdict: Verdict, past: Past | None) -> Tries:
    try:
        from cronwrap.pipeline.monitor import tell_monitor  # noqa: PLC0415

        tell_monitor(run, tries, verdict, past)
    except Exception as error:  # noqa: BLE001  # it costs the monitor's word, no more
        fault = f"the monitor could not be told of the end: {type(error).__name__}: {error}"
        return tries.replace(faults=(*tries.faults, fault))
    return tries


def job_environment(
    run_id: str, secrets: tuple[str, ...] = (), fence: int | None = None
) -> dict[bytes, bytes]:
    """Give the job's environment: ours, but for the run's id, our passwords and what Python added.

    ``secrets`` are the variables that ``password-env`` names; ``fence`` is the number of its lease, if any.
    """
    found = os.environb.copy()
    for name in ("CRONWRAP_RELAY_PASSWORD", BY_HAND, *secrets):
        found.pop(os.fsencode(name), None)
    if has_pythons_locale(os.environ):
        del found[b"LC_CTYPE"]
    if b"SHELL" in found:
        found[b"SHELL"] = os.fsencode(job_shell(os.environ))
    found[b"CRONWRAP_RUN_ID"] = run_id.encode()
    if fence is not None:
        found[b"CRONWRAP_FENCE"] = b"%d" % fence
    return found


def _begin(run: RunContext, faults: list[str]) -> Entry | None:
    try:
        from cronwrap.pipeline.run_entry import begin  # noqa: PLC0415  # the job runs already

        return begin(run)
    except StateError as error:
        why = str(error)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    except Exception as error:  # noqa: BLE001  # a module that has gone, say
        why = f"{type(error).__name__}: {error}"
    faults.append(f"this run is not on record: {why}")
    return None


def _past(run: RunContext) -> tuple[Past | None, str]:
    """Give what is known of the job's earlier runs, or None and the reason why nothing is."""
    try:
        from cronwrap.history.runs import past  # noqa: PLC0415  # imports `sqlite3`

        return past(run.settings.state_dir, run.job, run.user), ""
    except StateError as error:
        return None, f"the history could not be asked: {error}"
    except Exception as error:  # noqa: BLE001  # no `_sqlite3`, say: it costs the history, no more
        return None, f"the history could not be asked: {type(error).__name__}: {error}"


def _skipped(
    run: RunContext, why: str, signals: Signals, interrupted: int, guard: Guard | None = None
) -> int:
    """Record, and report if that is wanted, a run that does not take place."""
    from cronwrap.pipeline.housekeeping import do_for_others  # noqa: PLC0415
    from cronwrap.pipeline.reporting import Judged, report, say  # noqa: PLC0415
    from cronwrap.report.verdict import skipped, stopped  # noqa: PLC0415

    by = _under_way("stopped_by", run) if interrupted else ""
    if os.isatty(2):
        say(f"not run: {f'stopped {by}' if by else why}")
    faults = list(run.settings.faults)

    def decide(policy: Policy) -> Verdict:
        verdict = stopped(by, policy) if by else skipped(why, policy)
        if guard and not interrupted and run.settings["overlap"] in ("skip", "wait"):
            from cronwrap.pipeline.stuck import stuck_or  # noqa: PLC0415

            return stuck_or(verdict, run, why, guard.in_the_way, policy)
        return verdict

    verdict = decide(_policy(run.settings))
    told, fault = _whom_to_notify(run, verdict.events, decide)
    faults += [fault] if fault else []
    tries = Tries(outcomes=(), entry=_begin(run, faults), faults=tuple(faults))
    report(run, tries, Judged(verdict=verdict, told=told), signals)
    do_for_others(run, tries.entry, signals, mailed=False)
    if by:
        return EXIT_ENDED
    return EXIT_SIGNAL_BASE + interrupted if interrupted else EXIT_SKIPPED


def _again(run: RunContext, outcome: Outcome, asked_to_end: int) -> bool:
    """Say whether a try failed in a way that another one may help."""
    if asked_to_end or outcome.ended_by in ("overlap", "stop"):
        return False
    from cronwrap.report.verdict import judge  # noqa: PLC0415

    return judge(outcome, _policy(run.settings), None, 0.0).failed


def _directory(named: str) -> str:
    """Give a directory with ``~/`` as the home, which neither cron nor a file puts in its place."""
    if named == "~" or named.startswith("~/"):
        return os.path.join(home(os.environ), named[2:])
    return named


def _policy(settings: Settings) -> Policy:
    from cronwrap.report.verdict import Policy  # noqa: PLC0415

    return Policy(
        on=settings["on"],
        ok_codes=settings["ok-codes"],
        min_duration=settings["min-duration"],
        max_duration=settings["max-duration"],
        after=settings["after"],
        remind=settings["remind"],
    )


def _live(settings: Settings) -> bool:
    live = settings["live"]
    return os.isatty(1) or os.isatty(2) if live is None else bool(live)


def _limits(settings: Settings, still_running: float | None) -> Limits:
    same: dict[str, Any] = {
        name: settings[name.replace("_", "-")]
        for name in ("timeout", "idle_timeout", "kill_after", "drain", "max_memory", "max_output")
    }
    return Limits(
        **same,
        still_running=still_running,
        timed=settings["timestamps"],
        live=_live(settings),
        fail_match=settings["fail-match"],
        ignore_match=settings["ignore-match"],
    )


def _ping(run: RunContext, faults: list[str]) -> Ping | None:
    if not run.settings["ping"]:
        return None
    try:
        from cronwrap.channels.ping import Ping  # noqa: PLC0415

        return Ping(run.settings["ping"])
    except Exception as error:  # noqa: BLE001  # it costs the monitor's word, no more
        faults.append(f"the monitor could not be told of the start: {type(error).__name__}: {error}")
        return None
