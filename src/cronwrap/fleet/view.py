"""What the fleet's database knows, for who may see it: hosts, jobs, runs. Asked with a viewer's role."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cronwrap.errors import StateError
from cronwrap.fleet.batch import clean
from cronwrap.fleet.database import Database
from cronwrap.history.finding import CANDIDATES, ambiguous
from cronwrap.history.kept_output import Kept, unpack
from cronwrap.history.run import Run
from cronwrap.history.tally import FAILED, Tally
from cronwrap.history.totals import text
from cronwrap.model import Record

AHEAD = "make_interval(secs => coalesce(h.skew, 0))"
HOSTS = f"""
SELECT h.*, now() AS now,
    coalesce(sum(s.waiting), 0)::bigint AS waiting, min(s.oldest) AS oldest, min(s.next) AS next,
    coalesce(sum(s.jobs), 0)::bigint AS jobs, coalesce(sum(s.failing), 0)::bigint AS failing,
    coalesce(sum(s.running), 0)::bigint AS running,
    NOT h.quiet AND coalesce(bool_or(s.next > h.seen + {AHEAD}
        AND s.next < now() + {AHEAD} - make_interval(secs => s.grace)), false) AS silent,
    (SELECT string_agg(r.role, ', ' ORDER BY r.role) FROM cronwrap.roles AS r WHERE r.host = h.host) AS role
FROM cronwrap.hosts AS h LEFT JOIN cronwrap.senders AS s ON s.host = h.host
WHERE (%(host)s::text IS NULL OR h.host = %(host)s)
    AND (%(part)s::text IS NULL OR position(lower(%(part)s) IN lower(h.host)) > 0)
GROUP BY h.host
"""  # noqa: S608
"""``silent`` as ``cronwrap.watch`` has it: something was due since it was heard of."""
IN_ORDER = "ORDER BY h.host"
FIRST_WHAT_NEEDS_SOMEBODY = f"""
SELECT * FROM ({HOSTS}) AS h
ORDER BY h.silent DESC, h.failing > 0 DESC, h.host LIMIT %(limit)s OFFSET %(first)s
"""  # noqa: S608
CHOSEN = "(%(host)s::text IS NULL OR j.host = %(host)s) AND (%(job)s::text IS NULL OR j.job = %(job)s)"
FAILS = "j.failures > 0 AND j.failing_since IS NOT NULL"
OVERDUE = "j.next < now() - make_interval(secs => j.grace) AND j.running = ''"
LATE = f"""{OVERDUE} AND EXISTS (
    SELECT FROM cronwrap.hosts AS h WHERE h.host = j.host AND j.next <= h.seen + {AHEAD})"""
"""As ``cronwrap.watch`` has it: what was due since its host was heard of is no job's fault, and a dead host
does not bury the late jobs of others."""
JOB = f"SELECT j.*, now() AS now, coalesce({LATE}, false) AS late FROM cronwrap.jobs AS j"  # noqa: S608
KEY = ("job", "host", "user_name")
RANKS = (
    ("failing", FAILS, ("failing_since", *KEY)),
    ("late", f"({FAILS}) IS NOT TRUE AND j.next < now() AND {LATE}", ("next", *KEY)),
    ("", f"({FAILS}) IS NOT TRUE AND ({LATE}) IS NOT TRUE", KEY),
)
"""Which jobs come one after the other, and by what each of these is ordered: from its own index, the next
only when there is room, and never by counting what comes before. So a million jobs answer as fast as ten."""
STATES = tuple(state for state, _which, _key in RANKS if state)
COUNTED = 1000
"""Late jobs that are counted; of more it is said that there are more."""
COUNTS = f"""
SELECT count(*) AS hosts, count(*) FILTER (WHERE h.silent) AS silent,
    coalesce(sum(h.jobs), 0)::bigint AS jobs, coalesce(sum(h.failing), 0)::bigint AS failing,
    coalesce(sum(h.running), 0)::bigint AS running, (
        SELECT count(*) FROM (SELECT FROM cronwrap.jobs AS j WHERE {RANKS[1][1]} LIMIT {COUNTED}) AS late
    ) AS late
