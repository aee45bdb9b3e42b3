"""The runs of a job that were skipped, or told nobody: those in a row, and those of a pause or a mute."""

from __future__ import annotations

import itertools

from cronwrap.history.database import reading
from cronwrap.history.folding import fold
from cronwrap.history.past import just_ended
from cronwrap.history.run import COLUMNS, Run, from_row
from cronwrap.history.totals import text
from cronwrap.model import Record


def skips_in_a_row(state_dir: str, job: str, user: str, since: float, limit: int) -> list[Run]:
    """Give the last runs of a job that were skipped, none that took place among them, newest first.

    Those that were paused do not count. Those that began before ``since`` are left out, and those beyond
    the newest ``limit``.
    """
    found = [Run(**{name: run[name] for name in COLUMNS}) for run in just_ended(state_dir, job)]
    job, user = text(job), text(user)
    with reading(state_dir) as database:
        if database is not None:
            rows = database.execute(
                "SELECT * FROM runs WHERE job = ? AND started >= ? ORDER BY started DESC LIMIT ?",
                (job, since, limit),
            )
            found += [from_row(row) for row in rows]
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
