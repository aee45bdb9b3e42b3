"""How far of the history the fleet's database has, and what is to be sent there next.

It is the number of the last run there (``arrivals``), written down only after the other side has said that it
has all up to it.
"""

from __future__ import annotations

from cronwrap.history import journal
from cronwrap.history.database import reading, transaction, writing
from cronwrap.history.kept_output import Kept
from cronwrap.history.tally import FAILED
from cronwrap.model import Record
from cronwrap.spans import ago, count
from cronwrap.text import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from typing import Any

LONG = 300.0
"""Seconds that a run may wait to be sent before a word is said of it."""
LONGEST_ERROR = 500
"""Characters of an error that are remembered."""


class Arrival(Record):
    """A run that has yet to be shipped; its columns as they are in the history."""

    number: int
    run: dict[str, Any]
    output: dict[str, Any] | None
    recovered: bool = False
    """It went well, and the one before it that took place did not; told where that was asked for."""


class Shipping(Record):
    """How far the fleet's database is behind this host."""

    waiting: int = 0
    """Runs that have ended and are not there yet."""
    oldest: float | None = None
    """Unix time of the end of the oldest of them that is in the history."""
    lost: int = 0
    """Runs that the history forgot before they were shipped, since the fleet was first asked."""
    failed_since: float | None = None
    error: str = ""

    def words(self, now: float) -> str:
        """Give what is to be said of it; an empty text as long as all is well."""
        said = f"{count(self.waiting, 'run')} yet to be sent"
        if self.waiting and self.oldest is not None:
            said += f", the oldest ended {ago(now - self.oldest)}"
        if self.failed_since is not None:
            said += f"; the database is out of reach since {moment(self.failed_since)}: {self.error}"
        elif not self.waiting or self.oldest is None or now - self.oldest < LONG:
            said = ""
        if self.lost:
            lost = f"{count(self.lost, 'run')} forgotten here before the fleet was told"
            said = f"{said}; {lost}" if said else lost
        return said


def next_batch(state_dir: str, most: int, most_bytes: int, *, recoveries: bool = False) -> list[Arrival]:
    """Give the next runs to ship in the order of their arrival: one, or as many as the bounds allow."""
    found: list[Arrival] = []
    size = 0
    with reading(state_dir) as database:
        if database is None:
            return []
        rows = database.execute(
            "SELECT * FROM runs WHERE arrival > (SELECT shipped FROM shipping) ORDER BY arrival LIMIT ?",
            (most,),
        )
        # Outputs are fetched one by one: those of a whole batch may be large.
        for row in rows:
            values = dict(row)
            output = database.execute("SELECT * FROM outputs WHERE run = ?", (values["run"],)).fetchone()
            kept = {name: output[name] for name in Kept.fields()} if output else None
            size += sum(map(_size, (*values.values(), *(kept or {}).values())))
            if found and size > most_bytes:
                break
            recovered = recoveries and values["result"] == "ok" and _failed_before(database, values)
            number = values.pop("arrival")
            found.append(Arrival(number=number, run=values, output=kept, recovered=recovered))
    return found


def _failed_before(database: sqlite3.Connection, run: Mapping[str, Any]) -> bool:
    row = database.execute(
        "SELECT result FROM runs WHERE job = :job AND user = :user AND started < :started"
        " AND result <> 'skipped' ORDER BY started DESC LIMIT 1",
        {name: run[name] for name in ("job", "user", "started")},
    ).fetchone()
    return row is not None and row[0] in FAILED


def _size(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else 8


def shipped(state_dir: str, number: int) -> None:
    """Write down that all up to a number is there."""
    with writing(state_dir) as database, transaction(database):
        database.execute(
            "UPDATE shipping SET shipped = max(shipped, ?), failed_since = NULL, error = ''", (number,)
        )


def failed(state_dir: str, now: float, error: str) -> None:
    """Write down that nothing can be shipped at present, and why."""
    with writing(state_dir) as database, transaction(database):
        database.execute(
            "UPDATE shipping SET failed_since = coalesce(failed_since, ?), error = ?",
            (now, error[:LONGEST_ERROR]),
        )


def shipping(state_dir: str) -> Shipping:
    """Give how far behind the fleet's database is."""
    waiting = journal.waiting(state_dir)
    with reading(state_dir) as database:
        if database is None:
            return Shipping(waiting=waiting)
        row = database.execute(
            "SELECT arrivals - shipped AS waiting, lost, failed_since, error, (SELECT ended FROM runs"
            " WHERE arrival > shipped ORDER BY arrival LIMIT 1) AS oldest FROM shipping"
        ).fetchone()
    found = Shipping(**dict(row))
    return found.replace(waiting=found.waiting + waiting)
