"""Sends what the fleet's database does not have yet, in the order in which it was run, each run once.

A batch is one transaction there; only when it has been committed is it written down here how far that was.
Killed anywhere between, it is sent again, and taken once: a run is known by its host and its id.
"""

from __future__ import annotations

import json
import marshal
import time
import zlib
from collections.abc import Iterator
from typing import Any

from cronwrap import __version__
from cronwrap.fleet import batch
from cronwrap.fleet.database import Database, RecordError, RefusedError, connected, host_name
from cronwrap.fleet.peers import remember
from cronwrap.fleet.schedules import schedules
from cronwrap.fleet.watch import Tell, look
from cronwrap.history import arrivals, journal
from cronwrap.history.arrivals import Arrival
from cronwrap.history.runs import fold, hour_of, jobs
from cronwrap.history.tally import Tally
from cronwrap.job import holds
from cronwrap.lock import Lock
from cronwrap.log import log
from cronwrap.paths import user_name
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings
from cronwrap.state import state

BATCH, BATCH_BYTES = 500, 4 << 20
"""Runs, and octets, of one statement: the memory that it takes here and there is bounded by them."""
SENT = "fleet.sent"
"""In the state directory: a checksum of each job's row as last sent, and what the crontab said."""
SENT_LIMIT = 16 << 20
SHIP_CALL = (
    "SELECT cronwrap.ship(%(host)s, %(about)s::jsonb, %(runs)s::jsonb, %(outputs)s::jsonb, %(hours)s::jsonb,"
    " %(jobs)s::jsonb) AS stored"
)
PEERS_CALL = "SELECT * FROM cronwrap.peers(%(host)s)"


def ship(settings: Settings, fleet: Fleet, tell: Tell | None = None) -> int:
    """Send all there is; give the number of runs that were new there. CronwrapError when not all is there.

    ``tell`` is given what this host is to tell of others, if it is its turn to look.
    """
    directory = settings.state_dir
    _fold(settings)
    stored = 0
    with connected(fleet) as database:
        sent = _Sent(directory)
        more = True
        while more:
            arrived = arrivals.next_batch(directory, BATCH, BATCH_BYTES)
            stored += _send(database, settings, fleet, arrived, list(sent.changed(settings)))
            if arrived:
                arrivals.shipped(directory, arrived[-1].number)
            sent.write()
            more = bool(arrived)
        me = {"host": host_name(fleet)}
        remember(directory, [row["peers"] for row in database.call(PEERS_CALL, me)])
        database.call("SELECT cronwrap.housekeep(%(host)s)", me)
        arrivals.shipped(directory, 0)  # nothing is wrong any more
        if fleet.watch and tell:
            look(database, me["host"], tell)
    return stored


def _send(
    database: Database, settings: Settings, fleet: Fleet, part: list[Arrival], rows: list[dict[str, Any]]
) -> int:
    """Send a batch; of one that holds what cannot be stored all but that, found by halving."""
    try:
        return int(database.call(SHIP_CALL, _values(settings, fleet, part, rows))[0]["stored"])
    except RecordError as error:
        if part and rows:
            return _send(database, settings, fleet, part, []) + _send(database, settings, fleet, [], rows)
        half = max(len(part), len(rows)) // 2
        if half:
            first = _send(database, settings, fleet, part[:half], rows[:half])
            return first + _send(database, settings, fleet, part[half:], rows[half:])
        if not part and not rows:
            raise RefusedError(str(error)) from error
        what = f"run {part[0].run['run']}" if part else f"job {rows[0]['job']}"
        log(f"{what} is left out of what the fleet is told: {error}")
        return 0


