"""A run's place in the journal, and what each run does for those before it.

On the way of every run, but only once its job runs.
"""

from __future__ import annotations

import gc
import os
import time

from cronwrap import journal
from cronwrap.errors import StateError
from cronwrap.redact import Redactor
from cronwrap.settings import make_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.journal import Entry
    from cronwrap.model import Outcome, Verdict
    from cronwrap.run import Run
    from cronwrap.settings import Settings
    from cronwrap.signals import Signals


def begin(run: Run) -> Entry:
    """Put a run on record; StateError when that cannot be done."""
    make_state(run.settings.state_dir)
    fields = {
        "run": run.run_id,
        "job": run.job,
        "command": Redactor(run.settings["redact.patterns"]).text(run.command.text),
        "host": run.host,
        "user": run.user,
        "started": run.started,
    }
    return journal.begin(run.settings.state_dir, fields)


def settle_in(entry: Entry | None) -> Callable[[], None]:
    """Give what makes ready for a job that takes its time, once it has outlived its first second."""

    def settle() -> None:
        gc.enable()  # the script has switched it off
        if entry:
            entry.sync()

    return settle


def finish(
    entry: Entry, verdict: Verdict, outcomes: tuple[Outcome, ...], *, mailed: bool = False, digest: str = ""
) -> str:
    """Write down how a run ended; give an empty text, or why that could not be done."""
    last = outcomes[-1] if outcomes else None
    now = time.time()
    fields = {
        "ended": now,
        # By the monotonic clock where the job ran but once, so that a changed clock does not show.
        "duration": last.duration if last and len(outcomes) == 1 else max(0.0, now - entry.fields["started"]),
        "result": verdict.result,
        "reasons": verdict.reasons,
        "tries": max(1, len(outcomes)),
        "mailed": mailed,
        "quiet_reason": verdict.quiet_reason,
        "digest": digest,
    }
    if last:
        fields |= {
            "exit_code": last.exit_code,
            "signal": last.signal,
            "output_bytes": last.output.total_bytes,
            "stdout_bytes": last.output.stdout_bytes,
            "stderr_bytes": last.output.stderr_bytes,
            "cpu_seconds": sum(outcome.cpu_seconds for outcome in outcomes),
            "max_rss_bytes": max((outcome.max_rss_bytes or 0 for outcome in outcomes), default=0) or None,
        }
    try:
        entry.finish(fields, last.output if last else None)
    except StateError as error:
        return str(error)
    return ""


def do_for_others(run: Run, entry: Entry | None, signals: Signals, *, mailed: bool) -> None:
    """Do what each run does for others: abandoned runs, waiting reports, the history.

    A run that has ``mailed`` has already had the outbox tended by whoever sends.
    """
    directory = run.settings.state_dir
    try:
        dead = journal.abandoned(directory, run.job, entry)
        if dead:
            from cronwrap.report import report_abandoned  # noqa: PLC0415

            report_abandoned(run, dead)
        if dead or not mailed or not run.settings.relays:
            _tend_outbox(run.settings, signals)
        if journal.fold_due(directory):
            _fold(run.settings)
    except (StateError, OSError) as error:
        from cronwrap.log import log  # noqa: PLC0415

        log(str(error))


def _tend_outbox(settings: Settings, signals: Signals) -> None:
    try:
        waiting = os.listdir(os.path.join(settings.state_dir, "outbox/queue"))
    except OSError:
        return
    if waiting:
        from cronwrap.report import tend_outbox  # noqa: PLC0415  # rare

        tend_outbox(settings, signals)


def _fold(settings: Settings) -> None:
    """Bring the history up to date, unless another run is just doing that."""
    from cronwrap.history import fold  # noqa: PLC0415  # imports `sqlite3`
    from cronwrap.lock import Lock  # noqa: PLC0415

    lock = Lock(os.path.join(settings.state_dir, "locks", ".history"))
    if lock.take():
        from cronwrap.log import log  # noqa: PLC0415

        for notice in fold(settings.state_dir, settings["history.keep"]):
            log(notice)
    lock.release()
