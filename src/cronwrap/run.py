"""A run from the command line to the exit status: the whole of cronwrap's main job on one page."""

from __future__ import annotations

import os
import posix
import sys

from cronwrap import load_also, load_rest
from cronwrap.exit_status import EXIT_SIGNAL_BASE, AftermathError
from cronwrap.job.signals import Signals, library_ignored
from cronwrap.job.spawn import Start, execute
from cronwrap.job.supervise import Limits, Supervisor
from cronwrap.job.terminal import watched
from cronwrap.lock import PATIENCE, Beside, answered
from cronwrap.paths import home
from cronwrap.pipeline.context import (
    BY_HAND,
    RunContext,
    Tries,
    has_pythons_locale,
    in_its_place,
    judged,
    mark,
    new_run,
    policy_of,
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
    from cronwrap.model import Command, Outcome, Verdict
    from cronwrap.pipeline.shared import Fleet
    from cronwrap.pipeline.still_due import StillDue
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
    ignored = library_ignored()
    try:
        settings = load(invocation.flags, os.environ.copy(), command.text, lean=True)
        run = new_run(command, settings)
        signals = Signals(terminal=watched(), library_ignored=ignored)
    except Exception as error:  # noqa: BLE001  # no descriptor, no memory, a bug: nothing keeps a job from running
        return _unwatched(_start_without_settings(invocation, command), signals, error)
    fleet: Fleet | None = None
    if not settings["dry-run"] and (settings["once"] or settings["scope"] != "host"):
        fleet, run = _under_way("shared", run, signals) or (None, run)
        if fleet and fleet.why_not:
            return _skip(run, fleet.why_not, signals, fleet.interrupted)
    if settings["jitter"] and (number := _under_way("wait_for_its_time", run, signals)):
        why = f"signal {number} came while it waited for its time (--jitter)"
        return EXIT_SIGNAL_BASE + number if settings["dry-run"] else _skip(run, why, signals, number)
    if settings["dry-run"]:
        from cronwrap.pipeline.reporting import rehearse  # noqa: PLC0415

        return rehearse(run, supervise(run, signals, None), policy_of(settings))
    return _alone(run, signals, fleet)


def _alone(run: RunContext, signals: Signals, fleet: Fleet | None) -> int:
    """Run the job unless it is paused, or another run of it is in the way; give the exit status."""
    settings = run.settings
    try:
        from cronwrap.job.overlap import Guard  # noqa: PLC0415

        place = (settings.state_dir, run.job, run.run_id)
        guard, turn = Guard(*place), None
        if settings["overlap"] != "allow":
            from cronwrap.job.turn import Turn  # noqa: PLC0415  # for those who ask for it

            guard = turn = Turn(*place)
            turn.waits = lambda: _under_way("place", run)
        pause, fault = _pause(run, guard)
        run = run.replace(settings=settings.replace(faults=(*settings.faults, fault))) if fault else run
        why = pause
        if turn and not pause:
            why = turn.enter(settings["overlap"], settings["overlap-wait"], signals)
            if fleet and not why and settings["scope"] == "fleet":
                run = fleet.lease(run, signals)
                why, turn.interrupted = fleet.why_not, fleet.interrupted
    except Exception as error:  # noqa: BLE001  # as above; overlap has to stand back behind the job
        unmark(run)
        return _unwatched(_start(run), signals, error)
    if why:
        return _skip(run, why, signals, guard.interrupted, None if pause else guard)
    return _watched(run, signals, guard, fleet)


def _pause(run: RunContext, guard: Guard) -> tuple[str, str]:
    """Give why the job is paused, or an empty text, and a fault; leave word of a run that takes place."""
    try:
        if not answered(run.settings.state_dir, lambda: in_its_place(run, guard.name)):
            return "", ""
    except TimeoutError as error:
        return "", f"the job runs, though it may be paused: {run.settings.state_dir}: {error.strerror}"
    from cronwrap.pipeline.held_back import paused  # noqa: PLC0415  # rare

    pause, fault = paused(run.settings.state_dir, run.job)
    if not pause and run.settings["overlap"] == "allow":
        _mark(run)  # the pause has just ended
    return pause, fault


def _mark(run: RunContext) -> None:
    try:
        answered(run.settings.state_dir, lambda: mark(run))
    except TimeoutError:
        return  # that the run is not on record is said when it is put there in vain


def _skip(run: RunContext, why: str, signals: Signals, number: int, guard: Guard | None = None) -> int:
    from cronwrap.pipeline.skipping import Skip, skip  # noqa: PLC0415  # rare

    return skip(run, Skip(why=why, interrupted=number, guard=guard), signals, _begin)


def _watched(run: RunContext, signals: Signals, guard: Guard, fleet: Fleet | None) -> int:
    """Run the job and see to its report; give its exit status."""
    try:
        tries = supervise(run, signals, guard, fleet)
    except NotStartedError as error:
        unmark(run)
        return _unwatched(error.start, signals, error.__cause__ or error)
    status = tries.outcomes[-1].exit_status
    try:
        if fleet:
            fleet.close()
        conclude(run, tries, signals, guard)
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
    """Run the job, again after a failure as far as ``--retries`` goes; put it on record meanwhile."""
    settings = run.settings
    start = _start(run)
    outcomes: list[Outcome] = []
    entry: Entry | None = None
    publisher: Publisher | None = None
    faults = [*settings.faults, *([guard.fault] if guard and guard.fault else [])]
    delay = settings["retry-delay"]
    ping = _ping(run, faults) if guard else None
    still = _still(run, faults)
    if guard and settings["overlap"] != "allow":
        _mark(run)
    while True:
        supervisor, why_not = _spawned(start, _limits(settings, still.left() if still else None), signals)
        if why_not and not outcomes and guard:
            raise NotStartedError(start) from why_not
        # The job runs: what is loaded and written from here on costs it nothing, and nobody waits for it.
        load_rest()  # before there is a thread that would import some of it
        record = _OnRecord(run, guard, entry, faults)
        if guard:
            supervisor.end_asked = lambda: _under_way("asked_by", run, guard) or ("", "")
        supervisor.publisher = publisher
        supervisor.on_long_run = record.settle(outcomes, publisher)
        supervisor.on_still_running = still.tell if still else None
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
    if guard and not entry and not unmark(run):
        _under_way("unmark_late", run)
    if publisher or outcomes[-1].ended_by:
        _under_way("leave", run, publisher, entry, outcomes[-1])
    faults += [fleet.fault] if fleet and fleet.fault else []
    told = still is not None and still.told()
    return Tries(
        outcomes=tuple(outcomes),
        entry=entry,
        faults=tuple(faults),
        ping=ping,
        told_running=told,
        note=run.note,
    )


def _still(run: RunContext, faults: list[str]) -> StillDue | None:
    if run.settings["still-running"] is None:
        return None
    try:
        from cronwrap.pipeline.still_due import StillDue  # noqa: PLC0415  # for those who ask for it

        return StillDue(run, policy_of(run.settings))
    except Exception as error:  # noqa: BLE001  # a module that has gone: it costs that mail, no more
        faults.append(f"nobody could be told that it still runs: {type(error).__name__}: {error}")
        return None


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
            _under_way("in_reach", self._run)  # a lock may hang, or the file system as a whole
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


def conclude(run: RunContext, tries: Tries, signals: Signals, guard: Guard) -> None:
    """Judge the run, report it if that is due, put it on record; let the next one go before that."""
    tries = _without_secrets(run, tries)
    last = tries.outcomes[-1]
    if last.error and _live(run.settings):
        from cronwrap.pipeline.reporting import say  # noqa: PLC0415

        say(last.error)
    policy = policy_of(run.settings)
    verdict = judged(tries, policy, None)
    loud = verdict.mail or verdict.failed or tries.faults or last.output.total_bytes or tries.told_running
    if loud or tries.ping or run.settings.notify or "recovery" in policy.on:
        load_also("report")
        tries = _under_way("within_reach", run, tries, guard) or tries
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
        _under_way("end_late", run, tries, verdict, error)


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


def job_environment(
    run_id: str, secrets: tuple[str, ...] = (), fence: int | None = None
) -> dict[bytes, bytes]:
    """Give the job's environment: ours, but for the run's id, our passwords and what Python added.

    ``secrets`` are the variables that ``password-env`` names; ``fence`` is the number of its lease, if any.
    """
    found = dict(posix.environ)  # as it was at our start; `os.environb` would decode and encode all of it
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
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    except Exception as error:  # noqa: BLE001  # a module that has gone, say
        why = _words(error)
    faults.append(f"this run is not on record: {why}")
    return None


def _words(error: Exception) -> str:
    """Say what was wrong: an error that was made for people speaks for itself."""
    errors = sys.modules.get("cronwrap.errors")  # not imported: whoever raised one of them has done so
    if errors and isinstance(error, errors.StateError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _again(run: RunContext, outcome: Outcome, asked_to_end: int) -> bool:
    """Say whether a try failed in a way that another one may help."""
    if asked_to_end or outcome.ended_by in ("overlap", "stop"):
        return False
    from cronwrap.report.verdict import judge  # noqa: PLC0415

    return judge(outcome, policy_of(run.settings), None, 0.0).failed


def _directory(named: str) -> str:
    """Give a directory with ``~/`` as the home, which neither cron nor a file puts in its place."""
    if named == "~" or named.startswith("~/"):
        return os.path.join(home(os.environ), named[2:])
    return named


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
