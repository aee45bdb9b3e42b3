"""A run in words and as an object, whole with its output, and its report while that waits."""

from __future__ import annotations

from typing import Any

from cronwrap.errors import StateError
from cronwrap.history.as_object import KEYS, as_object
from cronwrap.history.folding import fold
from cronwrap.history.kept_output import Kept
from cronwrap.history.run import Run
from cronwrap.job import use
from cronwrap.job.use import Use
from cronwrap.outbox.store import FAILED, QUEUE, Damaged, Item, Outbox
from cronwrap.text import harmless


def bring_up_to_date(state_dir: str, keep: float | None) -> tuple[str, ...]:
    """Fold what waits in the journal; give what stands in the way, with which all else can be shown."""
    try:
        return fold(state_dir, keep)
    except StateError as error:
        return (str(error),)


def result_words(result: str, exit_code: int | None, number: int | None) -> str:
    """Give a result in a few words: ``exit 2``, ``signal 9``, ``not started``."""
    if result == "failed" and exit_code:
        return f"exit {exit_code}"
    if result == "signal" and number is not None:
        return f"signal {number}"
    return harmless(result.replace("-", " "), one=True)


def uses(now: Use | None) -> dict[str, Any] | None:
    """Give what a run's processes use for programs."""
    if now is None:
        return None
    return {
        "processes": now.processes,
        "cpu_seconds": round(now.cpu_seconds, 2),
        "rss_bytes": now.rss_bytes,
    }


def public(run: Run) -> dict[str, Any]:
    """Give a run for programs."""
    found = as_object({name: getattr(run, name) for name in KEYS})
    return {**found, "by_hand": True} if run.by_hand else found


def whole(found: Run, kept: Kept) -> dict[str, Any]:
    r"""Give all that is known of a run, for programs; octets that are no UTF-8 come as ``\xff``."""
    return {
        **public(found),
        "stdout_bytes": found.stdout_bytes,
        "stderr_bytes": found.stderr_bytes,
        "quiet_reason": found.quiet_reason,
        "by_hand": found.by_hand,
        "uses": uses(use.of_run(found) if found.result == "running" else None),
        "output_head": kept.head.decode("utf-8", "backslashreplace"),
        "output_tail": kept.tail.decode("utf-8", "backslashreplace"),
        "left_out_bytes": kept.left_out_bytes,
        "left_out_lines": kept.left_out_lines,
    }


def waiting_report(state_dir: str, run_id: str) -> Item | None:
    """Give a run's report as it lies in the outbox; None when a relay has taken it, or none was due."""
    box = Outbox(state_dir)
    for place in (QUEUE, FAILED):
        try:
            return box.load(run_id, place)
        except (Damaged, OSError):
            continue
    return None
