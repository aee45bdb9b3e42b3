"""What is known of a job's earlier runs: by its row, and by those that still wait in the journal."""

from __future__ import annotations

from cronwrap.history import records
from cronwrap.history.database import reading
from cronwrap.history.run import columns_of
from cronwrap.history.tally import REMEMBERED, Tally, after
from cronwrap.history.tally import past as past_of
from cronwrap.history.totals import text

TYPE_CHECKING = False  # `typing` costs as much as all of this, and a failing job waits for it
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    from cronwrap.past import Past


def past(state_dir: str, job: str, user: str, limit: int = REMEMBERED) -> Past:
    """Give what is known of a job's earlier runs, those that still wait in the journal included."""
    recent = just_ended(state_dir, job)
    job, user = text(job), text(user)
    tally = Tally(job=job, user=user)
    with reading(state_dir) as database:
        if database is not None:
            tally = tally_of(database, job, user)
            recent = [run for run in recent if not _known(database, run["run"])]
    for run in sorted(recent, key=lambda run: run["ended"]):
        if (run["job"], run["user"]) == (job, user):
            tally = after(tally, run)
    return past_of(tally, limit)


def just_ended(state_dir: str, job: str) -> list[dict[str, Any]]:
    """Give the columns of a job's runs that wait in the journal; a fold sets aside what is not readable."""
    found = []
    for _name, fields in records.ended(state_dir, job):
        try:
            found.append(columns_of(fields))
        except records.Unreadable:
            continue
    return found


def tally_of(database: sqlite3.Connection, job: str, user: str) -> Tally:
    """Give the row of a job; one that has only its name where there is none yet."""
    row = database.execute("SELECT * FROM jobs WHERE job = ? AND user = ?", (job, user)).fetchone()
    return Tally(job=job, user=user) if row is None else Tally(**dict(row))


def _known(database: sqlite3.Connection, run_id: str) -> bool:
    return database.execute("SELECT 1 FROM runs WHERE run = ?", (run_id,)).fetchone() is not None
