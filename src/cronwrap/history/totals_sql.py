"""What the database knows for ``totals``: of each job its last run, and how many there were of each result."""

from __future__ import annotations

from cronwrap.history import journal
from cronwrap.history.database import reading
from cronwrap.history.totals import FORM, NO_FAILURE, NOTHING, exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    from cronwrap.history.totals import Fields, Totals

_COLUMNS = "started, exit_code, signal, duration, cpu_seconds, max_rss_bytes"
_OF_RUN = f"SELECT {_COLUMNS} FROM runs WHERE run = ?"  # noqa: S608  # a constant
_LAST = (
    f"SELECT {_COLUMNS} FROM runs WHERE job = ? AND user = ? AND result != 'skipped'"  # noqa: S608  # a constant
    " ORDER BY started DESC LIMIT 1"
)


def from_database(state_dir: str) -> Totals:
    """Give the totals of all that has been folded; StateError when the database cannot be used."""
    jobs: dict[tuple[str, str], Fields] = {}
    seen: set[str] = set()
    with reading(state_dir) as database:
        if database is not None:
            database.execute("BEGIN")  # all that follows is of one moment
            for row in database.execute("SELECT * FROM totals"):
                _count(jobs.setdefault((row["job"], row["user"]), {**NOTHING, "runs": {}}), row)
            for row in database.execute("SELECT job, user, run, result, started, ended, failures FROM jobs"):
                _last(database, jobs.setdefault((row["job"], row["user"]), {**NOTHING, "runs": {}}), row)
            # Listed after the moment: what was folded before it and is not here any more does not come back.
            seen = {name for name in journal.names_of_ended(state_dir) if _has(database, name)}
            database.execute("COMMIT")
    return {"form": FORM, "jobs": jobs, "seen": seen, "times": None}


def _count(job: Fields, row: Any) -> None:
    job["runs"][row["result"]] = row["runs"]
    if row["result"] == "ok":
        job["success"] = row["ended"]
    elif row["result"] not in NO_FAILURE:
        job["failure"] = max(row["ended"], job["failure"] or 0.0)


def _last(database: sqlite3.Connection, job: Fields, row: Any) -> None:
    job["last"], job["ended"], job["failures"] = row["started"], row["ended"], row["failures"]
    if row["result"] == "skipped":
        last = database.execute(_LAST, (row["job"], row["user"])).fetchone()
    else:
        last = database.execute(_OF_RUN, (row["run"],)).fetchone()
    if last:
        job["started"], job["duration"] = last["started"], last["duration"]
        job["exit_code"] = exit_code(last["exit_code"], last["signal"])
        job["cpu"], job["rss"] = last["cpu_seconds"], last["max_rss_bytes"]


def _has(database: sqlite3.Connection, name: str) -> bool:
    run = journal.run_of(name)
    return database.execute("SELECT 1 FROM runs WHERE run = ?", (run,)).fetchone() is not None
