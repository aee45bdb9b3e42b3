"""A flood of reports goes as a digest: nothing is lost, nothing comes twice, whatever happens meanwhile."""

from __future__ import annotations

import json
import os

import pytest

from cronwrap.model import STDOUT, Mark, Output
from cronwrap.outbox import digest as digest_module
from cronwrap.outbox.digest import AT_ONCE, LARGEST, Digests
from cronwrap.outbox.drain import Drainer
from cronwrap.outbox.store import FAILED, Outbox
from cronwrap.report.compose import compose
from cronwrap.settings import relays as endpoint
from support.reports import FAILED as FAILURE
from support.reports import STARTED, output, parsed, report, text_of

TO = ("ops@example.test",)
OTHERS = ("dev@example.test",)
NOW = STARTED + 600
LIFETIME = 5 * 86400.0


class Post:
    """An outbox with many reports, and what became of them."""

    def __init__(self, state):
        self.box = Outbox(state)
        self.now = NOW
        self.told = {}

    def store(self, count, to=TO, first=0, **more):
        for number in range(first, first + count):
            name = f"r{number:03}"
            fields = {"run_id": name, "job": f"job-{number:03}", "recipients": to, "command": f"cmd {number}"}
            made = compose(report(output(b"said %d\n" % number), **(fields | more)))
            self.box.store(name, made, self.now)
        return {f"r{number:03}" for number in range(first, first + count)}

    def drain(self, *relays, **how):
        self.told.clear()
        endpoints = [at(relay) for relay in relays]
        told = lambda item, words: self.told.update({item.id: words})  # noqa: E731
        Drainer(self.box, endpoints, LIFETIME, clock=lambda: self.now, told=told).drain(**how)
        return self.told

    def plans(self):
        return self.box.ids(digest_module.DIRECTORY)


def at(relay):
    if isinstance(relay, endpoint.Endpoint):
        return relay
    return endpoint.from_environment(relay.environment).replace(timeout=2.0)


def runs(relay, to=None):
    """Give the runs whose reports arrived, each as often as it did."""
    return sorted(
        str(found["X-Cronwrap-Job"]).replace("job-", "r")
        for mail in relay.messages
        if to is None or to in mail.recipients
        for found in mail.reports
    )


def digests(relay):
    return [mail for mail in relay.messages if mail.parsed["X-Cronwrap-Digest"]]


@pytest.fixture
def post(tmp_path):
    return Post(str(tmp_path / "state"))


def test_twenty_reports_go_one_by_one(post, relay):
    stored = post.store(AT_ONCE)
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert len(relay.messages) == AT_ONCE
    assert digests(relay) == []


def test_those_over_twenty_come_as_one_mail_that_lists_them_and_has_them_whole(post, relay):
    stored = post.store(200)
    post.now += 7200
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert (len(relay.messages), relay.counters.connections) == (AT_ONCE + 1, 1)
    assert runs(relay) == sorted(stored)
    assert (post.box.ids(), post.plans()) == ([], [])
    [mail] = digests(relay)
    message = parsed(mail.content)
    assert message["Subject"] == "Cron <alice@web1> 180 reports, all of them of failures"
    assert message["X-Cronwrap-Digest"] == "180"
    assert message["List-Id"] == "<digest.alice.web1.cronwrap>"
    assert message["Auto-Submitted"] == "auto-generated"
    text = text_of(message)
    assert text.startswith(
        "180 reports, all of them of failures\n\nSo many reports waited for a relay at once ("
    )
    assert "(the longest for 2 h" in text
    for number in range(20, 200):
        assert f"  job-{number:03}: exit status 2 after 3.1 s\n    cronwrap show r{number:03}\n" in text
    inner = message.get_payload()[1].get_payload()[0]
    assert text_of(inner).startswith("exit status 2 after 3.1 s\n\nThis report waited 2 h for a relay: ")
    assert ">job-199</b> " in text_of(message, "html")


def test_only_reports_to_the_same_recipients_go_together(post, relay):
    ours, theirs = post.store(25), post.store(22, to=OTHERS, first=100)
    post.drain(relay)
    assert runs(relay, TO[0]) == sorted(ours)
    assert runs(relay, OTHERS[0]) == sorted(theirs)
    assert sorted(len(mail.reports) for mail in digests(relay)) == [2, 5]
    assert {len(mail.recipients) for mail in relay.messages} == {1}


def test_the_report_that_somebody_waits_for_goes_by_itself_and_first(post, relay):
    post.store(40)
    post.drain(relay, first="r039")
    assert relay.messages[0].reports[0]["X-Cronwrap-Job"] == "job-039"
    assert len(relay.messages[0].reports) == 1
    assert len(relay.messages) == AT_ONCE + 1


