"""What comes from outside around notifications: answers, dates, secrets, URLs; and their order."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import socket
import sys
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.channels import apprise, webhook
from cronwrap.channels.answer import LONGEST_WAIT, Answer, judge, retry_after
from cronwrap.errors import ConfigError, StateError, TemporaryError
from cronwrap.mail import Envelope, Message
from cronwrap.model import Verdict
from cronwrap.outbox import order, tend, waiter
from cronwrap.outbox.lane import LaneDrainer
from cronwrap.outbox.store import Outbox
from cronwrap.pipeline.notifying import due
from cronwrap.report import notification
from cronwrap.report.verdict import Policy
from cronwrap.settings.notify import find, parse

NOW = 1_772_420_706.0
ENVELOPE = Envelope(sender="cronwrap", recipients=("https://h/",))
LIFETIME = 5 * 86400.0


# Answers -------------------------------------------------------------------------------------------


@given(st.integers(-1, 1000), st.none() | st.text())
def test_every_answer_is_taken_final_or_tried_again_within_bounds(status, retry):
    answer = judge(status, "w", retry, NOW)
    assert not (answer.taken and answer.final)
    assert answer.taken == (200 <= status <= 299)
    assert answer.final == (300 <= status <= 499 and status not in (408, 425, 429))
    assert 0 <= answer.wait <= LONGEST_WAIT


@given(
    st.text()
    | st.from_regex(r"[0-9]{1,5000}")
    | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %T"))
)
def test_retry_after_is_bounded_whatever_it_says(text):
    assert 0 <= retry_after(text, NOW) <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("99999999999999999999", LONGEST_WAIT),
        (formatdate(NOW + 90, usegmt=True), 90),
        (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(NOW + 90)), 90),
        (time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(NOW + 90)), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 1e8, usegmt=True), LONGEST_WAIT),
        ("-5", 0),
        ("soon", 0),
        ("1.5", 0),
        ("\u0661", 0),
    ],
)
def test_retry_after_has_two_forms(text, seconds):
    assert retry_after(text, NOW) == seconds


HEADS = st.sampled_from(
    [b"", b"HTTP/1.1 ", b"HTTP/1.1 503 x\r\n", b"HTTP/1.1 429 x\r\nRetry-After: ", b"HTTP/1.1 100 \r\n"]
)


@settings(max_examples=60)
@given(head=HEADS, rest=st.binary(max_size=300))
def test_whatever_octets_a_server_answers_an_attempt_has_an_outcome(head, rest):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(head + rest)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(webhook, "_connected", lambda *_: ours)
            answer = webhook.send(parse({"url": "http://localhost/", "timeout": "2s"}, "t"), "r.k", b"{}")
    assert answer.taken or answer.words
    assert answer.words.isprintable()
    assert 0 <= answer.wait <= LONGEST_WAIT


# Secrets and URLs ----------------------------------------------------------------------------------


@given(content=st.binary(max_size=80))
def test_a_secret_is_whsec_and_base64_or_it_is_refused_without_being_shown(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("secret") / "s"
    path.touch(mode=0o600)
    path.write_bytes(content)
    target = parse({"url": "https://h/", "secret-file": str(path)}, "t")
    try:
        key = webhook.secret(target)
    except TemporaryError as error:
        if str(path) not in str(error):
            raise AssertionError("the fault names no file") from error
        return
    assert content.strip() == b"whsec_" + base64.b64encode(key)


def test_the_signature_is_that_of_the_specification():
    # The example of the Standard Webhooks libraries' own tests.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = webhook.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("url", "shown", "address"),
    [
        ("https://hooks.example.com/cron", "https://hooks.example.com/cron", "/cron"),
        ("https://h:8443", "https://h:8443/", "/"),
        ("https://h?k=v#f", "https://h/?…", "/?k=v"),
        ("https://u:p@h/a", "https://h/a", "/a"),
        ("https://h/services/T0B1/B2c3/aBc9", "https://h/services/…/…/…", "/services/T0B1/B2c3/aBc9"),
        ("https://h//x", "https://h//x", "//x"),
        ("https://h/é", "https://h/…", "/%C3%A9"),
        ("https://h/abcdefghijklmnopqrstuvwxyz", "https://h/…", "/abcdefghijklmnopqrstuvwxyz"),
        ("exec:/usr/local/bin/hook", "exec:/usr/local/bin/hook", "/usr/local/bin/hook"),
        ("slack://A/B/C", "slack://…", "slack://A/B/C"),
    ],
)
def test_a_target_is_shown_without_what_may_be_secret(url, shown, address):
    target = parse({"url": url}, "t")
    assert (target.display, target.address) == (shown, address)
    assert target.hides == (shown not in (url, url + "/"))
    assert url not in repr(target) or not target.hides


@given(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(["https://", "http://localhost", "exec:", ""]),
)
def test_any_url_is_a_target_or_a_fault_and_never_goes_elsewhere(text, beginning):
    try:
        target = parse({"url": beginning + text}, "t")
    except ConfigError as error:
        if not str(error).startswith("t: url"):
            raise AssertionError("the fault names no key") from error
        return
    assert target.address.isascii() or target.kind in ("exec", "apprise")
    assert not any(char in target.address for char in "\r\n\0")


def test_a_target_whose_secret_has_changed_is_still_the_one():
    old, new = (parse({"url": f"https://h/hooks/{word}"}, "t") for word in ("abc123", "def456"))
    other = parse({"url": "https://h/other"}, "t")
    assert find((new, other), old.key, old.display) == new
    assert find((other,), old.key, old.display) is None
    assert find((new, parse({"url": "https://h/hooks/7h1rd"}, "t")), old.key, old.display) is None


# What is told --------------------------------------------------------------------------------------


def test_of_several_events_the_most_telling_is_told():
    assert notification.event_of(("failure", "output", "stderr")) == "failure"
    assert notification.event_of(("success", "output", "recovery")) == "recovery"
    assert notification.event_of(("running",)) == "running"
    assert notification.event_of(()) == ""


@given(st.text(st.characters(), max_size=40))
def test_a_notification_is_json_that_every_parser_takes(text):
    body = notification.compose("t", NOW, {"output": text, "reasons": (text,), "none": None})
    assert isinstance(json.loads(body.decode("ascii"))["data"]["output"], str)
    json.loads(body)["data"]["output"].encode()  # no lone surrogate is left


def test_apprise_gets_words_for_people():
    run = {"job": "backup", "host": "web1", "event": "failure", "headline": "exit status 3", "output": "no\n"}
    said = apprise.wording({"data": run})
    assert said == {"title": "backup on web1", "body": "exit status 3\n\nno\n", "kind": "failure"}


@pytest.mark.parametrize(
    ("known", "taken", "status"), [(True, True, 0), (True, False, 75), (False, False, 78), (None, False, 69)]
)
def test_what_apprise_says_becomes_an_exit_status(monkeypatch, capsys, known, taken, status):
    told = {"url": "ntfy://t", "title": "t", "body": "b", "kind": "failure"}
    sender = SimpleNamespace(add=lambda _url: known, notify=lambda **_: taken)
    stub = SimpleNamespace(
        Apprise=lambda: sender,
        LogCapture=lambda **_: contextlib.nullcontext(io.StringIO("no such topic")),
        logging=logging,
    )
    monkeypatch.setitem(sys.modules, "apprise", None if known is None else stub)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(told)))
    with pytest.raises(SystemExit) as ended:
        apprise.main()
    assert ended.value.code == status
    said = {75: "no such topic", 78: apprise.UNKNOWN, 69: apprise.INSTALL}.get(status, "")
    assert capsys.readouterr().err == said


class Job:
    """Settings as far as it is asked who is to be told."""

    def __init__(self, *notify, on=("failure",), name="backup-db"):
        self.notify, self.values = notify, {"on": on, "name": name}

    def __getitem__(self, key):
        return self.values[key]


def test_each_target_is_asked_once_by_its_own_events_and_jobs():
    job = Job(
        ("a", "A", None, ("*",)),
        ("b", "B", ("success",), ("backup-*",)),
        ("b", "B", ("always",), ("*",)),
        ("c", "C", ("always",), ("backup-?", "Backup-db")),
        on=("output",),
    )
    asked = []

    def decide(policy):
        asked.append(policy.on)
        return Verdict(result="ok", label="ok", headline="ok", failed=False, mail="success" in policy.on)

    told = due(job, Policy(on=("output",)), decide)
    assert [one.display for one in told] == ["B"]
    assert asked == [("output",), ("success",)]


# The order of a target's notifications -------------------------------------------------------------


class Lane:
    """A lane of an outbox, a target of the test's own, and a clock."""

    def __init__(self, directory):
        self.box, self.now, self.answers, self.tried = Outbox(str(directory)), NOW, {}, []

    def store(self, name, job="job", key="k"):
        message = Message(envelope=ENVELOPE, content=b"{}", job=job, subject=name)
        self.now += 1
        return self.box.store(f"{name}.{key}", message, self.now)

    def send(self, item, _content):
        name = item.id.partition(".")[0]
        self.tried.append(name)
        return self.answers.get(name, Answer(taken=True))

    def drain(self, **how):
        self.tried.clear()
        LaneDrainer(self.box, "k", self.send, LIFETIME, clock=lambda: self.now).drain(**how)
        return self.tried


