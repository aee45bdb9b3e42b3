"""The waiter with a clock of the test's own."""

from __future__ import annotations

import pytest

from cronwrap.mail import Envelope, Message
from cronwrap.outbox import waiter
from cronwrap.outbox.sent import Sent
from cronwrap.outbox.store import Outbox

NOW = 1_772_420_706.0


class World:
    """A clock that goes on while somebody sleeps, and a relay that comes back at some time."""

    def __init__(self, box):
        self.box = box
        self.now = NOW
        self.slept = []
        self.sent = []
        self.works_at = NOW

    def clock(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds

    def send(self, _lane):
        self.sent.append(self.now)
        for item in self.box.items()[0]:
            if self.now >= self.works_at:
                self.box.remove(item)
            elif item.due(self.now):
                self.box.update(item, item.replace(attempts=item.attempts + 1, next_attempt=self.now + 60))

    def wait(self):
        waiter.wait(self.send, self.clock, self.sleep)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(waiter, "FIRST_RETRY", 0.0)
    return World(Outbox(str(tmp_path / "state")))


def store(world, **changes):
    envelope = Envelope(sender="cron@example.test", recipients=("a@example.test",))
    message = Message(envelope=envelope, content=b"x", job="j", subject="s")
    item = world.box.store("r1", message, NOW)
    world.box.update(item, item.replace(**changes))


def test_it_goes_at_once_when_nothing_waits(world):
    world.wait()
    assert (world.sent, world.slept, world.box.ids()) == ([], [], [])


def test_it_sends_when_something_is_due_and_goes_with_the_last_message(world):
    store(world, next_attempt=NOW + 60, attempts=1)
    world.works_at = NOW + 150
    world.wait()
    assert [round(moment - NOW) for moment in world.sent] == [60, 120, 180]
    assert max(world.slept) <= waiter.LOOK_INTERVAL


def test_it_goes_when_another_process_has_sent_the_last_message(world, monkeypatch):
    store(world, next_attempt=NOW + 3000)
    sleep = world.sleep

    def slept(seconds):
        sleep(seconds)
        if world.now > NOW + 25:
            world.box.remove(world.box.items()[0][0])

    monkeypatch.setattr(world, "sleep", slept)
    world.wait()
    assert world.sent == []
    assert world.now < NOW + 30 + waiter.LOOK_INTERVAL


def test_a_clock_that_is_set_back_makes_it_send_at_once(world):
    store(world, next_attempt=NOW + 60)
    world.now = NOW - 1e7
    world.works_at = 0.0
    world.wait()
    assert world.sent == [NOW - 1e7]


def test_there_is_one_waiter(world):
    store(world, next_attempt=NOW + 60)
    lock = world.box.claim("waiter")
    assert lock.take()
    world.wait()
    assert world.slept == []
    lock.release()


def test_schedules_that_cannot_be_written_down_make_no_attempts_without_end(world, monkeypatch):
    monkeypatch.setattr(waiter, "FIRST_RETRY", 60.0)
    store(world)
    real = iter(range(0, 10_000, 10))
    monkeypatch.setattr(waiter.time, "monotonic", lambda: float(next(real)))
    world.send = lambda _lane: (
        world.sent.append(world.now),
        len(world.sent) == 3 and world.box.remove(world.box.items()[0][0]),
    )
    world.wait()
    assert len(world.sent) == 3
    assert len(world.slept) >= 2


def test_nobody_waits_for_what_everybody_has_got(world):
    envelope = Envelope(sender="c@example.test", recipients=("o@example.test",))
    item = world.box.store("r1", Message(envelope=envelope, content=b"x", job="j", subject="s"), NOW)
    Sent(world.box).add(item.id, envelope.recipients)
    world.wait()
    assert (world.sent, world.slept) == ([], [])
