"""The runs of the past, in SQLite: the only SQL.

Runs arrive through ``journal``, many at a time and in one short transaction (``fold``). Whatever is wrong
with the database becomes a ``StateError``; the job has run all the same, and its record waits in the
journal. A query takes what it needs from an index or from the one row that each job has (``tally``), so
that a million runs answer as fast as a hundred.
"""

from __future__ import annotations

import itertools
import time

from cronwrap.errors import StateError
from cronwrap.history import arrivals, journal, records, totals
from cronwrap.history.database import exists, reading, transaction, writing
from cronwrap.history.kept_output import Kept, unpack, whole
from cronwrap.history.tally import REMEMBERED, Tally, after
from cronwrap.history.tally import past as past_of
from cronwrap.history.totals import text
from cronwrap.model import Record
from cronwrap.past import Past

TYPE_CHECKING = False  # `typing` costs as much as all of this, and a failing job waits for it
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from typing import Any

FOLD_BATCH = 500
"""Records in one transaction: with their outputs some MB of memory, and a lock held but shortly."""
CANDIDATES = 8
"""Runs that are named where a part of an id fits several."""
PRUNE_BATCH = 2000
"""Runs that one fold forgets at most: no run pays for what months have left."""
TOTALS_KEEP = 400 * 86400.0
"""Seconds: the numbers of a job that runs once a year do not fall when its last run is forgotten."""


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
    by_hand: bool = False
    """Whether a person asked for it (``cronwrap run``)."""
    fence: int | None = None
    """The number of its lease in the fleet (``--scope fleet``)."""
    earlier_bytes: int | None = None
    """Octets that its earlier tries have said, secrets taken out; the output of the last is behind them."""

    @property
    def short(self) -> str:
        """Give the end of the id: the part that tells runs of one second apart, and enough to name it."""
        return self.run[-8:]


COLUMNS = Run.fields()
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
            good.append((name, _columns(fields), fields.get("output")))
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
    tally = after(_tally(database, columns["job"], columns["user"]), columns)
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


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Give a record's columns, each of its type; ``Unreadable`` when one is not."""
    known = {name: fields[name] for name in COLUMNS if fields.get(name) is not None}
    try:
        known["reasons"] = tuple(text(reason) for reason in known.get("reasons", ()))
        for name in ("run", "job", "command", "host", "user", "result", "quiet_reason", "digest", "boot_id"):
            if name in known:
                known[name] = text(known[name])
        for name in ("started", "ended", "duration", "cpu_seconds"):
            if name in known:
                known[name] = float(known[name])
        for name in COLUMNS:
            if isinstance(known.get(name), int) and not -(2**63) <= known[name] < 2**63:
                raise records.Unreadable
        run = Run(**known)
    except (TypeError, ValueError, AttributeError):
        raise records.Unreadable from None
    if run.ended is None or run.result == "running":
        raise records.Unreadable
    # No column: what --remind and recovery go by is in the row of the job.
    return {name: getattr(run, name) for name in COLUMNS} | {"notified": fields.get("notified") is True}


# Reading -----------------------------------------------------------------------------------------


def past(state_dir: str, job: str, user: str, limit: int = REMEMBERED) -> Past:
    """Give what is known of a job's earlier runs, those that still wait in the journal included."""
    recent = _ended(state_dir, job)
    job, user = text(job), text(user)
    tally = Tally(job=job, user=user)
    with reading(state_dir) as database:
        if database is not None:
            tally = _tally(database, job, user)
            recent = [run for run in recent if not _known(database, run["run"])]
    for run in sorted(recent, key=lambda run: run["ended"]):
        if (run["job"], run["user"]) == (job, user):
            tally = after(tally, run)
    return past_of(tally, limit)


def _ended(state_dir: str, job: str) -> list[dict[str, Any]]:
    """Give the columns of a job's runs that wait in the journal; a fold sets aside what is not readable."""
    found = []
    for _name, fields in records.ended(state_dir, job):
        try:
            found.append(_columns(fields))
        except records.Unreadable:
            continue
    return found


