"""The runs of the past, in SQLite: the only SQL.

Runs arrive through ``journal``, many at a time and in one short transaction (``fold``). Whatever is wrong
with the database becomes a ``StateError``; the job has run all the same, and its record waits in the
journal. A query takes what it needs from an index or from the one row that each job has (``tally``), so
that a million runs answer as fast as a hundred.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import sqlite3
import time

from cronwrap.errors import StateError
from cronwrap.history import journal
from cronwrap.history.database import exists, reading, transaction, writing
from cronwrap.history.kept_output import Kept, unpack
from cronwrap.history.tally import REMEMBERED, Tally, after
from cronwrap.history.tally import past as past_of
from cronwrap.model import Past, Record

TYPE_CHECKING = False  # `typing` costs as much as all of this, and a failing job waits for it
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FOLD_BATCH = 500
"""Records in one transaction: with their outputs some MB of memory, and a lock held but shortly."""
PRUNE_BATCH = 2000
"""Runs that one fold forgets at most: no run pays for what months have left."""


class Run(Record):
    """One run; the names are the columns'. Times in Unix seconds, None where nothing is known (yet)."""

    run: str
    job: str
    command: str
    host: str
    user: str
    started: float
    ended: float | None = None
    duration: float | None = None
    result: str = "running"
    exit_code: int | None = None
    signal: int | None = None
    tries: int = 1
    reasons: tuple[str, ...] = ()
    output_bytes: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    mailed: bool = False
    quiet_reason: str = ""
    digest: str = ""
    boot_id: str = ""
    pid: int = 0

    @property
    def short(self) -> str:
        """Give the end of the id: the part that tells runs of one second apart, and enough to name it."""
        return self.run[-8:]


COLUMNS = Run.fields()
# The words of the partial indexes, so that the planner sees that they hold all it needs; what is neither
# of these counts as a failure (``tally.FAILED``).
_FAILURES = "result NOT IN ('ok', 'skipped')"


# Writing -----------------------------------------------------------------------------------------


def fold(state_dir: str, keep: float | None = None, now: float | None = None) -> tuple[str, ...]:
    """Move the ended runs into the database, and forget those older than ``keep`` seconds.

    Gives sentences about records that could not be read and were set aside. Any number of processes may
    fold at once, and each may die anywhere: a run is known by its id, so none is counted twice.
    """
    now = time.time() if now is None else now
    notices = [_set_aside_record(state_dir, name) for name in journal.unreadable(state_dir)]
    if journal.waiting(state_dir) or not exists(state_dir):
        with writing(state_dir) as database:
            records = journal.ended(state_dir)
            while batch := list(itertools.islice(records, FOLD_BATCH)):
                notices += _fold(state_dir, database, batch)
            if keep is not None:
                with transaction(database):
                    _prune(database, now - keep)
    journal.sweep(state_dir, now)
    return tuple(notices)


def _fold(state_dir: str, database: sqlite3.Connection, batch: list[tuple[str, dict[str, Any]]]) -> list[str]:
    good, notices = [], []
    for name, fields in batch:
        try:
            good.append((name, _columns(fields), fields.get("output")))
        except journal.Unreadable:
            notices.append(_set_aside_record(state_dir, name))
    good.sort(key=lambda item: item[1]["ended"])
    with transaction(database):
        for _name, columns, output in good:
            _insert(database, columns, output)
    # Only now: until the commit is on disk the journal is the only place that has them.
    with contextlib.suppress(OSError):
        journal.forget(state_dir, [name for name, *_rest in good])
    return notices


def _insert(database: sqlite3.Connection, columns: dict[str, Any], output: dict[str, Any] | None) -> None:
    values = {**columns, "reasons": "\n".join(columns["reasons"])}
    if not database.execute(_insertion("INSERT OR IGNORE INTO runs", COLUMNS), values).rowcount:
        return  # a fold before this one died between its commit and taking the file away
    if output:
        values = {**output, "run": columns["run"]}
        database.execute(_insertion("INSERT OR IGNORE INTO outputs", ("run", *Kept.fields())), values)
    tally = after(_tally(database, columns["job"], columns["user"]), columns)
    values = {name: getattr(tally, name) for name in Tally.fields()}
    database.execute(_insertion("INSERT OR REPLACE INTO jobs", Tally.fields()), values)


def _insertion(beginning: str, columns: tuple[str, ...]) -> str:
    return f"{beginning} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"


def _prune(database: sqlite3.Connection, before: float) -> None:
    # By the start, which has an index; a run that took long, or was found dead late, still counts by its end.
    old = database.execute(
        "SELECT run FROM runs WHERE started < :before AND ended < :before ORDER BY started LIMIT :most",
        {"before": before, "most": PRUNE_BATCH},
    )
    runs = old.fetchall()
    if runs:
        database.executemany("DELETE FROM outputs WHERE run = ?", runs)
        database.executemany("DELETE FROM runs WHERE run = ?", runs)
        database.execute("DELETE FROM jobs WHERE ended < ?", (before,))


def _set_aside_record(state_dir: str, name: str) -> str:
    return f"the record of a run could not be read; it is set aside as {journal.set_aside(state_dir, name)}"


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Give a record's columns, each of its type; ``Unreadable`` when one is not."""
    known = {name: fields[name] for name in COLUMNS if fields.get(name) is not None}
    try:
        known["reasons"] = tuple(_text(reason) for reason in known.get("reasons", ()))
        for name in ("run", "job", "command", "host", "user", "result", "quiet_reason", "digest", "boot_id"):
            if name in known:
                known[name] = _text(known[name])
        for name in ("started", "ended", "duration", "cpu_seconds"):
            if name in known:
                known[name] = float(known[name])
        for name in COLUMNS:
            if isinstance(known.get(name), int) and not -(2**63) <= known[name] < 2**63:
                raise journal.Unreadable
        run = Run(**known)
    except (TypeError, ValueError, AttributeError):
        raise journal.Unreadable from None
    if run.ended is None or run.result == "running":
        raise journal.Unreadable
    # No column: what --remind and recovery go by is in the row of the job.
    return {name: getattr(run, name) for name in COLUMNS} | {"notified": fields.get("notified") is True}


