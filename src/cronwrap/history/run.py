"""One run, as the history has it: of a row of the database, or of a record of the journal."""

from __future__ import annotations

from cronwrap.history.records import Unreadable
from cronwrap.history.totals import text
from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any


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


def columns_of(fields: dict[str, Any]) -> dict[str, Any]:
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
                raise Unreadable
        run = Run(**known)
    except (TypeError, ValueError, AttributeError):
        raise Unreadable from None
    if run.ended is None or run.result == "running":
        raise Unreadable
    # No column: what --remind and recovery go by is in the row of the job.
    return {name: getattr(run, name) for name in COLUMNS} | {"notified": fields.get("notified") is True}


def from_row(row: sqlite3.Row) -> Run:
    """Give the run of a row of the database."""
    values = dict(row)
    values["reasons"] = tuple(values["reasons"].split("\n")) if values["reasons"] else ()
    values["mailed"], values["by_hand"] = bool(values["mailed"]), bool(values.get("by_hand"))
    values.pop("arrival", None)
    return Run(**values)
