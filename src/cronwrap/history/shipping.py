"""How far of the history the fleet's database has, and what is to be sent there next.

It is the number of the last run there (``arrivals``), written down only after the other side has said that it
has all up to it.
"""

from __future__ import annotations

from cronwrap.history import journal
from cronwrap.history.database import reading, transaction, writing
from cronwrap.history.kept_output import Kept
from cronwrap.model import Record
from cronwrap.spans import ago, count
from cronwrap.text import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
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


def next_batch(state_dir: str, most: int, most_bytes: int) -> list[Arrival]:
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
            found.append(Arrival(number=values.pop("arrival"), run=values, output=kept))
    return found


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
