"""A crontab as the deeds have it: read, and judged line by line."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from cronwrap.crontab.dialect import Dialect, guess
from cronwrap.crontab.edit import has_crlf, shown
from cronwrap.crontab.findings import ERROR, WARNING
from cronwrap.crontab.here import mistakes, prefix_here
from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.lines import Assignment, Job, Line, Unreadable, decode, encode, parse
from cronwrap.crontab.named import NamedJob, named_jobs, next_times
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.places import Place, find
from cronwrap.crontab.schedule import ScheduleError
from cronwrap.crontab.shell_check import ShellCheck
from cronwrap.crontab.states import etag
from cronwrap.crontab.store import own_spool
from cronwrap.crontab.words import describe
from cronwrap.crontab.wrap import Rewrite, use_of, why_left
from cronwrap.model import Record
from cronwrap.settings.load import Settings
from cronwrap.settings.subcommands import SUBCOMMANDS
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted

LARGEST = 1 << 20
"""Octets of a crontab that is changed by a page: a person's has some thousand."""
TIMES_BESIDE = 1
TIMES_TOLD = 5
"""Next times that are told beside a line, and where a schedule is asked about."""
JUDGED = 64
"""Crontabs whose lines are remembered as they were read and judged."""
SHELL_TEXTS = 20_000
"""Commands that a shell was asked about, a few milliseconds each: they are remembered."""
SHELL_BUDGET = 2.0
"""Seconds for asking shells about one crontab; what is left is asked about at the next look."""


class Table:
    """A crontab, how it is read, and what it is judged by."""

    def __init__(self, place: Place, settings: Settings, octets: bytes | None = None) -> None:
        self.place, self.settings = place, settings
        self.store = place.store()
        self.octets = self.store.read() if octets is None else octets
        self.text = decode(self.octets)
        self.system = place.system
        self.dialect: Dialect = guess(self.text, place.path or own_spool())[0]

    def with_octets(self, octets: bytes) -> Table:
        """Give it as it would be with other octets."""
        return Table(self.place, self.settings, octets)

    def jobs(self) -> list[NamedJob]:
        """Give the jobs in it under the names that cronwrap gives them."""
        place = self.place.path or "crontab"
        return list(named_jobs(place, self.text, self.dialect, self.settings["redact.patterns"]))

    def passed_over(self) -> list[str]:
        """Give why cron passes over the file, nothing when it reads it."""
        return list(passed_over(self.place.path, self.dialect, look=True)) if self.place.path else []

    def public(self) -> dict[str, Any]:
        """Give what every answer about it has."""
        place = self.place
        return {
            "id": place.id,
            "user": place.user,
            "path": place.path,
            "name": place.name,
            "system": place.system,
            "etag": etag(self.octets),
            "octets": len(self.octets),
            "crlf": has_crlf(self.octets),
            "dialect": "" if self.dialect.assumed else self.dialect.who,
        }

    def prefix(self) -> str:
        """Give what finds cronwrap in its jobs."""
        return prefix_here(self.text, system=self.system)

    def findings(self) -> list[dict[str, Any]]:
        """Give what lint has to say: ``line severity text``, in the order of the lines."""
        return [dict(one) for one in _findings(self.text, self.place.path, self.dialect, _lately())]

    def annotated(self) -> dict[str, Any]:
        """Give its ``lines`` with what there is to say of each; and the ``zone`` of the times."""
        by_line: dict[int, list[dict[str, Any]]] = {}
        findings = self.findings()
        for finding in findings:
            by_line.setdefault(finding["line"], []).append(finding)
        soon = Soon(time.time())
        secrets = tuple(self.settings["redact.patterns"])
        lines = []
        for told in _lines(self.text, self.place.path, self.dialect, secrets):
            due = soon.times(told["schedule"], told["zone"]) if told.get("words") else []
            lines.append({**told, "next": due, "findings": by_line.get(told["number"], [])})
        return {
            "lines": lines,
            "zone": soon.zone,
            "errors": sum(one["severity"] == ERROR for one in findings),
            "warnings": sum(one["severity"] == WARNING for one in findings),
        }

    def chosen(self, result: Rewrite, numbers: Any) -> dict[str, Any]:
        """Give what became of the chosen lines alone: the whole ``text``, and ``changes`` with remarks."""
        if numbers is not None and not (
            isinstance(numbers, list) and all(type(one) is int for one in numbers)
        ):
            raise Refused(422, "lines is no list of numbers")
        wanted_ones = None if numbers is None else set(numbers)
        before, after = (
            parse(text, system=self.system, dialect=self.dialect) for text in (self.text, result.text)
        )
        text = "".join(
            (new if wanted_ones is None or old.number in wanted_ones else old).raw
            for old, new in zip(before, after, strict=True)
        )
        changes = [
            {"line": one.number, "changed": one.changed, "remark": one.remark}
            for one in result.changes
            if wanted_ones is None or one.number in wanted_ones
        ]
        return {"text": base64_of(encode(text)), "changes": changes, "etag": etag(self.octets)}


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


