"""The outbox on a real disk: what is stored is there, and nothing that lies in it stops the others."""

from __future__ import annotations

import errno
import os
import socket
import stat
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronwrap import state as state_module
from cronwrap.errors import StateError
from cronwrap.mail import Envelope, Message
from cronwrap.outbox import message_file
from cronwrap.outbox import store as outbox_module
from cronwrap.outbox.backoff import LONGEST_RETRY, due, retry_after
from cronwrap.outbox.message_file import Item, head, read_item
from cronwrap.outbox.sent import Sent
from cronwrap.outbox.store import FAILED, QUEUE, TMP, Damaged, Outbox
from cronwrap.outbox.summary import summary

NOW = 1_772_420_706.0
CONTENT = b"Subject: x\r\n\r\n\n\ntext\r\n"

# Whatever the system gives us may hold octets that are no UTF-8.
anything = st.text(st.characters(codec="utf-8") | st.sampled_from("\udc80\udcff\ud800\n\r\0\x85\u2028"))
addresses = st.text(st.sampled_from(string.ascii_letters + '"@ .:-'), min_size=1).filter(str.strip)


@pytest.fixture
def box(tmp_path):
    return Outbox(str(tmp_path / "state"))


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr("cronwrap.log.log", lines.append)
    return lines


def message(content=CONTENT, to=("a@example.test", "b@example.test"), subject="Cron <root@web> x"):
    return Message(
        envelope=Envelope(sender="cron@example.test", recipients=to),
        content=content,
        job="nightly",
        subject=subject,
    )


def path_of(box, identity, place=QUEUE):
    return os.path.join(box.directory, place, identity)


def test_what_is_stored_is_read_back_and_nobody_else_may_read_it(box):
    item = box.store("r1", message(), NOW)
    assert box.items() == ([item], [])
    assert box.content(item) == CONTENT
    assert (item.queued, item.attempts, item.next_attempt, item.state) == (NOW, 0, 0.0, "queued")
    modes = [os.stat(place).st_mode for place in (box.directory, path_of(box, ""), path_of(box, "", TMP))]
    assert {stat.S_IMODE(mode) for mode in modes} == {0o700}
    assert stat.S_IMODE(os.stat(path_of(box, "r1")).st_mode) == 0o600
    assert box.ids(TMP) == []


@given(subject=anything, job=anything, to=st.lists(addresses, min_size=1), content=st.binary())
def test_any_message_survives_the_way_over_the_disk(tmp_path_factory, subject, job, to, content):
    box = Outbox(str(tmp_path_factory.mktemp("box")))
    sent = message(content, tuple(to), subject).replace(job=job)
    item = box.store("r1", sent, NOW)
    (found,), damaged = box.items()
    assert not damaged
    assert (found.envelope, box.content(found)) == (sent.envelope, content)
    assert len(found.subject.splitlines()) <= 1
    assert item.replace(subject=found.subject, job=found.job) == found


def test_the_outbox_is_made_again_where_somebody_deleted_a_part_of_it(box):
    box.store("r1", message(), NOW)
    os.unlink(path_of(box, "r1"))
    os.rmdir(path_of(box, ""))
    box.store("r2", message(), NOW)
    assert box.ids() == ["r2"]


@pytest.mark.parametrize("identity", ["", ".", "..", "../up", "a/b", ".hidden", "a\nb", "a\0b", "é"])
def test_an_id_that_is_no_plain_file_name_is_refused(box, identity):
    with pytest.raises(StateError):
        box.store(identity, message(), NOW)


def test_an_outbox_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "state").write_text("a file is in the way")
    box = Outbox(str(tmp_path / "state"))
    for attempt in (lambda: box.store("r1", message(), NOW), box.claim):
        with pytest.raises(StateError, match="cannot be written"):
            attempt()
    assert (box.ids(), box.items(), box.failed()) == ([], ([], []), [])


@pytest.mark.parametrize("place", ["", QUEUE, FAILED])
def test_an_outbox_that_cannot_be_read_is_not_taken_for_an_empty_one(box, tmp_path, place):
    box.claim().release()
    assert summary(str(tmp_path / "state")) is None
    in_the_way = path_of(box, "", place).rstrip("/")
    os.rename(in_the_way, f"{tmp_path}/away")
    with open(in_the_way, "w", encoding="ascii"):
        pass
    state_module._held.clear()  # as another process finds it
    with pytest.raises(StateError, match=r"cannot be read: .*Not a directory"):
        summary(str(tmp_path / "state"))


def test_a_damaged_file_moves_aside_even_where_there_was_no_place_for_it(box):
    put(box, "strange", b"garbage")
    os.rmdir(path_of(box, "", FAILED))
    assert box.items()[0] == []
    assert (box.ids(), box.ids(FAILED)) == ([], ["strange"])