def _values(
    settings: Settings, fleet: Fleet, part: list[Arrival], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    behind = arrivals.shipping(settings.state_dir)
    summarized = fleet.ship == "changes"
    whole = batch.of_note(part) if summarized else part
    hours: list[dict[str, Any]] = []
    if summarized:
        keys = {(a.run["user"], a.run["job"], a.run["started"] // 3600 * 3600) for a in part}
        hours = [batch.hour(hour_of(settings.state_dir, *key)) for key in sorted(keys)]
    about = {
        "version": __version__,
        "ship": fleet.ship,
        "quiet": fleet.quiet,
        "waiting": max(0, behind.waiting - len(part)),
        "oldest": batch.moment(behind.oldest),
        "failed_since": batch.moment(behind.failed_since),
        "now": time.time(),
    }
    tables = {
        "about": about,
        "runs": batch.runs(whole),
        "outputs": batch.outputs(whole),
        "hours": hours,
        "jobs": rows,
    }
    return {
        "host": host_name(fleet),
        **{name: json.dumps(batch.clean(table)) for name, table in tables.items()},
    }


def _fold(settings: Settings) -> None:
    """Bring what has ended into the history; whoever else is just doing that does it for us."""
    if not journal.waiting(settings.state_dir):
        return
    lock = Lock(".history", state(settings.state_dir, "locks", make=True).fd)
    try:
        if lock.take():
            for notice in fold(settings.state_dir, settings["history.keep"]):
                log(notice)
    finally:
        lock.release()


class _Sent:
    """What the database has been told of each job, so that only what has changed is sent again."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._marks: dict[tuple[str, str], int] = {}
        self._schedules: dict[str, Any] = {}
        self._new: dict[tuple[str, str], int] = {}
        try:
            handle = state(directory).open(SENT)
            with open(handle, "rb") as file:
                content = file.read(SENT_LIMIT)
            if zlib.crc32(content[8:]) == int.from_bytes(content[:8], "big"):
                self._marks, self._schedules = marshal.loads(content[8:])  # noqa: S302  # our own file, and whole
        except (OSError, ValueError, TypeError, EOFError):
            self._marks, self._schedules = {}, {}

    def changed(self, settings: Settings) -> Iterator[dict[str, Any]]:
        """Give the rows of the jobs that are not as they were sent last."""
        now = time.time()
        held: dict[str, list[holds.Hold]] = {}
        for hold in holds.every(settings.state_dir):
            if not hold.over(now) and hold.kind in (holds.PAUSE, holds.MUTE):
                held.setdefault(hold.job, []).append(hold)
        known = {(tally.job, tally.user): (tally, running) for tally, running in jobs(settings.state_dir)}
        user = user_name()
        starts = {
            job: max(tally.started, running.started if running else 0.0)
            for (job, of), (tally, running) in known.items()
            if of == user
        }
        self._ask_crontabs(user, starts, now)
        for name in self._schedules:
            known.setdefault((name, user), (Tally(job=name, user=user), None))
        for key, (tally, running) in known.items():
            schedule = self._schedules.get(tally.job) if tally.user == user else None
            row = batch.job(tally, running, held.get(tally.job, []), schedule)
            mark = zlib.crc32(json.dumps(row, sort_keys=True).encode())
            if self._marks.get(key) != mark:
                self._new[key] = mark
                yield row

    def _ask_crontabs(self, user: str, starts: dict[str, float], now: float) -> None:
        """Have what the crontabs say; where they cannot be read, what they said."""
        try:
            self._schedules = schedules(user, starts, self._schedules, now)
        except Exception as error:  # noqa: BLE001  # no cronsim, a crontab that is no text
            log(f"the fleet does not know when jobs are due: {type(error).__name__}: {error}")

    def write(self) -> None:
        """Remember what the database has now."""
        self._marks |= self._new
        body = marshal.dumps((self._marks, self._schedules), 2)
        directory = state(self._directory)
        new = f"{SENT}.new"
        try:
            directory.unlink(new)
        except FileNotFoundError:
            pass
        handle = directory.create(new)
        with open(handle, "wb") as file:
            file.write(zlib.crc32(body).to_bytes(8, "big") + body)
        directory.rename(new, SENT)
