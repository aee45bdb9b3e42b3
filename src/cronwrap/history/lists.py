"""Jobs and runs as lists need them, a page at a time; no run loads this."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from cronwrap.history.database import reading
from cronwrap.history.run import Run, from_row
from cronwrap.history.runs import FAILURES, running
from cronwrap.history.tally import Tally
from cronwrap.history.totals import text


class Standing(NamedTuple):
    """What a list of ten thousand jobs needs of each: of its last run that ended."""

    job: str
    user: str
    started: float
    duration: float | None
    failures: int


def standings(state_dir: str, job: str | None = None) -> list[Standing]:
    """Give each job, or one, in a few words, in no order; ``tallies`` has the rest of what is shown."""
    with reading(state_dir) as database:
        if database is None:
            return []
        database.row_factory = None
        query = f"SELECT {', '.join(Standing._fields)} FROM jobs"  # noqa: S608
        rows = database.execute(query) if job is None else database.execute(f"{query} WHERE job = ?", (job,))
        return list(map(Standing._make, rows))


def tallies(state_dir: str, names: Iterable[str]) -> dict[tuple[str, str], tuple[Tally, str]]:
    """Give the tallies of some jobs by job and user, each with the command of its last run."""
    found = {}
    query = "SELECT jobs.*, runs.command FROM jobs LEFT JOIN runs USING (run) WHERE jobs.job = ?"
    with reading(state_dir) as database:
        if database is None:
            return {}
        for name in names:
            for row in database.execute(query, (text(name),)):
                values = dict(row)
                command = values.pop("command") or ""
                found[row["job"], row["user"]] = (Tally(**values), command)
    return found


def page(
    state_dir: str,
    *,
    job: str | None = None,
    failed: bool = False,
    since: float | None = None,
    before: tuple[float, str] | None = None,
    limit: int,
) -> list[Run]:
    """Give runs, newest first, those under way included; ``before`` is start and id of the last one known."""
    values = {
        "job": None if job is None else text(job),
        "since": since,
        "at": before[0] if before else None,
        "run": before[1] if before else None,
        "limit": limit,
    }
    conditions = [
        *([FAILURES] if failed else []),
        *(["job = :job"] if job is not None else []),
        *(["started >= :since"] if since is not None else []),
        *(["started <= :at AND (started < :at OR run < :run)"] if before else []),
    ]
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    query = f"SELECT * FROM runs {where}ORDER BY started DESC, run DESC LIMIT :limit"  # noqa: S608
    now_running = [run for run in running(state_dir) if not failed and _fits(run, values)]
    now_running.sort(key=_key, reverse=True)
    with reading(state_dir) as database:
        stored = [] if database is None else [from_row(row) for row in database.execute(query, values)]
    found = {
        run.run: run for run in merge(now_running, stored, key=_key, reverse=True)
    }  # what has just ended is both
    return list(islice(found.values(), limit))


def _key(run: Run) -> tuple[float, str]:
    return run.started, run.run


def _fits(run: Run, values: dict[str, Any]) -> bool:
    if values["job"] is not None and run.job != values["job"]:
        return False
    if values["since"] is not None and run.started < values["since"]:
        return False
    return values["at"] is None or _key(run) < (values["at"], values["run"])
