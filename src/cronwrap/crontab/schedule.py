"""The schedule of a crontab line as sets of numbers. Pure.

The grammar and its limits are those of Debian's cron 3.0pl1, ``entry.c``; see crontab(5).
"""

from __future__ import annotations

import calendar
import re

from cronwrap.model import Record

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    # The star keeps the job out of cron's treatment of clock changes, as the HR_STAR flag does.
    "@hourly": "0 * * * *",
}
REBOOT = "@reboot"

_ITEM = re.compile(r"(?:\*|(?P<low>[0-9A-Za-z]+)(?:-(?P<high>[0-9A-Za-z]+))?)(?:/(?P<step>[0-9A-Za-z]+))?")
_RANDOM = re.compile(r"[0-9]*~[0-9]*(?:/[0-9]+)?")
_LEAP_YEAR = 2000
_MOST_DIGITS = 4
"""More of them are out of range whatever they say; cron's own ``atoi`` would overflow."""


class ScheduleError(ValueError):
    """A schedule that cron does not take, or takes for something else than it says."""


class Field(Record):
    """One of the five fields: its name and its limits."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field(name="minute", low=0, high=59),
    Field(name="hour", low=0, high=23),
    Field(name="day of month", low=1, high=31),
    Field(name="month", low=1, high=12, names=MONTHS),
    Field(name="day of week", low=0, high=7, names=DAYS),
)
MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(5)


class Schedule(Record):
    """When a job is due."""

    expression: str
    """Five fields of numbers and stars, for cronsim; empty for ``@reboot`` and for random times."""
    values: tuple[frozenset[int], ...] = ()
    """The numbers of each field; empty when there is no expression."""
    stars: tuple[bool, ...] = ()
    """Which fields begin with a star: those of the days decide whether both must match or one may."""
    remarks: tuple[str, ...] = ()
    """What is legal, but hardly meant."""
    random: bool = False
    """Whether a ``~`` leaves the time to cronie's dice."""

    @property
    def either_day(self) -> bool:
        """Give whether the day of month *or* the day of week must match, instead of both (crontab(5))."""
        return bool(self.stars) and not self.stars[DAY] and not self.stars[WEEKDAY]

    @property
    def never(self) -> bool:
        """Give whether no year has such a date, as the 30th of February."""
        if not self.values or self.either_day:
            return False
        return not any(
            day <= calendar.monthrange(_LEAP_YEAR, month)[1]
            for month in self.values[MONTH]
            for day in self.values[DAY]
        )


def read(text: str) -> Schedule:
    """Give the schedule that a text stands for; ScheduleError says what is wrong with it."""
    if text.startswith("@"):
        if text == REBOOT:
            return Schedule(expression="")
        if text not in NICKNAMES:
            raise ScheduleError(f"{text}: cron knows {', '.join((REBOOT, *NICKNAMES))}, in small letters")
        text = NICKNAMES[text]
    parts = re.split("[ \t]+", text)
    if len(parts) != len(FIELDS):
        raise ScheduleError(f"a schedule has five fields, this has {len(parts)}")
    if any("~" in part for part in parts):
        return _random(parts)
    remarks: list[str] = []
    values, expressions = [], []
    for field, part in zip(FIELDS, parts, strict=True):
        items = [_item(field, item, remarks) for item in part.split(",")]
        values.append(frozenset(number for numbers, _ in items for number in numbers))
        expressions.append(",".join(expression for _, expression in items))
    return Schedule(
        expression=" ".join(expressions),
        values=tuple(values),
        stars=tuple(part.startswith("*") for part in parts),
        remarks=tuple(remarks),
    )


def _item(field: Field, item: str, remarks: list[str]) -> tuple[range, str]:
    """Give one item of a list as numbers and in figures."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ScheduleError(
            f"{field.name} {item!r}: write a number, a range 1-5, * or */5, or a list of these"
        )
    if match["low"] is None:
        low, high, expression = field.low, field.high, "*"
    else:
        low = high = _number(field, match["low"])
        expression = str(low)
        if match["high"] is not None:
            high = _number(field, match["high"])
            expression = f"{low}-{high}"
        elif match["step"] is not None:
            raise ScheduleError(
                f"{field.name} {item!r}: a step needs a range: {low}-{field.high}/{match['step']}"
            )
    if low > high:
        raise ScheduleError(f"{field.name} {item!r}: the range runs backwards{_forwards(field, low, high)}")
    if match["step"] is None:
        return range(low, high + 1), expression
    step = _step(field, match["step"])
    if step > high - low:
        remarks.append(f"{field.name} {item!r}: the step is longer than the range, which leaves {low} alone")
    return range(low, high + 1, step), f"{expression}/{step}"


def _number(field: Field, text: str) -> int:
    name = text.lower()
    if name in field.names:
        return field.names.index(name) + field.low
    if not re.fullmatch("[0-9]+", text):
        allowed = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ScheduleError(f"{field.name} {text!r}: write {field.low} to {field.high}{allowed}")
    if len(text.lstrip("0")) > _MOST_DIGITS or not field.low <= int(text) <= field.high:
        raise ScheduleError(f"{field.name} {text} is out of range: {field.low} to {field.high}")
    return int(text)


def _step(field: Field, text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or len(text.lstrip("0")) > _MOST_DIGITS or int(text) == 0:
        raise ScheduleError(f"{field.name}: the step {text!r} must be a number above 0")
    return int(text)


def _forwards(field: Field, low: int, high: int) -> str:
    if field.names == DAYS and high == 0:
        return f"; Sunday is 7 at the end of one: {low}-7"
    return f"; write {low}-{field.high},{field.low}-{high}"


def _random(parts: list[str]) -> Schedule:
    """Give a schedule with random times (cronie 1.6, OpenBSD), of which only the form can be checked."""
    for field, part in zip(FIELDS, parts, strict=True):
        for item in part.split(","):
            if not _RANDOM.fullmatch(item):
                _item(field, item, [])
                continue
            for end in re.findall("[0-9]+", item.partition("/")[0]):
                _number(field, end)
    remark = "~ is a random time to cronie alone; Debian's cron takes the number before it, or refuses"
    return Schedule(expression="", random=True, remarks=(remark,))
