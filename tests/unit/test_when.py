"""A moment in a person's words."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.settings.when import moment
from cronwrap.text import moment as shown


@pytest.fixture(autouse=True)
def berlin(zone):
    zone("Europe/Berlin")


SATURDAY = 1774720800.0
"""Sat 2026-03-28 19:00:00 +0100, the evening before the clock is put forward."""


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("2h", "Sat 2026-03-28 21:00:00 +0100"),
        ("in 90m", "Sat 2026-03-28 20:30:00 +0100"),
        ("20:00", "Sat 2026-03-28 20:00:00 +0100"),
        ("18:00", "Sun 2026-03-29 18:00:00 +0200"),
        ("6:30 PM", "Sun 2026-03-29 18:30:00 +0200"),
        ("noon", "Sun 2026-03-29 12:00:00 +0200"),
        ("tomorrow", "Sun 2026-03-29 00:00:00 +0100"),
        ("tomorrow at 9:00", "Sun 2026-03-29 09:00:00 +0200"),
        ("monday 9:00", "Mon 2026-03-30 09:00:00 +0200"),
        ("sat 20:00", "Sat 2026-03-28 20:00:00 +0100"),
        ("saturday", "Sat 2026-04-04 00:00:00 +0200"),
        ("2026-05-01 08:00", "Fri 2026-05-01 08:00:00 +0200"),
        ("2026-05-01T08:00Z", "Fri 2026-05-01 10:00:00 +0200"),
        ("2026-03-29 02:30", "Sun 2026-03-29 03:30:00 +0200"),  # the clock skips it
        ("2026-10-25 02:30", "Sun 2026-10-25 02:30:00 +0200"),  # it comes twice
    ],
)
def test_words_mean_the_next_such_moment(words, meant):
    assert shown(moment(words, SATURDAY)) == meant


def test_of_a_time_that_comes_twice_it_is_the_one_ahead():
    first = datetime(2026, 10, 25, 2, 30).timestamp()  # noqa: DTZ001  # local, on purpose
    assert moment("2026-10-25 02:30", first + 60) == first + 3600


@pytest.mark.parametrize(
    "words", ["", "18", "25:00", "2026-02-30", "13pm", "2020-01-01", "today 18:00", "0s", "mo", "8:00+01:00"]
)
def test_what_is_over_or_no_time_is_refused(words):
    with pytest.raises(ValueError, match=r"over already|no time|no such day|needed|whole date"):
        moment(words, SATURDAY)


@given(st.text(alphabet="0123456789:-+ thamonpridyfsw.Z", max_size=24))
@settings(max_examples=100)
def test_any_text_is_a_moment_ahead_or_refused(words):
    try:
        assert moment(words, SATURDAY) > SATURDAY
    except ValueError:
        return
