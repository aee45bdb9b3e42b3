"""A line for a new job, made of what a form asks for. Pure.

The command is meant as a shell has it: each ``%`` gets the backslash without which cron would end the command
there, unless it has one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from cronwrap.crontab.dialect import Dialect
from cronwrap.crontab.edit import with_line
from cronwrap.crontab.lines import Job, decode, parse
from cronwrap.crontab.schedule import DAYS, ScheduleError, read
from cronwrap.crontab.wrap import check_prefix, wrap
from cronwrap.errors import CronwrapError
from cronwrap.model import Record
from cronwrap.settings.command_line import quote
from cronwrap.settings.options import BY_KEY

WRITTEN, FIELDS, MINUTES, HOURLY, DAILY, WEEKLY, MONTHLY, START = (
    *("written", "fields", "minutes", "hourly", "daily", "weekly", "monthly", "start"),
)
"""How a form says when: ``when``. Each takes fields of its own, as in ``_SCHEDULES``."""
OPTIONS = ("name", "mailto", "timeout", "overlap", "retries")
"""Of cronwrap, that a form asks for; ``options`` takes any others, as on a command line."""
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::[0-5][0-9])?")
_LONE_PERCENT = re.compile(r"(\\*)%")


class NewLine(Record):
    """What a form amounts to."""

    schedule: str
    line: str = ""
    """Empty while something is wrong."""
    faults: tuple[tuple[str, str], ...] = ()
    """Field of the form, and what is wrong with it."""
    octets: bytes = b""
    """The crontab with the line at its end."""
    number: int = 0
    """Of the line, counted from 1."""


class Into(Record):
    """The crontab that it is for."""

    octets: bytes
    system: bool
    dialect: Dialect
    prefix: str
    """What finds cronwrap there."""


def new_line(form: Mapping[str, str], into: Into) -> NewLine:
    """Give the line that a form asks for, or what is wrong with the form."""
    faults: list[tuple[str, str]] = []
    schedule = _schedule(form, faults)
    command = _command(form.get("command", ""), faults)
    user = _user(form.get("user", "").strip(), faults) if into.system else ""
    prefix = _prefix(form, into.prefix, faults)
    if faults:
        return NewLine(schedule=schedule, faults=tuple(faults))
    bare = f"{schedule} {user}{command}"
    octets = with_line(into.octets, bare)
    lines = parse(decode(octets), system=into.system, dialect=into.dialect)
    job = lines[-1]
    if not isinstance(job, Job) or job.command != command:
        return NewLine(schedule=schedule, faults=(("command", "cron would not take this for the command"),))
    line = bare
    if prefix:
        result = wrap(
            decode(octets), prefix=prefix, system=into.system, dialect=into.dialect, only=(job.number,)
        )
        change = result.changes[-1]
        if not change.changed and (change.remark or prefix != into.prefix):
            fault = change.remark or "it calls cronwrap already: write its options there"
            return NewLine(schedule=schedule, faults=(("command", fault),))
        line = parse(result.text, system=into.system, dialect=into.dialect)[-1].raw.removesuffix("\n")
    return NewLine(schedule=schedule, line=line, octets=with_line(into.octets, line), number=len(lines))


def _schedule(form: Mapping[str, str], faults: list[tuple[str, str]]) -> str:
    when = form.get("when") or (WRITTEN if form.get("schedule") else FIELDS)
    try:
        make = _SCHEDULES[when]
    except KeyError:
        faults.append(("when", "there is no such way to say when"))
        return ""
    try:
        schedule = make(form)
        read(schedule)
    except ScheduleError as error:
        faults.append((when, str(error)))
        return ""
    return schedule


def _written(form: Mapping[str, str]) -> str:
    if not (whole := form.get("schedule", "").strip()):
        raise ScheduleError("write five fields, or a name such as @daily")
    return re.sub(r"[ \t]+", " ", whole)


def _fields(form: Mapping[str, str]) -> str:
    parts = [form.get(name, "").strip() for name in ("minute", "hour", "day", "month", "weekday")]
    if any(re.search(r"\s", part) for part in parts):
        raise ScheduleError("a field holds no blanks")
    if not any(parts):
        raise ScheduleError("fill in the fields; * stands for any")
    return " ".join(part or "*" for part in parts)


def _every_minutes(form: Mapping[str, str]) -> str:
    step = form.get("step", "").strip()
    return "* * * * *" if step in ("", "1") else f"*/{step} * * * *"


def _hourly(form: Mapping[str, str]) -> str:
    return f"{form.get('past', '').strip() or '0'} * * * *"


def _start(_form: Mapping[str, str]) -> str:
    return "@reboot"


def _daily(form: Mapping[str, str]) -> str:
    hour, minute = _time(form)
    return f"{minute} {hour} * * *"


def _weekly(form: Mapping[str, str]) -> str:
    hour, minute = _time(form)
    days = [day for day in form.get("days", "").split(",") if day]
    if not days:
        raise ScheduleError("choose at least one day of the week")
    return f"{minute} {hour} * * {_days(days)}"


def _days(days: list[str]) -> str:
    """Give days of the week as a person writes them: ``1-5``."""
    if not all(day.isdecimal() and day.isascii() for day in days):
        return ",".join(days)
    numbers = sorted({int(day) for day in days})
    if len(numbers) == len(DAYS):
        return "*"
    together = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]}-{numbers[-1]}" if together else ",".join(map(str, numbers))


def _monthly(form: Mapping[str, str]) -> str:
    hour, minute = _time(form)
    return f"{minute} {hour} {form.get('date', '').strip() or '1'} * *"


def _time(form: Mapping[str, str]) -> tuple[int, int]:
    match = _TIME.fullmatch(form.get("time", "").strip())
    if match is None:
        raise ScheduleError("the time is written as 08:30")
    return int(match[1]), int(match[2])


_SCHEDULES = {
    WRITTEN: _written,
    FIELDS: _fields,
    MINUTES: _every_minutes,
    HOURLY: _hourly,
    DAILY: _daily,
    WEEKLY: _weekly,
    MONTHLY: _monthly,
    START: _start,
}


def _command(text: str, faults: list[tuple[str, str]]) -> str:
    text = text.strip(" \t\r\n")
    fault = ""
    if not text:
        fault = "write the command that is to run"
    elif re.search("[\r\n\0]", text):
        fault = "a crontab's command is one line; put more into a script"
    elif text.startswith("#"):
        fault = "that is a comment"
    if fault:
        faults.append(("command", fault))
        return ""
    return _LONE_PERCENT.sub(lambda match: match[0] if len(match[1]) % 2 else f"{match[1]}\\%", text)


def _user(user: str, faults: list[tuple[str, str]]) -> str:
    if not user or re.search(r"\s", user):
        faults.append(("user", "say who it is to run as"))
    return f"{user} "


def _prefix(form: Mapping[str, str], program: str, faults: list[tuple[str, str]]) -> str:
    """Give cronwrap with its options, empty when the job is to be left to cron alone."""
    if form.get("wrapped", "yes") != "yes":
        return ""
    words = [program]
    for key in OPTIONS:
        value = form.get(key, "").strip()
        if not value:
            continue
        try:
            BY_KEY[key].read(value)
        except ValueError as error:
            faults.append((key, str(error)))
        words += [f"--{key}", quote(value)]
    if more := form.get("options", "").strip():
        words.append(more)
    prefix = " ".join(words)
    if {key for key, _ in faults}.isdisjoint(OPTIONS) and (fault := _fault_of(prefix)):
        faults.append(("options", fault))
    return prefix


def _fault_of(prefix: str) -> str:
    try:
        shlex.split(prefix)
    except ValueError:
        return "a quote is not closed"
    try:
        check_prefix(prefix)
    except CronwrapError as error:
        said = str(error).removeprefix(f"--prefix {prefix!r}: ")
        return "write options alone, without -- or -c" if said.startswith("write the path") else said
    return ""
