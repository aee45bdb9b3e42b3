"""Sends what the fleet's database does not have yet, in the order in which it was run, each run once.

A batch is one transaction there; only when it has been committed is it written down here how far that was.
Killed anywhere between, it is sent again, and taken once: a run is known by its host and its id.
"""

from __future__ import annotations

import json
import marshal
import os
import time
import zlib
from collections.abc import Iterator
from typing import Any

from cronwrap import __version__
from cronwrap.errors import ConfigError, CronwrapError, StateError
from cronwrap.fleet import batch
from cronwrap.fleet.database import Database, RecordError, RefusedError, connected, host_name
from cronwrap.history import arrivals, journal
from cronwrap.history.arrivals import Arrival
from cronwrap.history.runs import fold, hour_of, jobs
from cronwrap.job import holds
from cronwrap.lock import Lock
from cronwrap.log import log
from cronwrap.metrics.upcoming import upcoming
from cronwrap.paths import user_name
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings, load
from cronwrap.state import state

BATCH, BATCH_BYTES = 500, 4 << 20
"""Runs, and octets, of one statement: the memory that it takes here and there is bounded by them."""
SENT = "fleet.sent"
"""In the state directory: a checksum of each job's row as last sent, and what the crontab said."""
SENT_LIMIT = 16 << 20
CRONTAB_AGE = 60.0
"""Seconds for which what the crontab says holds: somebody may have edited it."""
ALL_THERE, TRY_AGAIN, NO_USE = 0, 1, 3
SHIP_CALL = (
    "SELECT cronwrap.ship(%(host)s, %(about)s::jsonb, %(runs)s::jsonb, %(outputs)s::jsonb, %(hours)s::jsonb,"
    " %(jobs)s::jsonb) AS stored"
)


def ship_now(directory: str) -> int:
    """Send all there is; give ``ALL_THERE``, ``TRY_AGAIN`` or ``NO_USE``. What is wrong is written down."""
    settings = load({}, os.environ)
    fleet = fleet_in_force(settings.paths)
    if fleet is None:
        return NO_USE
    try:
        ship(settings, fleet)
    except (CronwrapError, OSError) as error:
        log(f"the fleet is not told: {error}")
        try:
            arrivals.failed(directory, time.time(), str(error))
        except StateError:
            return TRY_AGAIN
        return NO_USE if isinstance(error, ConfigError) else TRY_AGAIN
    return ALL_THERE


def ship(settings: Settings, fleet: Fleet) -> int:
    """Send all there is; give the number of runs that were new there. CronwrapError when not all is there."""
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
        database.call("SELECT cronwrap.housekeep(%(host)s)", {"host": host_name(fleet)})
    arrivals.shipped(directory, 0)  # nothing is wrong any more
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
        self._times: dict[str, Any] = {}
        self._new: dict[tuple[str, str], int] = {}
        try:
            handle = state(directory).open(SENT)
            with open(handle, "rb") as file:
                content = file.read(SENT_LIMIT)
            if zlib.crc32(content[8:]) == int.from_bytes(content[:8], "big"):
                self._marks, self._times = marshal.loads(content[8:])  # noqa: S302  # our own file, and whole
        except (OSError, ValueError, TypeError, EOFError):
            self._marks, self._times = {}, {}

    def changed(self, settings: Settings) -> Iterator[dict[str, Any]]:
        """Give the rows of the jobs that are not as they were sent last."""
        now = time.time()
        held: dict[str, list[holds.Hold]] = {}
        for hold in holds.every(settings.state_dir):
            if not hold.over(now) and hold.kind in (holds.PAUSE, holds.MUTE):
                held.setdefault(hold.job, []).append(hold)
        known = jobs(settings.state_dir)
        times = self._upcoming({(t.job, t.user): t.started for t, _ in known}, now)
        for tally, running in known:
            says, _, due = times.get(tally.job, ("", 0.0, []))
            after = max(tally.started, running.started if running else 0.0)
            row = batch.job(
                tally,
                running,
                held.get(tally.job, []),
                (says.split("\n")[0].strip(), next((at for at in due if at > after), None)),
            )
            key, mark = (tally.job, tally.user), zlib.crc32(json.dumps(row, sort_keys=True).encode())
            if self._marks.get(key) != mark:
                self._new[key] = mark
                yield row

    def _upcoming(self, starts: dict[tuple[str, str], float], now: float) -> dict[str, Any]:
        if 0 <= now - self._times.get("asked", 0.0) < CRONTAB_AGE:
            return dict(self._times["jobs"])
        try:
            found = upcoming(user_name(), starts, self._times.get("jobs", {}), now)
        except Exception as error:  # noqa: BLE001  # no cronsim, no crontab(1), a crontab that is no text
            log(f"the fleet does not know when jobs are due: {type(error).__name__}: {error}")
            found = {}
        self._times = {"asked": now, "jobs": found}
        return dict(found)

    def write(self) -> None:
        """Remember what the database has now."""
        self._marks |= self._new
        body = marshal.dumps((self._marks, self._times), 2)
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
