"""What is remembered of a job as a whole: pure arithmetic over its runs, one after the other.

Kept beside the runs, it answers a run's questions about the past from one row, however many runs there are.
"""

from __future__ import annotations

from cronwrap.model import Record
from cronwrap.past import Past

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAILED = ("failed", "signal", "timeout", "not-started", "stopped", "abandoned")
"""The results that count as failures; ``skipped`` is neither a failure nor a success."""
REMEMBERED = 20
"""Runs in the strip of a report, and the sample that the usual duration is taken from."""


class Tally(Record):
    """One job of one user, as of its last run that ended."""

    job: str
    user: str
    run: str = ""
    """The last run's id; what follows is that run's."""
    result: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started: float = 0.0
    ended: float = 0.0
    duration: float | None = None
    results: str = ""
    """The last results, oldest first, with blanks between."""
    durations: str = ""
    """Seconds of the last good runs, oldest first, with blanks between."""
    failures: int = 0
    """Failures in a row up to now."""
    failing_since: float | None = None
    last_success: float | None = None
    last_mailed: float | None = None
    """When the last failure of the present row was mailed, or told to a target of ``[[notify]]``."""
    unmailed: int = 0
    """Failures of the present row that came after that mail, or all when there was none."""
    digest: str = ""
    """Of the last failed run's output."""


def after(tally: Tally, run: dict[str, Any]) -> Tally:
    """Give the tally with one more run that has ended; ``run`` has the columns of a run."""
    result, ended = run["result"], run["ended"]
    if result == "abandoned" and run["started"] < tally.started and tally.result != "skipped":
        return _found_late(tally, run)
    changes: dict[str, Any] = {
        name: run[name] for name in ("run", "result", "exit_code", "signal", "started", "ended", "duration")
    }
    changes["results"] = _pushed(tally.results, result)
    if result in FAILED:
        changes["failures"] = tally.failures + 1
        changes["failing_since"] = tally.failing_since if tally.failures else run["started"]
        changes["last_mailed"] = ended if _told(run) else tally.last_mailed
        changes["unmailed"] = 0 if _told(run) else tally.unmailed + 1
        changes["digest"] = run["digest"]
    elif result == "ok":
        changes |= {"failures": 0, "failing_since": None, "last_mailed": None, "unmailed": 0}
        changes["last_success"] = ended
        if run["duration"] is not None:
            changes["durations"] = _pushed(tally.durations, repr(float(run["duration"])))
    return tally.replace(**changes)


def _found_late(tally: Tally, run: dict[str, Any]) -> Tally:
    """Give the tally with a run that was found dead when a later one had ended: it is not the last one."""
    *earlier, last = tally.results.split()
    changes: dict[str, Any] = {"results": " ".join([*earlier, run["result"], last][-REMEMBERED:])}
    if tally.failures:
        changes["failures"] = tally.failures + 1
        changes["failing_since"] = min(run["started"], tally.failing_since or run["started"])
        changes["last_mailed"] = run["ended"] if _told(run) else tally.last_mailed
        changes["unmailed"] = tally.unmailed + (not _told(run))
    return tally.replace(**changes)


def _told(run: dict[str, Any]) -> bool:
    """Tell whether anybody was told of a run, by mail or otherwise."""
    return bool(run["mailed"] or run.get("notified"))


def past(tally: Tally, limit: int = REMEMBERED) -> Past:
    """Give what the verdict and the report ask about the earlier runs."""
    return Past(
        results=tuple(tally.results.split())[-limit:],
        durations=durations(tally)[-limit:],
        failures_in_a_row=tally.failures,
        failing_since=tally.failing_since,
        last_success=tally.last_success,
        last_failure_mailed=tally.last_mailed,
        failures_since_mail=tally.unmailed,
        last_failure_digest=tally.digest,
    )


def durations(tally: Tally) -> tuple[float, ...]:
    """Give the seconds that the last good runs took, oldest first."""
    return tuple(float(word) for word in tally.durations.split())


def _pushed(words: str, word: str) -> str:
    return " ".join([*words.split(), word][-REMEMBERED:])
