"""What the fleet's database knows, for who may see it: hosts, jobs, runs. Asked with a viewer's role."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cronwrap.errors import StateError
from cronwrap.fleet.database import Database
from cronwrap.history.kept_output import Kept, unpack
from cronwrap.history.runs import CANDIDATES, Run, ambiguous
from cronwrap.history.tally import FAILED, Tally
from cronwrap.model import Record

HOSTS = """
SELECT h.host, h.role, h.seen, h.version, h.ship, h.skew, h.waiting, h.oldest, h.quiet,
    count(j.job) AS jobs, count(j.job) FILTER (WHERE j.failures > 0) AS failing,
    count(j.job) FILTER (WHERE j.running <> '') AS running, min(j.next) AS next,
    clock_timestamp() AS now
FROM cronwrap.hosts AS h LEFT JOIN cronwrap.jobs AS j ON j.host = h.host
GROUP BY h.host ORDER BY h.host
"""
JOBS = """
SELECT *, clock_timestamp() AS now FROM cronwrap.jobs
WHERE (%(host)s::text IS NULL OR host = %(host)s) AND (%(job)s::text IS NULL OR job = %(job)s)
ORDER BY (failures > 0) DESC, failing_since, (next IS NOT NULL AND next < clock_timestamp()) DESC, job, host
LIMIT %(limit)s
"""
RUNS = """
SELECT * FROM cronwrap.runs
WHERE (%(host)s::text IS NULL OR host = %(host)s) AND (%(job)s::text IS NULL OR job = %(job)s)
    AND (%(since)s::double precision IS NULL OR started >= to_timestamp(%(since)s))
    AND (NOT %(failed)s OR result = ANY(%(failures)s))
ORDER BY started DESC LIMIT %(limit)s
"""
BY_ID = "SELECT * FROM cronwrap.runs WHERE run = %(word)s LIMIT %(limit)s"
BY_JOB = "SELECT * FROM cronwrap.runs WHERE job = %(word)s ORDER BY started DESC LIMIT 1"
BY_PART = (
    "SELECT * FROM cronwrap.runs WHERE right(run, 8) = %(word)s AND started > now() - interval '366 days'"
    " ORDER BY started DESC LIMIT %(limit)s"
)
OUTPUT = "SELECT * FROM cronwrap.outputs WHERE day = %(day)s AND host = %(host)s AND run = %(run)s"


class Host(Record):
    """A host of the fleet; times in Unix seconds by the database's clock."""

    host: str
    role: str
    seen: float | None
    version: str
    ship: str
    skew: float | None
    """Seconds by which its clock is ahead of the database's."""
    waiting: int
    oldest: float | None
    quiet: bool
    jobs: int
    failing: int
    running: int
    next: float | None
    now: float


class Job(Record):
    """A job of a host as it stands."""

    host: str
    tally: Tally
    usual: float | None
    running: str
    running_since: float | None
    paused: bool
    paused_until: float | None
    muted: bool
    schedule: str
    next: float | None
    now: float
    """The database's clock, against which ``next`` is late or not."""


def hosts(database: Database) -> list[Host]:
    """Give the hosts, by name."""
    return [Host(**{name: _plain(value) for name, value in row.items()}) for row in database.call(HOSTS)]


def jobs(database: Database, *, host: str | None = None, job: str | None = None, limit: int) -> list[Job]:
    """Give jobs: what fails first, then what is late."""
    return [_job(row) for row in database.call(JOBS, {"host": host, "job": job, "limit": limit})]


def runs(
    database: Database, *, host: str | None, job: str | None, failed: bool, since: float | None, limit: int
) -> list[Run]:
    """Give runs, newest first."""
    values = {"host": host, "job": job, "failed": failed, "since": since, "limit": limit}
    return [_run(row) for row in database.call(RUNS, {**values, "failures": list(FAILED)})]


def find(database: Database, word: str) -> tuple[Run, Kept]:
    """Give the run that a person means, by id, job or the end of an id, and what is known of its output."""
    for statement in (BY_ID, BY_JOB, BY_PART):
        rows = database.call(statement, {"word": word, "limit": CANDIDATES + 1})
        if len(rows) > 1:
            raise StateError(ambiguous(word, [_run(row) for row in rows]))
        if rows:
            kept = database.call(OUTPUT, rows[0])
            return _run(rows[0]), unpack(kept[0]) if kept else Kept()
    raise StateError(
        f"no run and no job {word} is on record in the fleet; cronwrap history --fleet lists them"
    )


def _run(row: dict[str, Any]) -> Run:
    names = {*Run.fields()} & {*row}
    values = {name: _plain(row[name]) for name in names}
    return Run(**{**values, "user": row["user_name"], "reasons": tuple(row["reasons"])})


def _job(row: dict[str, Any]) -> Job:
    known = {name: _plain(value) for name, value in row.items()}
    tally = {name: known[name] for name in Tally.fields() if name in known}
    tally |= {"user": known["user_name"], "started": known["started"] or 0.0, "ended": known["ended"] or 0.0}
    rest = {name: known[name] for name in Job.fields() if name in known}
    return Job(**{**rest, "tally": Tally(**tally)})


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value
