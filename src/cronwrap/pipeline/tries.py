"""A run's tries: each is watched to its end, and the run put on record meanwhile.

The job runs: from here on nothing that is wrong with us costs its status, its output or its report.
"""

from __future__ import annotations

import os
import sys
import time

from cronwrap.beside import PATIENCE, Beside
from cronwrap.job.spawn import begin
from cronwrap.job.supervise import Limits, Supervisor
from cronwrap.pipeline.context import Tries, policy_of, unmark
from cronwrap.pipeline.on_demand import on_demand
from cronwrap.report.verdict import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.channels.ping import Ping
    from cronwrap.history.journal import Entry
    from cronwrap.job.overlap import Guard
    from cronwrap.job.publisher import Publisher
    from cronwrap.job.signals import Signals
    from cronwrap.job.spawn import Begun
    from cronwrap.model import Outcome
    from cronwrap.pipeline.context import RunContext
    from cronwrap.pipeline.shared import Fleet
    from cronwrap.pipeline.still_due import StillDue
    from cronwrap.settings.load import Settings


def supervise(
    run: RunContext, begun: Begun, signals: Signals, guard: Guard | None, fleet: Fleet | None = None
) -> Tries:
    """Watch the job; run it again after a failure as ``--retries`` says. Off the record without ``guard``."""
    settings = run.settings
    outcomes: list[Outcome] = []
    entry: Entry | None = None
    publisher: Publisher | None = None
    faults = [*settings.faults, *([guard.fault] if guard and guard.fault else [])]
    delay = settings["retry-delay"]
    ping = _ping(run, faults) if guard else None
    still = _still(run, begun.began, faults)
    while True:
        record = _OnRecord(run, guard, entry, faults)
        supervisor = Supervisor(begun, _limits(settings, still.left(begun.began) if still else None), signals)
        if guard:
            supervisor.end_asked = lambda: on_demand("asked_by", run, guard) or ("", "")
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
            outcomes[-1] = on_demand("asked_while_it_waited", run, outcomes[-1]) or outcomes[-1]
            break
        delay *= 2
        try:
            begun = begin(begun.start, signals)
        except Exception as error:  # noqa: BLE001  # the try before has its status and its output
            now = {"wall": time.time(), "began": time.monotonic()}
            begun = begun.replace(**now, pid=0, why_not=error)
    if guard and not entry and not unmark(run):
        on_demand("unmark_late", run)
    if publisher or outcomes[-1].ended_by:
        on_demand("leave", run, publisher, entry, outcomes[-1])
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


def _still(run: RunContext, began: float, faults: list[str]) -> StillDue | None:
    if run.settings["still-running"] is None:
        return None
    try:
        from cronwrap.pipeline.still_due import StillDue  # noqa: PLC0415  # for those who ask for it

        return StillDue(run, policy_of(run.settings), began)
    except Exception as error:  # noqa: BLE001  # a module that has gone: it costs that mail, no more
        faults.append(f"nobody could be told that it still runs: {type(error).__name__}: {error}")
        return None


class _OnRecord:
    """A run's way onto the record while its job runs: in a thread, for a disk may be slow, or not answer."""

    def __init__(self, run: RunContext, guard: Guard | None, entry: Entry | None, faults: list[str]) -> None:
        self._run, self._guard, self._entry, self._faults = run, guard, entry, faults
        self._begun = Beside(self._begin, _withdraw) if guard and not entry else None
        self._settled: Beside | None = None

    def _begin(self) -> Entry | None:
        if self._guard and self._run.settings["overlap"] == "allow":
            self._guard.join()
        return on_record(self._run, self._faults)

    def settle(
        self, earlier: list[Outcome], publisher: Publisher | None
    ) -> Callable[[set[int]], Publisher | None]:
        """Give what makes ready for a job that takes its time, once it has outlived its first second."""

        def note(others: set[int]) -> Publisher | None:
            self._settled = Beside(self._settle)
            return publisher or (on_demand("publish", self._run, earlier, others) if self._guard else None)

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
            on_demand("in_reach", self._run)  # a lock may hang, or the file system as a whole
        return self._entry

    def _await(self) -> None:
        begun, self._begun = self._begun, None
        if begun:
            self._entry = begun.wait()


def _withdraw(entry: Entry | None) -> None:
    if entry:
        entry.withdraw()


def on_record(run: RunContext, faults: list[str]) -> Entry | None:
    """Put a run on record; None, and why as a fault, where that cannot be done."""
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
    return judge(outcome, policy_of(run.settings), None, 0.0).failed


def _limits(settings: Settings, still_running: float | None) -> Limits:
    same: dict[str, Any] = {
        name: settings[name.replace("_", "-")]
        for name in ("timeout", "idle_timeout", "kill_after", "drain", "max_memory", "max_output")
    }
    return Limits(
        **same,
        still_running=still_running,
        timed=settings["timestamps"],
        live=live(settings),
        fail_match=settings["fail-match"],
        ignore_match=settings["ignore-match"],
    )


def live(settings: Settings) -> bool:
    """Say whether output is passed on as it comes: if that was asked for, or a person watches."""
    wanted = settings["live"]
    return os.isatty(1) or os.isatty(2) if wanted is None else bool(wanted)


def _ping(run: RunContext, faults: list[str]) -> Ping | None:
    if not run.settings["ping"]:
        return None
    try:
        from cronwrap.channels.ping import Ping  # noqa: PLC0415

        return Ping(run.settings["ping"])
    except Exception as error:  # noqa: BLE001  # it costs the monitor's word, no more
        faults.append(f"the monitor could not be told of the start: {type(error).__name__}: {error}")
        return None
