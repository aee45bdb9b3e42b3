"""The runs of the journal brought into the database, many at a time, in one short transaction.

Whatever is wrong with the database becomes a ``StateError``; the job has run all the same, and its record
waits in the journal.
"""

from __future__ import annotations

import itertools
import time

from cronwrap.errors import StateError
from cronwrap.history import arrivals, journal, records, totals
from cronwrap.history.database import exists, transaction, writing
from cronwrap.history.kept_output import Kept
from cronwrap.history.past import tally_of
from cronwrap.history.run import COLUMNS, columns_of
from cronwrap.history.tally import Tally, after

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

FOLD_BATCH = 500
"""Records in one transaction: with their outputs some MB of memory, and a lock held but shortly."""
PRUNE_BATCH = 2000
"""Runs that one fold forgets at most: no run pays for what months have left."""
TOTALS_KEEP = 400 * 86400.0
"""Seconds: the numbers of a job that runs once a year do not fall when its last run is forgotten."""


def fold(state_dir: str, keep: float | None = None, now: float | None = None) -> tuple[str, ...]:
    """Move the ended runs into the database, and forget those older than ``keep`` seconds.

    Gives sentences about records that could not be read and were set aside. Any number of processes may
    fold at once, and each may die anywhere: a run is known by its id, so none is counted twice.
    """
    now = time.time() if now is None else now
    notices = [_set_aside_record(state_dir, name) for name in records.unreadable(state_dir)]
    if journal.waiting(state_dir) or not exists(state_dir):
        with writing(state_dir) as database:
            ended = records.ended(state_dir)
            while batch := list(itertools.islice(ended, FOLD_BATCH)):
                notices += _fold(state_dir, database, batch)
            if keep is not None:
                with transaction(database):
                    _prune(database, now - keep, now - max(keep, TOTALS_KEEP))
    try:
        totals.renew(state_dir)
    except (OSError, StateError):
        pass  # it is for metrics alone
    records.sweep(state_dir, now)
    return tuple(notices)


def _fold(state_dir: str, database: sqlite3.Connection, batch: list[tuple[str, dict[str, Any]]]) -> list[str]:
    good, notices = [], []
    for name, fields in batch:
        try:
            good.append((name, columns_of(fields), fields.get("output")))
        except records.Unreadable:
            notices.append(_set_aside_record(state_dir, name))
    good.sort(key=lambda item: item[1]["ended"])
    with transaction(database):
        arrived = arrivals.last(database)
        for _name, columns, output in good:
            arrived += _insert(database, columns, output, arrived + 1)
        arrivals.note(database, arrived)
    # Only now: until the commit is on disk the journal is the only place that has them.
    try:
        totals.outdate(state_dir)
        records.forget(state_dir, [name for name, *_rest in good])
    except OSError:
        pass  # they are folded once more, to no effect
    return notices


def _insert(
    database: sqlite3.Connection, columns: dict[str, Any], output: dict[str, Any] | None, arrival: int
) -> bool:
    """Put a run into the database; False when it is there already."""
    values = {**columns, "reasons": "\n".join(columns["reasons"]), "arrival": arrival}
    if not database.execute(_insertion("INSERT OR IGNORE INTO runs", (*COLUMNS, "arrival")), values).rowcount:
        return False  # a fold before this one died between its commit and taking the file away
    if output:
        values = {**output, "run": columns["run"]}
        database.execute(_insertion("INSERT OR IGNORE INTO outputs", ("run", *Kept.fields())), values)
    tally = after(tally_of(database, columns["job"], columns["user"]), columns)
    values = {name: getattr(tally, name) for name in Tally.fields()}
    database.execute(_insertion("INSERT OR REPLACE INTO jobs", Tally.fields()), values)
    database.execute(
        "INSERT INTO totals (job, user, result, runs, ended) VALUES (:job, :user, :result, 1, :ended)"
        " ON CONFLICT DO UPDATE SET runs = runs + 1, ended = max(ended, excluded.ended)",
        columns,
    )
    return True


def _insertion(beginning: str, columns: tuple[str, ...]) -> str:
    return f"{beginning} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def _prune(database: sqlite3.Connection, before: float, totals_before: float) -> None:
    # By the start, which has an index; a run that took long, or was found dead late, still counts by its end.
    old = database.execute(
        "SELECT run FROM runs WHERE started < :before AND ended < :before ORDER BY started LIMIT :most",
        {"before": before, "most": PRUNE_BATCH},
    )
    runs = old.fetchall()
    if runs:
        arrivals.count_lost(database, runs)
        database.executemany("DELETE FROM outputs WHERE run = ?", runs)
        database.executemany("DELETE FROM runs WHERE run = ?", runs)
        database.execute("DELETE FROM jobs WHERE ended < ?", (before,))
        database.execute(
            "DELETE FROM totals WHERE (job, user) IN"
            " (SELECT job, user FROM totals GROUP BY job, user HAVING max(ended) < ?)",
            (totals_before,),
        )


def _set_aside_record(state_dir: str, name: str) -> str:
    return f"the record of a run could not be read; it is set aside as {records.set_aside(state_dir, name)}"