def test_a_queue_that_cannot_be_synced_holds_the_message_all_the_same(box, monkeypatch, logged):
    box.store("r1", message(), NOW)

    real = os.fsync

    def broken(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", broken)
    box.store("r2", message(), NOW)
    assert box.ids() == ["r1", "r2"]
    assert "cannot be synced: Input/output error" in logged[0]


def test_an_envelope_that_could_not_be_read_again_is_not_written(box, monkeypatch):
    monkeypatch.setattr(outbox_module, "HEAD_LIMIT", 200)
    with pytest.raises(StateError):
        box.store("r1", message(to=tuple(f"user{n}@example.test" for n in range(20))), NOW)
    assert (box.ids(), box.ids(TMP)) == ([], [])


# Marking ------------------------------------------------------------------------------------------


def test_a_changed_state_survives(box):
    item = box.store("r1", message(), NOW)
    changed = item.replace(
        attempts=3,
        next_attempt=NOW + 60,
        last_error="450 later",
        relay_fault=True,
        refused=("a@example.test: 550 no",),
        envelope=item.envelope.replace(recipients=("b@example.test",)),
    )
    box.update(item, changed)
    assert box.items() == ([changed], [])
    assert box.content(changed) == CONTENT


def test_what_is_given_up_moves_and_stays(box):
    item = box.store("r1", message(), NOW)
    box.update(item, item.replace(state="failed", last_error="550 no"))
    assert box.ids() == []
    (failed,) = box.failed()
    assert (failed.state, failed.last_error, box.content(failed)) == ("failed", "550 no", CONTENT)
    box.sweep(NOW * 2)
    assert box.ids(FAILED) == ["r1"]


def test_a_message_that_was_dropped_meanwhile_stays_dropped(box):
    item = box.store("r1", message(), NOW)
    box.remove(item)
    box.remove(item)
    box.update(item, item.replace(attempts=1))
    assert box.ids() == []


def test_what_cannot_be_removed_is_told(box):
    item = box.store("r1", message(), NOW)
    os.unlink(path_of(box, "r1"))
    os.mkdir(path_of(box, "r1"))
    with pytest.raises(StateError):
        box.remove(item)


def test_the_sweep_takes_what_a_crash_left_and_nothing_younger(box):
    box.store("r1", message(), NOW)
    for name, age in (("old.1", outbox_module.STALE_TMP + 1), ("young.2", 60)):
        path = path_of(box, name, TMP)
        with open(path, "w", encoding="ascii") as file:
            file.write("half a mess")
        os.utime(path, (NOW - age, NOW - age))
    box.sweep(NOW)
    assert (box.ids(TMP), box.ids()) == (["young.2"], ["r1"])


def test_one_process_has_the_claim(box):
    first, second = box.claim(), box.claim()
    assert (first.take(), second.take()) == (True, False)
    first.release()
    assert second.take()
    second.release()


# Foreign and damaged files ------------------------------------------------------------------------


def put(box, name, octets):
    box._make()
    with open(path_of(box, name), "wb") as file:
        file.write(octets)


def others_still_go(box, name):
    good = box.store("good", message(), NOW)
    items, damaged = box.items()
    assert items == [good]
    assert [line.partition(":")[0] for line in damaged] == [name]
    assert box.ids() == ["good"]
    assert [item.id for item in box.failed()] == [name]
    assert box.failed()[0].last_error.startswith("damaged: ")


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "link", "dangling link"])
def test_what_is_no_file_moves_aside_and_nobody_waits_for_it(box, kind, tmp_path, logged, monkeypatch):
    box._make()
    path = path_of(box, "strange")
    if kind == "directory":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # the address of a socket has 108 octets
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
        os.rename("s", path)
    else:
        (tmp_path / "target").write_bytes(head(sample()) + CONTENT)
        os.symlink(tmp_path / ("target" if kind == "link" else "nothing"), path)
    others_still_go(box, "strange")
    assert "strange is damaged and was moved" in logged[0]


def test_a_message_that_cannot_be_opened_for_a_moment_is_not_taken_for_damaged(box, monkeypatch):
    box.store("r1", message(), NOW)

    def refuse(*_words, **_how):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("cronwrap.state.Directory.open", refuse)
        assert box.items() == ([], [])
    assert (box.ids(), box.ids(FAILED)) == (["r1"], [])
    assert [item.id for item in box.items()[0]] == ["r1"]


def sample():
    envelope = Envelope(sender="cron@example.test", recipients=("a@example.test",))
    return Item(id="x", envelope=envelope, job="j", subject="s", queued=NOW, size=len(CONTENT))


GOOD = head(sample()) + CONTENT
lines_of_good = GOOD.split(b"\n")


@st.composite
def altered(draw):
    """Give a good file that was truncated, edited, joined or overwritten somewhere."""
    octets = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        until = draw(st.integers(at, len(octets)))
        octets[at:until] = draw(st.binary(max_size=40) | st.sampled_from(lines_of_good))
    return bytes(octets)


