"""A crontab as the deeds have it: read, a page of its lines with what there is to say of them, and changed.

Nothing takes longer for ten thousand lines than for three hundred, but to read them: those are judged that
are looked at.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from cronwrap.crontab.dialect import Dialect, guess
from cronwrap.crontab.edit import has_crlf
from cronwrap.crontab.findings import ERROR, WARNING
from cronwrap.crontab.here import prefix_here
from cronwrap.crontab.lines import Job, Line, decode, encode, jobs, parse
from cronwrap.crontab.named import NamedJob, is_wrapped, named_jobs
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.places import Place, find
from cronwrap.crontab.states import etag
from cronwrap.crontab.store import own_spool
from cronwrap.crontab.wrap import Rewrite
from cronwrap.settings.load import Settings
from cronwrap.web.deeds import crontab_judged
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted
from cronwrap.web.deeds.crontab_judged import SHELL_BUDGET, Soon, Text

LARGEST = 1 << 20
"""Octets of a crontab that is changed by a page: a person's has some thousand."""
LINES_SHOWN = 250
"""Lines of one page: of more a browser, too, takes its time."""
LINES_JUDGED = 250
"""Jobs that are judged where many change at once."""


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

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Its lines as cron reads them."""
        return parse(self.text, system=self.system, dialect=self.dialect)

    def counted(self) -> dict[str, int]:
        """Give how many jobs there are, and how many of them are ``wrapped``."""
        found = jobs(self.lines) if self.dialect.runs_jobs else ()
        return {"jobs": len(found), "wrapped": sum(map(is_wrapped, found))}

    def named(self, number: int) -> NamedJob:
        """Give the job of a line under the names that cronwrap gives it."""
        place, secrets = self.place.path or "crontab", self.settings["redact.patterns"]
        return next(named_jobs(place, self.text, self.dialect, secrets, (number,)))

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

    def findings(
        self, only: frozenset[int] | None = None, budget: float = SHELL_BUDGET
    ) -> list[dict[str, Any]]:
        """Give what lint has to say, ``line severity text``, in the order of the lines; ``only`` of these."""
        found = crontab_judged.findings(self._as_text, only, budget)
        return [dict(one) for one in found if only is None or one["line"] in only]

    @property
    def _as_text(self) -> Text:
        path = self.place.path
        return Text(text=self.text, path=path, dialect=self.dialect, etag=etag(self.octets))

    def annotated(self, line: int = 1) -> dict[str, Any]:
        """Give the page of its ``lines`` that one is on, with what there is to say of each.

        ``total`` is how many lines there are, ``zone`` that of the times.
        """
        first = (min(max(line, 1), max(len(self.lines), 1)) - 1) // LINES_SHOWN * LINES_SHOWN
        page = self.lines[first : first + LINES_SHOWN]
        findings = self.findings(frozenset(one.number for one in page))
        by_line: dict[int, list[dict[str, Any]]] = {}
        for finding in findings:
            by_line.setdefault(finding["line"], []).append(finding)
        told = crontab_judged.told(self._as_text, page, tuple(self.settings["redact.patterns"]))
        soon = Soon(time.time())
        lines = []
        for one in told:
            due = soon.times(one["schedule"], one["zone"]) if one.get("words") else []
            lines.append({**one, "next": due, "findings": by_line.get(one["number"], [])})
        return {
            "lines": lines,
            "first": first + 1,
            "shown": len(lines),
            "total": len(self.lines),
            "zone": soon.zone,
            "errors": sum(one["severity"] == ERROR for one in findings),
            "warnings": sum(one["severity"] == WARNING for one in findings),
        }

    def unlike(self, other: Table) -> tuple[frozenset[int], int]:
        """Give the lines of which lint may say something else than in the other; and how many more there are.

        Those that are no job are among them, always: they take no time.
        """
        known = set(_in_context(other.lines)) if other.dialect == self.dialect else set[object]()
        found: list[int] = []
        left = judged = 0
        for line, key in zip(self.lines, _in_context(self.lines), strict=True):
            if isinstance(line, Job) and key in known:
                continue
            judged += isinstance(line, Job)
            if judged > LINES_JUDGED and isinstance(line, Job):
                left += 1
            else:
                found.append(line.number)
        return frozenset(found), left

    def chosen(self, result: Rewrite) -> dict[str, Any]:
        """Give what became of lines: the whole ``text``, and ``changes`` with remarks."""
        changes = [
            {"line": one.number, "changed": one.changed, "remark": one.remark} for one in result.changes
        ]
        return {"text": base64_of(encode(result.text)), "changes": changes, "etag": etag(self.octets)}


def _in_context(lines: Iterable[Line]) -> Iterator[tuple[str, object]]:
    """Give lines with the variables that hold for them."""
    known: dict[int, frozenset[tuple[str, str]]] = {}
    for line in lines:
        held = line.environment if isinstance(line, Job) else None
        if held is not None and id(held) not in known:
            known[id(held)] = frozenset(held.items())
        yield line.raw, known.get(id(held))


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


def numbers_of(arguments: Arguments) -> frozenset[int] | None:
    """Give the numbers of ``lines`` that are given, None where they are not; Refused when they are none."""
    numbers = arguments.get("lines")
    if numbers is None:
        return None
    if not (isinstance(numbers, list) and all(type(one) is int for one in numbers)):
        raise Refused(422, "lines is no list of numbers")
    return frozenset(numbers)
