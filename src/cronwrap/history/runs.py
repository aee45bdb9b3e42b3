"""The runs of the past and those under way, for whoever lists them, and what they said.

A query takes what it needs from an index or from the one row that each job has (``tally``), so that a million
runs answer as fast as a hundred.
"""

from __future__ import annotations

import heapq

from cronwrap.history import records
from cronwrap.history.database import reading
from cronwrap.history.folding import fold
from cronwrap.history.kept_output import Kept, unpack, whole
from cronwrap.history.run import Run, from_row
from cronwrap.history.so_far import so_far
from cronwrap.history.tally import Tally
from cronwrap.history.totals import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# The words of the partial indexes, so that the planner sees that they hold all it needs; what is neither
# of these counts as a failure (``tally.FAILED``).
FAILURES = "result NOT IN ('ok', 'skipped')"


def starts(state_dir: str, since: float) -> dict[str, list[float]]:
    """Give the Unix times at which the runs of each job began, ascending; running ones included."""
    fold(state_dir)
    found: dict[str, list[float]] = {}
    with reading(state_dir) as database:
        rows = (
            ()
            if database is None
            else database.execute("SELECT job, started FROM runs WHERE started >= ?", (since,)).fetchall()
        )
    now_running = [(run.job, run.started) for run in running(state_dir) if run.started >= since]
    for job, started in (*rows, *now_running):
        found.setdefault(job, []).append(started)
    return {job: sorted(times) for job, times in found.items()}


def runs(
    state_dir: str,
    *,
    job: str | None = None,
    failed: bool = False,
    since: float | None = None,
    limit: int | None = 20,
) -> Iterator[Run]:
    """Give runs, newest first, those that are under way included."""
    now_running = (
        [] if failed else [run for run in running(state_dir, job) if since is None or run.started >= since]
    )
    conditions = [FAILURES] if failed else []
    conditions += ["job = :job"] if job is not None else []
    conditions += ["started >= :since"] if since is not None else []
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    values = {
        "job": None if job is None else text(job),
        "since": since,
        "limit": -1 if limit is None else limit,
    }
    with reading(state_dir) as database:
        stored: Iterator[Run] = iter(())
        if database is not None:
            rows = database.execute(f"SELECT * FROM runs {where}ORDER BY started DESC LIMIT :limit", values)  # noqa: S608
            stored = (from_row(row) for row in rows)
        merged = heapq.merge(now_running, stored, key=lambda run: -run.started)
        for count, run in enumerate(merged):
            if limit is not None and count >= limit:
                return
            yield run


def hour_of(state_dir: str, user: str, begin: float) -> list[dict[str, Any]]:
    """Give the ended runs of a user that began in the hour from a Unix time on, by job and oldest first."""
    with reading(state_dir) as database:
        if database is None:
            return []
        rows = database.execute(
            "SELECT job, duration, result FROM runs WHERE started >= :begin AND started < :begin + 3600"
            " AND user = :user ORDER BY job, started",
            {"user": user, "begin": begin},
        )
        return [dict(row) for row in rows]


def jobs(state_dir: str) -> list[tuple[Tally, Run | None]]:
    """Give each job as of its last run that ended, by name, and its latest run that is under way."""
    tallies: dict[tuple[str, str], Tally] = {}
    with reading(state_dir) as database:
        if database is not None:
            for row in database.execute("SELECT * FROM jobs"):
                tallies[row["job"], row["user"]] = Tally(**dict(row))
    latest = {(run.job, run.user): run for run in sorted(running(state_dir), key=lambda run: run.started)}
    for job, user in latest:
        tallies.setdefault((job, user), Tally(job=job, user=user))
    return [(tallies[key], latest.get(key)) for key in sorted(tallies)]


def running(state_dir: str, job: str | None = None) -> list[Run]:
    """Give the runs that are under way, of one job or of all, latest first."""
    found = []
    for fields in records.running(state_dir, job):
        known: dict[str, Any] = {name: fields.get(name, 0) for name in ("started", "pid")}
        for name in ("run", "job", "command", "host", "user", "boot_id"):
            known[name] = text(str(fields.get(name, "")))
        if job is None or known["job"] == text(job):
            found.append(Run(**known, by_hand=bool(fields.get("by_hand"))))
    return sorted(found, key=lambda run: -run.started)


def output_of(state_dir: str, found: Run) -> Kept:
    """Give what is remembered of a run's output; of one under way all it has said so far."""
    if found.result == "running" and (output := so_far(state_dir, found.run)):
        return whole(output)
    return _kept(state_dir, found.run)


def _kept(state_dir: str, run_id: str) -> Kept:
    with reading(state_dir) as database:
        row = (
            None
            if database is None
            else database.execute("SELECT * FROM outputs WHERE run = ?", (run_id,)).fetchone()
        )
    return Kept() if row is None else unpack(row)
