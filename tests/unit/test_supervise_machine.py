"""The decisions about a job, with a clock and a world that the test makes up: it always comes to an end."""

from __future__ import annotations

import signal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.job.deadlines import (
    GIVE_UP,
    KILL,
    KILL_LIMIT,
    KILL_PAUSE,
    SAMPLE,
    STILL_RUNNING,
    STOP_READING,
    TERMINATE,
    Course,
    Limits,
)

ENDINGS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
OTHERS = [signal.SIGUSR1, signal.SIGUSR2]
SECONDS = st.floats(0, 20)
LIMITS = st.builds(
    Limits,
    timeout=st.none() | SECONDS,
    idle_timeout=st.none() | SECONDS,
    kill_after=SECONDS,
    drain=SECONDS,
    max_memory=st.none() | st.just(1 << 20),
)
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from(
            ["output", "exit", "orphans end", "pipes close", "memory", "overlap", *ENDINGS, *OTHERS]
        ),
    ),
    max_size=12,
)


class World:
    """A job and its tree: they do as the events say, and what is done to them."""

    def __init__(self, limits, *, deaf, immortal, orphans):
        self.now = 100.0
        self.limits = limits
        self.course = Course(limits, self.now)
        self.deaf, self.immortal = deaf, immortal
        self.job, self.orphans, self.pipes = True, orphans, True
        self.done = []

    def happen(self, event):
        course = self.course
        if event == "output":
            if self.pipes:
                course.wrote(self.now)
        elif event == "exit":
            self.job_ends()
        elif event == "orphans end":
            self.orphans = False
            self.settle()
        elif event == "pipes close":
            self.pipes = False
        elif event in ("memory", "overlap"):
            if course.end(event, self.now):
                self.terminated()
        elif course.asked(event, self.now) and event in ENDINGS:
            self.terminated()

    def job_ends(self):
        if self.job:
            self.job = False
            self.course.exited(self.now)
            self.settle()

    def settle(self):
        if not self.job and not self.orphans:
            self.pipes = False
            self.course.nobody_left(self.now)

    def terminated(self):
        if not self.deaf:
            self.job_ends()

    def pass_time(self, until):
        """Let the time pass, doing what is due when it is due, as the supervisor's loop does."""
        while not self.over:
            moment = self.course.next_moment()
            if moment is None or moment > until:
                break
            self.now = max(self.now, moment)
            self.act(self.course.due(self.now))
        self.now = max(self.now, until)

    def act(self, due):
        self.done.append((due, self.now))
        if due == TERMINATE:
            self.terminated()
        elif due == KILL and not self.immortal:
            self.orphans = False
            self.job_ends()
            self.settle()
        elif due == SAMPLE:
            self.course.sampled(self.now, 0.001)

    @property
    def over(self):
        return self.course.over(output_open=self.pipes)


@given(LIMITS, EVENTS, st.booleans(), st.booleans(), st.booleans())
def test_events_in_any_order_always_come_to_an_end(limits, events, deaf, immortal, orphans):
    world = World(limits, deaf=deaf, immortal=immortal, orphans=orphans)
    for pause, event in events:
        world.pass_time(world.now + pause)
        if world.over:
            break
        world.happen(event)
    # From here on nothing happens but that somebody insists on an end.
    insisted = world.now
    for _ in range(3):
        if not world.over:
            world.happen(signal.SIGTERM)
            world.pass_time(world.now + 1.0)
    world.pass_time(world.now + KILL_LIMIT + limits.drain + 1.0)
    assert world.over
    assert world.now - insisted < 3.0 + KILL_LIMIT + limits.drain + 1.1


@given(LIMITS, EVENTS, st.booleans(), st.booleans(), st.booleans())
def test_a_job_with_a_timeout_ends_without_anybodys_help(limits, events, deaf, immortal, orphans):
    limits = limits.replace(timeout=limits.timeout or 1.0)
    world = World(limits, deaf=deaf, immortal=immortal, orphans=orphans)
    began = world.now
    for pause, event in events:
        if event not in ("exit", "pipes close", "orphans end", *ENDINGS):
            world.pass_time(world.now + pause)
            if not world.over:
                world.happen(event)
    bound = began + limits.timeout + limits.kill_after + KILL_LIMIT + KILL_PAUSE + limits.drain + 0.1
    world.pass_time(max(bound, world.now))
    assert world.over


