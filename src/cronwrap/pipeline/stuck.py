"""Whether a run that is skipped is the one that tells that its job is stuck: the Nth in a row, once."""

from __future__ import annotations

import time

from cronwrap.log import log
from cronwrap.redact.redactor import redactor
from cronwrap.report.unfinished import InTheWay, stuck
from cronwrap.report.verdict import STUCK
from cronwrap.text import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.model import Verdict
    from cronwrap.pipeline.context import RunContext
    from cronwrap.report.verdict import Policy

NAMED = 5
"""Runs in the way that a mail names."""
LOOKED_AT = 1000
"""Skips beyond the Nth that are looked through for one that has told it."""


class Stuck:
    """Tells ``stuck`` in place of the verdict of a skipped run, if it is the one to tell it.

    The history has the count; when it cannot be asked, the run is skipped as ever. It is asked once, however
    many want to hear of the run.
    """

    def __init__(self, run: RunContext, why: str, in_the_way: tuple[dict[str, Any], ...]) -> None:
        self._run, self._why, self._in_the_way = run, why, in_the_way
        self._row: int | None = None

    def verdict(self, skipped: Verdict, policy: Policy) -> Verdict:
        """Give the verdict for somebody who wants to hear of what the policy says."""
        if self._row is None:
            self._row = _row(self._run, self._in_the_way)
        if not self._row:
            return skipped
        named = tuple(_named(self._run, fields) for fields in self._in_the_way[:NAMED])
        return stuck(self._why, policy, self._row, named)


def _row(run: RunContext, in_the_way: tuple[dict[str, Any], ...]) -> int:
    """Give how many skips in a row this one makes, if that is to be told by it; else 0."""
    try:
        from cronwrap.history.skipped import skips_in_a_row  # noqa: PLC0415  # imports `sqlite3`

        wanted = run.settings["stuck-after"]
        since = min((float(fields["started"]) for fields in in_the_way), default=0.0)
        directory = run.settings.state_dir
        skips = skips_in_a_row(directory, run.job, run.user, since, wanted + LOOKED_AT)
    except Exception as error:  # noqa: BLE001  # no `_sqlite3`, say: it costs this mail, no more
        log(f"{run.job}: whether it is stuck is not known: {type(error).__name__}: {error}")
        return 0
    row = len(skips) + 1
    told = any(reason.startswith(f"{STUCK}: ") for skip in skips for reason in skip.reasons)
    return row if row >= wanted and not told else 0


def _named(run: RunContext, fields: dict[str, Any]) -> InTheWay:
    secrets = redactor(run.settings["redact.patterns"])
    return InTheWay(
        run=fields["run"],
        pid=fields["pid"],
        command=secrets.command(fields["command"]),
        since=moment(fields["started"]),
        seconds=max(0.0, time.time() - fields["started"]),
    )
