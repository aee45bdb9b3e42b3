"""A run from the command line to the exit status: the whole of cronwrap's main job on one page."""

from __future__ import annotations

import os
import posix
import time

import cronwrap
from cronwrap.beside import answered
from cronwrap.exit_status import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_SIGNAL_BASE, AftermathError
from cronwrap.job.signals import FORWARDED, Signals, library_ignored, tell_group
from cronwrap.job.spawn import Start, begin, execute
from cronwrap.job.terminal import watched
from cronwrap.paths import home, unquoted
from cronwrap.pipeline.context import (
    BY_HAND,
    RunContext,
    in_its_place,
    mark,
    new_identity,
    new_run,
    policy_of,
    unmark,
)
from cronwrap.pipeline.on_demand import on_demand
from cronwrap.settings.command_line import job_locale, job_shell
from cronwrap.settings.load import Files, merged
from cronwrap.state import file_name

if not cronwrap.rest_is_at_hand():
    # Imported one by one, all that watches the job is there before it starts: cronwrap may be replaced.
    from cronwrap.job import reader as _reader  # noqa: F401
    from cronwrap.job import start_report as _start_report  # noqa: F401
    from cronwrap.pipeline import conclusion as _conclusion  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.job.spawn import Begun
    from cronwrap.job.turn import Turn
    from cronwrap.model import Command
    from cronwrap.pipeline.shared import Fleet
    from cronwrap.settings.command_line import Invocation

LOOK_PAUSE = 0.1
"""Seconds between two looks at a job that nothing of ours is left to watch."""
REPORT_LENGTH = 4096
"""Octets; more than a child tells that could not become the job."""


def main(invocation: Invocation) -> int:
    """Run a command as the command line says; give the exit status.

    Until the job has started, whatever is wrong with us has it run unwatched; from then on nothing costs
    its status, its output or its report.
    """
    command = invocation.command(os.environ)
    signals: Signals | None = None
    ignored = library_ignored()
    try:
        signals = Signals(terminal=watched(), library_ignored=ignored)
        run, looked = _settled(invocation, command)
    except Exception as error:  # noqa: BLE001  # no descriptor, no memory, a bug: nothing keeps a job from running
        return _unwatched(_start_without_settings(invocation, command), signals, error)
    settings = run.settings
    fleet: Fleet | None = None
    if not settings["dry-run"] and (settings["once"] or settings["scope"] != "host"):
        fleet, run = on_demand("shared", run, signals) or (None, run)
        if fleet and fleet.why_not:
            return _skip(run, fleet.why_not, signals, fleet.interrupted)
    if settings["jitter"] and (number := on_demand("wait_for_its_time", run, signals)):
        why = f"signal {number} came while it waited for its time (--jitter)"
        return EXIT_SIGNAL_BASE + number if settings["dry-run"] else _skip(run, why, signals, number)
    if settings["dry-run"]:
        cronwrap.load_rest()
        from cronwrap.pipeline.reporting import rehearse  # noqa: PLC0415
        from cronwrap.pipeline.tries import supervise  # noqa: PLC0415

        return rehearse(run, supervise(run, begin(_start(run), signals), signals, None), policy_of(settings))
    return _alone(run, signals, fleet, looked)


def _settled(invocation: Invocation, command: Command) -> tuple[RunContext, bool | None]:
    """Give the run, and whether its job may be paused; None where nobody has looked yet.

    All that asks the state directory before the job starts is done in one thread, since that may hang. A word
    that it leaves too late is that of the run all the same.
    """
    identity = new_identity()
    environ = unquoted(os.environ.copy())
    files = Files(invocation.flags, environ)

    def run_by(values: dict[str, dict[str, Any]]) -> RunContext:
        return new_run(command, merged(values, invocation.flags, environ, command.text), identity)

    def ahead() -> tuple[RunContext, bool | None] | None:
        values = files.kept()
        if values is None:
            return None
        run = run_by(values)
        waits = run.settings["dry-run"] or run.settings["once"] or run.settings["scope"] != "host"
        return run, None if waits or run.settings["jitter"] else in_its_place(run, file_name(run.job))

    hung = False
    try:
        found: tuple[RunContext, bool | None] | None = answered(files.state_dir, ahead)
        if found:
            return found
    except TimeoutError:
        hung = True
    return run_by(files.anew(lean=True, hung=hung)), None


def _alone(run: RunContext, signals: Signals, fleet: Fleet | None, looked: bool | None) -> int:
    """Run the job unless it is paused, or another run of it is in the way; give the exit status."""
    settings = run.settings
    turn: Turn | None = None
    try:
        pause, fault = _pause(run, looked)
        run = run.replace(settings=settings.replace(faults=(*settings.faults, fault))) if fault else run
        why = pause
        if settings["overlap"] != "allow" and not pause:
            from cronwrap.job.turn import Turn  # noqa: PLC0415  # for those who ask for it

            turn = Turn(settings.state_dir, run.job, run.run_id)
            turn.waits = lambda: on_demand("place", run)
            why = turn.enter(settings["overlap"], settings["overlap-wait"], signals)
            if fleet and not why and settings["scope"] == "fleet":
                run = fleet.lease(run, signals)
                why, turn.interrupted = fleet.why_not, fleet.interrupted
    except Exception as error:  # noqa: BLE001  # as above; overlap has to stand back behind the job
        unmark(run)
        return _unwatched(_start(run), signals, error)
    if why:
        return _skip(run, why, signals, turn.interrupted if turn else 0, turn)
    if turn:
        _mark(run)
    return _watched(run, signals, turn, fleet)


