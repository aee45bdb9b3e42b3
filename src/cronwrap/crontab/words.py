"""A schedule in plain English, told from the numbers that cron makes of it, not from how it is written. Pure.

So ``*/90`` is said to be what cron takes it for (minute 0 alone), and days of the month beside days of the
week are told apart by whether one of them may match or both must. Two schedules that differ in when they are
due never get the same words. cronsim's ``explain`` and cron-descriptor go by the text, and get both wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cronwrap.crontab.schedule import DAY, HOUR, MINUTE, MONTH, REBOOT, WEEKDAY, Schedule, read

MOST_TIMES = 4
"""Times of a day that are listed one by one; of more the rule is told."""
LEAST_STEPS = 4
"""Numbers at one distance from each other that are told as such; three are as quickly read one by one."""
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ALL_HOURS, _ALL_DAYS, _ALL_MONTHS = frozenset(range(24)), frozenset(range(1, 32)), frozenset(range(1, 13))
_ALL_WEEKDAYS = frozenset(range(7))


def describe(text: str) -> str:
    """Give a schedule as it is written in words; ScheduleError says what is wrong with it."""
    return in_words(read(text))


def in_words(schedule: Schedule) -> str:
    """Give a schedule in words: ``Every 5 minutes from 08:00 to 18:59, Monday to Friday``."""
    if schedule.random:
        return "At a time that cronie picks at random (~)"
    if not schedule.values:
        return f"When cron starts, as a rule with the host ({REBOOT})"
    minutes, hours = schedule.values[MINUTE], schedule.values[HOUR]
    rhythm = _rhythm(sorted(minutes))
    days = _days(schedule)
    if rhythm:
        told = _in_hours(rhythm, hours)
    elif len(minutes) * len(hours) <= MOST_TIMES:
        clock = _listed([f"{hour:02d}:{minute:02d}" for hour in sorted(hours) for minute in sorted(minutes)])
        told = f"{days or 'every day'} at {clock}"
        days = ""
    else:
        told = _at_minutes(sorted(minutes), hours)
    told = f"{told}, {days}" if days else told
    never = "; no year has such a date: never" if schedule.never else ""
    return told[0].upper() + told[1:] + never


def _rhythm(minutes: Sequence[int]) -> str:
    """Give what comes again and again within an hour, empty where the minutes are best told by number."""
    if len(minutes) == 60:
        return "every minute"
    if (step := _step(minutes)) is None:
        return ""
    if minutes[0] == 0 and 60 % step == 0 and len(minutes) == 60 // step and len(minutes) > 1:
        return f"every {step} minutes"
    if len(minutes) < LEAST_STEPS:
        return ""
    every = "every minute" if step == 1 else f"every {step} minutes"
    return f"{every} from :{minutes[0]:02d} to :{minutes[-1]:02d}"


def _in_hours(rhythm: str, hours: frozenset[int]) -> str:
    whole = "from" not in rhythm
    if hours == _ALL_HOURS:
        return rhythm if whole else f"{rhythm} of every hour"
    spans = _runs(sorted(hours))
    if not whole or len(spans) > MOST_TIMES:
        return f"{rhythm} {_hours_by_number(hours)}"
    return f"{rhythm} {_listed([f'from {first:02d}:00 to {last:02d}:59' for first, last in spans])}"


def _at_minutes(minutes: Sequence[int], hours: frozenset[int]) -> str:
    clock = _listed([f":{minute:02d}" for minute in minutes])
    ordered = sorted(hours)
    step = _step(ordered)
    if hours == _ALL_HOURS:
        return f"every hour at {clock}"
    if step and step > 1 and ordered[0] == 0 and 24 % step == 0 and len(ordered) == 24 // step:
        return f"every {step} hours at {clock}"
    if step and len(ordered) >= LEAST_STEPS:
        every = "every hour" if step == 1 else f"every {step} hours"
        if len(minutes) == 1:
            return f"{every} from {ordered[0]:02d}{clock} to {ordered[-1]:02d}{clock}"
        return f"{every} at {clock} from {ordered[0]:02d}{clock[:3]} to {ordered[-1]:02d}:{minutes[-1]:02d}"
    return f"at {clock} {_hours_by_number(hours)}"


def _hours_by_number(hours: frozenset[int]) -> str:
    ordered = sorted(hours)
    step = _step(ordered)
    if step and step > 1 and len(ordered) >= LEAST_STEPS:
        return f"of every {_ordinal(step)} hour from {ordered[0]:02d} to {ordered[-1]:02d}"
    return (
        f"of the hour{'s' if len(hours) > 1 else ''} {_spans([f'{hour:02d}' for hour in range(24)], hours)}"
    )


def _days(schedule: Schedule) -> str:
    """Give the days in words, empty for every day of every month."""
    days, months = schedule.values[DAY], schedule.values[MONTH]
    weekdays = frozenset(number % 7 for number in schedule.values[WEEKDAY])
    in_months = "" if months == _ALL_MONTHS else f"in {_spans(('', *MONTH_NAMES), months)}"
    every_date, every_weekday = days == _ALL_DAYS, weekdays == _ALL_WEEKDAYS
    if (every_date and every_weekday) or (schedule.either_day and (every_date or every_weekday)):
        return f"every day {in_months}".rstrip() if in_months else ""
    if every_date:
        return f"{_weekdays(weekdays)} {in_months}".rstrip()
    dates = f"{_dates(sorted(days))} {in_months.replace('in ', 'of ', 1) or 'of every month'}"
    if every_weekday:
        return dates
    if schedule.either_day:
        # "on the 13th and on Friday" is what people read as Friday the 13th: it is both of them.
        also = _listed([DAY_NAMES[day] for day in _week(weekdays)])
        return f"{dates} and also every {also} {in_months}".rstrip()
    return f"{dates} if it is a {_listed([DAY_NAMES[day] for day in _week(weekdays)], 'or')}"


def _week(weekdays: frozenset[int]) -> list[int]:
    """Give days of the week from Monday on."""
    return sorted(weekdays, key=lambda day: (day - 1) % 7)


def _weekdays(weekdays: frozenset[int]) -> str:
    ordered = [(day - 1) % 7 for day in _week(weekdays)]
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{DAY_NAMES[(ordered[0] + 1) % 7]} to {DAY_NAMES[(ordered[-1] + 1) % 7]}"
    return _listed([f"{DAY_NAMES[(day + 1) % 7]}s" for day in ordered])


def _dates(days: Sequence[int]) -> str:
    step = _step(days)
    if step and step > 1 and len(days) >= LEAST_STEPS:
        return f"on every {_ordinal(step)} day from the {_ordinal(days[0])} to the {_ordinal(days[-1])}"
    return f"on the {_spans([_ordinal(day) for day in range(32)], frozenset(days))}"


def _step(numbers: Sequence[int]) -> int | None:
    """Give the distance between each two of ascending numbers, None where it is not the same."""
    steps = {later - number for number, later in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else None


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Give ascending numbers as first and last of each stretch without a gap."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _spans(names: Sequence[str], numbers: frozenset[int]) -> str:
    """Give numbers by their names, three or more in a row as a span."""
    parts: list[str] = []
    for first, last in _runs(sorted(numbers)):
        if last - first > 1:
            parts.append(f"{names[first]} to {names[last]}")
        else:
            parts += [names[number] for number in range(first, last + 1)]
    return _listed(parts)


def _listed(parts: Sequence[str], joined: str = "and") -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {joined} {parts[-1]}"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
