"""The loop that sends, against real relays: who is asked when, what is kept, and who gets it once."""

from __future__ import annotations

import os

import pytest

from cronwrap.errors import StateError
from cronwrap.mail import Delivery, Envelope, Message
from cronwrap.outbox import dispatch
from cronwrap.outbox import drain as deliver
from cronwrap.outbox.backoff import ENOUGH_ATTEMPTS, LONGEST_RETRY
from cronwrap.outbox.drain import Drainer
from cronwrap.outbox.relay_pauses import Pauses
from cronwrap.outbox.store import Outbox
from cronwrap.settings import relays as endpoint
from support.reports import report

NOW = 1_772_420_706.0
TO = ("a@example.test", "b@example.test")
LIFETIME = 5 * 86400.0


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


class Post:
    """An outbox, a clock, and what became of the messages."""

    def __init__(self, state):
        self.box = Outbox(state)
        self.clock = Clock()
        self.told = []

    def store(self, identity, to=TO, content=None, text="text"):
        content = content or f"Subject: {identity}\r\nMessage-ID: <{identity}@x>\r\n\r\n{text}\r\n".encode()
        envelope = Envelope(sender="cron@example.test", recipients=to)
        message = Message(envelope=envelope, content=content, job="j", subject=identity)
        return self.box.store(identity, message, self.clock.now)

    def drain(self, *relays, lifetime=LIFETIME, later=0.0, **how):
        """Drain once with these servers (or endpoints), ``later`` seconds after the last time."""
        self.clock.now += later
        endpoints = [relay if isinstance(relay, endpoint.Endpoint) else at(relay) for relay in relays]
        del self.told[:]
        drainer = Drainer(
            self.box,
            endpoints,
            lifetime,
            clock=self.clock,
            told=lambda item, words: self.told.append((item.id, words)),
        )
        drainer.drain(**how)
        return dict(self.told)

    def only(self):
        ((item,), _) = self.box.items()
        return item


def at(server, timeout=1.0):
    return endpoint.from_environment(server.environment).replace(timeout=timeout)


def subjects(relay):
    return [mail.subject for mail in relay.messages]


@pytest.fixture
def post(tmp_path):
    return Post(str(tmp_path / "state"))


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(deliver, "log", lines.append)
    return lines


@pytest.fixture
def dead(make_misbehaving):
    """A server that nobody can connect to."""
    return make_misbehaving("connect", "refuse")


# One connection, one order ------------------------------------------------------------------------


def test_everything_due_goes_over_one_connection_and_is_taken_off(post, relay):
    for number in range(5):
        post.store(f"r{number}")
    assert set(post.drain(relay).values()) == {"delivered"}
    assert (relay.counters.connections, relay.counters.logins, len(relay.messages)) == (1, 1, 5)
    assert post.box.ids() == []


def test_a_connection_carries_fifty_messages_at_most(post, make_relay):
    relay = make_relay(max_messages=50)
    for number in range(51):
        post.store(f"r{number:02}", to=TO[:1])
    assert set(post.drain(relay).values()) == {"delivered"}
    assert [mail.connection for mail in relay.messages] == [1] * 50 + [2]


def test_the_report_that_a_run_waits_for_goes_first_then_new_ones_then_the_rest(post, relay):
    old = post.store("old")
    post.box.update(old, old.replace(attempts=2))
    for identity in ("new", "own"):
        post.clock.now += 1
        post.store(identity)
    post.drain(relay, first="own")
    assert subjects(relay) == ["own", "new", "old"]


def test_what_comes_while_it_sends_is_sent_too(post, relay):
    post.store("r1")

    def told(item, _words):
        if item.id == "r1":
            post.store("r2")

    drainer = Drainer(post.box, [at(relay)], LIFETIME, clock=post.clock, told=told)
    drainer.drain()
    assert subjects(relay) == ["r1", "r2"]


