"""A run's place in the journal: put there once its job runs, completed when it has ended."""

from __future__ import annotations

import gc
import os
import time

from cronwrap import load_also
from cronwrap.history import journal
from cronwrap.redact import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.history.journal import Entry
    from cronwrap.model import Outcome, Verdict
    from cronwrap.pipeline.context import RunContext

JOURNALD = "/run/systemd/journal/socket"
"""As ``journald.SOCKET``, which is loaded only where it is there."""
NEEDED = (
    "cronwrap.pipeline.reporting",
    "cronwrap.pipeline.telling",
    "cronwrap.pipeline.still_running",
    "cronwrap.report.unfinished",
    "cronwrap.pipeline.housekeeping",
    "cronwrap.pipeline.notifying",
    "cronwrap.pipeline.abandoned",
    "cronwrap.pipeline.monitor",
    "cronwrap.pipeline.mistakes",
    "cronwrap.pipeline.held_back",
    "cronwrap.report.html",
    "cronwrap.history.kept_output",
    "cronwrap.history.records",
    "cronwrap.outbox.tend",
    "cronwrap.state_setup",
    "cronwrap.lock_by_name",
    "cronwrap.pipeline.under_way",
    "cronwrap.job.tree",
    "cronwrap.job.procfs",
    "cronwrap.text",
    "cronwrap.pictures",
    "cronwrap.journald",
)
"""What it takes to judge, compose, store and print, with all that these import. A job that takes its time may
see cronwrap upgraded, or removed, before it ends."""


def begin(run: RunContext) -> Entry:
    """Put a run on record; StateError when that cannot be done."""
    return journal.begin(run.settings.state_dir, beginning(run))


def beginning(run: RunContext) -> dict[str, Any]:
    """Give what is written down of a run when it begins."""
    return {
        "run": run.run_id,
        "job": run.job,
        "command": without_secrets(run.command.text, run.settings["redact.patterns"]),
        "host": run.host,
        "user": run.user,
        "started": run.started,
        **({"by_hand": True} if run.by_hand else {}),
        **({"fence": run.fence} if run.fence is not None else {}),
    }


def settle_in(entry: Entry | None) -> list[str]:
    """Make ready for a job that takes its time, once it has outlived its first second; give what failed."""
    gc.enable()  # the script has switched it off
    faults = []
    try:
        if entry:
            entry.sync()
    except Exception as error:  # noqa: BLE001  # the job goes on
        faults.append(f"this run is not safely on record: {error}")
    load_also("history")
    load_also("report")
    for name in NEEDED:
        try:
            __import__(name)
        except Exception as error:  # noqa: BLE001  # what cannot be imported costs what it is for, no more
            faults.append(f"cronwrap is not whole: {name}: {type(error).__name__}: {error}")
    return faults


def ending(
    started: float,
    verdict: Verdict,
    outcomes: tuple[Outcome, ...],
    *,
    mailed: bool,
    digest: str = "",
    notified: bool = False,
) -> dict[str, Any]:
    """Give what is written down of how a run ended, but for its output."""
    last = outcomes[-1] if outcomes else None
    now = time.time()
    duration: float | None = max(0.0, now - started)
    abandoned = verdict.result == "abandoned"
    if abandoned:
        duration = None  # it is not known when its cronwrap died
    elif last and len(outcomes) == 1:
        duration = last.duration  # by the monotonic clock: a changed clock does not show
    fields = {
        "ended": now,
        "duration": duration,
        "result": verdict.result,
        "reasons": verdict.reasons,
        "tries": max(1, len(outcomes)),
        "mailed": mailed,
        "quiet_reason": verdict.quiet_reason,
        "digest": digest,
    }
    if notified:
        fields["notified"] = True  # as a mail it is what --remind and recovery go by
    if last:
        fields |= {
            "exit_code": last.exit_code,
            "signal": last.signal,
            "output_bytes": last.output.total_bytes,
            "stdout_bytes": last.output.stdout_bytes,
            "stderr_bytes": last.output.stderr_bytes,
            "cpu_seconds": None if abandoned else sum(outcome.cpu_seconds for outcome in outcomes),
            "max_rss_bytes": max((outcome.max_rss_bytes or 0 for outcome in outcomes), default=0) or None,
        }
    return fields


def finish(entry: Entry, verdict: Verdict, outcomes: tuple[Outcome, ...], *, mailed: bool = False) -> str:
    """Write down how a run ended; give an empty text, or why that could not be done."""
    fields = ending(entry.fields["started"], verdict, outcomes, mailed=mailed)
    return write_down(entry, fields, outcomes)


def write_down(entry: Entry, fields: dict[str, Any], outcomes: tuple[Outcome, ...]) -> str:
    """Write down how a run ended, by ``ending``; give an empty text, or why that could not be done."""
    try:
        entry.finish(fields, outcomes[-1].output if outcomes else None)
    except Exception as error:
        from cronwrap.errors import StateError  # noqa: PLC0415

        if isinstance(error, StateError):
            return str(error)
        raise
    if os.access(JOURNALD, os.W_OK):
        try:
            from cronwrap.journald import tell  # noqa: PLC0415  # not everywhere

            tell({**entry.fields, **fields}, JOURNALD)
        except Exception:  # noqa: BLE001  # a module that has gone: it costs the line, no more
            return ""
    return ""
