"""The jobs in a few words each, as a list of ten thousand needs them; no run loads this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cronwrap.history.database import reading
from cronwrap.history.tally import Tally
from cronwrap.history.totals import text


class Standing(NamedTuple):
    """What a list of ten thousand jobs needs of each: of its last run that ended."""

    job: str
    user: str
    run: str
    result: str
    exit_code: int | None
    signal: int | None
    started: float
    ended: float
    duration: float | None
    failures: int
    failing_since: float | None


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
