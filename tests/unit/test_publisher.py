"""What hands the output so far to a thread: whatever that thread does, nobody waits for it."""

from __future__ import annotations

import threading
import time

import pytest

from cronwrap.job.capture import Capture
from cronwrap.job.publisher import FLUSH_PATIENCE, PAUSE, Publisher, Sink
from cronwrap.model import STDOUT, Mark, Output


class Kept(Sink):
    """Keeps what it is handed; may be held up, or break."""

    def __init__(self):
        self.said = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.broken = False

    def take(self, left_out, lines, pieces):
        self.go_on.wait()
        if self.broken:
            raise ValueError("a bug")
        self.said.append((left_out, lines, b"".join(octets for _stream, _elapsed, octets in pieces)))

    def rest(self):
        self.said.append("rest")

    def end(self, status):
        self.said.append(status)


def add(capture, octets):
    capture.add(STDOUT, bytearray(octets), len(octets), 0.0)


@pytest.fixture
def sink():
    return Kept()


def test_what_has_come_is_handed_on_a_moment_later_and_at_the_end_of_a_try_at_once(sink):
    publisher, capture = Publisher(sink), Capture(1 << 20)
    assert publisher.until(None, capture, 0.0) is None, "nothing has come: nothing wakes us"
    add(capture, b"one\n")
    assert publisher.until(None, capture, 10.0) == 10.0 + PAUSE
    assert publisher.until(5.0, capture, 10.0) == 5.0
    publisher.look(capture, 10.0 + PAUSE / 2)
    assert sink.said == []
    publisher.look(capture, time.monotonic() + 60)
    add(capture, b"two\n")
    publisher.flush(capture)
    publisher.status = 3
    publisher.end()
    assert sink.said == [(0, 0, b"one\n"), (0, 0, b"two\n"), "rest", 3]


def test_a_disk_that_hangs_holds_up_neither_the_job_nor_its_end(sink):
    publisher, capture = Publisher(sink), Capture(100)
    sink.go_on.clear()
    add(capture, b"x\n" * 10)
    publisher.until(None, capture, 0.0)
    publisher.look(capture, time.monotonic() + 60)
    began = time.monotonic()
    for _ in range(100):
        add(capture, b"x\n" * 100)
        publisher.until(None, capture, time.monotonic())
        publisher.look(capture, time.monotonic() + 1000)
    assert time.monotonic() - began < 0.5
    publisher.flush(capture)
    publisher.end()
    assert time.monotonic() - began < FLUSH_PATIENCE + 0.5
    assert capture.output().total_bytes == 20 + 100 * 200
    sink.go_on.set()


def test_what_comes_while_the_thread_is_busy_is_counted_where_it_has_gone(sink):
    publisher, capture = Publisher(sink), Capture(8)
    add(capture, b"abcd")
    publisher.until(None, capture, 0.0)
    publisher.look(capture, time.monotonic() + 60)
    add(capture, b"1\n2\n3\n4\n5\n6\n")
    publisher.flush(capture)
    publisher.end()
    assert sink.said == [(0, 0, b"abcd"), (8, 4, b"5\n6\n"), "rest", 0]


def test_a_bug_of_ours_costs_what_is_published_and_no_more(sink):
    publisher, capture = Publisher(sink), Capture(100)
    sink.broken = True
    for _ in range(3):
        add(capture, b"x")
        publisher.until(None, capture, 0.0)
        publisher.look(capture, time.monotonic() + 60)
    publisher.flush(capture)
    publisher.end()
    assert sink.said == []


def test_a_try_that_ended_before_comes_first_with_what_was_left_out_of_it(sink):
    publisher = Publisher(sink)
    marks = (Mark(offset=0, stream=STDOUT, elapsed=0.0),)
    publisher.add(Output(head=b"head", tail=b"tail", left_out_bytes=7, left_out_lines=1, marks=marks))
    publisher.end()
    assert sink.said == [(0, 0, b"head"), (7, 1, b"tail"), "rest", 0]
