"""What each run does for others once its own work is done: abandoned runs, waiting reports, the history."""

from __future__ import annotations

import cronwrap
from cronwrap.history import journal
from cronwrap.state import silent, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.history.journal import Entry
    from cronwrap.job.signals import Signals
    from cronwrap.pipeline.context import RunContext
    from cronwrap.settings.load import Settings


def do_for_others(run: RunContext, entry: Entry | None, signals: Signals, *, mailed: bool) -> None:
    """Do what each run does for others: abandoned runs, waiting reports, the history, the start of the next.

    A run that has ``mailed`` has already had sent what waits, or left it to whoever sends.
    """
    directory = run.settings.state_dir
    if directory in silent:
        return  # the next run that reaches it does so
    try:
        dead: list[Entry] = []
        if journal.others_begun(directory, run.job, entry):
            from cronwrap.history.records import abandoned  # noqa: PLC0415  # rare: of this very job

            dead = abandoned(directory, run.job, entry)
        if dead:
            from cronwrap.pipeline.abandoned import report_abandoned  # noqa: PLC0415

            report_abandoned(run, dead)
        _tend_outbox(run.settings, signals, sent=mailed and not dead)
        if journal.fold_due(directory):
            _fold(run.settings)
    except Exception as error:  # noqa: BLE001  # what it does for others costs this run nothing
        from cronwrap.errors import StateError  # noqa: PLC0415
        from cronwrap.log import log  # noqa: PLC0415

        log(str(error) if isinstance(error, (StateError, OSError)) else f"{type(error).__name__}: {error}")
    if run.settings["metrics.textfile"]:
        show(run, entry)
    if run.settings.fleet:
        wake_shipper(run.settings, signals)
    for what, path in cronwrap.bundles_due.items():
        from cronwrap.bundle_writer import write  # noqa: PLC0415  # once for each installation

        write(path, what)


def show(run: RunContext, entry: Entry | None, *, lean: bool = False) -> None:
    """Show the run, and what else there is, to Prometheus; ``lean`` while it is under way."""
    try:
        from cronwrap.metrics.textfile import update  # noqa: PLC0415  # for those who want it

        update(run.settings["metrics.textfile"], run.settings.state_dir, run.user, entry, lean=lean)
    except Exception as error:  # noqa: BLE001  # a module that has gone, say: it costs the metrics, no more
        from cronwrap.log import log  # noqa: PLC0415

        log(f"metrics are not written: {type(error).__name__}: {error}")


def wake_shipper(settings: Settings, signals: Signals | None = None) -> None:
    """See to it that the run reaches the fleet; nobody waits for that."""
    try:
        from cronwrap.fleet.wake import wake  # noqa: PLC0415  # for those who have one

        wake(settings, signals)
    except Exception as error:  # noqa: BLE001  # the next run wakes it
        from cronwrap.log import log  # noqa: PLC0415

        log(f"the fleet is not told: {type(error).__name__}: {error}")


def _tend_outbox(settings: Settings, signals: Signals, *, sent: bool) -> None:
    try:
        waiting = any(state(settings.state_dir, "outbox", place).names() for place in ("queue", "failed"))
    except OSError:
        return
    if waiting:
        from cronwrap.outbox.tend import tend_outbox  # noqa: PLC0415  # rare

        tend_outbox(settings, signals, sent=sent)


def _fold(settings: Settings) -> None:
    """Bring the history up to date, unless another run is just doing that."""
    cronwrap.load_also("history")
    from cronwrap.history.folding import fold  # noqa: PLC0415  # imports `sqlite3`
    from cronwrap.lock import Lock  # noqa: PLC0415

    lock = Lock(".history", state(settings.state_dir, "locks", make=True).fd)
    if lock.take():
        from cronwrap.log import log  # noqa: PLC0415

        for notice in fold(settings.state_dir, settings["history.keep"]):
            log(notice)
    lock.release()
