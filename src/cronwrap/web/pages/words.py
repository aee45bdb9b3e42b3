"""Times and states in the reader's words, and what is worth a line of explanation. Pure."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from cronwrap.manage.listing import AT_LEAST, LONGER
from cronwrap.manage.planned import COUNTED
from cronwrap.spans import DAY, HOUR, MINUTE, duration
from cronwrap.text import moment

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
SKIPPED = "\u2013"
Row = dict[str, Any]


def unix(text: str | None) -> float | None:
    """Give the Unix time of what ``iso`` gave."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def exact(text: str) -> str:
    """Give a time in full: ``Mon 2026-03-02 04:05:06 +0100``."""
    return moment(unix(text) or 0.0)


def day(at: float, now: float) -> str:
    """Give the day of a time as a person names it: ``today``, ``tomorrow``, ``Sunday``, ``2 March``."""
    then, today = time.localtime(at), time.localtime(now)
    apart = datetime(*then[:3]).toordinal() - datetime(*today[:3]).toordinal()  # noqa: DTZ001  # the host's days
    if apart in (-1, 0, 1):
        return ("yesterday", "today", "tomorrow")[apart + 1]
    if abs(apart) < 7:
        return DAYS[then.tm_wday]
    year = "" if then.tm_year == today.tm_year else f" {then.tm_year}"
    return f"{then.tm_mday} {MONTHS[then.tm_mon - 1]}{year}"


def clock(at: float) -> str:
    """Give the time of the day: ``08:30``."""
    return time.strftime("%H:%M", time.localtime(at))


def when(at: float, now: float) -> str:
    """Give a time to come: ``in 12 min``, ``in 9 h``, ``tomorrow 08:30``, ``Sunday 11:00``."""
    left = at - now
    if left < MINUTE:
        return "now" if left < 1 else f"in {int(left)} s"
    if left < HOUR:
        return f"in {int(left // MINUTE)} min"
    if left < DAY / 2 or (left < DAY and day(at, now) == "today"):
        return f"in {int(left // HOUR)} h"
    return f"{day(at, now)} {clock(at)}"


def since(at: float, now: float) -> str:
    """Give a time that has been, to come after ``since``: ``10:12``, ``yesterday 10:12``, ``Sunday``."""
    named = day(at, now)
    if named == "today":
        return clock(at)
    return f"{named} {clock(at)}" if named == "yesterday" else named


def until(row: Row, name: str, now: float) -> str:
    """Give how long a pause or a mute lasts."""
    end = unix(row[f"{name}_until"])
    if end is not None:
        at = f"{day(end, now)} {clock(end)}" if day(end, now) != "today" else clock(end)
        return f"until {at}"
    return "until it succeeds" if row.get(f"{name}_until_ok") else "until you end it"


def state(row: Row) -> tuple[str, str, str]:
    """Give how a job stands: class, sign and words; what needs somebody goes before all else."""
    said = row["last_words"] or "never ran"
    for name, kind, sign, told in (
        ("failing", "bad", "✕", said),
        ("late", "late", "!", "missed"),
        ("running", "run", "▸", "running"),
        ("paused", "pause", "Ⅱ", "paused"),
        ("muted", "pause", "♪", f"{said}, muted"),
    ):
        if name in row["states"]:
            return kind, sign, told
    if not row["last_run"]:
        return "none", "○", "not wrapped" if row["wrapped"] is False else said
    return *of_result(row["last_result"]), said


def title(row: Row) -> str:
    """Give what a job is called: its command, where cronwrap has nothing to do with it yet."""
    bare = row["wrapped"] is False and not row["last_run"]
    return str((bare and row["command"]) or row["job"])


def brief(seconds: float) -> str:
    """Give a span of time in one unit: ``3.1 s``, ``14 min``, ``2 h``."""
    if seconds < 10 * MINUTE:
        return duration(seconds if seconds < MINUTE else round(seconds / 10) * 10)
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.0f} h"


def of_result(result: str) -> tuple[str, str]:
    """Give class and sign of a run's result."""
    return {"ok": ("ok", "✓"), "running": ("run", "▸"), "skipped": ("pause", SKIPPED)}.get(
        result, ("bad", "✕")
    )


def notes(row: Row, now: float) -> list[str]:
    """Give what has to be explained of a job, most of them nothing."""
    found = []
    if row["failures"]:
        begun = unix(row["failing_since"])
        row_of = f", {row['failures']} in a row" if row["failures"] > 1 else ""
        found.append((f"failing since {since(begun, now)}" if begun else "failing") + row_of)
    if row["missed"]:
        first = unix(row["missed_since"]) or now
        again = row["missed"] - 1
        many = "more than " if row["missed"] >= COUNTED else ""
        times = "" if not again else f" and {many}{again} {'time' if again == 1 else 'times'} since"
        found.append(f"did not start {_at(first, now)}{times}")
    found += _lasting(row, now)
    if row["paused"]:
        found.append(f"paused {until(row, 'paused', now)}{_by(row['paused_by'])}")
    if row["muted"]:
        found.append(f"muted {until(row, 'muted', now)}{_by(row['muted_by'])}: it runs, and mails nothing")
    if row["waits"]:
        found.append("a run waits for its time, or for another to end")
    if row["wrapped"] is False:
        found.append("cron alone looks after this line: nothing of it is on record")
    return found


def _at(at: float, now: float) -> str:
    named = day(at, now)
    return (
        f"at {clock(at)}"
        if named == "today"
        else f"{'' if named == 'yesterday' else 'on '}{named} {clock(at)}"
    )


def _by(name: str | None) -> str:
    return f" by {name}" if name else ""


def _lasting(row: Row, now: float) -> list[str]:
    """Give what is to be said where a run takes, or took, longer than usual."""
    usual = row["usual_duration"]
    begun = unix(row["running_since"])
    took = now - begun if begun is not None else row["last_duration"] if row["last_result"] == "ok" else None
    if not usual or took is None or took < LONGER * usual or took < usual + AT_LEAST:
        return []
    times = f"{took / usual:.0f} times as long as usual"
    return [f"has been running {times}" if begun is not None else f"took {times} ({duration(usual)})"]
