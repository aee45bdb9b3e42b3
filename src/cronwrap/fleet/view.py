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
SELECT h.*, s.*, now() AS now,
    (SELECT string_agg(r.role, ', ' ORDER BY r.role) FROM cronwrap.roles AS r WHERE r.host = h.host) AS role
FROM cronwrap.hosts AS h
LEFT JOIN (
    SELECT host AS of_host, sum(waiting)::bigint AS waiting, min(oldest) AS oldest, sum(jobs)::bigint AS jobs,
        sum(failing)::bigint AS failing, sum(running)::bigint AS running, min(next) AS next
    FROM cronwrap.senders GROUP BY host) AS s ON s.of_host = h.host
ORDER BY h.host
"""
CHOSEN = "(%(host)s::text IS NULL OR j.host = %(host)s) AND (%(job)s::text IS NULL OR j.job = %(job)s)"
LATE = "j.next < now() - make_interval(secs => j.grace)"
JOBS = tuple(
    f"SELECT j.*, now() AS now FROM cronwrap.jobs AS j WHERE {which} AND {CHOSEN} ORDER BY {order}"  # noqa: S608
    " LIMIT %(limit)s"
    for which, order in (
        ("j.failures > 0", "j.failing_since, j.job, j.host"),
        (f"j.failures = 0 AND j.next < now() AND {LATE}", "j.next, j.job, j.host"),
        (f"j.failures = 0 AND ({LATE}) IS NOT TRUE", "j.job, j.host, j.user_name"),
    )
)
"""Each from its own index, the next only when there is room: a million jobs answer as fast as ten."""
COUNTS = """
SELECT count(*) AS hosts, coalesce(sum(s.jobs), 0)::bigint AS jobs,
    coalesce(sum(s.failing), 0)::bigint AS failing
FROM (SELECT sum(jobs) AS jobs, sum(failing) AS failing FROM cronwrap.senders GROUP BY host) AS s
"""
RUNS = """
SELECT * FROM cronwrap.runs
WHERE (%(host)s::text IS NULL OR host = %(host)s) AND (%(job)s::text IS NULL OR job = %(job)s)
    AND (%(since)s::double precision IS NULL OR started >= to_timestamp(%(since)s))
    AND (NOT %(failed)s OR result = ANY(%(failures)s))
ORDER BY started DESC LIMIT %(limit)s
"""
BY_ID = (
    "SELECT * FROM cronwrap.runs WHERE right(run, 8) = right(%(word)s, 8) AND run = %(word)s LIMIT %(limit)s"
)
BY_JOB = "SELECT * FROM cronwrap.runs WHERE job = %(word)s ORDER BY started DESC LIMIT 1"
BY_PART = "SELECT * FROM cronwrap.runs WHERE right(run, 8) = %(word)s ORDER BY started DESC LIMIT %(limit)s"
OUTPUT = "SELECT * FROM cronwrap.outputs WHERE day = %(day)s AND host = %(host)s AND run = %(run)s"
LATE_WORDS = "it ended after another host had been given its lease: it does not count"


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
    grace: float
    now: float
    """The database's clock, against which ``next`` is late or not."""

    @property
    def late(self) -> bool:
        """Tell whether it was due and is not known to have started."""
        return self.next is not None and self.next + self.grace < self.now and not self.running


class Counts(Record):
    """How much there is in the fleet."""

    hosts: int
    jobs: int
    failing: int


def hosts(database: Database) -> list[Host]:
    """Give the hosts, by name."""
    return [_host(row) for row in database.call(HOSTS)]


def counts(database: Database) -> Counts:
    """Give how much there is."""
    return Counts(**database.call(COUNTS)[0])


def jobs(database: Database, *, host: str | None = None, job: str | None = None, limit: int) -> list[Job]:
    """Give jobs: what fails first, and longest; then what is late; then the others by name."""
    found: list[Job] = []
    for statement in JOBS:
        if left := limit - len(found):
            values = {"host": host, "job": job, "limit": left}
            found += [_job(row) for row in database.call(statement, values)]
    return found


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


def _host(row: dict[str, Any]) -> Host:
    values = {name: _plain(row[name]) for name in Host.fields()}
    zeros = {name: values[name] or 0 for name in ("waiting", "jobs", "failing", "running")}
    return Host(**{**values, **zeros, "role": row["role"] or ""})


def _run(row: dict[str, Any]) -> Run:
    names = {*Run.fields()} & {*row}
    values = {name: _plain(row[name]) for name in names}
    reasons = (*filter(None, row["reasons"].split("\n")), *([LATE_WORDS] if row["late"] else []))
    return Run(**{**values, "user": row["user_name"], "reasons": reasons})


def _job(row: dict[str, Any]) -> Job:
    known = {name: _plain(value) for name, value in row.items()}
    tally = {name: known[name] for name in Tally.fields() if name in known}
    tally |= {"user": known["user_name"], "started": known["started"] or 0.0, "ended": known["ended"] or 0.0}
    rest = {name: known[name] for name in Job.fields() if name in known}
    return Job(**{**rest, "tally": Tally(**tally)})


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value
