"""What a page says of lines of a crontab: what they mean, when they are due, what lint has against them.

What was found out is remembered for a while: it takes a thousand times as long as to read a line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from cronwrap.crontab.dialect import Dialect
from cronwrap.crontab.edit import shown
from cronwrap.crontab.here import mistakes
from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.lines import Assignment, Job, Line, Unreadable
from cronwrap.crontab.named import is_wrapped, naming, next_times
from cronwrap.crontab.schedule import ScheduleError
from cronwrap.crontab.shell_check import ShellCheck
from cronwrap.crontab.words import describe
from cronwrap.crontab.wrap import use_of, why_left
from cronwrap.model import Record
from cronwrap.settings.subcommands import SUBCOMMANDS

TIMES_BESIDE = 1
TIMES_TOLD = 5
"""Next times that are told beside a line, and where a schedule is asked about."""
REMEMBERED = 64
"""Pages of crontabs that are remembered as they were read and judged."""
SHELL_TEXTS = 20_000
"""Commands that a shell was asked about, a few milliseconds each: they are remembered."""
SHELL_BUDGET = 0.4
"""Seconds for asking shells about one page; what is left is asked about at the next look."""

Found = tuple[dict[str, Any], ...]


class Soon:
    """When schedules are due next; each is reckoned once."""

    def __init__(self, now: float, count: int = TIMES_BESIDE) -> None:
        self._now, self._count, self._zone = now, count, host_zone()
        self._known: dict[tuple[str, str], list[float]] = {}
        self.zone = getattr(self._zone, "key", None) or time.strftime("%Z", time.localtime(now))

    def times(self, schedule: str, named: str = "") -> list[float]:
        """Give the next Unix times; ``named`` is CRON_TZ, if it is set."""
        key = schedule, named
        if key not in self._known:
            self._known[key] = list(next_times(schedule, named, self._now, self._zone, self._count))
        return self._known[key]


class Text(Record):
    """A crontab's text, and how it is to be read."""

    text: str
    path: str
    """Its file, empty for one's own crontab."""
    dialect: Dialect
    etag: str

    @property
    def system(self) -> bool:
        """Give whether it has a user column."""
        return bool(self.path)


def findings(of: Text, only: frozenset[int] | None, budget: float) -> Found:
    """Give what lint has to say of all lines, or of those of these numbers: ``line severity text``.

    ``budget`` is how many seconds shells may take.
    """
    key = ("findings", of.path, of.dialect, of.etag, only, _lately())
    known = _known(key)
    if known is None:
        patience = _Patience(budget)
        said: Iterable[Any] = mistakes(of, of.path, frozenset(SUBCOMMANDS), fault=patience.fault, only=only)
        known = tuple({"line": one.number, "severity": one.severity, "text": shown(one.text)} for one in said)
        if not patience.over:
            _remember(key, known)
    return known


def told(of: Text, lines: tuple[Line, ...], secrets: tuple[str, ...]) -> Found:
    """Give lines as a page has them, but for what changes with the time and the host."""
    key = ("lines", of.path, of.dialect, of.etag, secrets, lines[:1] and lines[0].number)
    known = _known(key)
    if known is None:
        known = tuple(_told(line, secrets) for line in lines)
        _remember(key, known)
    return known


def in_words(schedule: str) -> dict[str, str]:
    """Give a schedule in ``words``, or the ``fault`` in it."""
    try:
        return {"words": describe(schedule), "fault": ""}
    except ScheduleError as error:
        return {"words": "", "fault": shown(str(error))}


def _lately() -> int:
    """Give a number that changes every half minute: a program may have been installed meanwhile."""
    return int(time.monotonic() // 30)


@lru_cache(maxsize=SHELL_TEXTS)
def _fault(shell: str, text: str) -> str:
    return ShellCheck().fault(shell, text)


class _Patience:
    """Asks shells until that has taken as long as its budget allows."""

    def __init__(self, budget: float) -> None:
        self._left, self.over = budget, False

    def fault(self, shell: str, text: str) -> str:
        """Give what a shell has against a text; nothing when there is no time left to ask."""
        if self._left <= 0:
            self.over = True
            return ""
        begun = time.monotonic()
        found = _fault(shell, text)
        self._left -= time.monotonic() - begun
        return found


_pages: dict[object, Found] = {}
_lock = threading.Lock()


def _known(key: object) -> Found | None:
    with _lock:
        found = _pages.pop(key, None)
        if found is not None:
            _pages[key] = found  # the last of them all, now
        return found


def _remember(key: object, found: Found) -> None:
    with _lock:
        _pages[key] = found
        while len(_pages) > REMEMBERED:
            del _pages[next(iter(_pages))]


def _told(line: Line, secrets: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "number": line.number,
        "kind": _kind(line),
        "text": shown(line.raw),
        "complete": line.complete,
    }
    if not isinstance(line, Job):
        return found
    runs = bool(line.command) and line.dialect.runs_jobs
    left = why_left(line) if line.command else "there is no command"
    return {
        **found,
        **in_words(line.schedule),
        "zone": line.environment.get("CRON_TZ", ""),
        "schedule": shown(line.schedule),
        "user": shown(line.user or ""),
        "command": shown(line.command),
        "names": [shown(name) for name in naming(line, secrets)[0]] if runs else [],
        "wrapped": runs and is_wrapped(line),
        "wrap": left is None,
        "unwrap": _can_unwrap(line),
        "left": shown(left or ""),
    }


def _can_unwrap(job: Job) -> bool:
    use = use_of(job.command) if job.command else None
    return use is not None and bool(use.form)


def _kind(line: Line) -> str:
    if isinstance(line, Job):
        return "job"
    if isinstance(line, Assignment):
        return "assignment"
    if isinstance(line, Unreadable):
        return "unreadable"
    return "comment" if line.raw.strip() else "blank"