@pytest.fixture
def lane(tmp_path):
    return Lane(tmp_path / "state")


def test_what_one_job_has_to_say_comes_in_order_and_holds_up_no_other_job(lane):
    lane.store("a1")
    lane.store("a2")
    lane.store("b1", job="other")
    lane.answers["a1"] = Answer(words="500")
    assert lane.drain() == ["a1", "b1"]
    lane.answers.clear()
    assert lane.drain() == []
    lane.now += 3600
    assert lane.drain() == ["a1", "a2"]


def test_a_target_that_is_down_is_asked_once_a_round_and_all_go_when_it_is_back(lane):
    for name in "abc":
        lane.store(name, job=name)
        lane.answers[name] = Answer(words="refused", target_fault=True)
    assert lane.drain() == ["a"]
    assert [item.last_error for item in lane.box.items()[0]] == ["refused"] * 3
    assert [item.attempts for item in lane.box.items()[0]] == [1, 0, 0]
    lane.answers.clear()
    lane.store("d", job="d")
    assert lane.drain() == ["d", "a", "b", "c"]


def test_a_target_that_takes_nothing_for_now_is_spared_the_rest(lane):
    for name in "abcde":
        lane.store(name, job=name)
        lane.answers[name] = Answer(words="500")
    assert lane.drain() == ["a", "b", "c"]