def _pause(run: RunContext, looked: bool | None) -> tuple[str, str]:
    """Give why the job is paused, or an empty text, and a fault; leave word of a run that takes place."""
    directory = run.settings.state_dir
    try:
        if looked is None:
            looked = answered(directory, lambda: in_its_place(run, file_name(run.job)))
    except TimeoutError as error:
        return "", f"the job runs, though it may be paused: {directory}: {error.strerror}"
    if not looked:
        return "", ""
    from cronwrap.pipeline.held_back import paused  # noqa: PLC0415  # rare

    pause, fault = paused(directory, run.job)
    if not pause and run.settings["overlap"] == "allow":
        _mark(run)  # the pause has just ended
    return pause, fault


def _mark(run: RunContext) -> None:
    try:
        answered(run.settings.state_dir, lambda: mark(run))
    except TimeoutError:
        return  # that the run is not on record is said when it is put there in vain


def _skip(run: RunContext, why: str, signals: Signals, number: int, turn: Turn | None = None) -> int:
    cronwrap.load_rest()
    from cronwrap.pipeline.skipping import Skip, skip  # noqa: PLC0415  # rare

    return skip(run, Skip(why=why, interrupted=number, turn=turn), signals)


def _watched(run: RunContext, signals: Signals, turn: Turn | None, fleet: Fleet | None) -> int:
    """Start the job, watch it and see to its report; give its exit status."""
    start = _start(run)
    why_not: Exception | None
    try:
        begun = begin(start, signals)
        why_not = begun.why_not
    except Exception as error:  # noqa: BLE001  # nothing is raised once there is a process
        why_not = error
    if why_not:
        unmark(run)
        return _unwatched(start, signals, why_not)
    # The job runs: what is loaded and written from here on costs it nothing, and nobody waits for it.
    cronwrap.load_rest()
    try:
        from cronwrap.pipeline.conclusion import see_through  # noqa: PLC0415
    except Exception as error:  # what was at hand before the job was started is of no use
        raise AftermathError(_left_alone(begun, signals), told=False) from error
    return see_through(run, begun, signals, turn, fleet)


def _start(run: RunContext) -> Start:
    return Start(
        command=run.command,
        environment=job_environment(run.run_id, run.settings.password_variables, run.fence),
        chdir=_directory(run.settings["chdir"] or ""),
        nice=run.settings["nice"],
    )


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


def _left_alone(begun: Begun, signals: Signals) -> int:
    """Give the status of a job that nothing of ours is there to watch: its output goes where ours would."""
    streams, status = {begun.stdout: 1, begun.stderr: 2}, None
    for descriptor in (*streams, begun.report):
        os.set_blocking(descriptor, False)
    while status is None:
        time.sleep(LOOK_PAUSE)
        found, ended = os.waitpid(begun.pid, os.WNOHANG)
        status = ended if found else None
        for descriptor, stream in streams.items():
            try:
                while chunk := os.read(descriptor, 1 << 16):
                    os.write(stream, chunk)
            except OSError:
                continue  # there is no more at this moment, or nobody to read it
        for number in signals.take():
            if number in FORWARDED:
                tell_group(begun.pid, number)
    if told := _not_executed(begun):
        return told
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else EXIT_SIGNAL_BASE - code


def _not_executed(begun: Begun) -> int:
    """Give the status of a job whose program was not executed; 0 where it was."""
    from errno import ENOENT, ENOTDIR  # noqa: PLC0415  # builtin; to make its names costs

    try:
        told = os.read(begun.report, REPORT_LENGTH).decode().split()
    except OSError:
        return 0
    if told[-2:-1] != ["exec"]:
        return 0
    return EXIT_NOT_FOUND if int(told[-1]) in (ENOENT, ENOTDIR) else EXIT_NOT_EXECUTABLE


def job_environment(
    run_id: str, secrets: tuple[str, ...] = (), fence: int | None = None
) -> dict[bytes, bytes]:
    """Give the job's environment: ours, but for the run's id, our passwords and what Python added.

    ``secrets`` are the variables that ``password-env`` names; ``fence`` is the number of its lease, if any.
    """
    found = dict(posix.environ)  # as it was at our start; `os.environb` would decode and encode all of it
    for name in ("CRONWRAP_RELAY_PASSWORD", BY_HAND, *secrets):
        found.pop(os.fsencode(name), None)
    if b"LC_CTYPE" in found:
        if (locale := job_locale(os.environ)) is None:
            del found[b"LC_CTYPE"]
        else:
            found[b"LC_CTYPE"] = os.fsencode(locale)
    if b"SHELL" in found:
        found[b"SHELL"] = os.fsencode(job_shell(os.environ))
    found[b"CRONWRAP_RUN_ID"] = run_id.encode()
    if fence is not None:
        found[b"CRONWRAP_FENCE"] = b"%d" % fence
    return found


def _directory(named: str) -> str:
    """Give a directory with ``~/`` as the home, which neither cron nor a file puts in its place."""
    if named == "~" or named.startswith("~/"):
        return os.path.join(home(os.environ), named[2:])
    return named