def test_a_report_that_comes_between_the_last_look_and_the_release_is_sent(post, relay):
    """Its run saw the claim taken, and has left."""
    post.store("r1")
    claim = post.box.claim()
    assert claim.take()
    release = claim.release

    def late():
        if post.box.ids() == [] and len(relay.messages) == 1:
            post.store("late")
        release()

    claim.release = late
    dispatch.drain_and_look_again(post.box, claim, lambda: Drainer(post.box, [at(relay)], LIFETIME))
    assert subjects(relay) == ["r1", "late"]
    assert post.box.claim().take()


def test_what_is_not_due_waits_unless_everything_is_asked_for(post, relay):
    item = post.store("r1")
    post.box.update(item, item.replace(attempts=1, next_attempt=NOW + 60))
    assert post.drain(relay) == {}
    assert post.drain(relay, everything=True) == {"r1": "delivered"}


# Failing and trying again -------------------------------------------------------------------------


def test_attempts_next_attempt_and_last_error_survive_and_the_wait_grows(post, dead):
    post.store("r1")
    waits = []
    for attempt in range(1, 5):
        words = post.drain(dead, later=waits[-1] if waits else 0)["r1"]
        item = post.only()
        assert (item.attempts, item.relay_fault, f"kept: {item.last_error}") == (attempt, True, words)
        waits.append(item.next_attempt - post.clock.now)
    assert "connection refused" in words
    for wait, whole in zip(waits, (60, 120, 240, 480), strict=True):
        assert 0.9 * whole <= wait <= whole


def test_one_attempt_finds_out_about_a_dead_relay_for_all_that_wait(post, make_misbehaving):
    server = make_misbehaving("banner", "drop")
    for number in range(10):
        post.store(f"r{number}")
    post.drain(server)
    assert len(server.conversations) == 1
    items, _ = post.box.items()
    assert sorted(item.attempts for item in items) == [0] * 9 + [1]
    assert all(item.last_error and item.next_attempt > post.clock.now for item in items)


def test_a_refused_login_pauses_the_relay_for_new_reports_too(post, make_misbehaving):
    server = make_misbehaving("auth", "5xx")
    post.store("r1")
    post.store("r2")
    assert all("refused the login" in words for words in post.drain(server).values())
    post.store("r3")
    assert "refused the login" in post.drain(server, later=30)["r3"]
    assert len(server.conversations) == 1
    post.drain(server, later=40)
    assert len(server.conversations) == 2


def test_a_corrected_login_ends_the_pause_at_once(post, relay):
    wrong = at(relay).replace(password="wrong")
    post.store("r1")
    assert post.drain(wrong)["r1"].startswith("kept")
    post.store("r2")
    # The one that failed has its own schedule; the relay's first success makes it due.
    assert post.drain(relay, later=1) == {"r2": "delivered", "r1": "delivered"}


def test_a_person_who_asks_for_everything_is_not_put_off_by_a_pause(post, make_misbehaving):
    server = make_misbehaving("auth", "5xx", times=1)
    post.store("r1")
    post.drain(server)
    assert post.drain(server, everything=True) == {"r1": "delivered"}


def test_a_new_report_is_tried_although_the_relay_failed_a_moment_ago(post, make_misbehaving):
    server = make_misbehaving("banner", "drop", times=1)
    post.store("r1")
    post.drain(server)
    post.store("r2")
    assert post.drain(server, later=1) == {"r2": "delivered", "r1": "delivered"}


def test_retries_keep_to_the_pause_of_the_relay(post, make_misbehaving):
    server = make_misbehaving("banner", "drop")
    item = post.store("r1")
    post.drain(server)
    post.box.update(item, post.only().replace(next_attempt=0.0))
    post.drain(server, later=1)
    assert len(server.conversations) == 1
    assert post.only().next_attempt > post.clock.now + 30


def test_a_clock_set_back_by_years_delays_nothing(post, make_misbehaving):
    server = make_misbehaving("auth", "5xx", times=1)
    post.store("r1")
    post.drain(server)
    assert post.drain(server, later=-1e8) == {"r1": "delivered"}


