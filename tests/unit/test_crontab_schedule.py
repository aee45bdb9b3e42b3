"""Schedules mean what Debian's cron takes them for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab.schedule import NICKNAMES, ScheduleError, read


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("*/20 * * * *", 0, {0, 20, 40}),
        ("5-9/2,30 * * * *", 0, {5, 7, 9, 30}),
        ("007 * * * *", 0, {7}),
        ("* * */10 * *", 2, {1, 11, 21, 31}),
        ("* * * Jan-MAR,12 *", 3, {1, 2, 3, 12}),
        ("* * * * sun,5-7", 4, {0, 5, 6, 7}),
        ("* * * * mon-wed/2", 4, {1, 3}),
    ],
)
def test_fields_are_sets_of_numbers(text, field, values):
    assert read(text).values[field] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/5 1-3,4 * jan MON", "*/5 1-3,4 * 1 1"),
        ("@hourly", "0 * * * *"),
        ("@reboot", ""),
        ("0~59 * * * *", ""),
    ],
)
def test_the_expression_is_in_figures(text, expected):
    assert read(text).expression == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("60 * * * *", "out of range"),
        ("* 24 * * *", "out of range"),
        ("* * 0 * *", "out of range"),
        ("* * * 13 *", "out of range"),
        ("* * * * 8", "out of range"),
        ("4294967297 * * * *", "out of range"),
        ("*/0 * * * *", "above 0"),
        ("*/x * * * *", "above 0"),
        ("5/2 * * * *", "a step needs a range: 5-59/2"),
        ("5-1 * * * *", "backwards; write 5-59,0-1"),
        ("* * * * fri-sun", "5-7"),
        ("*, * * * *", "write a number"),
        ("1,,2 * * * *", "write a number"),
        ("*5 * * * *", "write a number"),
        ("1-5x * * * *", "write 0 to 59"),
        ("* * L * *", "write 1 to 31"),
        ("* * * * 1#2", "write a number"),
        ("* * ? * *", "write a number"),
        ("* * * january *", "jan to dec"),
        ("70~80 * * * *", "out of range"),
        ("* * * *", "five fields"),
        ("@Daily", "@daily"),
        ("@every_minute", "@hourly"),
    ],
)
def test_a_mistake_is_named(text, part):
    with pytest.raises(ScheduleError) as caught:
        read(text)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("0 0 30 2 *", True),
        ("0 0 31 2,4,6,9,11 *", True),
        ("0 0 29 2 *", False),
        ("0 0 31 4,5 *", False),
        ("0 0 30 2 mon", False),
        ("0 0 30 2 */2", True),
        ("@reboot", False),
    ],
)
def test_dates_that_never_come_are_known(text, never):
    assert read(text).never is never


@pytest.mark.parametrize(
    ("text", "either"),
    [("0 0 1 * mon", True), ("0 0 */2 * mon", False), ("0 0 1 * *", False), ("0 0 1 * */2", False)],
)
def test_either_day_will_do_unless_one_begins_with_a_star(text, either):
    assert read(text).either_day is either


def test_a_step_beyond_its_range_is_remarked():
    (remark,) = read("*/90 * * * *").remarks
    assert "leaves 0 alone" in remark


@pytest.mark.parametrize("text", NICKNAMES)
def test_nicknames_are_schedules(text):
    assert not read(text).never


@given(st.one_of(st.text(), st.text(alphabet="0123456789*/,-~ janMON#L@", max_size=20)))
def test_any_text_is_a_schedule_or_a_mistake(text):
    try:
        schedule = read(text)
    except ScheduleError:
        return
    assert schedule.random or not schedule.expression or len(schedule.expression.split(" ")) == 5