@given(LIMITS, EVENTS)
def test_nothing_is_killed_before_its_time(limits, events):
    world = World(limits, deaf=True, immortal=False, orphans=True)
    asked, told = 0, None
    for pause, event in events:
        world.pass_time(world.now + pause)
        if world.over:
            break
        asked += event in (signal.SIGTERM, signal.SIGINT) or (event in ENDINGS and not world.job)
        world.happen(event)
        if told is None and world.course.ending:
            told = world.now
    for due, when in world.done:
        if due == KILL and not asked:
            starts = [at for what, at in world.done if what == TERMINATE] + ([told] if told else [])
            assert when >= min(starts) + limits.kill_after - 1e-6


@given(LIMITS, EVENTS, st.booleans())
def test_each_end_has_one_cause(limits, events, deaf):
    world = World(limits, deaf=deaf, immortal=False, orphans=False)
    causes = set()
    for pause, event in events:
        world.pass_time(world.now + pause)
        if not world.over:
            world.happen(event)
        causes |= {world.course.ended_by} - {""}
    assert len(causes) <= 1
    assert [due for due, _ in world.done].count(TERMINATE) <= 1


def test_a_second_request_ends_the_patience_but_an_echo_does_not():
    course = Course(Limits(), 0.0)
    assert course.asked(signal.SIGTERM, 1.0)
    assert course.asked(signal.SIGTERM, 1.05)
    assert course.due(1.05) == SAMPLE
    assert not course.asked(signal.SIGTERM, 1.2)
    assert course.due(1.2) == KILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_request_is_enough_where_the_end_has_begun(number):
    course = Course(Limits(timeout=5.0, kill_after=60.0), 0.0)
    assert course.due(5.0) == TERMINATE
    assert course.due(6.0) == ""
    assert not course.asked(number, 6.0)
    assert course.due(6.0) == KILL


def test_hangup_and_the_users_signals_are_passed_on_as_often_as_they_come():
    course = Course(Limits(), 0.0)
    for moment in range(1, 10):
        assert course.asked(signal.SIGHUP, moment / 10)
        assert course.asked(signal.SIGUSR1, moment / 10)
    assert course.due(0.95) == ""
    assert course.asked_to_end == signal.SIGHUP


def test_what_hangs_in_the_kernel_is_given_up():
    world = World(Limits(timeout=1.0, kill_after=1.0), deaf=True, immortal=True, orphans=True)
    world.pass_time(200.0)
    rounds = [when for due, when in world.done if due == KILL]
    assert rounds[0] == 102.0
    assert all(later - earlier >= KILL_PAUSE - 1e-9 for earlier, later in pairwise(rounds))
    given_up = next(when for due, when in world.done if due == GIVE_UP)
    assert 102.0 + KILL_LIMIT <= given_up < 102.0 + KILL_LIMIT + 2 * KILL_PAUSE
    assert world.over


def test_what_holds_the_output_open_delays_the_end_by_the_drain():
    course = Course(Limits(drain=3.0), 0.0)
    course.exited(0.5)
    assert not course.over(output_open=True)
    assert course.over(output_open=False)
    assert course.next_moment() == 3.5
    assert course.due(3.4) == ""
    assert course.due(3.5) == STOP_READING
    assert course.over(output_open=True)


def test_no_drain_means_no_waiting():
    course = Course(Limits(drain=0.0), 0.0)
    course.exited(0.5)
    assert course.due(0.5) == STOP_READING


def test_output_puts_the_idle_timeout_off():
    course = Course(Limits(idle_timeout=2.0), 0.0)
    course.wrote(1.5)
    assert course.due(2.5) == SAMPLE
    course.sampled(2.5, 0.0)
    assert course.due(3.4) == ""
    assert course.due(3.5) == TERMINATE
    assert course.ended_by == "idle timeout"


def test_a_sample_that_cost_much_is_not_taken_often():
    course = Course(Limits(), 0.0)
    course.sampled(1.0, 0.005)
    assert course.next_moment() == 6.0
    course.sampled(6.0, 0.0)
    assert course.next_moment() == 7.0


def test_a_job_that_still_runs_is_told_of_once_and_not_when_it_is_ended_at_that_moment():
    course = Course(Limits(still_running=0.5), 100.0)
    assert course.next_moment() == 100.5
    assert course.due(100.4) == ""
    assert course.due(100.7) == STILL_RUNNING
    assert course.due(100.8) == ""
    assert Course(Limits(still_running=0.5, timeout=0.5), 100.0).due(100.7) == TERMINATE
    ended = Course(Limits(still_running=0.5), 100.0)
    ended.exited(100.2)
    assert ended.due(100.7) == ""