def _text(value: str) -> str:
    r"""Give text that SQLite and JSON can hold: octets that are no UTF-8 become ``\xff``."""
    try:
        octets = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = value.encode("utf-8", "backslashreplace")
    return octets.decode("utf-8", "backslashreplace")


# Reading -----------------------------------------------------------------------------------------


def past(state_dir: str, job: str, user: str, limit: int = REMEMBERED) -> Past:
    """Give what is known of a job's earlier runs, those that still wait in the journal included."""
    recent = []
    for _name, fields in journal.ended(state_dir, job):
        with contextlib.suppress(journal.Unreadable):
            recent.append(_columns(fields))
    job, user = _text(job), _text(user)
    tally = Tally(job=job, user=user)
    with reading(state_dir) as database:
        if database is not None:
            tally = _tally(database, job, user)
            recent = [run for run in recent if not _known(database, run["run"])]
    for run in sorted(recent, key=lambda run: run["ended"]):
        if (run["job"], run["user"]) == (job, user):
            tally = after(tally, run)
    return past_of(tally, limit)


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
    running = [(run.job, run.started) for run in _running(state_dir) if run.started >= since]
    for job, started in (*rows, *running):
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
        [] if failed else [run for run in _running(state_dir, job) if since is None or run.started >= since]
    )
    conditions = [_FAILURES] if failed else []
    conditions += ["job = :job"] if job is not None else []
    conditions += ["started >= :since"] if since is not None else []
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    values = {
        "job": None if job is None else _text(job),
        "since": since,
        "limit": -1 if limit is None else limit,
    }
    with reading(state_dir) as database:
        stored: Iterator[Run] = iter(())
        if database is not None:
            rows = database.execute(f"SELECT * FROM runs {where}ORDER BY started DESC LIMIT :limit", values)  # noqa: S608
            stored = (_run(row) for row in rows)
        merged = heapq.merge(now_running, stored, key=lambda run: -run.started)
        for count, run in enumerate(merged):
            if limit is not None and count >= limit:
                return
            yield run


def run(state_dir: str, prefix: str | None = None) -> tuple[Run, Kept]:
    """Give one run whole, by the beginning of its id or its last eight characters, or the latest.

    ``StateError`` when there is none, or more than one.
    """
    if prefix is None:
        found = list(runs(state_dir, limit=1))
        if not found:
            raise StateError("no run is on record yet")
    else:
        found = [run for run in _running(state_dir) if run.run.startswith(prefix) or run.short == prefix]
        with reading(state_dir) as database:
            if database is not None:
                rows = database.execute(
                    "SELECT * FROM runs WHERE run >= :first AND run < :last"
                    " OR substr(run, -8) = :first LIMIT 3",
                    {"first": _text(prefix), "last": _text(prefix) + "\U0010ffff"},
                )
                found += [_run(row) for row in rows]
        found = [run for run in found if run.run == prefix] or found
        if not found:
            raise StateError(f"no run {prefix} is on record; cronwrap history lists them")
        if len(found) > 1:
            raise StateError(
                f"more than one run begins with {prefix}: {', '.join(run.run for run in found[:3])}, …"
            )
    return found[0], _kept(state_dir, found[0].run)


def jobs(state_dir: str) -> list[tuple[Tally, Run | None]]:
    """Give each job as of its last run that ended, by name, and its latest run that is under way."""
    tallies: dict[tuple[str, str], Tally] = {}
    with reading(state_dir) as database:
        if database is not None:
            for row in database.execute("SELECT * FROM jobs"):
                tallies[row["job"], row["user"]] = Tally(**dict(row))
    running = {(run.job, run.user): run for run in sorted(_running(state_dir), key=lambda run: run.started)}
    for job, user in running:
        tallies.setdefault((job, user), Tally(job=job, user=user))
    return [(tallies[key], running.get(key)) for key in sorted(tallies)]


def _running(state_dir: str, job: str | None = None) -> list[Run]:
    found = []
    for fields in journal.running(state_dir, job):
        known: dict[str, Any] = {name: fields.get(name, 0) for name in ("started", "pid")}
        for name in ("run", "job", "command", "host", "user", "boot_id"):
            known[name] = _text(str(fields.get(name, "")))
        if job is None or known["job"] == _text(job):
            found.append(Run(**known))
    return sorted(found, key=lambda run: -run.started)


def _kept(state_dir: str, run_id: str) -> Kept:
    with reading(state_dir) as database:
        row = (
            None
            if database is None
            else database.execute("SELECT * FROM outputs WHERE run = ?", (run_id,)).fetchone()
        )
    return Kept() if row is None else unpack(row)


def _tally(database: sqlite3.Connection, job: str, user: str) -> Tally:
    row = database.execute("SELECT * FROM jobs WHERE job = ? AND user = ?", (job, user)).fetchone()
    return Tally(job=job, user=user) if row is None else Tally(**dict(row))


def _known(database: sqlite3.Connection, run_id: str) -> bool:
    return database.execute("SELECT 1 FROM runs WHERE run = ?", (run_id,)).fetchone() is not None


def _run(row: sqlite3.Row) -> Run:
    values = dict(row)
    values["reasons"] = tuple(values["reasons"].split("\n")) if values["reasons"] else ()
    values["mailed"] = bool(values["mailed"])
    return Run(**values)