def test_a_target_that_asked_for_peace_has_it_from_new_notifications_too(lane):
    lane.store("a", job="a")
    lane.answers["a"] = Answer(words="429", target_fault=True, wait=600.0)
    lane.drain()
    lane.store("b", job="b")
    assert lane.drain() == []
    assert order.next_attempt(lane.box.items()[0], lane.now) >= lane.now + 590
    lane.answers.clear()
    assert lane.drain(first="b.k") == ["b", "a"]


def test_a_clock_that_was_wrong_is_no_peace_for_ever(lane):
    lane.store("a")
    lane.answers["a"] = Answer(words="429", target_fault=True, wait=600.0)
    lane.drain()
    lane.answers.clear()
    lane.now -= 1e7
    assert lane.drain() == ["a"]


def test_what_is_refused_is_kept_among_the_failed_and_the_next_goes(lane):
    lane.store("a1")
    lane.store("a2")
    lane.answers["a1"] = Answer(words="https://h/ answered 410", final=True)
    assert lane.drain() == ["a1", "a2"]
    [failed] = lane.box.failed()
    assert (failed.id, failed.last_error) == ("a1.k", "https://h/ answered 410")
    assert "https://h/" in lane.box.given_up()


def test_what_had_its_time_is_given_up(lane):
    lane.store("a")
    lane.answers["a"] = Answer(words="500")
    for _ in range(20):
        lane.now += LIFETIME / 10
        lane.drain()
    [failed] = lane.box.failed()
    assert "given up after 10 attempts: 500" in failed.last_error