def test_messages_of_other_programs_are_never_part_of_a_digest(post, relay):
    stored = post.store(30)
    for name in stored:
        item = post.box.load(name)
        content = post.box.content(item).replace(b"X-Cronwrap-Result", b"X-Other", 1)
        made = compose(report()).replace(envelope=item.envelope, content=content)
        post.box.store(name, made, NOW)
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert (len(relay.messages), post.plans()) == (30, [])


def test_a_digest_is_bounded_in_number_and_size(post, relay, monkeypatch):
    most = 30
    monkeypatch.setattr(digest_module, "MOST", most)
    stored = post.store(AT_ONCE + most + 5)
    big = Output(
        head=os.urandom(1 << 20), stdout_bytes=1 << 20, marks=(Mark(offset=0, stream=STDOUT, elapsed=0.0),)
    )
    for number in range(900, 906):
        made = compose(report(big, run_id=f"r{number}", job=f"job-{number}", recipients=TO))
        post.box.store(f"r{number}", made, post.now + number)
        stored.add(f"r{number}")
    post.drain(relay)
    assert runs(relay) == sorted(stored)
    assert all(len(mail.reports) <= most for mail in digests(relay))
    assert all(len(mail.content) < LARGEST * 1.2 for mail in digests(relay))
    assert len(digests(relay)) >= 3


def test_a_digest_that_has_to_wait_is_the_same_one_at_the_next_attempt(post, relay):
    relay.refuse("DATA", "451 later", matching="X-Cronwrap-Digest", times=1)
    stored = post.store(30)
    told = post.drain(relay)
    kept = {name for name, words in told.items() if words.startswith("kept")}
    assert len(kept) == 10
    assert {post.box.load(name).attempts for name in kept} == {1}
    [plan] = post.plans()
    post.store(1, first=500)
    post.now += 61
    post.drain(relay)
    assert runs(relay) == sorted(stored | {"r500"})
    [mail] = digests(relay)
    assert plan in mail.parsed["Message-ID"]
    assert len(mail.reports) == 10
    assert post.plans() == []


def test_each_recipient_gets_a_digest_once_whoever_has_to_wait(post, relay):
    relay.refuse("RCPT", "451 later", matching="dev@", times=AT_ONCE + 1)
    stored = post.store(30, to=TO + OTHERS)
    post.drain(relay)
    assert runs(relay) == sorted(stored)
    assert {post.box.load(name).envelope.recipients for name in stored} == {OTHERS}
    post.now += 61
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert runs(relay, TO[0]) == runs(relay, OTHERS[0]) == sorted(stored)


def test_a_recipient_refused_for_good_does_not_keep_the_others_from_a_digest(post, relay):
    relay.refuse("RCPT", "550 5.1.1 nobody here", matching="dev@")
    stored = post.store(30, to=TO + OTHERS)
    told = post.drain(relay)
    assert all(words.startswith("failed: dev@example.test: ") for words in told.values())
    assert runs(relay, TO[0]) == sorted(stored)
    assert post.box.ids() == []
    assert set(post.box.ids(FAILED)) == stored
    assert {item.envelope.recipients for item in post.box.failed()} == {OTHERS}


def test_where_a_digest_is_refused_its_reports_go_one_by_one(post, relay):
    relay.refuse("DATA", "554 too many attachments", matching="X-Cronwrap-Digest")
    stored = post.store(30)
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert (len(relay.messages), runs(relay)) == (30, sorted(stored))
    assert (post.box.ids(), post.plans()) == ([], [])


def test_where_a_digest_is_too_large_its_reports_go_one_by_one(post, make_relay):
    relay = make_relay(size_limit=30_000)
    stored = post.store(30)
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert (len(relay.messages), runs(relay)) == (30, sorted(stored))


def test_a_maildir_gets_a_digest_as_well(post, tmp_path):
    stored = post.store(30)
    maildir = endpoint.from_environment({"CRONWRAP_RELAY": f"maildir:{tmp_path}/mail"})
    assert post.drain(maildir) == dict.fromkeys(stored, "delivered")
    files = os.listdir(tmp_path / "mail" / "new")
    assert len(files) == AT_ONCE + 1


class Killed(BaseException):
    """The process is killed here."""


KILLED_AT = [
    ("_write", 1),  # before the digest is on disk
    ("_write", 2),  # before the relay's answer is
    ("_complete", 1),
    ("_forget", 1),
]


def kill_in(monkeypatch, target, name, call):
    """Have the process die at the n-th call of a method."""
    whole, calls = getattr(target, name), []

    def dying(*words, **more):
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return whole(*words, **more)

    monkeypatch.setattr(target, name, dying)


