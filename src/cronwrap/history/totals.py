"""What metrics tell of each job, in one small file that every run brings up to date without SQLite.

It is what the database knew (``totals_sql``) and each record of the journal since, by name, so that none
counts twice or is left out, whoever folds the journal meanwhile. What these two do not tell (a run that ended
earlier is found later, a fold took records away) is asked of the database anew. Whoever writes it holds
``lock``. Where no metrics are wanted there is no such file.
"""

from __future__ import annotations

import marshal
import os

from cronwrap.history import journal
from cronwrap.lock import Lock
from cronwrap.state import checksum, put, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cronwrap.history.journal import Entry

    Totals = dict[str, Any]
    """``jobs`` (by job and user), the records ``seen`` by name, ``times`` of the crontab (``upcoming``)."""
    Fields = dict[str, Any]

FILE = "totals"
OUTDATED = "totals.outdated"
"""Left by a fold: what it took away may not be in the file."""
MAKING = "totals.making"
"""What becomes of that while the file is made anew: another fold may leave its own meanwhile."""
FORM = 1
"""Of the file; one of another form is made anew."""
SIZE_LIMIT = 64 << 20
"""Octets; ten thousand jobs have four million. A larger one was not written by us."""
NO_FAILURE = ("ok", "skipped")
"""What does not count as a failure (``tally.FAILED`` has the others)."""
NOTHING: Fields = {
    "started": None,
    "exit_code": None,
    "duration": None,
    "cpu": None,
    "rss": None,
    "ended": 0.0,
    "last": 0.0,
    "failures": 0,
    "success": None,
    "failure": None,
}
"""Of a job without a run: the last one that took place, the last end and start of any, failures in a row."""


def lock(state_dir: str) -> Lock:
    """Give the lock of the file and of what is written from it; OSError where there can be none."""
    return Lock(".metrics", state(state_dir, "locks", make=True).fd)


def text(value: str) -> str:
    r"""Give text that SQLite, JSON and Prometheus can hold: octets that are no UTF-8 become ``\xff``."""
    try:
        octets = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = value.encode("utf-8", "backslashreplace")
    return octets.decode("utf-8", "backslashreplace")


def current(state_dir: str, own: Entry | None = None, *, anew: bool = False) -> Totals:
    """Give the totals with all runs that have ended; StateError when the history cannot be asked.

    They are the file's where that is enough, the database's where it is not, or ``anew``. ``own`` is the
    record of the run that asks: it need not be read.
    """
    known = None if anew else read(state_dir)
    if known is None or not _add(state_dir, known, own):
        times = (known or read(state_dir, outdated=True) or {}).get("times")
        known = _from_database(state_dir)
        _add(state_dir, known, own)
        known["times"] = times
    return known


def _from_database(state_dir: str) -> Totals:
    from cronwrap.history.totals_sql import rows  # noqa: PLC0415  # imports `sqlite3`

    jobs: dict[tuple[str, str], Fields] = {}
    counts, found, seen = rows(state_dir)
    for row in counts:
        job = jobs.setdefault((row["job"], row["user"]), {**NOTHING, "runs": {}})
        job["runs"][row["result"]] = row["runs"]
        if row["result"] == "ok":
            job["success"] = row["ended"]
        elif row["result"] not in NO_FAILURE:
            job["failure"] = max(row["ended"], job["failure"] or 0.0)
    for row, run in found:
        job = jobs.setdefault((row["job"], row["user"]), {**NOTHING, "runs": {}})
        job["last"], job["ended"], job["failures"] = row["started"], row["ended"], row["failures"]
        if run:
            job["started"], job["duration"] = run["started"], run["duration"]
            job["exit_code"] = exit_code(run["exit_code"], run["signal"])
            job["cpu"], job["rss"] = run["cpu_seconds"], run["max_rss_bytes"]
    return {"form": FORM, "jobs": jobs, "seen": seen, "times": None}


def read(state_dir: str, *, outdated: bool = False) -> Totals | None:
    """Give what the file has, None when there is none, or it is not whole; ``outdated``: even so."""
    try:
        place = state(state_dir)
        handle = place.open(FILE)
    except OSError:
        return None
    try:
        size = os.fstat(handle).st_size
        content = os.read(handle, size) if size < SIZE_LIMIT else b""
        body = content[16:]
        if content[:16] != b"%016x" % checksum(body) or (not outdated and _is_outdated(state_dir)):
            return None
        known: Totals = marshal.loads(body)  # noqa: S302  # our own file, closed to others, and whole
    except Exception:  # noqa: BLE001  # as for the cache of the settings: the database is there
        return None
    finally:
        os.close(handle)
    return known if known.get("form") == FORM else None