def test_a_message_that_hangs_each_time_does_not_hold_up_the_queue(post, make_misbehaving, monkeypatch):
    monkeypatch.setattr(deliver, "SLOW", 0.1)
    server = make_misbehaving("rcpt", "hang")
    for number in range(6):
        post.store(f"r{number}")
    post.drain(at(server, timeout=0.2))
    assert len(server.conversations) == deliver.SLOW_IN_A_ROW
    assert "takes too long" in Pauses(post.box).get(at(server)).reason


# Given up -----------------------------------------------------------------------------------------


def test_after_its_lifetime_a_report_moves_to_failed_and_to_the_system_log(post, dead, logged):
    post.store("r1")
    for _ in range(ENOUGH_ATTEMPTS - 1):
        assert post.drain(dead, later=LONGEST_RETRY)["r1"].startswith("kept: ")
    assert post.drain(dead, later=LIFETIME)["r1"].startswith("failed: given up after 10 attempts")
    assert post.box.ids() == []
    (failed,) = post.box.failed()
    assert failed.envelope.recipients == TO
    assert len(logged) == 1
    assert logged[0].startswith("report r1 (r1) failed for good: given up after 10 attempts: ")
    # No report is made about it, and nothing empties the place.
    assert post.drain(dead, later=LIFETIME) == {}
    assert [item.id for item in post.box.failed()] == ["r1"]


def test_age_alone_is_no_reason_to_give_up(post, dead):
    """The clock stood at 1970 when it was stored, or the machine was off for a week."""
    post.store("r1")
    for _ in range(ENOUGH_ATTEMPTS - 1):
        assert post.drain(dead, later=LIFETIME)["r1"].startswith("kept: ")
    assert post.drain(dead, later=LONGEST_RETRY)["r1"].startswith("failed: ")


def test_a_short_lifetime_needs_no_more_attempts_than_its_schedule_has(post, dead):
    post.store("r1")
    assert post.drain(dead, lifetime=90.0)["r1"].startswith("kept: ")
    assert post.drain(dead, lifetime=90.0, later=100.0)["r1"].startswith("failed: ")


def test_what_cannot_be_taken_off_the_queue_is_sent_once(post, relay, monkeypatch, logged):
    def refuse(_self, _item):
        raise StateError("the outbox cannot be written: Operation not permitted")

    post.store("r1")
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "remove", refuse)
        for _ in range(3):
            post.drain(relay, everything=True)
    assert subjects(relay) == ["r1"]
    assert "cannot be removed" in logged[-1]
    post.drain(relay, everything=True)
    assert (subjects(relay), post.box.ids()) == (["r1"], [])
    post.drain(relay)
    assert not os.path.exists(f"{post.box.directory}/sent")


def test_who_has_got_a_message_that_cannot_be_rewritten_does_not_get_it_again(post, relay, monkeypatch):
    relay.refuse("RCPT", "451 4.3.0 Later", times=1)
    post.store("r1", to=("a@example.test", "b@example.test"))

    def refuse(_self, _item, _changed):
        raise StateError("the outbox cannot be written: Read-only file system")

    monkeypatch.setattr(Outbox, "update", refuse)
    for _ in range(3):
        post.drain(relay, everything=True)
    got = [recipient for mail in relay.messages for recipient in mail.recipients]
    assert sorted(got) == ["a@example.test", "b@example.test"]


def test_a_refusal_for_good_is_not_tried_again(post, make_misbehaving, logged):
    server = make_misbehaving("dot", "5xx")
    post.store("r1")
    assert post.drain(server)["r1"].startswith("failed: a@example.test: 554")
    assert post.drain(server, later=LIFETIME) == {}
    assert len(logged) == len(server.conversations) == 1


def test_one_refused_recipient_does_not_cost_the_others_their_copy(post, relay, logged):
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="a@example.test")
    post.store("r1")
    assert post.drain(relay)["r1"].startswith("failed: a@example.test: 550")
    (failed,) = post.box.failed()
    assert failed.envelope.recipients == ("a@example.test",)
    assert [mail.recipients for mail in relay.messages] == [("b@example.test",)]
    assert logged


