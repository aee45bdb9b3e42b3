"""The order in which runs came into the history.

A run gets the next number when it is folded into the history; no number is given twice. ``shipping`` tells
how far of them the fleet's database has.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3


def last(database: sqlite3.Connection) -> int:
    """Give the number of the last run that has come into the history."""
    return int(database.execute("SELECT arrivals FROM shipping").fetchone()[0])


def note(database: sqlite3.Connection, number: int) -> None:
    """Write down the number of the last run that has come into the history."""
    database.execute("UPDATE shipping SET arrivals = ?", (number,))


def count_lost(database: sqlite3.Connection, runs: list[sqlite3.Row]) -> None:
    """Note that runs are forgotten now, of which some may not have been shipped."""
    for run in runs:
        database.execute(
            "UPDATE shipping SET lost = lost + 1 WHERE shipped > 0"
            " AND shipped < (SELECT arrival FROM runs WHERE run = ?)",
            tuple(run),
        )
