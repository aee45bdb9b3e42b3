"""Which jobs there are and how they stand: what was missed, what is next, what needs somebody first."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab import named
from cronwrap.history.lists import page
from cronwrap.history.tally import Tally
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.manage import listing, planned
from cronwrap.settings.load import load
from support.past import Was, remember

NOW = 1_772_000_000.0  # 2026-02-25 06:13:20 UTC
WORDS = "cronwrap --name {} -- true"


@pytest.fixture
def ground(tmp_path, zone, monkeypatch):
    """A state and a crontab: ``ground(table, past)`` gives the jobs at NOW."""
    texts = [""]
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    zone("UTC")
    monkeypatch.setattr(planned, "tables", lambda _user: ([(named.OWN, texts[0])], ""))
    monkeypatch.setattr(planned, "_due", {})

    def laid(table, past=(), now=NOW):
        texts[0] = table
        if past:
            remember(str(tmp_path / "state"), list(past))
        return {
            job.name: job
            for job in listing.every(load({}, {"CRONWRAP_STATE_DIR": str(tmp_path / "state")}), now)[0]
        }

    laid.state = str(tmp_path / "state")
    laid.settings = load({}, {"CRONWRAP_STATE_DIR": str(tmp_path / "state")})
    return laid


def test_a_job_that_did_not_start_when_it_was_due_is_late_once_the_grace_is_over(ground):
    table = f"0 6 * * * {WORDS.format('a')}\n"
    ran = [Was("a", NOW - 86400)]
    due = 1_771_999_200.0  # 06:00
    assert ground(table, ran, due + 200)["a"].states == ()
    late = ground(table, now=due + 301)["a"]
    assert late.states == ("late",)
    row = listing.rows(ground.settings, [late], due + 301)[0]
    assert (row["missed"], row["missed_since"][:16]) == (1, "2026-02-25T06:00")


@pytest.mark.parametrize(
    ("table", "past"),
    [
        (f"0 6 * * * {WORDS.format('a')}\n", []),  # it may be new
        (f"0 6 * * * {WORDS.format('a')}\n", [Was("a", 1_771_999_210.0)]),
        (f"0 6 * * * {WORDS.format('a')}\n", [Was("a", 1_771_999_170.0)]),  # the clock was set back
        ("0 6 * * * true\n", [Was("true", NOW - 86400)]),  # not wrapped: nothing is known of it
        (f"@reboot {WORDS.format('a')}\n", [Was("a", NOW - 86400)]),
        ("", [Was("a", NOW - 86400)]),
    ],
)
def test_nothing_else_is_late(ground, table, past):
    assert not any("late" in job.states for job in ground(table, past).values())


def test_a_job_with_two_lines_is_one_and_due_at_the_first_of_them(ground):
    table = f"0 9 * * * {WORDS.format('a')}\n30 7 * * * {WORDS.format('a')}\n"
    job = ground(table)["a"]
    assert (job.next, len(job.lines)) == (1_772_004_600.0, 2)


def test_a_changed_crontab_is_seen_at_once_and_its_zone_counts(ground):
    assert ground(f"0 12 * * * {WORDS.format('a')}\n")["a"].next == 1_772_020_800.0
    assert ground(f"CRON_TZ=Asia/Tokyo\n0 12 * * * {WORDS.format('b')}\n").keys() == {"b"}
    assert ground(f"CRON_TZ=Asia/Tokyo\n0 12 * * * {WORDS.format('b')}\n")["b"].next == 1_772_074_800.0


def test_one_job_is_the_same_as_in_the_list(ground):
    past = [Was("a", NOW - 90_000, result="failed", exit_code=2), Was("b", NOW - 50)]
    jobs = ground(f"0 6 * * * {WORDS.format('a')}\n5 * * * * rm x\n@hourly {WORDS.format('b')}\n", past)
    for name, job in jobs.items():
        alone = listing.one(ground.settings, name, NOW)
        assert listing.rows(ground.settings, [alone], NOW) == listing.rows(ground.settings, [job], NOW)
    assert listing.one(ground.settings, "c", NOW) is None


def test_a_held_job_that_is_nowhere_else_is_in_the_list(ground):
    ground("", [Was("x", NOW)])
    holds.write(ground.state, Hold(kind=holds.PAUSE, job="p", since=NOW, until=NOW + 60, by="alice"))
    holds.write(ground.state, Hold(kind=holds.MUTE, job="m", since=NOW, asked=NOW, until=None))
    jobs = ground("")
    assert (jobs["p"].states, jobs["m"].states) == (("paused",), ("muted",))
    assert ground("", now=NOW + 61)["p"].states == ()


def test_what_needs_somebody_is_first_and_what_nobody_wrapped_last(ground):
    past = [
        Was("fails", NOW - 10, result="failed", exit_code=1),
        Was("known", NOW - 10, result="failed", exit_code=1),
        Was("late", NOW - 86400),
        Was("fine", NOW - 10),
    ]
    lines = [f"0 6 * * * {WORDS.format(name)}" for name in ("fails", "known", "late", "fine")]
    ground("", past)
    holds.write(ground.state, Hold(kind=holds.MUTE, job="known", since=NOW, asked=NOW))
    jobs = list(ground("\n".join([*lines, "0 4 * * * rm x"]) + "\n").values())
    for most in (2, 100):
        names = [job.name for _rank, job in listing.ranked(jobs, "attention", most)]
        assert names[:4] == ["fails", "late", "known", "fine"][:most]
    assert names[4].startswith("rm-x")
    assert listing.counts(jobs) | {"all": 5} == {
        "all": 5,
        "failing": 2,
        "late": 1,
        "running": 0,
        "paused": 0,
        "muted": 1,
        "unwrapped": 1,
    }


@given(st.lists(st.sampled_from(["ok", "failed", "skipped", "timeout", "abandoned"]), max_size=20), st.data())
def test_each_of_the_last_runs_has_a_bar_and_good_ones_their_seconds(results, data):
    took = [data.draw(st.floats(0, 1e6)) for result in results if result == "ok"]
    tally = Tally(
        job="j",
        user="u",
        run="r",
        results=" ".join(results),
        durations=" ".join(map(repr, took)),
        duration=7.0,
    )
    bars = listing.bars(tally, None, 0.0)
    assert [result for result, _seconds in bars] == results
    assert [seconds for result, seconds in bars if result == "ok"] == took


def test_pages_of_runs_have_each_run_once_in_order_even_of_one_moment(ground):
    random.seed(1)
    past = [Was(f"j{number % 3}", NOW - random.choice([10, 20, 30])) for number in range(25)]
    ids = set(remember(ground.state, past))
    found, before = [], None
    while part := page(ground.state, before=before, limit=4):
        found += part
        before = part[-1].started, part[-1].run
    keys = [(run.started, run.run) for run in found]
    assert keys == sorted(keys, reverse=True)
    assert len(found) == 25
    assert {run.run for run in found} == ids
    assert {run.job for run in page(ground.state, job="j1", limit=99)} == {"j1"}
    assert page(ground.state, since=NOW - 15, limit=99) == [run for run in found if run.started >= NOW - 15]
    assert page(ground.state, failed=True, limit=9) == []
