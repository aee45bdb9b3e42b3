"""What is sent to the fleet's database, as plain values: runs, outputs, jobs as they stand, hours. Pure."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cronwrap.history.run import Run
from cronwrap.history.shipping import Arrival
from cronwrap.history.tally import FAILED, Tally, durations
from cronwrap.job.holds import MUTE, PAUSE, Hold
from cronwrap.text import median

RUN_COLUMNS = (
    *("run", "job", "command", "started", "ended", "duration", "result", "exit_code", "signal", "tries"),
    *("output_bytes", "cpu_seconds", "max_rss_bytes", "reasons", "quiet_reason", "fence"),
)
"""Those of the history that go over as they are."""
LETTERS = {"ok": "o", "skipped": "s"}
"""Of a result in an hour; whatever else is an ``x``."""
LONG = 60.0
"""Seconds after which a run under way is worth a word."""
OF_EACH_RUN = (
    *("run", "started", "ended", "duration", "usual", "results", "failures", "last_success"),
    *("running_since", "every"),
)
"""What of a job's row each run changes, though nothing of note has happened."""
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
    """Give the runs that go over whole with ``ship = "changes"``: what failed, recovered or told somebody."""
    return [
        arrival
        for arrival in arrivals
        if arrival.run["result"] in FAILED
        or arrival.recovered
        or arrival.run["mailed"]
        or arrival.run.get("by_hand")
    ]


def hour(user: str, begin: float, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the row of an hour, from all the user's runs that began in it, by job and oldest first."""
    jobs = [_in_hour(job, list(runs)) for job, runs in itertools.groupby(columns, key=lambda run: run["job"])]
    return {
        "user_name": user,
        "hour": moment(begin),
        "runs": len(columns),
        "failures": sum(job["failures"] for job in jobs),
        "jobs": jobs,
    }


def _in_hour(job: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    took = sorted(round(run["duration"], 3) for run in columns if run["duration"] is not None)
    letters = itertools.groupby(LETTERS.get(run["result"], "x") for run in columns)
    return {
        "job": job,
        "results": "".join(f"{len(list(same))}{letter}" for letter, same in letters),
        "runs": len(columns),
        "failures": sum(run["result"] in FAILED for run in columns),
        "p50": _quantile(took, 0.5),
        "p95": _quantile(took, 0.95),
        "longest": took[-1] if took else None,
    }


def steady(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Give a job's row as ``ship = "changes"`` has it: due only when it is late, running when it takes long.

    Each run would change it otherwise.
    """
    late = row["next"] is not None and row["next"] + row["grace"] < now
    runs_long = row["running"] and row["running_since"] < now - LONG
    return {
        **row,
        "next": row["next"] if late else None,
        "running": row["running"] if runs_long else "",
        "running_since": row["running_since"] if runs_long else None,
    }


def _quantile(values: list[float], part: float) -> float | None:
    """Give the value below which a part of the sorted ones is (nearest rank)."""
    return values[max(0, math.ceil(part * len(values)) - 1)] if values else None


def job(
    tally: Tally,
    running: Run | None,
    holds: Iterable[Hold],
    schedule: tuple[str, float, float, float, float | None, float] | None,
) -> dict[str, Any]:
    """Give the row of a job as it stands; ``schedule`` as ``schedules`` gives it, if the job has one."""
    usual = durations(tally)
    says, _since, grace, _gone, due, every = schedule or ("", 0.0, 0.0, 0.0, None, 0.0)
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
        "every": every,
    }
