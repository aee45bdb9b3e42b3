"""``cronwrap outbox`` for a person and for a program."""

from __future__ import annotations

import fcntl
import json
import os
import time

import pytest

from cronwrap.mail import Envelope, Message
from cronwrap.outbox.sender import waits
from cronwrap.outbox.sent import Sent
from cronwrap.outbox.store import FAILED, QUEUE, Outbox

CONTENT = (
    b"From: cron@example.test\r\nTo: ops@example.test\r\n"
    b"Subject: =?utf-8?q?Cron_=3Croot=40web1=3E_gr=C3=BC=C3=9Fe?=\r\n\r\nsaid \x1b[31m\r\n"
)


@pytest.fixture
def box(cli):
    return Outbox(cli.state)


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\n{relay.table}')
    return cli


def store(box, identity="20260302T030506-4711", age=7200.0, **changes):
    message = Message(
        envelope=Envelope(sender="cron@example.test", recipients=("ops@example.test",)),
        content=CONTENT,
        job="nightly",
        subject="Cron <root@web1> grüße",
    )
    item = box.store(identity, message, time.time() - age)
    changed = item.replace(**changes)
    box.update(item, changed)
    return changed


def objects(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_empty_outbox_says_so(job):
    assert job("outbox").stdout == job("outbox", "list").stdout == "the outbox is empty\n"
    assert job("outbox", "flush").stdout == "the outbox is empty\n"
    assert job("outbox", "list", "--json").stdout == job("outbox", "flush", "--json").stdout == ""
    assert not os.path.exists(os.path.join(job.state, "outbox"))


def test_the_list_tells_a_person_what_waits_since_when_and_why(job, box):
    store(box, attempts=3, next_attempt=time.time() + 700, last_error="451 4.7.1 Greylisted")
    result = job("outbox")
    assert result.status == 0
    first, *rest = result.stdout.splitlines()
    assert first == "20260302T030506-4711  queued, 2 h ago"
    text = "\n".join(rest)
    for wanted in (
        "Cron <root@web1> grüße",
        "to ops@example.test",
        "3 attempts, next in 11 min",
        "451 4.7.1",
    ):
        assert wanted in text
    assert max(map(len, rest)) <= 80


def test_the_list_tells_a_program_the_same(job, box):
    store(box, attempts=3, next_attempt=1_772_420_706.0, last_error="451 later")
    (found,) = objects(job("outbox", "list", "--json"))
    assert list(found) == [
        *("id", "job", "to", "subject", "queued", "attempts", "next_attempt", "last_error", "state")
    ]
    assert (found["job"], found["to"], found["state"]) == ("nightly", ["ops@example.test"], "queued")
    assert found["next_attempt"][10] == "T"
    assert found["next_attempt"][-6] in "+-"
    assert objects(job("outbox", "--json")) == [found]


def test_what_was_given_up_and_what_is_damaged_is_listed_too(job, box):
    store(box, "gone", state="failed", last_error="550 5.1.1 No such user")
    with open(os.path.join(box.directory, QUEUE, "strange"), "wb") as file:
        file.write(b"garbage\x1b[31m")
    found = {entry["id"]: entry for entry in objects(job("outbox", "--json"))}
    assert found["gone"]["state"] == found["strange"]["state"] == "failed"
    assert found["gone"]["next_attempt"] is None
    assert found["strange"]["last_error"].startswith("damaged: ")
    shown = job("outbox", "show", "strange")
    assert "garbage" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert job("outbox", "retry", "strange").status == 1


def test_a_message_is_shown_as_its_reader_would_see_it(job, box):
    store(box)
    shown = job("outbox", "show", "2026").stdout
    assert "Subject: Cron <root@web1> grüße" in shown
    assert "said " in shown
    assert "\x1b" not in shown
    assert job("outbox", "show", "2026", "--raw").out == CONTENT
    assert objects(job("outbox", "show", "2026", "--json"))[0]["subject"] == "Cron <root@web1> grüße"


def test_json_is_heard_before_and_behind_each_word_of_the_outbox(job, box):
    for name in ("a1", "a2", "a3"):
        store(box, name)
    store(box, "a4", state="failed")
    listed = objects(job("outbox", "--json"))
    assert objects(job("outbox", "--json", "list")) == listed
    assert objects(job("outbox", "--json", "show", "a1")) == [listed[0]]
    gone = {"job": "nightly", "outcome": "gone"}
    assert objects(job("outbox", "drop", "a1", "--json")) == [{"id": "a1", **gone}]
    (tried,) = objects(job("outbox", "retry", "a2", "--json"))
    assert (tried["id"], tried["job"], tried["outcome"].partition(" ")[0]) == ("a2", "nightly", "delivered")
    assert all(one["outcome"] for one in objects(job("outbox", "--json", "flush")))
    assert objects(job("outbox", "--json", "drop", "--all")) == [{"id": "a4", **gone}]
    assert job("outbox", "--json", "drop", "--all").stdout == ""


def test_an_id_that_nothing_or_too_much_begins_with_is_told(job, box):
    store(box, "a1")
    store(box, "a2")
    for prefix in ("a", "b"):
        for verb in ("show", "retry", "drop"):
            result = job("outbox", verb, prefix)
            assert result.status == 1
            assert "cronwrap outbox list" in result.stderr
    assert box.ids() == ["a1", "a2"]


def test_flush_sends_everything_whatever_its_schedule(job, box, relay):
    for identity in ("a1", "a2"):
        store(box, identity, attempts=5, next_attempt=time.time() + 3000)
    result = job("outbox", "flush")
    assert result.status == 0
    assert [line.endswith(": delivered") for line in result.stdout.splitlines()] == [True, True]
    assert (len(relay.messages), box.ids()) == (2, [])


def test_flush_tells_what_is_left_and_why(job, box, make_misbehaving):
    store(box, "a1")
    server = make_misbehaving("rcpt", "4xx")
    result = job("outbox", "flush", "--json", **server.environment)
    assert result.status == 1
    (found,) = objects(result)
    assert found["id"] == "a1"
    assert found["outcome"].startswith("kept: 451")


def test_flush_fails_when_a_message_was_refused_for_good(job, box, relay):
    store(box, "a1")
    relay.refuse("RCPT", "550 5.1.1 No such user")
    result = job("outbox", "flush")
    assert result.status == 1
    assert "failed: ops@example.test: 550" in result.stdout


def test_flush_shows_on_a_terminal_how_far_it_is(job, box):
    for identity in ("a1", "a2"):
        store(box, identity)
    terminal = job.terminal("outbox", "flush")
    assert terminal.wait() == 0
    assert b"1/2  a1  Cron" in terminal.shown
    assert b"2/2  a2  Cron" in terminal.shown


def test_flush_waits_for_the_process_that_is_sending_and_says_so(job, box):
    store(box, "a1")
    claim = box.claim()
    assert claim.take()
    terminal = job.terminal("outbox", "flush")
    terminal.read_until(b"waiting for it")
    claim.release()
    assert terminal.wait() == 0
    assert b"a1  Cron" in terminal.shown


def test_a_message_that_was_given_up_is_sent_again(job, box, relay):
    store(box, "a1", state="failed", last_error="550 no", attempts=9)
    result = job("outbox", "retry", "a1")
    assert result.status == 0
    assert "a1  Cron <root@web1> grüße: delivered" in result.stdout
    assert (box.ids(), box.ids(FAILED), len(relay.messages)) == ([], [], 1)


def test_a_retry_that_fails_leaves_it_queued_with_a_new_schedule(job, box, make_misbehaving):
    store(box, "a1", state="failed", age=1e7, last_error="550 no", attempts=9)
    assert job("outbox", "retry", "a1", **make_misbehaving("banner", "drop").environment).status == 1
    ((item,), _) = box.items()
    assert (item.attempts, item.state) == (1, "queued")


def test_a_retry_beside_a_sender_is_left_to_it(job, box):
    store(box, "a1", state="failed")
    with open(os.path.join(box.directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = job("outbox", "retry", "a1")
    assert result.status == 0
    assert "takes it along" in result.stdout
    assert box.ids() == ["a1"]


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_a_message_can_be_thrown_away(job, box, state):
    store(box, "a1", state=state)
    assert job("outbox", "drop", "a1").stdout == "a1 is gone\n"
    assert (box.ids(), box.ids(FAILED)) == ([], [])


def test_an_outbox_that_cannot_be_used_is_told_in_one_line(job):
    os.makedirs(os.path.join(job.state, "outbox"), mode=0o700)
    os.makedirs(os.path.join(job.state, "outbox", QUEUE, "x"), mode=0o700)
    with open(os.path.join(job.state, "outbox", "tmp"), "w", encoding="ascii") as file:
        file.write("in the way")
    result = job("outbox", "flush")
    assert result.status == 1
    assert result.stderr.startswith("cronwrap: the outbox ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [(), ("list", "--json"), ("flush",), ("show", "x"), ("retry", "x"), ("drop", "x")]
)
def test_an_outbox_that_cannot_be_read_is_not_called_empty(job, words):
    os.makedirs(job.state, mode=0o700)
    with open(os.path.join(job.state, "outbox"), "w", encoding="ascii"):
        pass
    result = job("outbox", *words)
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr == f"cronwrap: the outbox {job.state}/outbox cannot be read: Not a directory\n"


def test_status_begins_with_an_outbox_that_cannot_be_read(job):
    os.makedirs(job.state, mode=0o700)
    with open(os.path.join(job.state, "outbox"), "w", encoding="ascii"):
        pass
    lines = job("status").stdout.splitlines()
    assert lines == [f"the outbox {job.state}/outbox cannot be read: Not a directory", "no job has run yet"]


def test_status_begins_with_what_was_given_up(job, box):
    store(box, state="failed", last_error="550 5.7.1 no")
    assert job("status").stdout.splitlines()[0].startswith("outbox: 1 report could not be delivered")


@pytest.fixture
def refused(job, box, make_misbehaving):
    """A relay that takes nothing now, and a message for it."""
    job.env |= make_misbehaving("banner", "4xx").environment
    store(box, "a1")


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("words", [("flush",), ("retry", "a1")])
def test_what_a_person_could_not_send_is_retried_in_the_background(job, wait_until, words):
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    assert job("outbox", *words).status == 1
    (waiter,) = wait_until(job.processes)
    wait_until(lambda: "cronwrap.outbox.waiter" in waiter.cmdline() and waits(Outbox(job.state)))
    assert os.getsid(waiter.pid) == waiter.pid
    assert job("outbox", *words).status == 1
    assert job.processes() == [waiter]


@pytest.mark.usefixtures("refused")
def test_nobody_stays_to_retry_where_that_is_not_wanted(job):
    assert job("outbox", "flush").status == 1
    assert job.processes() == []


@pytest.mark.parametrize("age", [60.0, 7200.0])
def test_status_tells_what_waits_even_if_the_history_cannot_be_used(job, box, age):
    store(box, age=age)
    os.mkdir(os.path.join(job.state, "history.db"), mode=0o700)
    result = job("status")
    assert result.status == 1
    assert result.stdout.startswith("outbox: 1 report waits for ")
    assert "the history cannot be used" in result.stderr


def test_what_was_delivered_and_cannot_be_removed_is_told_as_that_and_waits_for_nothing(job, box, relay):
    item = store(box, age=7200)
    Sent(box).add(item.id, item.envelope.recipients)
    for words in (("status",), ("doctor",)):
        said = job(*words).stdout
        assert "1 delivered report cannot be removed" in said
        assert "2 h" not in said
    assert "is not sent again" in job("outbox").stdout
    assert job("--", "true").stderr == ""  # which takes it off, since now that can be done
    assert (relay.messages, box.ids()) == ([], [])