def skips_in_a_row(state_dir: str, job: str, user: str, since: float, limit: int) -> list[Run]:
    """Give the last runs of a job that were skipped, none that took place among them, newest first.

    Those that were paused do not count. Those that began before ``since`` are left out, and those beyond
    the newest ``limit``.
    """
    found = [Run(**{name: run[name] for name in COLUMNS}) for run in _ended(state_dir, job)]
    job, user = text(job), text(user)
    with reading(state_dir) as database:
        if database is not None:
            rows = database.execute(
                "SELECT * FROM runs WHERE job = ? AND started >= ? ORDER BY started DESC LIMIT ?",
                (job, since, limit),
            )
            found += [_run(row) for row in rows]
    by_id = {
        run.run: run
        for run in found
        if (run.job, run.user) == (job, user)
        and run.started >= since
        and not any(reason.startswith("paused ") for reason in run.reasons)  # nothing was in its way
    }
    newest = sorted(by_id.values(), key=lambda run: -run.started)
    return list(itertools.takewhile(lambda run: run.result == "skipped", newest))


class HeldBack(Record):
    """Runs of one result that a pause or a mute held back."""

    result: str
    paused: bool
    muted: bool
    number: int
    first: float
    """When the first of them began, and the last."""
    last: float


def held_back(state_dir: str, job: str, user: str, since: float) -> tuple[HeldBack, ...]:
    """Give the runs that ended since a time and were skipped in a pause, or told nobody in a mute."""
    fold(state_dir)
    values = {"job": text(job), "user": text(user), "since": since}
    with reading(state_dir) as database:
        if database is None:
            return ()
        rows = database.execute(
            "SELECT result, result = 'skipped' AND reasons LIKE 'paused %' AS paused,"
            " quiet_reason LIKE 'muted %' AS muted, COUNT(*), MIN(started), MAX(started) FROM runs"
            " WHERE job = :job AND user = :user AND ended >= :since AND (paused OR muted)"
            " GROUP BY result, paused, muted",
            values,
        )
        return tuple(
            HeldBack(
                result=row[0],
                paused=bool(row[1]),
                muted=bool(row[2]),
                number=row[3],
                first=row[4],
                last=row[5],
            )
            for row in rows
        )


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
        "job": None if job is None else text(job),
        "since": since,
        "limit": -1 if limit is None else limit,
    }
    with reading(state_dir) as database:
        stored: Iterator[Run] = iter(())
        if database is not None:
            rows = database.execute(f"SELECT * FROM runs {where}ORDER BY started DESC LIMIT :limit", values)  # noqa: S608
            stored = (_run(row) for row in rows)
        import heapq  # noqa: PLC0415  # not for a run

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
    under_way = _running(state_dir)
    with reading(state_dir) as database:
        found = [run for run in under_way if run.run == word] or _select(database, _BY_ID, word)
        found = found or list(runs(state_dir, job=word, limit=1))
        if not found:
            found = [run for run in under_way if run.run.startswith(word) or run.short == word]
            found += _select(database, _BY_END, word)
        if not found:
            found = [run for run in under_way if word in run.run] + _select(database, _BY_PART, word)
    return list({run.run: run for run in found}.values())


def under_way(state_dir: str, word: str | None = None) -> list[Run]:
    """Give the runs under way that a person may mean, latest first; by the rules of ``find``."""
    found = _running(state_dir)
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


def output_of(state_dir: str, found: Run) -> Kept:
    """Give what is remembered of a run's output; of one under way all it has said so far."""
    from cronwrap.history.so_far import so_far  # noqa: PLC0415  # not for a run

    if found.result == "running" and (output := so_far(state_dir, found.run)):
        return whole(output)
    return _kept(state_dir, found.run)


def _select(database: sqlite3.Connection | None, query: str, word: str) -> list[Run]:
    if database is None:
        return []
    rows = database.execute(
        query, {"word": text(word), "last": f"{text(word)}\U0010ffff", "most": CANDIDATES + 1}
    )
    return [_run(row) for row in rows]


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
    for fields in records.running(state_dir, job):
        known: dict[str, Any] = {name: fields.get(name, 0) for name in ("started", "pid")}
        for name in ("run", "job", "command", "host", "user", "boot_id"):
            known[name] = text(str(fields.get(name, "")))
        if job is None or known["job"] == text(job):
            found.append(Run(**known, by_hand=bool(fields.get("by_hand"))))
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
    values["mailed"], values["by_hand"] = bool(values["mailed"]), bool(values.get("by_hand"))
    values.pop("arrival", None)
    return Run(**values)