@given(octets=st.binary() | altered() | st.integers(0, len(GOOD) - 1).map(lambda n: GOOD[:n]))
@example(octets=b"")
@example(octets=GOOD + b"more")
@example(octets=GOOD.replace(b"\n", b"\r\n"))
@example(octets=GOOD.replace(b"attempts: 0", b"attempts: " + b"9" * 5000))
@example(octets=GOOD.replace(b"attempts: 0", b"attempts: -" + b"9" * 400))
@example(octets=GOOD.replace(b"next_attempt: 0.0", b"next_attempt: nan"))
@example(octets=GOOD.replace(b"to: a@example.test\n", b""))
@example(octets=GOOD.replace(b"from: cron@example.test", b"from: "))
def test_whatever_lies_in_the_queue_the_others_are_sent(tmp_path_factory, octets):
    box = Outbox(str(tmp_path_factory.mktemp("box")))
    put(box, "strange", octets)
    try:
        item = box.load("strange")
    except Damaged:
        others_still_go(box, "strange")
        return
    # What can be read is whole: it can be scheduled, shown, written and read again.
    assert item.envelope.recipients
    assert len(box.content(item)) == item.size
    assert retry_after(item.attempts, item.id) <= LONGEST_RETRY
    again = item.replace(attempts=item.attempts + 1, next_attempt=NOW)
    box.update(item, again)
    assert box.load("strange").attempts == item.attempts + 1


def test_a_damaged_file_is_never_put_over_another_one(box, logged):
    for number in range(3):
        put(box, "strange", b"garbage %d" % number)
        box.items()
    assert box.ids(FAILED) == ["strange", "strange~", "strange~~"]
    assert len(logged) == 3


def test_a_file_that_the_disk_does_not_give_stays_where_it_is(box, monkeypatch, logged):
    box.store("r1", message(), NOW)
    good = box.store("r2", message(), NOW)

    def flaky(place, identity, state):
        if identity == "r1":
            raise OSError(5, "Input/output error")
        return read_item(place, identity, state)

    monkeypatch.setattr(outbox_module, "read_item", flaky)
    assert box.items() == ([good], [])
    assert box.ids() == ["r1", "r2"]
    assert logged == ["report r1 cannot be read: Input/output error"]


def test_a_foreign_file_of_any_size_does_not_fill_the_memory(box, monkeypatch):
    put(box, "huge", b"")
    os.truncate(path_of(box, "huge"), 1 << 40)  # a hole: it takes no room
    monkeypatch.setattr(message_file, "HEAD_LIMIT", 1 << 16)
    others_still_go(box, "huge")


def test_a_message_is_found_by_the_beginning_of_its_id(box):
    for identity in ("a1", "a2", "b1"):
        box.store(identity, message(), NOW)
    assert box.find("b").id == "b1"
    assert box.find("a1").id == "a1"
    for prefix in ("a", "c", "../queue/a1"):
        with pytest.raises(StateError, match="outbox list"):
            box.find(prefix)


# Numbers and times --------------------------------------------------------------------------------


def test_the_summary_tells_the_age_of_the_oldest_and_why_it_waits(box, tmp_path):
    state = str(tmp_path / "state")
    assert summary(state) is None
    first = box.store("b", message(), NOW)
    box.store("a", message(), NOW + 50)
    box.update(first, first.replace(attempts=1, last_error="no route"))
    put(box, "strange", b"garbage")
    found = summary(state, NOW + 100)
    assert (found.queued, found.failed, found.oldest_age, found.last_error) == (2, 1, 100.0, "no route")


def test_what_everybody_has_got_and_cannot_be_removed_does_not_count_as_waiting(box, tmp_path):
    state = str(tmp_path / "state")
    for number, identity in enumerate(("a", "b.lane", "c")):
        item = box.store(identity, message(), NOW + number)
        if identity != "c":
            Sent(box, item.lane).add(item.id, item.envelope.recipients)
    found = summary(state, NOW + 100)
    assert (found.queued, found.delivered, found.oldest_age) == (1, 2, 98.0)
    box.remove(item)
    found = summary(state, NOW + 100)
    assert (found.queued, found.delivered, found.oldest_age) == (0, 2, 0.0)


def test_the_wait_doubles_from_a_minute_to_an_hour():
    waits = [retry_after(attempts, "") for attempts in range(1, 12)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600, 3600]
    assert {retry_after(1, f"run-{n}") for n in range(100)} != {60.0}


@given(attempts=st.integers(0, 10**12), identity=anything.filter(lambda text: "\ud800" not in text))
def test_a_wait_is_never_nothing_and_never_longer_than_an_hour(attempts, identity):
    assert 54.0 <= retry_after(attempts, identity) <= LONGEST_RETRY


@pytest.mark.parametrize(
    ("next_attempt", "queued", "expected"),
    [
        (NOW, NOW, True),
        (NOW + 1, NOW - 100, False),
        (NOW + LONGEST_RETRY, NOW - 100, False),
        (NOW + LONGEST_RETRY + 1, NOW - 100, True),  # no schedule waits so long
        (NOW + 1, NOW + 100, True),  # it was stored in the future
    ],
)
def test_a_clock_that_was_set_back_makes_nothing_wait(next_attempt, queued, expected):
    assert due(next_attempt, queued, NOW) is expected