@pytest.mark.parametrize(("name", "call"), KILLED_AT)
def test_a_kill_at_any_step_loses_nothing_and_what_comes_twice_has_the_same_message_id(
    post, relay, monkeypatch, name, call
):
    stored = post.store(30)
    with monkeypatch.context() as patch:
        kill_in(patch, Digests, name, call)
        with pytest.raises(Killed):
            post.drain(relay)
    post.drain(relay, everything=True)
    assert set(runs(relay)) == stored
    assert (post.box.ids(), post.plans()) == ([], [])
    assert len({mail.parsed["Message-ID"] for mail in digests(relay)}) <= 1
    once = {mail.parsed["Message-ID"]: mail for mail in relay.messages}.values()
    assert sorted(str(found["X-Cronwrap-Job"]) for mail in once for found in mail.reports) == sorted(
        name.replace("r", "job-") for name in stored
    )
    assert len(digests(relay)) == {"_write1": 0, "_write2": 2}.get(f"{name}{call}", 1)


@pytest.mark.parametrize("done", range(1, 10))
def test_a_kill_between_two_of_its_reports_makes_none_come_twice(post, relay, monkeypatch, done):
    stored = post.store(30)
    with monkeypatch.context() as patch:
        kill_in(patch, Outbox, "remove", AT_ONCE + done)
        with pytest.raises(Killed):
            post.drain(relay)
    assert len(post.box.ids()) == 11 - done
    post.drain(relay)
    assert runs(relay) == sorted(stored)
    assert (post.box.ids(), post.plans()) == ([], [])


def test_a_kill_while_recipients_are_told_apart_makes_none_get_it_twice(post, relay, monkeypatch):
    relay.refuse("RCPT", "451 later", matching="dev@", times=AT_ONCE + 1)
    stored = post.store(30, to=TO + OTHERS)
    with monkeypatch.context() as patch:
        kill_in(patch, Outbox, "update", AT_ONCE + 4)
        with pytest.raises(Killed):
            post.drain(relay)
    post.now += 4000
    post.drain(relay)
    assert runs(relay, TO[0]) == runs(relay, OTHERS[0]) == sorted(stored)


def test_a_report_that_was_dropped_meanwhile_is_not_in_the_digest(post, relay):
    relay.refuse("DATA", "451 later", matching="X-Cronwrap-Digest", times=1)
    post.store(30)
    post.drain(relay)
    post.box.remove(post.box.load("r025"))
    post.now += 61
    post.drain(relay)
    assert "r025" not in runs(relay)
    assert len(runs(relay)) == 29


@pytest.mark.parametrize(
    "rubbish", [b"", b"\xff\0", b"cronwrap-digest 1\nholds: ../../x\nend\n", b"x" * 2_000_000]
)
def test_rubbish_among_the_digests_is_no_obstacle(post, relay, rubbish):
    stored = post.store(30)
    place = os.path.join(post.box.directory, digest_module.DIRECTORY)
    os.mkdir(place, 0o700)
    with open(os.path.join(place, "x"), "wb") as file:
        file.write(rubbish)
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert post.plans() == []


def test_a_directory_that_cannot_be_made_means_one_by_one(post, relay):
    stored = post.store(30)
    with open(os.path.join(post.box.directory, digest_module.DIRECTORY), "wb"):
        pass
    assert post.drain(relay) == dict.fromkeys(stored, "delivered")
    assert len(relay.messages) == 30


def test_the_mail_of_a_digest_says_what_was_no_failure(post, relay):
    good = FAILURE.replace(result="ok", label="ok", headline="ok after 3.1 s", failed=False)
    post.store(22, verdict=good)
    post.store(2, first=50)
    post.store(1, first=60, format="cron")
    post.drain(relay)
    [mail] = digests(relay)
    assert mail.subject == "Cron <alice@web1> 5 reports, 3 of them of failures"
    assert "job-021: ok after 3.1 s\n" in mail.body
    assert "job-060: exit 2\n" in mail.body


def test_after_an_outage_each_run_s_report_arrives_and_every_run_counts_as_mailed(cli, make_relay):
    config = 'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n'
    cli.write_config(config + '[[relay]]\nurl = "smtp://127.0.0.1:1"\n')
    for number in range(AT_ONCE + 4):
        words = "-n", f"job-{number:03}", "--", "sh", "-c", f"echo {number}; exit 3"
        assert cli(*words, CRONWRAP_DELIVERY_INLINE="0").status == 3
    relay = make_relay()
    cli.write_config(config + relay.table)
    flushed = cli("outbox", "flush")
    assert flushed.status == 0, flushed.stderr
    assert runs(relay) == [f"r{number:03}" for number in range(AT_ONCE + 4)]
    assert [len(mail.reports) for mail in relay.messages if len(mail.reports) > 1] == [4]
    history = [json.loads(line) for line in cli("history", "-n", "100", "--json").stdout.splitlines()]
    assert [run["mailed"] for run in history] == [True] * (AT_ONCE + 4)
    assert cli("outbox", "list").stdout.count("queued") == 0