def write(state_dir: str, known: Totals) -> None:
    """Write the file whole; OSError when that cannot be done."""
    place = state(state_dir, make=True)
    body = marshal.dumps(known)
    content = b"%016x" % checksum(body) + body
    put(place.fd, FILE, content, f"{FILE}.new")  # there is one writer at a time
    if os.access(MAKING, os.F_OK, dir_fd=place.fd):
        place.unlink(MAKING)


def outdate(state_dir: str) -> None:
    """Leave word, before records are taken from the journal, that the file may not have them."""
    place = state(state_dir)
    try:
        place.stat(FILE)
    except FileNotFoundError:
        return
    os.close(place.open(OUTDATED, os.O_WRONLY | os.O_CREAT))


def renew(state_dir: str) -> None:
    """Bring an outdated file up to date, unless somebody else holds it, who will do so."""
    if not _is_outdated(state_dir):
        return
    held = lock(state_dir)
    try:
        if held.take():
            write(state_dir, for_writing(state_dir))
    finally:
        held.release()


def for_writing(state_dir: str, own: Entry | None = None) -> Totals:
    """Give the totals for ``write``, under the lock; StateError and OSError as the two."""
    place = state(state_dir, make=True)
    anew = False
    if os.access(FILE, os.F_OK, dir_fd=place.fd):
        if os.access(OUTDATED, os.F_OK, dir_fd=place.fd):
            place.rename(OUTDATED, MAKING)
        anew = os.access(MAKING, os.F_OK, dir_fd=place.fd)
    else:
        os.close(place.create(FILE))  # from now on folds leave word
    return current(state_dir, own, anew=anew)


def _is_outdated(state_dir: str) -> bool:
    fd = state(state_dir).fd
    return os.access(OUTDATED, os.F_OK, dir_fd=fd) or os.access(MAKING, os.F_OK, dir_fd=fd)


def _add(state_dir: str, known: Totals, own: Entry | None) -> bool:
    """Add what the journal has since; False when the order of the runs is the database's to tell."""
    names = {*journal.names_of_ended(state_dir)}
    new = names - known["seen"]
    mine = own.name + journal.ENDED if own and own.end else ""
    read_from: Iterable[tuple[str, Fields]] = ()
    if own and own.end and new == {mine}:
        read_from = ((mine, {**own.fields, **own.end}),)
    elif new:
        from cronwrap.history.records import ended  # noqa: PLC0415  # others ended as well, or nobody wrote

        read_from = ended(state_dir, seen=known["seen"])
    found = [(fields.get("ended") or 0.0, name, fields) for name, fields in read_from]
    known["seen"] = (known["seen"] & names) | {name for _, name, _ in found}
    found.sort(key=_by_time)
    in_order = [add(known["jobs"], fields) for _, _, fields in found]  # all of them, whatever the first says
    return all(in_order)


def _by_time(found: tuple[Any, ...]) -> tuple[float, str]:
    ended = found[0]
    return ended if type(ended) in (int, float) else 0.0, found[1]


def add(jobs: dict[tuple[str, str], Fields], run: Fields) -> bool:
    """Add a run that has ended; False when a later one was added before."""
    try:
        ended, started, result = float(run["ended"]), float(run["started"]), str(run["result"])
        key = (text(run["job"]), text(run["user"]))
        numbers = [_number(run.get(name)) for name in ("duration", "cpu_seconds", "max_rss_bytes")]
        code = exit_code(run.get("exit_code"), run.get("signal"))
    except (KeyError, TypeError, ValueError, AttributeError):
        return True  # a fold sets it aside
    job = jobs.get(key)
    if job is None:
        job = jobs[key] = {**NOTHING, "runs": {}}
    job["runs"][result] = job["runs"].get(result, 0) + 1
    failed = result not in NO_FAILURE
    if failed or result == "ok":
        kind = "failure" if failed else "success"
        job[kind] = max(ended, job[kind] or 0.0)
    job["last"] = max(started, job["last"])
    if ended < job["ended"]:
        return False
    if result == "abandoned" and started < (job["started"] or 0.0):  # found late: it is not the last one
        job["failures"] += bool(job["failures"])
        return True
    job["ended"] = ended
    if result == "skipped":  # it did not take place
        return True
    job["failures"] = job["failures"] + 1 if failed else 0 if result == "ok" else job["failures"]
    job["started"], job["exit_code"] = started, code
    job["duration"], job["cpu"], job["rss"] = numbers
    return True


def exit_code(code: object, signal: object) -> int | None:
    """Give a run's exit status as a shell has it: 128 and the signal that ended it; None if unknown."""
    if isinstance(code, int):
        return code
    return 128 + signal if isinstance(signal, int) else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
