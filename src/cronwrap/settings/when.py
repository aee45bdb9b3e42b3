"""A moment in a person's words, ``18:00`` or ``monday 9:00``, as Unix time in the local time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from cronwrap.settings.values import duration

FORMS = "2h, 18:00, tomorrow, monday 9:00 or 2026-03-01 08:00"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORTEST_WEEKDAY = 3
"""Letters: ``mon`` is enough of one."""
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?\s*(?P<half>am|pm)?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OFFSET = re.compile(r"(?:z|[+-]\d\d:?\d\d)", re.ASCII)
_NAMED_HOURS = {"midnight": (0, 0, 0), "noon": (12, 0, 0)}


def moment(text: str, now: float) -> float:
    """Give the Unix time that a text means at ``now``, which lies ahead; ValueError says what is allowed.

    A time alone is the next such, a day alone its beginning, a weekday the next of its name. A time that
    the clock skips is as long after the gap as it would have been after its beginning; of one that comes
    twice it is the first that lies ahead.
    """
    words = " ".join(text.lower().split())
    words = re.sub(r"(?<=\d) (?=[ap]m$)", "", words)
    if not words:
        raise ValueError(f"a time is needed: write {FORMS}")
    span = _span(words.removeprefix("in "))
    found = now + span if span is not None else _calendar(words, text, now)
    if found <= now:
        raise ValueError(f"{text!r} is over already")
    return found


def _span(words: str) -> float | None:
    """Give the seconds of a duration with a unit: a number alone may be an hour, a day or seconds."""
    if not words or not words[-1:].isalpha():
        return None
    try:
        return duration(words.replace(" ", ""))
    except ValueError:
        return None


def _calendar(words: str, text: str, now: float) -> float:
    today = datetime.fromtimestamp(now)  # noqa: DTZ006  # the wall clock's, on purpose: a person reads that one
    day_word, clock, offset = _taken_apart(words, text)
    day, again = _day(day_word, text, today)
    hour, minute, second = clock or (0, 0, 0)
    try:
        wall = day.replace(hour=hour, minute=minute, second=second, microsecond=0)
        if offset:
            return datetime.fromisoformat(f"{wall.isoformat()}{offset.upper()}").timestamp()
        found = _ahead(wall, now)
        # "18:00" and "monday" come again, and the next one is meant; a date or "today" do not.
        return _ahead(wall + timedelta(days=again), now) if again and found <= now else found
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is no time there is: write {FORMS}") from None


def _ahead(wall: datetime, now: float) -> float:
    """Give when a wall clock shows this, the first time that lies ahead; the past where neither does."""
    first, second = (wall.replace(fold=fold).timestamp() for fold in (0, 1))
    # In a gap both are the same moment seen from its two ends; the one by the old offset comes after it.
    return second if first <= now < second else first


def _taken_apart(words: str, text: str) -> tuple[str, tuple[int, int, int] | None, str]:
    """Give the word for the day (or none), the time of day, and an offset from UTC."""
    day, _, rest = words.replace(" at ", " ").partition(" ")
    if _DATE.match(day) and day[10:11] == "t":
        day, rest = day[:10], f"{day[11:]} {rest}".strip()
    if not rest and (_clock(day) or day in _NAMED_HOURS):
        day, rest = "", day
    offset = ""
    if match := re.search(rf"\s*({_OFFSET.pattern})$", rest, re.ASCII):
        if not _DATE.fullmatch(day):
            raise ValueError(f"{text!r}: an offset needs a whole date before it, as 2026-03-01 08:00+01:00")
        rest, offset = rest[: match.start()], match[1]
    if not rest:
        return day, None, offset
    clock = _NAMED_HOURS.get(rest) or _clock(rest)
    if clock is None:
        raise ValueError(f"{text!r} is no time: write {FORMS}")
    return day, clock, offset


def _clock(text: str) -> tuple[int, int, int] | None:
    match = _CLOCK.fullmatch(text)
    if match is None or not (match["minute"] or match["half"]):
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] == "pm" else 0)
    return (hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _day(word: str, text: str, today: datetime) -> tuple[datetime, int]:
    """Give a day, and after how many days it comes again; 0 for never."""
    if word == "":
        return today, 1
    if word in ("today", "tomorrow"):
        return today + timedelta(days=word == "tomorrow"), 0
    for number, name in enumerate(WEEKDAYS):
        if len(word) >= SHORTEST_WEEKDAY and name.startswith(word):
            return today + timedelta(days=(number - today.weekday()) % 7), 7
    if _DATE.fullmatch(word):
        try:
            return datetime.fromisoformat(word), 0
        except ValueError:
            raise ValueError(f"{text!r}: there is no such day") from None
    raise ValueError(f"{text!r} is no time: write {FORMS}")
