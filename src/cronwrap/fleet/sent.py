"""What the fleet's database has been told of this user's jobs: only what has changed is sent again."""

from __future__ import annotations

import json
import marshal
import os
import time
import zlib
from collections.abc import Iterator
from typing import Any

from cronwrap.fleet import batch
from cronwrap.fleet.schedules import schedules
from cronwrap.history.run import Run
from cronwrap.history.runs import jobs
from cronwrap.history.tally import Tally
from cronwrap.job import holds
from cronwrap.log import log
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings
from cronwrap.state import put, state

FILE = "fleet.sent"
"""In the state directory: a checksum of each job's row as last sent, and what the crontab said."""
SIZE_LIMIT = 16 << 20
VERSION = 1
"""Of the file; another one's is none."""

Key = tuple[str, str]


class Sent:
    """The jobs as they stand, and as the database has them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._user = user_name()
        self._marks: dict[Key, int] = {}
        self._new: dict[Key, int] = {}
        self._schedules: dict[str, Any] = {}
        self._epoch, self._number = os.urandom(8).hex(), 0
        self.summed = 0.0
        """Unix time up to which the database has the summaries of all hours."""
        self._known: dict[Key, tuple[Tally, Run | None]] = {}
        self._held: dict[str, list[holds.Hold]] = {}
        try:
            with open(state(directory).open(FILE), "rb") as file:
                content = file.read(SIZE_LIMIT)
            if zlib.crc32(content[8:]) != int.from_bytes(content[:8], "big"):
                return
            version, *values = marshal.loads(content[8:])  # noqa: S302  # our own file, and whole
            if version == VERSION:
                self._marks, self._schedules, self._epoch, self._number, self.summed = values
        except (OSError, ValueError, TypeError, EOFError):
            return

    def look(self, settings: Settings, now: float) -> None:
        """Look at the jobs, at what holds them back, and at what the crontabs say."""
        self._held = {}
        for hold in holds.every(settings.state_dir):
            if not hold.over(now) and hold.kind in (holds.PAUSE, holds.MUTE):
                self._held.setdefault(hold.job, []).append(hold)
        self._known = {(tally.job, tally.user): (tally, running) for tally, running in jobs(self._directory)}
        starts = {
            job: max(tally.started, running.started if running else 0.0)
            for (job, of), (tally, running) in self._known.items()
            if of == self._user
        }
        try:
            paused = {
                job for job, held in self._held.items() if any(hold.kind == holds.PAUSE for hold in held)
            }
            self._schedules = schedules(self._user, starts, self._schedules, now, paused)
        except Exception as error:  # noqa: BLE001  # no cronsim, a crontab that is no text: what they said
            log(f"the fleet does not know when jobs are due: {type(error).__name__}: {error}")
        for name in self._schedules:
            self._known.setdefault((name, self._user), (Tally(job=name, user=self._user), None))

    def users(self) -> set[str]:
        """Give the users of whom there are jobs."""
        return {user for _job, user in self._known}

    def changed(self, now: float, part: float | None) -> Iterator[dict[str, Any]]:
        """Give the rows of the jobs that are not as they were sent last.

        ``part``: the present stretch of time, with ``ship = "changes"``; each row is sent once in it,
        and else only when something of note has changed.
        """
        for key, (tally, running) in self._known.items():
            schedule = self._schedules.get(tally.job) if tally.user == self._user else None
            row = batch.job(tally, running, self._held.get(tally.job, []), schedule)
            of_note: Any = row
            if part is not None:
                row = batch.steady(row, now)
                of_note = [part, *(value for name, value in row.items() if name not in batch.OF_EACH_RUN)]
            mark = zlib.crc32(json.dumps(of_note, sort_keys=True).encode())
            if self._marks.get(key) != mark and key not in self._new:
                self._new[key] = mark
                yield row

    def about(self, now: float) -> dict[str, Any]:
        """Give what is said of all the jobs in a few words, and the number of what is sent."""
        tallies = [tally for tally, _running in self._known.values()]
        due = [
            (at + grace, at, grace)
            for job, (_says, _since, grace, _gone, at, _every) in self._schedules.items()
            if at is not None and not any(hold.kind == holds.PAUSE for hold in self._held.get(job, ()))
        ]
        _until, at, grace = min(due, default=(0.0, None, 0.0))
        return {
            "user_name": self._user,
            "epoch": self._epoch,
            "acknowledged": self._number,
            # It grows, also from an attempt that was killed before it was written down to the next.
            "number": max(self._number + 1, int(now * 1000)),
            "jobs": len(tallies),
            "failing": sum(tally.failures > 0 for tally in tallies),
            "running": sum(running is not None for _tally, running in self._known.values()),
            "next": batch.moment(at),
            "grace": grace,
        }

    def begin_anew(self) -> bool:
        """Take the database for one that knows nothing; tell whether there is anything to send again."""
        had = bool(self._marks)
        self._marks = {}
        self.summed = min(self.summed, time.time() - 86400)
        return had

    def write(self, number: int, summed: float) -> None:
        """Remember what the database has now."""
        self._marks |= self._new
        self._new = {}
        self._number = number
        self.summed = max(self.summed, summed)
        # Those that are forgotten here are forgotten in what is remembered of them.
        self._marks = {key: mark for key, mark in self._marks.items() if key in self._known}
        values = (VERSION, self._marks, self._schedules, self._epoch, self._number, self.summed)
        body = marshal.dumps(values, 2)
        content = zlib.crc32(body).to_bytes(8, "big") + body
        put(state(self._directory).fd, FILE, content, f"{FILE}.new")
