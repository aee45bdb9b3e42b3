"""The lines of a user's crontabs as a list of jobs needs them, and when they are due: kept in memory.

Ten thousand lines take seconds to be understood. So what was understood of a crontab is kept until its text
is another, and of that each line that is the same; and a schedule's times are computed when the last ones
are over.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import islice, takewhile

from cronwrap.crontab.audit import EARLY, zone_named
from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.lines import Job, is_system_path
from cronwrap.crontab.named import jobs_at, naming, tables
from cronwrap.crontab.schedule import ScheduleError, read
from cronwrap.crontab.words import describe
from cronwrap.errors import CronwrapError
from cronwrap.history.totals import text as storable
from cronwrap.settings.load import Settings

GRACE = 300.0
"""Seconds that a job may start late, as ``crontab audit`` has it."""
COUNTED = 20
"""Missed times that are counted; of more it is said that there are more."""
MEMORY = 50_000
"""Schedules whose times are remembered at most."""


class Line:
    """A job's line of a crontab."""

    __slots__ = ("command", "context", "due", "job", "number", "place", "schedule", "user", "wrapped", "zone")

    def __init__(self, place: str, job: Job, context: object) -> None:
        self.place, self.number, self.user = place, job.number, job.user
        self.schedule, self.command = sys.intern(job.schedule), job.command
        self.zone = job.environment.get("CRON_TZ", "")
        self.context = context
        """What the names of a command depend on besides."""
        self.due: Due | None = None
        self.job: tuple[str, ...] = ()
        """Its names; none where these depend on what the shell makes of the line."""
        self.wrapped = False

    @property
    def where(self) -> str:
        """Give where it stands: ``crontab:5``."""
        return f"{self.place}:{self.number}"


class _Table:
    """A crontab as it was understood."""

    __slots__ = ("lines", "mark")

    def __init__(self) -> None:
        self.mark: object = None
        self.lines: tuple[Line, ...] = ()

    def read(self, place: str, text: str, secrets: tuple[str, ...]) -> tuple[Line, ...]:
        mark = (hash(text), len(text), secrets)
        if mark != self.mark:
            known = {(line.command, line.context): line for line in self.lines}
            contexts: dict[object, object] = {}
            lines = []
            for job in jobs_at(place, text):
                name = job.environment.get("CRONWRAP_NAME")
                found = (job.shell, name, job.dialect.name, secrets)
                context = contexts.setdefault(found, found)  # one for all lines that share it
                line = Line(place, job, context)
                old = known.get((job.command, context))
                if old:
                    line.job, line.wrapped = old.job, old.wrapped
                else:
                    names, line.wrapped = naming(job, secrets)
                    line.job = tuple(map(storable, names))
                lines.append(line)
            self.mark, self.lines = mark, tuple(lines)
        return self.lines


_tables: dict[str, _Table] = {}
_due: dict[tuple[str, str], Due] = {}
_missed: dict[tuple[str, str, float, float], tuple[float, ...]] = {}
_words: dict[str, str] = {}


def lines(settings: Settings, user: str) -> tuple[list[Line], str]:
    """Give the lines that cron runs as a user, and why their own crontab cannot be read, or an empty text."""
    texts, fault = tables(user)
    secrets = tuple(settings["redact.patterns"])
    found: list[Line] = []
    for place, text in texts:
        table = _tables.setdefault(place, _Table())
        known = table.read(place, text, secrets)
        found += (line for line in known if line.user == user) if is_system_path(place) else known
    for gone in _tables.keys() - {place for place, _text in texts}:
        del _tables[gone]
    return found, fault


def words(schedule: str) -> str:
    """Give a schedule in words; what is wrong with it where it is none."""
    if schedule not in _words:
        if len(_words) >= MEMORY:
            _words.clear()
        try:
            _words[schedule] = describe(schedule)
        except ScheduleError as error:
            _words[schedule] = str(error)
    return _words[schedule]


class Due:
    """When a schedule was due of late, and when it is next."""

    __slots__ = ("begin", "end", "next", "recent")

    def __init__(self, schedule: str, zone: str, now: float) -> None:
        recent: list[float] = []
        for due in _times(schedule, zone, now + 1, reverse=True):
            recent.append(due)
            if due <= now - GRACE:
                break
        self.recent = recent[::-1]
        """Ascending; the first is the last one that is long enough ago to be missed."""
        self.next = next(_times(schedule, zone, now), None)
        ends = [*(due + GRACE for due in self.recent[1:2]), *([] if self.next is None else [self.next])]
        self.begin, self.end = now, min(ends, default=float("inf"))
        """From when on and until when this holds."""

    def missed(self, started: float, now: float) -> bool:
        """Tell whether a job that has started before did not when it was due last."""
        recent = self.recent
        return bool(recent) and recent[0] <= now - GRACE and recent[0] - EARLY > started


def times(line: Line, now: float) -> Due:
    """Give when a line was due of late, and when it is next; nothing where nobody can tell."""
    found = line.due
    if found is None or not found.begin <= now < found.end:
        key = (line.schedule, line.zone)
        found = _due.get(key)
        if found is None or not found.begin <= now < found.end:
            if len(_due) >= MEMORY:
                _due.clear()
            _due[key] = found = Due(line.schedule, line.zone, now)
        line.due = found
    return found


def missed(line: Line, started: float, now: float) -> tuple[float, ...]:
    """Give the times since a job started last at which it did not, latest first, at most ``COUNTED``."""
    recent = times(line, now).recent
    if not recent or recent[0] > now - GRACE:
        return ()
    key = (line.schedule, line.zone, started, recent[0])
    if key not in _missed:
        if len(_missed) >= MEMORY:
            _missed.clear()
        dues = _times(line.schedule, line.zone, recent[0] + 1, reverse=True)
        absent = takewhile(lambda due: due - EARLY > started, dues)
        _missed[key] = tuple(islice(absent, COUNTED))
    return _missed[key]


def _times(text: str, zone: str, begin: float, *, reverse: bool = False) -> Iterator[float]:
    """Give the times at which cron starts a job, from one on or back from it, as far as can be told."""
    try:
        from cronsim import CronSim  # noqa: PLC0415  # an extra that may not be installed
        from cronsim.cronsim import CronSimError  # noqa: PLC0415
    except ImportError:
        return
    try:
        schedule = read(text)
        if not schedule.expression or schedule.never:
            return
        local: tzinfo = zone_named(zone) if zone else _host_zone()
        at = datetime.fromtimestamp(begin, UTC).astimezone(local)
        for due in CronSim(schedule.expression, at, reverse):
            yield due.timestamp()
    except (ScheduleError, CronwrapError, CronSimError, OverflowError):
        return


_zone: tuple[float, tzinfo] = (0.0, UTC)


def _host_zone() -> tzinfo:
    """Give the host's time zone, looked up once a minute: the file is read each time."""
    global _zone  # noqa: PLW0603
    if time.monotonic() > _zone[0]:
        _zone = (time.monotonic() + 60.0, host_zone())
    return _zone[1]