def test_what_cannot_be_taken_off_is_not_told_twice(lane, monkeypatch):
    lane.store("a")
    real = Outbox.remove
    monkeypatch.setattr(Outbox, "remove", refuse)
    assert lane.drain() == ["a"]
    assert lane.drain() == []
    monkeypatch.setattr(Outbox, "remove", real)
    lane.drain()
    assert lane.box.ids() == []


def refuse(*_):
    raise StateError("no")


def test_other_lanes_and_mail_are_left_alone(lane):
    lane.store("a")
    lane.store("b", key="other")
    assert lane.drain() == ["a"]
    assert lane.box.lanes() == ["other"]
    assert lane.box.ids(lane="") == []


def test_a_run_that_died_before_all_was_queued_has_it_queued_whole(lane):
    message = Message(envelope=ENVELOPE, content=b"{}", job="j", subject="s")
    for identity in ("r", "r.k", "r.other", "r2.k"):
        lane.box.prepare(identity, message, NOW)
    assert lane.box.complete("r")
    assert lane.box.ids() == ["r", "r.k", "r.other"]


def test_the_waiter_has_a_sender_for_each_target_and_waits_for_none(tmp_path, monkeypatch):
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    lane = Lane(tmp_path / "state")
    lane.store("a", key="hangs")
    lane.store("b", key="works")
    started = []

    def start(key):
        started.append(key)
        return 0

    def sleep(_seconds):
        for item in lane.box.items()[0]:
            lane.box.remove(item)

    monkeypatch.setattr(waiter, "_start", start)
    waiter.wait(None, lambda: lane.now, sleep)
    assert started == ["hangs", "works"]


def test_a_run_that_looks_after_the_queue_waits_for_a_target_behind_the_mail(tmp_path, monkeypatch):
    lane = Lane(tmp_path)
    lane.store("a")
    lane.box.store("m", Message(envelope=ENVELOPE, content=b"x", job="j", subject="s"), NOW)
    done = []
    monkeypatch.setattr(tend.lanes, "begin", lambda _settings, keys: done.append(("begin", list(keys))))
    monkeypatch.setattr(tend.lanes, "wait_for", lambda *_: done.append("wait"))
    monkeypatch.setattr(tend.dispatch, "dispatch", lambda *_: done.append("mail"))
    monkeypatch.setattr(tend, "log", lambda _text: None)

    class Found(SimpleNamespace):
        def __getitem__(self, key):
            return {"delivery.background": False}[key]

    tend.tend_outbox(Found(state_dir=str(tmp_path), relays=1), None)
    assert done == [("begin", ["k"]), "mail", "wait"]


def test_of_a_queue_that_another_process_sends_a_run_reads_the_oldest_alone(tmp_path, monkeypatch):
    box, read, load = Outbox(str(tmp_path)), [], Outbox.load
    for number in range(5):
        box.store(f"m{number}", Message(envelope=ENVELOPE, content=b"x", job="j", subject="s"), NOW + number)
    monkeypatch.setattr(Outbox, "load", lambda self, name: read.append(name) or load(self, name))
    monkeypatch.setattr(tend.dispatch, "dispatch", lambda *_: "")
    monkeypatch.setattr(tend, "log", lambda _text: None)

    class Found(SimpleNamespace):
        def __getitem__(self, key):
            return {"delivery.background": True}[key]

    tend.tend_outbox(Found(state_dir=str(tmp_path), relays=1), None)
    assert read == ["m0"]


def test_for_mail_without_a_relay_nobody_waits(monkeypatch):
    senders = waiter.Senders(None)
    monkeypatch.setattr(waiter, "_start", lambda _lane: 4711)
    monkeypatch.setattr(waiter, "_ended", lambda _pid: (True, waiter.NO_WAY))
    assert senders.have_work([""])
    senders.begin_if_due("", [], NOW)
    assert not senders.have_work([""])
    assert senders.have_work(["", "k"])