def test_what_is_left_of_a_message_is_kept_and_each_gets_it_once(post, relay):
    greylisted = relay.refuse("RCPT", "451 4.7.1 Greylisted", matching="b@example.test")
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="c@example.test")
    post.store("r1", to=(*TO, "c@example.test"))
    assert post.drain(relay)["r1"].startswith("kept: 451")
    assert post.only().envelope.recipients == ("b@example.test",)
    greylisted.times = 0
    assert post.drain(relay, later=60)["r1"].startswith("failed: c@example.test: 550")
    assert [mail.recipients for mail in relay.messages] == [("a@example.test",), ("b@example.test",)]
    assert [item.envelope.recipients for item in post.box.failed()] == [("c@example.test",)]


def test_an_unknown_outcome_is_tried_again_under_the_same_message_id(post, make_misbehaving):
    server = make_misbehaving("dot", "drop", times=1)
    post.store("r1")
    assert "not known whether" in post.drain(server)["r1"]
    assert post.drain(server, later=60) == {"r1": "delivered"}
    ids = [line for talk in server.conversations for line in talk.message.split(b"\r\n") if b"-ID:" in line]
    assert ids == [b"Message-ID: <r1@x>"] * 2


# Several relays -----------------------------------------------------------------------------------


def test_any_temporary_failure_lets_the_next_relay_try_at_once(post, make_relay, dead):
    first, second = make_relay(), make_relay()
    first.refuse("RCPT", "451 4.7.1 Greylisted", matching="b@example.test")
    post.store("r1")
    assert post.drain(dead, first, second) == {"r1": "delivered"}
    assert [mail.recipients for mail in first.messages] == [("a@example.test",)]
    assert [mail.recipients for mail in second.messages] == [("b@example.test",)]


def test_a_refusal_for_good_by_one_relay_is_not_taken_to_the_next(post, make_relay, logged):
    first, second = make_relay(), make_relay()
    first.refuse("RCPT", "550 5.1.1 No such user", matching="b@example.test")
    post.store("r1")
    assert post.drain(first, second)["r1"].startswith("failed")
    assert second.messages == []
    assert logged


def test_each_relay_has_its_own_pause_and_a_new_report_asks_the_others_first(post, make_misbehaving, relay):
    server = make_misbehaving("banner", "drop", times=1)
    post.store("r1")
    assert post.drain(server, relay) == {"r1": "delivered"}
    post.store("r2")
    post.drain(server, relay, later=1)
    assert len(server.conversations) == 1
    post.store("r3")
    post.drain(server, relay, later=60)
    assert (len(server.accepted), subjects(relay)) == (1, ["r1", "r2"])


def test_a_relay_that_must_not_be_used_says_why_and_the_others_are(post, relay, dead):
    unusable = at(dead).replace(fault="the file is open to others: chmod 600 it")
    post.store("r1")
    assert post.drain(unusable) == {"r1": "kept: the file is open to others: chmod 600 it"}
    assert post.drain(unusable, relay, later=60) == {"r1": "delivered"}


def test_without_a_relay_it_is_kept_with_the_command_that_helps(post):
    post.store("r1")
    assert post.drain() == {"r1": "kept: no relay is configured: run cronwrap init"}


# Delay --------------------------------------------------------------------------------------------


def test_a_report_that_had_to_wait_says_how_long_and_why(post, make_misbehaving, relay):
    from cronwrap.report.compose import compose  # noqa: PLC0415

    server = make_misbehaving("banner", "5xx")
    post.store("r1", content=compose(report()).content)
    post.drain(server)
    assert post.drain(relay, later=7200) == {"r1": "delivered"}
    (mail,) = relay.messages
    assert "This report waited 2 h for a relay: " in mail.body
    assert "554 5.3.2 No SMTP service here" in mail.body


