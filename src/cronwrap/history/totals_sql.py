"""What the database knows for ``totals``, as rows: counts by result, and of each job its last run."""

from __future__ import annotations

from cronwrap.history import journal
from cronwrap.history.database import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    Row = dict[str, Any]

_OF_RUN = "SELECT * FROM runs WHERE run = ?"
_LAST = "SELECT * FROM runs WHERE job = ? AND user = ? AND result != 'skipped' ORDER BY started DESC LIMIT 1"


def rows(state_dir: str) -> tuple[list[Row], list[tuple[Row, Row]], set[str]]:
    """Give counts, jobs each with its last run that took place, and the journal's records that are in them.

    StateError when the database cannot be used.
    """
    with reading(state_dir) as database:
        if database is None:
            return [], [], set()
        database.execute("BEGIN")  # all that follows is of one moment
        counts = [dict(row) for row in database.execute("SELECT * FROM totals").fetchall()]
        found = [dict(row) for row in database.execute("SELECT * FROM jobs").fetchall()]
        jobs = [(job, _last(database, job)) for job in found]
        # Listed after the moment: what was folded before it and is not here any more does not come back.
        seen = {name for name in journal.names_of_ended(state_dir) if _has(database, name)}
        database.execute("COMMIT")
    return counts, jobs, seen


def _last(database: sqlite3.Connection, job: Row) -> Row:
    if job["result"] == "skipped":
        row = database.execute(_LAST, (job["job"], job["user"])).fetchone()
    else:
        row = database.execute(_OF_RUN, (job["run"],)).fetchone()
    return dict(row) if row else {}


def _has(database: sqlite3.Connection, name: str) -> bool:
    run = journal.run_of(name)
    return database.execute("SELECT 1 FROM runs WHERE run = ?", (run,)).fetchone() is not None
