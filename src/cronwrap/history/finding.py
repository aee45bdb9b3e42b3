"""The run that a person means: by its id or a part of it, or by the name of its job."""

from __future__ import annotations

from cronwrap.errors import StateError
from cronwrap.history import journal
from cronwrap.history.database import reading
from cronwrap.history.folding import fold
from cronwrap.history.run import Run, from_row
from cronwrap.history.runs import running, runs
from cronwrap.history.totals import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

CANDIDATES = 8
"""Runs that are named where a part of an id fits several."""
_BY_ID = "SELECT * FROM runs WHERE run = :word LIMIT :most"
_BY_END = (  # what people have before their eyes, and both have an index
    "SELECT * FROM runs WHERE run >= :word AND run < :last OR substr(run, -8) = :word"
    " ORDER BY run DESC LIMIT :most"
)
# The ids alone are gone through, in their index: the rows may be large. The latest have the largest ids.
_BY_PART = (
    "SELECT * FROM runs WHERE run IN"
    " (SELECT run FROM runs WHERE instr(run, :word) ORDER BY run DESC LIMIT :most) ORDER BY run DESC"
)


def find(state_dir: str, word: str | None = None) -> Run:
    """Give the run that a person means: by its id, a job's name, or a part of an id; else the latest.

    In this order: a job may be called like a part of an id, and has the right of way then; and what an id
    begins with, or its last eight characters, go before what stands elsewhere in another. ``StateError`` when
    there is none, or when a part fits more than one: it lists them.
    """
    if word is None:
        found = list(runs(state_dir, limit=1))
        if not found:
            raise StateError("no run is on record yet")
        return found[0]
    found = _meant(state_dir, word)
    if not found:
        # One that has just ended is under way no more, and waits in the journal, or did a moment ago.
        try:
            if journal.waiting(state_dir):
                fold(state_dir)
        except StateError:
            pass  # it is looked for in what there is
        found = _meant(state_dir, word)
    if not found:
        raise StateError(f"no run and no job {word} is on record; cronwrap history lists them")
    if len(found) > 1:
        raise StateError(ambiguous(word, found))
    return found[0]


def _meant(state_dir: str, word: str) -> list[Run]:
    now_running = running(state_dir)
    with reading(state_dir) as database:
        found = [run for run in now_running if run.run == word] or _select(database, _BY_ID, word)
        found = found or list(runs(state_dir, job=word, limit=1))
        if not found:
            found = [run for run in now_running if run.run.startswith(word) or run.short == word]
            found += _select(database, _BY_END, word)
        if not found:
            found = [run for run in now_running if word in run.run] + _select(database, _BY_PART, word)
    return list({run.run: run for run in found}.values())


def under_way(state_dir: str, word: str | None = None) -> list[Run]:
    """Give the runs under way that a person may mean, latest first; by the rules of ``find``."""
    found = running(state_dir)
    if word is None:
        return found
    return (
        [run for run in found if run.run == word]
        or [run for run in found if run.job == text(word)]
        or [run for run in found if word in run.run]
    )


def ambiguous(word: str | None, found: list[Run]) -> str:
    """Say that several runs may be meant, and which."""
    names = [f"{run.run} ({run.job})" for run in found[:CANDIDATES]]
    more = ", …" if len(found) > CANDIDATES else ""
    what = f"{word} may mean" if word else "there are"
    return f"{what} more than one run: {', '.join(names)}{more}; say which"


def _select(database: sqlite3.Connection | None, query: str, word: str) -> list[Run]:
    if database is None:
        return []
    rows = database.execute(
        query, {"word": text(word), "last": f"{text(word)}\U0010ffff", "most": CANDIDATES + 1}
    )
    return [from_row(row) for row in rows]
