"""Times and states in the reader's words, and strips and charts as SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.text import iso
from cronwrap.web.pages import charts, words

NOW = 1_772_000_000.0  # Wednesday, 2026-02-25 06:13:20 UTC
HOUR, DAY = 3600, 86400


@pytest.fixture(autouse=True)
def utc(zone):
    zone("UTC")


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (-5, "now"),
        (0.5, "now"),
        (40, "in 40 s"),
        (90, "in 1 min"),
        (2 * HOUR + 5, "in 2 h"),
        (17 * HOUR, "in 17 h"),
        (22 * HOUR, "tomorrow 04:13"),
        (3 * DAY, "Saturday 06:13"),
        (20 * DAY, "17 March 06:13"),
        (400 * DAY, "1 April 2027 06:13"),
    ],
)
def test_a_time_to_come_is_told_as_a_person_would(left, told):
    assert words.when(NOW + left, NOW) == told


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (60, "06:12"),
        (DAY, "yesterday 06:13"),
        (3 * DAY, "Sunday"),
        (30 * DAY, "26 January"),
        (400 * DAY, "21 January 2025"),
    ],
)
def test_a_time_that_has_been_is_told_as_a_person_would(ago, told):
    assert words.since(NOW - ago, NOW) == told


def row(**changes):
    return {
        **dict.fromkeys(("failures", "missed"), 0),
        **dict.fromkeys(("paused", "muted", "waits"), False),
        **dict.fromkeys(
            ("failing_since", "missed_since", "running_since", "usual_duration", "last_duration")
        ),
        **dict.fromkeys(("paused_by", "paused_until", "muted_by", "muted_until", "last_run", "command")),
        "last_words": "",
        "last_result": None,
        "wrapped": True,
        "states": [],
        "job": "j",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"failures": 3, "failing_since": iso(NOW - 3 * DAY)}, ["failing since Sunday, 3 in a row"]),
        ({"missed": 5, "missed_since": iso(NOW - 600)}, ["did not start at 06:03 and 4 times since"]),
        (
            {"missed": 20, "missed_since": iso(NOW - DAY)},
            ["did not start yesterday 06:13 and more than 19 times since"],
        ),
        (
            {"paused": True, "paused_until": iso(NOW + DAY), "paused_by": "al"},
            ["paused until tomorrow 06:13 by al"],
        ),
        ({"muted": True, "muted_until_ok": True}, ["muted until it succeeds: it runs, and mails nothing"]),
        (
            {"last_result": "ok", "last_duration": 60.0, "usual_duration": 10.0},
            ["took 6 times as long as usual (10.0 s)"],
        ),
        ({"last_result": "ok", "last_duration": 0.6, "usual_duration": 0.1}, []),
        (
            {"running_since": iso(NOW - 90), "usual_duration": 30.0},
            ["has been running 3 times as long as usual"],
        ),
        ({"wrapped": False}, ["cron alone looks after this line: nothing of it is on record"]),
    ],
)
def test_what_has_to_be_explained_is_and_nothing_else(changes, told):
    assert words.notes(row(**changes), NOW) == told


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"states": ["failing", "running"], "last_run": "r", "last_words": "exit 2"}, "bad", "exit 2"),
        ({"states": ["late"], "last_run": "r", "last_words": "ok"}, "late", "missed"),
        ({"states": ["running"]}, "run", "running"),
        ({"states": ["paused"], "last_words": "ok"}, "pause", "paused"),
        ({"states": ["unwrapped"], "wrapped": False}, "none", "not wrapped"),
        ({}, "none", "never ran"),
        ({"last_run": "r", "last_result": "ok", "last_words": "ok"}, "ok", "ok"),
    ],
)
def test_what_needs_somebody_is_said_before_all_else(changes, kind, said):
    found = words.state(row(**changes))
    assert (found[0], found[2]) == (kind, said)


RESULTS = st.sampled_from(["ok", "failed", "skipped", "running", "timeout"])
SECONDS = st.none() | st.floats(0, 1e9)


@given(st.lists(st.tuples(RESULTS, SECONDS), max_size=40))
def test_a_strip_is_an_image_with_a_name_within_its_bounds(bars):
    svg = str(charts.strip(bars))
    if not bars:
        assert svg == '<span class="quiet">no runs yet</span>'
        return
    found = ET.fromstring(svg)
    assert found.get("role") == "img"
    assert found.get("aria-label").startswith("the last ")
    for path in found:
        for move in path.get("d").split("M")[1:]:
            up = float(move.rpartition("v")[2])
            assert -charts.HIGH <= up <= 3
    assert len(svg) < 1200


def test_a_chart_leads_to_its_runs_and_is_text_only():
    run = {
        "run": '"><script>',
        "duration": 3.0,
        "result": "ok",
        "result_words": "ok</title>",
        "started": iso(NOW),
    }
    svg = str(charts.chart([run, {**run, "result": "failed", "duration": 0.0}]))
    found = ET.fromstring(svg)
    assert len([one for one in found.iter() if one.tag == "rect"]) == 2
    assert "<script" not in svg
    assert charts.chart([run]) == ""