FROM ({HOSTS}) AS h
"""  # noqa: S608
NAMES = f"""
SELECT j.job FROM cronwrap.jobs AS j WHERE j.host = ANY(%(hosts)s)
GROUP BY j.job ORDER BY bool_or({FAILS} OR j.next IS NOT NULL AND {OVERDUE}) DESC, count(*) DESC, j.job
LIMIT %(limit)s OFFSET %(first)s
"""  # noqa: S608
CELLS = f"{JOB} WHERE j.host = ANY(%(hosts)s) AND j.job = ANY(%(jobs)s)"
RUNS = """
SELECT * FROM cronwrap.runs AS r
WHERE (%(host)s::text IS NULL OR r.host = %(host)s) AND (%(job)s::text IS NULL OR r.job = %(job)s)
    AND (%(since)s::double precision IS NULL OR r.started >= to_timestamp(%(since)s))
    AND (NOT %(failed)s OR r.result = ANY(%(failures)s))
    AND (%(before)s::double precision IS NULL OR r.started <= to_timestamp(%(before)s)
        AND (r.started, r.run, r.host) < (to_timestamp(%(before)s), %(before_run)s, %(before_host)s))
ORDER BY r.started DESC, r.run DESC, r.host DESC LIMIT %(limit)s
"""
BY_ID = (
    "SELECT * FROM cronwrap.runs WHERE right(run, 8) = right(%(word)s, 8) AND run = %(word)s LIMIT %(limit)s"
)
BY_JOB = "SELECT * FROM cronwrap.runs WHERE job = %(word)s ORDER BY started DESC LIMIT 1"
BY_PART = "SELECT * FROM cronwrap.runs WHERE right(run, 8) = %(word)s ORDER BY started DESC LIMIT %(limit)s"
WHOLE_ID = """
SELECT * FROM cronwrap.runs WHERE right(run, 8) = right(%(run)s, 8) AND run = %(run)s
    AND (%(host)s::text IS NULL OR host = %(host)s) LIMIT 1
"""
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
    silent: bool
    """Whether something was due since it was heard of, and it has no leave to be away."""
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
    """The database's clock."""
    late: bool
    """Whether it was due and has not started, though its host was heard of since."""
    rank: int
    """Where among ``RANKS`` it was found."""

    @property
    def place(self) -> Place:
        """Give where a list goes on behind it."""
        time_of = {"failing_since": self.tally.failing_since, "next": self.next}
        return (
            *(self.rank, time_of.get(RANKS[self.rank][2][0])),
            *(self.tally.job, self.host, self.tally.user),
        )


class Counts(Record):
    """How much there is in the fleet."""

    hosts: int
    jobs: int
    failing: int
    running: int
    silent: int
    late: int
    """``COUNTED`` at most."""


Place = tuple[int, float | None, str, str, str]
"""Where a list of jobs goes on, behind the last one: its rank, and its key there (a time, and names)."""
Before = tuple[float, str, str]
"""Where a list of runs goes on: the start, id and host of the last one."""


class Asked(Record):
    """Which runs are asked for."""

    host: str | None = None
    job: str | None = None
    failed: bool = False
    since: float | None = None
    """Unix time from which on they began."""


def hosts(database: Database, host: str | None = None) -> list[Host]:
    """Give the hosts, by name, or one of them."""
    return [_host(row) for row in database.call(HOSTS + IN_ORDER, {"host": host, "part": None})]


def hosts_by_need(database: Database, *, part: str | None = None, first: int, limit: int) -> list[Host]:
    """Give hosts, what needs somebody first; ``part``: those with this in their name."""
    values = {"host": None, "part": part and _clean(part), "first": first, "limit": limit}
    return [_host(row) for row in database.call(FIRST_WHAT_NEEDS_SOMEBODY, values)]


def counts(database: Database) -> Counts:
    """Give how much there is."""
    return Counts(**database.call(COUNTS, {"host": None, "part": None})[0])


def jobs(
    database: Database,
    *,
    host: str | None = None,
    job: str | None = None,
    state: str = "",
    after: Place | None = None,
    limit: int,
) -> list[Job]:
    """Give jobs: what fails first, and longest; then what is late; then the others by name.

    ``state``: one of ``STATES``, those alone. ``after``: those that come behind a place.
    """
    found: list[Job] = []
    chosen: dict[str, Any] = {"host": host and _clean(host), "job": job and _clean(job)}
    for rank, (name, which, key) in enumerate(RANKS):
        left = limit - len(found)
        if not left or (state and name != state) or (after and rank < after[0]):
            continue
        behind = after if after and after[0] == rank else None
        rows = database.call(
            _in_rank(which, key, behind), {**chosen, **_place_of(key, behind), "limit": left}
        )
        found += [_job(row, rank) for row in rows]
    return found