def table(around: Surroundings, arguments: Arguments) -> Table:
    """Give the crontab whose ``id`` is given; Refused when it is none of the user's, or cannot be read."""
    place = find(wanted(arguments, "id"), around.user, system=os.geteuid() == 0)
    if place is None:
        raise Refused(404, "There is no such crontab")
    return Table(place, around.settings)


def octets_of(arguments: Arguments) -> bytes:
    """Give the octets of ``text``; Refused when it is no base64, or more than a crontab has."""
    try:
        octets = base64.b64decode(wanted(arguments, "text"), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(422, "text is no base64") from None
    if len(octets) > LARGEST:
        raise Refused(413, "This is too large for a crontab", f"It may have {LARGEST >> 20} MiB")
    return octets


def base64_of(octets: bytes) -> str:
    """Give octets as a text."""
    return base64.b64encode(octets).decode("ascii")


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
    """Asks shells as long as its budget lasts."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SHELL_BUDGET

    def fault(self, shell: str, text: str) -> str:
        """Give what a shell has against a text; nothing when there is no time left to ask."""
        return _fault(shell, text) if time.monotonic() < self._until else ""


@lru_cache(maxsize=JUDGED)
def _findings(
    text: str, path: str, dialect: Dialect, _lately: int
) -> tuple[tuple[tuple[str, Any], ...], ...]:
    read = _Read(text=text, system=bool(path), dialect=dialect)
    found: Iterable[Any] = mistakes(read, path, frozenset(SUBCOMMANDS), fault=_Patience().fault)
    return tuple(
        (("line", one.number), ("severity", one.severity), ("text", shown(one.text))) for one in found
    )


class _Read(Record):
    """What ``mistakes`` must know of a crontab."""

    text: str
    system: bool
    dialect: Dialect


@lru_cache(maxsize=JUDGED)
def _lines(text: str, path: str, dialect: Dialect, secrets: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Give each line as a page has it, but for what changes with the time and the host."""
    named = {one.job.number: one for one in named_jobs(path or "crontab", text, dialect, secrets)}
    lines = parse(text, system=bool(path), dialect=dialect)
    return tuple(_told(line, named.get(line.number)) for line in lines)


def _told(line: Line, named: NamedJob | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": line.number,
        "kind": _kind(line),
        "text": shown(line.raw),
        "complete": line.complete,
    }
    if not isinstance(line, Job):
        return told
    left = why_left(line) if line.command else "there is no command"
    return {
        **told,
        **in_words(line.schedule),
        "zone": line.environment.get("CRON_TZ", ""),
        "schedule": shown(line.schedule),
        "user": shown(line.user or ""),
        "command": shown(line.command),
        "names": [shown(name) for name in named.names] if named else [],
        "wrapped": bool(named and named.wrapped),
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
