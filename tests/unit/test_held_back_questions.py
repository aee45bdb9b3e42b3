"""What is asked about a run is asked when somebody is to be told, and once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cronwrap.history import skipped as history
from cronwrap.model import Outcome
from cronwrap.pipeline import held_back, notifying, still_running
from cronwrap.pipeline.stuck import Stuck
from cronwrap.report.unfinished import skipped
from cronwrap.report.verdict import Policy

EVERYTHING = Policy(on=("failure", "output", "skip", "stuck", "running"))


@pytest.fixture
def run():
    settings = {"stuck-after": 2, "redact.patterns": (), "mailto": "ops@example.test"}

    class Settings(dict):
        state_dir = "/nowhere"
        notify = ()
        house = "ops@example.test"

    return SimpleNamespace(settings=Settings(settings), job="j", user="u", host="h")


def test_the_history_is_asked_once_whether_a_job_is_stuck_however_many_hear_of_it(run, monkeypatch):
    asked = []
    monkeypatch.setattr(history, "skips_in_a_row", lambda *words: asked.append(words) or [])
    stuck = Stuck(run, "why", ())
    assert [stuck.verdict(skipped("why", EVERYTHING), EVERYTHING).result for _ in range(3)] == ["skipped"] * 3
    assert len(asked) == 1


def test_no_mute_is_asked_for_when_nobody_would_be_told_that_a_run_goes_on(run, monkeypatch):
    monkeypatch.setattr(held_back, "silence", lambda *_words, **_more: pytest.fail("asked"))
    monkeypatch.setattr(notifying, "due", lambda *_words: ())
    assert not still_running.tell_here(run, Outcome(started=0.0, duration=1.0), Policy(on=("success",)))