def _in_rank(which: str, key: tuple[str, ...], behind: Place | None) -> str:
    columns = ", ".join(f"j.{name}" for name in key)
    values = ", ".join(f"to_timestamp(%({name})s)" if name not in KEY else f"%(at_{name})s" for name in key)
    goes_on = f" AND ({columns}) > ({values})" if behind else ""
    return f"{JOB} WHERE {which} AND {CHOSEN}{goes_on} ORDER BY {columns} LIMIT %(limit)s"


def _place_of(key: tuple[str, ...], behind: Place | None) -> dict[str, Any]:
    if not behind:
        return {}
    values = dict(zip((f"at_{name}" for name in KEY), map(_clean, behind[2:]), strict=True))
    return values if key == KEY else {**values, key[0]: behind[1]}


def names(database: Database, hosts: list[str], *, first: int, limit: int) -> list[str]:
    """Give the names of jobs of some hosts: first what fails or is overdue there, then what most have."""
    return [row["job"] for row in database.call(NAMES, {"hosts": hosts, "first": first, "limit": limit})]


def cells(database: Database, hosts: list[str], jobs: list[str]) -> list[Job]:
    """Give some jobs of some hosts."""
    return [_job(row) for row in database.call(CELLS, {"hosts": hosts, "jobs": jobs})]


def runs(database: Database, asked: Asked, *, before: Before | None = None, limit: int) -> list[Run]:
    """Give runs, newest first."""
    started, run, of_host = before or (None, "", "")
    values = {
        "host": asked.host and _clean(asked.host),
        "job": asked.job and _clean(asked.job),
        "failed": asked.failed,
        "failures": list(FAILED),
        "since": asked.since,
        "before": started,
        "before_run": _clean(run),
        "before_host": _clean(of_host),
        "limit": limit,
    }
    return [_run(row) for row in database.call(RUNS, values)]


def one_run(database: Database, run: str, host: str | None = None) -> tuple[Run, Kept] | None:
    """Give a run by its whole id, and what is known of its output; None when there is none."""
    rows = database.call(WHOLE_ID, {"host": host and _clean(host), "run": _clean(run)})
    return _whole(database, rows[0]) if rows else None


def find(database: Database, word: str) -> tuple[Run, Kept]:
    """Give the run that a person means, by id, job or the end of an id, and what is known of its output."""
    for statement in (BY_ID, BY_JOB, BY_PART):
        rows = database.call(statement, {"word": _clean(word), "limit": CANDIDATES + 1})
        if len(rows) > 1:
            raise StateError(ambiguous(word, [_run(row) for row in rows]))
        if rows:
            return _whole(database, rows[0])
    raise StateError(
        f"no run and no job {word} is on record in the fleet; cronwrap history --fleet lists them"
    )


def _whole(database: Database, row: dict[str, Any]) -> tuple[Run, Kept]:
    kept = database.call(OUTPUT, row)
    return _run(row), unpack(kept[0]) if kept else Kept()


def _clean(name: str) -> str:
    """Give a name as the database has it (``batch``)."""
    return str(clean(text(name)))


def _host(row: dict[str, Any]) -> Host:
    values = {name: _plain(row[name]) for name in Host.fields()}
    return Host(**{**values, "role": row["role"] or ""})


def _run(row: dict[str, Any]) -> Run:
    names = {*Run.fields()} & {*row}
    values = {name: _plain(row[name]) for name in names}
    reasons = (*filter(None, row["reasons"].split("\n")), *([LATE_WORDS] if row["late"] else []))
    return Run(**{**values, "user": row["user_name"], "reasons": reasons})


def _job(row: dict[str, Any], rank: int = len(RANKS) - 1) -> Job:
    known = {name: _plain(value) for name, value in row.items()}
    tally = {name: known[name] for name in Tally.fields() if name in known}
    tally |= {"user": known["user_name"], "started": known["started"] or 0.0, "ended": known["ended"] or 0.0}
    rest = {name: known[name] for name in Job.fields() if name in known}
    return Job(**{**rest, "tally": Tally(**tally), "rank": rank})


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value
