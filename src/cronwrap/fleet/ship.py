"""Sends what the fleet's database does not have yet, in the order in which it was run, each run once.

A batch is one transaction there; only when it has been committed is it written down here how far that was.
Killed anywhere between, it is sent again, and taken once: a run is known by its host and its id.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from itertools import islice
from typing import Any

from cronwrap import __version__
from cronwrap.errors import CronwrapError, StateError
from cronwrap.fleet import batch
from cronwrap.fleet.database import (
    Database,
    RecordError,
    RefusedError,
    UnreachableError,
    connected,
    host_name,
)
from cronwrap.fleet.peers import remember
from cronwrap.fleet.sent import Sent
from cronwrap.fleet.shipper import spread
from cronwrap.fleet.watch import Tell, look
from cronwrap.history import journal, shipping
from cronwrap.history.folding import fold
from cronwrap.history.runs import hour_of
from cronwrap.history.shipping import Arrival
from cronwrap.log import log
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import Settings

BATCH, BATCH_BYTES = 500, 4 << 20
"""Runs, and octets, of one statement: the memory that it takes here and there is bounded by them."""
JOBS_BATCH = 500
"""Jobs of one statement."""
HOURS_BACK = 48
"""Hours for which a summary is made up for after an outage; what is older goes with the runs of its time."""
SHIP_CALL = (
    "SELECT * FROM cronwrap.ship(%(host)s, %(about)s::jsonb, %(runs)s::jsonb, %(outputs)s::jsonb,"
    " %(hours)s::jsonb, %(jobs)s::jsonb)"
)
PEERS_CALL = "SELECT * FROM cronwrap.peers(%(host)s)"


def ship(settings: Settings, fleet: Fleet, tell: Tell | None = None) -> int:
    """Send all there is; give the number of runs that were new there. CronwrapError when not all is there.

    ``tell`` is given what this host is to tell of others, if it is its turn to look. What goes wrong is
    written down, for who asks how far behind this host is.
    """
    try:
        return _ship(settings, fleet, tell)
    except OSError as error:  # of the files in the state directory: the database's are CronwrapErrors
        words = f"what the fleet has cannot be written down: {settings.state_dir}: {error.strerror}"
        _note(settings, words)
        raise StateError(words) from error
    except CronwrapError as error:
        _note(settings, str(error))
        raise


def _note(settings: Settings, words: str) -> None:
    with suppress(StateError):
        shipping.failed(settings.state_dir, time.time(), words)


def _ship(settings: Settings, fleet: Fleet, tell: Tell | None) -> int:
    directory = settings.state_dir
    if journal.waiting(directory):
        for notice in fold(directory, settings["history.keep"]):
            log(notice)
    stored = 0
    with connected(fleet) as database:
        sender = _Sender(database, settings, fleet)
        more = True
        while more:
            new, more = sender.send()
            stored += new
        me = {"host": host_name(fleet)}
        remember(directory, [row["peers"] for row in database.call(PEERS_CALL, me)])
        _housekeep(database, me)
        shipping.shipped(directory, 0)  # nothing is wrong any more
        if fleet.watch and tell:
            look(database, me["host"], tell)
    return stored


def _housekeep(database: Database, me: dict[str, Any]) -> None:
    """Look after the tables, if it is this host's turn; another one's comes in a minute."""
    try:
        database.call("SELECT cronwrap.housekeep(%(host)s)", me)
    except (UnreachableError, RefusedError) as error:
        log(f"the days of the fleet's database are not looked after: {error}")


class _Sender:
    """Sends batches, until there is nothing more."""

    def __init__(self, database: Database, settings: Settings, fleet: Fleet) -> None:
        self._database, self._settings, self._fleet = database, settings, fleet
        self._host = host_name(fleet)
        self._summarized = fleet.ship == "changes"
        self._offset = spread(self._host, 3000.0) if self._summarized else 0.0
        self._sent = Sent(settings.state_dir)
        self._began_anew = False

    def send(self) -> tuple[int, bool]:
        """Send the next batch; give how many of its runs were new, and whether there is more."""
        directory, now = self._settings.state_dir, time.time()
        arrived = shipping.next_batch(directory, BATCH, BATCH_BYTES, recoveries=self._summarized)
        self._sent.look(self._settings, now)
        part = (now - self._offset) // 3600 if self._summarized else None
        rows = list(islice(self._sent.changed(now, part), JOBS_BATCH))
        hours, until = self._hours(arrived, now)
        about = self._about(len(arrived), now)
        new, known = self._store(about, arrived, rows, hours)
        if arrived:
            shipping.shipped(directory, arrived[-1].number)
        again = not known and not self._began_anew and self._sent.begin_anew()
        self._began_anew = True
        self._sent.write(about["number"], until)
        return new, bool(arrived) or len(rows) == JOBS_BATCH or again

    def _about(self, arrived: int, now: float) -> dict[str, Any]:
        behind = shipping.shipping(self._settings.state_dir)
        return {
            "version": __version__,
            "ship": self._fleet.ship,
            "quiet": self._fleet.quiet,
            "waiting": max(0, behind.waiting - arrived),
            "oldest": batch.moment(behind.oldest),
            "failed_since": batch.moment(behind.failed_since),
            "now": now,
            **self._sent.about(now),
        }

    def _hours(self, arrived: list[Arrival], now: float) -> tuple[list[dict[str, Any]], float]:
        """Give the hours that are over, with ``ship = "changes"``, and up to when none is missing then.

        Each host has its own minute for that. Runs that come later bring their hour with them again.
        """
        if not self._summarized:
            return [], 0.0
        until = (now - self._offset) // 3600 * 3600
        first = max(self._sent.summed, until - HOURS_BACK * 3600)
        begins = {first + 3600 * n for n in range(int((until - first) // 3600))}
        keys = {(user, begin) for user in self._sent.users() for begin in begins}
        keys |= {(a.run["user"], a.run["started"] // 3600 * 3600) for a in arrived}
        found = [
            (user, begin, hour_of(self._settings.state_dir, user, begin))
            for user, begin in sorted(keys)
            if begin < until
        ]
        return [batch.hour(user, begin, runs) for user, begin, runs in found if runs], until

    def _store(
        self,
        about: dict[str, Any],
        part: list[Arrival],
        rows: list[dict[str, Any]],
        hours: list[dict[str, Any]],
    ) -> tuple[int, bool]:
        """Store a batch; of one that holds what cannot be stored all but that, found by halving."""
        whole = batch.of_note(part) if self._summarized else part
        tables = {
            "about": about,
            "runs": batch.runs(whole),
            "outputs": batch.outputs(whole),
            "hours": hours,
            "jobs": rows,
        }
        values = {name: json.dumps(batch.clean(table)) for name, table in tables.items()}
        try:
            answer = self._database.call(SHIP_CALL, {**values, "host": self._host})[0]
            return int(answer["stored"]), bool(answer["known"])
        except RecordError as error:
            halves = _halves(part, rows, hours)
            if not halves:
                if not part and not rows and not hours:
                    raise RefusedError(str(error)) from error
                log(f"{_words(part, rows)} is left out of what the fleet is told: {error}")
                return 0, True
        answers = [self._store(about, *half) for half in halves]
        return sum(new for new, _known in answers), all(known for _new, known in answers)


Part = tuple[list[Arrival], list[dict[str, Any]], list[dict[str, Any]]]


def _halves(part: list[Arrival], rows: list[dict[str, Any]], hours: list[dict[str, Any]]) -> list[Part]:
    """Give a batch in smaller ones, of one kind each; none when it holds one thing."""
    found: list[Part] = []
    kinds: list[list[Any]] = [part, rows, hours]
    lone = sum(map(bool, kinds)) == 1
    for kind, things in enumerate(kinds):
        half = len(things) // 2 if lone else len(things)
        for some in (things[:half], things[half:]):
            if some and half:
                alone: list[list[Any]] = [[], [], []]
                alone[kind] = some
                found.append((alone[0], alone[1], alone[2]))
    return found


def _words(part: list[Arrival], rows: list[dict[str, Any]]) -> str:
    if part:
        return f"run {part[0].run['run']}"
    return f"job {rows[0]['job']}" if rows else "an hour"
