"""What is sent to the fleet's database, as plain values: runs, outputs, jobs as they stand, hours. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cronwrap.history.arrivals import Arrival
from cronwrap.history.runs import Run
from cronwrap.history.tally import FAILED, Tally, durations
from cronwrap.job.holds import MUTE, PAUSE, Hold
from cronwrap.text import median

RUN_COLUMNS = (
    *("run", "job", "command", "started", "ended", "duration", "result", "exit_code", "signal", "tries"),
    *("output_bytes", "cpu_seconds", "max_rss_bytes", "quiet_reason", "fence"),
)
"""Those of the history that go over as they are."""
LETTERS = {"ok": "o", "skipped": "s"}
"""Of a result in the strip of an hour; whatever else is an ``x``."""
LATEST = 253402214400.0
"""Unix time of the year 9999's last day: a clock that was wrong may have said anything."""


def clean(value: Any) -> Any:
    r"""Give a value with U+0000 as ``\x00``, which PostgreSQL's texts cannot hold."""
    if isinstance(value, str):
        return value.replace("\0", "\\x00")
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    return value


def moment(value: float | None) -> float | None:
    """Give a Unix time that a timestamp can hold."""
    return None if value is None else min(max(value, 0.0), LATEST)


def runs(arrivals: Iterable[Arrival]) -> list[dict[str, Any]]:
    """Give the rows of runs."""
    return [_run(arrival.run) for arrival in arrivals]


def _run(columns: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: columns[name] for name in RUN_COLUMNS}
    return {
        **found,
        "started": moment(columns["started"]),
        "ended": moment(columns["ended"]),
        "user_name": columns["user"],
        "reasons": columns["reasons"].split("\n") if columns["reasons"] else [],
        "mailed": bool(columns["mailed"]),
        "by_hand": bool(columns.get("by_hand")),
    }


def outputs(arrivals: Iterable[Arrival]) -> list[dict[str, Any]]:
    """Give the rows of outputs: of those runs that told somebody."""
    return [
        {
            **arrival.output,
            "run": arrival.run["run"],
            "ended": moment(arrival.run["ended"]),
            "head": base64.b64encode(arrival.output["head"]).decode("ascii"),
            "tail": base64.b64encode(arrival.output["tail"]).decode("ascii"),
        }
        for arrival in arrivals
        if arrival.output and arrival.run["mailed"]
    ]


def of_note(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Give the runs that go over whole with ``ship = "changes"``: failures, and what told somebody."""
    return [
        arrival
        for arrival in arrivals
        if arrival.run["result"] in FAILED or arrival.run["mailed"] or arrival.run.get("by_hand")
    ]


def hour(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the row of one job's hour, from all its runs that began in it, oldest first."""
    took = sorted(run["duration"] for run in columns if run["duration"] is not None)
    first = columns[0]
    return {
        "user_name": first["user"],
        "job": first["job"],
        "hour": moment(first["started"] // 3600 * 3600),
        "results": "".join(LETTERS.get(run["result"], "x") for run in columns),
        "runs": len(columns),
        "failures": sum(run["result"] in FAILED for run in columns),
        "p50": _quantile(took, 0.5),
        "p95": _quantile(took, 0.95),
        "longest": took[-1] if took else None,
    }


def _quantile(values: list[float], part: float) -> float | None:
    """Give the value below which a part of the sorted ones is (nearest rank)."""
    return values[max(0, math.ceil(part * len(values)) - 1)] if values else None


def job(
    tally: Tally,
    running: Run | None,
    holds: Iterable[Hold],
    schedule: tuple[str, float, float, float, float | None] | None,
) -> dict[str, Any]:
    """Give the row of a job as it stands; ``schedule`` as ``schedules`` gives it, if the job has one."""
    usual = durations(tally)
    says, _since, grace, _gone, due = schedule or ("", 0.0, 0.0, 0.0, None)
    pause = next((hold for hold in holds if hold.kind == PAUSE), None)
    ran = bool(tally.run)
    return {
        "user_name": tally.user,
        "job": tally.job,
        "run": tally.run,
        "result": tally.result,
        "exit_code": tally.exit_code,
        "signal": tally.signal,
        "started": moment(tally.started) if ran else None,
        "ended": moment(tally.ended) if ran else None,
        "duration": tally.duration,
        "usual": median(usual) if usual else None,
        "results": tally.results,
        "failures": tally.failures,
        "failing_since": moment(tally.failing_since),
        "last_success": moment(tally.last_success),
        "running": running.run if running else "",
        "running_since": moment(running.started) if running else None,
        "paused": pause is not None,
        "paused_until": moment(pause.until) if pause else None,
        "muted": any(hold.kind == MUTE for hold in holds),
        "schedule": says,
        "next": moment(due),
        "grace": grace,
    }