def test_a_report_that_nobody_could_try_says_that_it_waited(post, relay):
    post.store("r1")
    post.drain(relay, later=deliver.DELAYED)
    assert relay.messages[0].parsed["X-Cronwrap-Delayed"].startswith("1 min")


def test_a_message_that_cannot_be_annotated_goes_as_it_is(post, relay, logged, monkeypatch):
    def buggy(*_arguments):
        raise UnicodeError("no")

    monkeypatch.setattr("cronwrap.report.compose.annotate_delay", buggy)
    post.store("r1")
    assert post.drain(relay, later=3600) == {"r1": "delivered"}
    assert "without a word on its delay" in logged[0]


def test_a_report_that_goes_at_once_says_nothing_of_a_delay(post, relay):
    post.store("r1")
    post.drain(relay, later=1)
    assert b"X-Cronwrap-Delayed" not in relay.messages[0].content


# What goes wrong here -----------------------------------------------------------------------------


def test_a_bug_that_one_message_brings_out_does_not_stop_the_others(post, relay, logged, monkeypatch):
    from cronwrap.relay.connect import Session  # noqa: PLC0415

    send = Session.send

    def buggy(self, envelope, content):
        if b"Subject: r1" in content:
            raise RecursionError("too deep")
        return send(self, envelope, content)

    monkeypatch.setattr(Session, "send", buggy)
    post.store("r1")
    post.store("r2")
    assert post.drain(relay) == {"r1": "kept: RecursionError: too deep", "r2": "delivered"}
    assert "RecursionError" in logged[0]


def test_damaged_files_do_not_stop_the_others(post, relay):
    post.store("r1")
    for name, octets in (("a", b"garbage"), ("z", b"")):
        with open(os.path.join(post.box.directory, "queue", name), "wb") as file:
            file.write(octets)
    assert post.drain(relay) == {"r1": "delivered"}
    assert sorted(item.id for item in post.box.failed()) == ["a", "z"]


def test_a_message_that_was_dropped_after_the_look_is_passed_over(post, relay):
    post.store("r1")
    second = post.store("r2")

    def told(item, _words):
        if item.id == "r1":
            post.box.remove(second)

    Drainer(post.box, [at(relay)], LIFETIME, clock=post.clock, told=told).drain()
    assert subjects(relay) == ["r1"]


def test_nothing_is_sent_while_what_was_sent_could_not_be_taken_off(post, relay, logged, monkeypatch):
    post.store("r1")
    monkeypatch.setattr(os, "access", lambda *_arguments, **_where: False)
    assert post.drain(relay) == {}
    assert relay.messages == []
    assert "could not be taken off" in logged[0]


def test_a_state_that_cannot_be_written_down_is_told(post, relay, logged, monkeypatch):
    def full(*_arguments):
        raise StateError("the disk is full")

    monkeypatch.setattr(Outbox, "remove", full)
    post.store("r1")
    assert post.drain(relay) == {"r1": "delivered, but the disk is full"}
    assert logged == ["report r1: the disk is full"]


@pytest.mark.parametrize(
    "octets", [b"", b"garbage", b"a\tb\tc\td\te\n", b"k\tnan\t-1\t1\tx\n", b"\xff" * 100]
)
def test_a_damaged_memory_of_pauses_is_no_more_than_an_attempt_too_early(post, relay, octets):
    post.store("r1")
    with open(os.path.join(post.box.directory, "relays"), "wb") as file:
        file.write(octets)
    assert post.drain(relay) == {"r1": "delivered"}


def test_the_memory_of_pauses_holds_no_secret(post, relay):
    post.store("r1")
    Pauses(post.box).note(at(relay), Delivery(relay_fault="no\tway\nout", login_refused=True), NOW)
    with open(os.path.join(post.box.directory, "relays"), encoding="utf-8") as file:
        text = file.read()
    assert at(relay).password not in text
    assert text.endswith("\tno way out\n")
    assert Pauses(post.box).get(at(relay)).login
