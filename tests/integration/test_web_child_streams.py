"""A stream by way of a child of the page's: its pieces whole, its refusals first, its places counted."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time

import pytest

from cronwrap.web import child
from support.web import Page
from support.web_state import run_of


class Thread:
    """What a child is to the page, without another user: a thread that serves as a child does."""

    busy = 0
    used = 0.0

    class process:  # noqa: N801 - as that of a Child
        @staticmethod
        def poll():
            return None

    def __init__(self):
        self.room = child.Room()

    def connection(self):
        ours, theirs = socket.socketpair()
        threading.Thread(target=child._serve, args=(theirs.detach(), self._entered()), daemon=True).start()
        ours.setblocking(False)
        return ours

    def _entered(self):
        self.room.deeds.acquire()
        return self.room


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    page = Page()
    page.actor.uid = 0
    page.served = page.actor._children["another"] = Thread()
    visitor = page.door.visitor
    page.door.visitor = lambda *about: visitor(*about).replace(root=True)
    return page


def free(room):
    return room.deeds._value, room.streams._value


def test_what_a_child_streams_is_whole_and_its_places_are_free_again(page, tmp_path, wait_until):
    said = os.urandom(100_000)
    run = run_of(str(tmp_path / "state"), 1, "job", content=said)
    before = free(page.served.room)
    answer = page.get(f"/api/v1/runs/{run}/output?user=another")
    assert (answer.status, answer.body) == (200, said)
    events = page.get(f"/api/v1/runs/{run}/tail?user=another&offset=7").text.split("\n\n")
    told = [line[6:] for event in events for line in event.split("\n") if line.startswith("data: ")]
    assert b"".join(map(base64.b64decode, told[:-1])) == said[7:]
    assert told[-1] == '{"status": 2}'
    wait_until(lambda: free(page.served.room) == before)


def test_who_asks_for_the_headers_alone_is_given_these_and_no_stream(page, tmp_path):
    run = run_of(str(tmp_path / "state"), 1, "job")
    for path in (f"/api/v1/runs/{run}/tail", f"/api/v1/runs/{run}/output", f"/runs/{run}/live"):
        answer = page.ask("HEAD", f"{path}?user=another")
        assert answer.status == 200, path
        assert "no-store" in answer.headers["cache-control"]
    assert page.ask("HEAD", f"/api/v1/runs/{run}/tail").body == b""


def test_a_run_that_a_user_has_not_is_not_there_by_way_of_a_child_either(page):
    answer = page.get("/api/v1/runs/20260101T000000-0000abcd/tail?user=another")
    assert (answer.status, answer.json()["title"]) == (404, "There is no such run")


def test_streams_take_no_place_of_other_deeds_and_one_too_many_is_told_so(page, tmp_path, monkeypatch):
    monkeypatch.setattr(page.served.room, "streams", threading.BoundedSemaphore(1))
    page.served.room.streams.acquire()
    run = run_of(str(tmp_path / "state"), 1, "job")
    answer = page.get(f"/api/v1/runs/{run}/tail?user=another")
    assert (answer.status, answer.json()["title"]) == (503, "Too many follow outputs at this time")
    assert page.get("/api/v1/status?user=another").status == 200


def test_a_silent_stream_is_looked_at_now_and_then_not_all_the_time(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child._stream(theirs, iter([(0, 0, b""), (0, 1, b"x"), {"end": True, "next": 1}, (1, 0, b"")]))
    assert slept == [0.1, 0.0, 0.0, 0.1]
