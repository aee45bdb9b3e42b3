"""A schedule in words: what cron makes of it, and never the same words for two that differ."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.crontab.schedule import FIELDS, WEEKDAY, ScheduleError, read
from cronwrap.crontab.words import describe, in_words

TOLD = {
    "* * * * *": "Every minute",
    "*/1 */1 */1 */1 */1": "Every minute",
    "0-59 0-23 1-31 1-12 0-7": "Every minute",
    "*/10 * * * *": "Every 10 minutes",
    "0,20,40 * * * *": "Every 20 minutes",
    "*/5 8-18 * * 1-5": "Every 5 minutes from 08:00 to 18:59, Monday to Friday",
    "*/5 8-11,14-17 * * *": "Every 5 minutes from 08:00 to 11:59 and from 14:00 to 17:59",
    "*/7 * * * *": "Every 7 minutes from :00 to :56 of every hour",
    "0-30/7 2,4,6 * * *": "Every 7 minutes from :00 to :28 of the hours 02, 04 and 06",
    "5-50/9 1-23/2 * * *": "Every 9 minutes from :05 to :50 of every 2nd hour from 01 to 23",
    "10-20 * * * *": "Every minute from :10 to :20 of every hour",
    "5 * * * *": "Every hour at :05",
    "@hourly": "Every hour at :00",
    # What cron makes of it, whatever it looks like.
    "*/90 * * * *": "Every hour at :00",
    "*/59 * * * *": "Every hour at :00 and :59",
    "0 8-18 * * *": "Every hour from 08:00 to 18:00",
    "15,45 8-18 * 1 *": "Every hour at :15 and :45 from 08:15 to 18:45, every day in January",
    "5,35 */2 * * *": "Every 2 hours at :05 and :35",
    "0 1-23/2 * * *": "Every 2 hours from 01:00 to 23:00",
    "0 1-5,7-9/2,20 * * *": "At :00 of the hours 01 to 05, 07, 09 and 20",
    "17 */12 * * *": "Every day at 00:17 and 12:17",
    "0 3 * * *": "Every day at 03:00",
    "@daily": "Every day at 00:00",
    "0 11 * * 0": "Sundays at 11:00",
    "0 11 * * 7": "Sundays at 11:00",
    "0 22 * * 5-7": "Friday to Sunday at 22:00",
    "0 9 * * sat,sun": "Saturdays and Sundays at 09:00",
    "0,30 * * 6-8 1,3,5": "Every 30 minutes, Mondays, Wednesdays and Fridays in June to August",
    "0 0 1,15 * *": "On the 1st and 15th of every month at 00:00",
    "0 0 22-24 12 *": "On the 22nd to 24th of December at 00:00",
    "0 0 */2 * *": "On every 2nd day from the 1st to the 31st of every month at 00:00",
    "0 0 1 1 *": "On the 1st of January at 00:00",
    "0 0 * */3 *": "Every day in January, April, July and October at 00:00",
    "0 0 29 2 *": "On the 29th of February at 00:00",
    "0 0 31 4,6 *": "On the 31st of April and June at 00:00; no year has such a date: never",
    # crontab(5): either may match, unless one begins with a star: then both must.
    "0 0 13 * 5": "On the 13th of every month and also every Friday at 00:00",
    "0 0 */5 * 1": "On every 5th day from the 1st to the 31st of every month if it is a Monday at 00:00",
    "0 0 1-31 * 1": "Every day at 00:00",
    "30 8 1 1 7": "On the 1st of January and also every Sunday in January at 08:30",
    "@reboot": "When cron starts, as a rule with the host (@reboot)",
    "~ 3 * * *": "At a time that cronie picks at random (~)",
}


@pytest.mark.parametrize(("schedule", "words"), TOLD.items(), ids=TOLD)
def test_a_schedule_is_told_as_cron_takes_it(schedule, words):
    assert describe(schedule) == words


@pytest.mark.parametrize("schedule", ["61 * * * *", "0 0 * * 8", "@Daily", "* * * *", "5/10 * * * *", ""])
def test_what_cron_does_not_take_has_no_words(schedule):
    with pytest.raises(ScheduleError):
        describe(schedule)


def field(number):
    low, high = FIELDS[number].low, FIELDS[number].high
    numbers = st.integers(low, high)
    spans = st.tuples(numbers, numbers).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(1, 12)
    items = st.one_of(
        numbers.map(str),
        spans,
        st.tuples(st.one_of(st.just("*"), spans), step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(items, min_size=1, max_size=3).map(",".join))


@st.composite
def neighbours(draw):
    """Give some schedules that differ in one field."""
    written = [draw(field(number)) for number in range(5)]
    at = draw(st.integers(0, 4))
    some = draw(st.lists(field(at), min_size=4, max_size=4))
    # The same numbers without a star: it decides whether both days must match, or one of them.
    step = draw(st.integers(1, 9))
    some += [f"*/{step}", ",".join(map(str, range(FIELDS[at].low, FIELDS[at].high + 1, step)))]
    return [" ".join([*written[:at], one, *written[at + 1 :]]) for one in some]


def when_due(schedule):
    """Give all that decides when a schedule is due."""
    days = frozenset(day % 7 for day in schedule.values[WEEKDAY])
    every = len(schedule.values[2]) == 31, len(days) == 7
    date, week = schedule.values[2], days
    if schedule.either_day and any(every):
        date, week = frozenset(range(1, 32)), frozenset(range(7))  # one of both is always true
    either = schedule.either_day and not any(every)
    return (schedule.values[0], schedule.values[1], date, schedule.values[3], week, either)


@settings(max_examples=150)
@given(neighbours())
def test_schedules_that_differ_have_other_words(written):
    told = defaultdict(set)
    for text in written:
        told[in_words(read(text))].add(when_due(read(text)))
    assert all(len(meant) == 1 for meant in told.values())
