"""What becomes of a report when the outbox, and then the relay, cannot be had; and how loud a wait gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from cronwrap import log
from cronwrap.job.signals import Signals
from cronwrap.mail import Envelope, Message
from cronwrap.model import Command
from cronwrap.outbox import dispatch, from_memory, tend
from cronwrap.outbox.store import Outbox
from cronwrap.pipeline import housekeeping, reporting
from cronwrap.pipeline.context import new_run
from cronwrap.settings import files
from cronwrap.settings import load as config
from support.cli import Result

FAILING = ("--", "sh", "-c", "echo said; exit 7")


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


@pytest.fixture
def logged(monkeypatch):
    """What goes to the system log of this process."""
    lines = []

    def take(_place, line):
        lines.append(line.decode().partition("]: ")[2])
        return True

    monkeypatch.setattr(log, "_send", take)
    return lines


@pytest.fixture
def here(monkeypatch, job):
    """The settings of ``job`` for this process, as a run has them."""
    for name, value in job.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dispatch, "PATIENCE", dispatch.Patience())
    return config.load({}, os.environ)


@pytest.fixture
def signals():
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield Signals(terminal=False)
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        if handler is not None and number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, handler)


def message():
    return Message(
        envelope=Envelope(sender="cron@example.test", recipients=("ops@example.test",)),
        content=b"Subject: a report\r\n\r\nsaid\r\n",
        job="j",
        subject="a report",
    )


def in_the_way(job):
    """Make it impossible to have an outbox, for root too."""
    os.makedirs(job.state, mode=0o700)
    with open(os.path.join(job.state, "outbox"), "w", encoding="ascii") as file:
        file.write("a file is in the way")


def test_without_an_outbox_the_report_is_sent_from_memory(job, relay):
    in_the_way(job)
    result = job(*FAILING)
    assert result.status == 7
    (mail,) = relay.messages
    assert "\nsaid\n" in mail.body
    assert "the outbox" in result.stderr
    assert "\nsaid\n" not in result.stderr


@pytest.mark.parametrize("fault", ["banner", "auth", "rcpt", "dot"])
def test_without_a_relay_either_it_goes_to_standard_error(job, make_misbehaving, fault):
    in_the_way(job)
    server = make_misbehaving(fault, "5xx")
    result = job(*FAILING, **server.environment)
    assert result.status == 7
    assert "could be neither stored nor sent" in result.stderr
    assert "X-Cronwrap-Result: exit 7\n" in result.stderr
    assert "\nsaid\n" in result.stderr


def test_a_relay_that_hangs_does_not_hold_up_the_last_resort(job, make_misbehaving):
    in_the_way(job)
    server = make_misbehaving("banner", "hang")
    began = time.monotonic()
    result = job(*FAILING, CRONWRAP_DELIVERY_INLINE="0.5s", **server.environment)
    assert result.status == 7
    assert time.monotonic() - began < 15
    assert "\nsaid\n" in result.stderr
    assert json.loads(job("history", "--json").stdout)["mailed"] is False


def test_the_last_resort_writes_to_the_system_log_as_well(here, job, make_misbehaving, logged, monkeypatch):
    in_the_way(job)
    for name, value in make_misbehaving("banner", "5xx").environment.items():
        monkeypatch.setenv(name, value)
    assert reporting.post(here, "r1", message()) == "printed"
    assert "said" in logged
    assert any("neither stored nor sent" in line for line in logged)


def test_a_sender_that_dies_without_a_word_has_not_delivered(here, monkeypatch):
    monkeypatch.setattr(files, "relays_in_force", lambda _paths: os.kill(os.getpid(), 9))
    assert from_memory.send_from_memory(here, message()).startswith("no relay has taken it")


def test_where_no_process_can_be_started_the_report_is_not_thought_delivered(here, monkeypatch, signals):
    def full():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    assert "no process can be started" in from_memory.send_from_memory(here, message())
    box = Outbox(here.state_dir)
    box.store("r1", message(), time.time())
    assert dispatch.dispatch(here, "r1", signals).startswith("kept: ")
    claim = box.claim()
    assert claim.take()
    claim.release()


def test_a_relay_variable_that_is_no_relay_keeps_the_report_and_says_why(job):
    result = job(*FAILING, CRONWRAP_RELAY="gopher://relay.example.test")
    assert result.status == 7
    assert len(Outbox(job.state).ids()) == 1
    assert "CRONWRAP_RELAY is none of smtps://" in result.stderr
    assert "kept in the outbox" in result.stderr
    flushed = job("outbox", "flush", CRONWRAP_RELAY="gopher://relay.example.test")
    assert "kept: environment: CRONWRAP_RELAY is none of" in flushed.stdout


# Loudness -----------------------------------------------------------------------------------------


def waiting_since(job, seconds, **changes):
    box = Outbox(job.state)
    item = box.store("old", message(), time.time() - seconds)
    box.update(item, item.replace(attempts=3, last_error="451 later", **changes))
    return box


@pytest.mark.parametrize(("age", "loud"), [(3700, True), (3500, False)])
def test_what_waits_for_over_an_hour_is_an_error_at_every_run(here, job, logged, signals, age, loud):
    waiting_since(job, age, next_attempt=time.time() + 600)
    for _run in range(2):
        tend.tend_outbox(here, signals)
    wanted = [line for line in logged if "holds 1 report, the oldest for" in line]
    assert len(wanted) == (2 if loud else 0)
    assert all("451 later" in line and "1 h" in line for line in wanted)


@pytest.mark.parametrize("mailed", [False, True])
def test_a_run_with_a_report_of_its_own_is_as_loud_and_asks_no_relay_twice(
    here, job, relay, logged, signals, mailed
):
    waiting_since(job, 3700, next_attempt=0.0)
    run = new_run(Command(argv=("false",), text="false"), here)
    housekeeping.do_for_others(run, None, signals, mailed=mailed)
    assert [line for line in logged if "holds 1 report, the oldest for" in line]
    assert len(relay.messages) == (0 if mailed else 1)


def test_a_quiet_run_sends_what_is_due(job, relay):
    waiting_since(job, 600)
    result = job("--", "true")
    assert (result.status, result.err) == (0, b"")
    assert [mail.subject for mail in relay.messages] == ["a report"]
    assert relay.messages[0].parsed["X-Cronwrap-Delayed"].startswith("10 min")


def test_no_report_is_made_about_a_failed_report(job, relay):
    relay.refuse("RCPT", "550 5.1.1 No such user")
    assert job(*FAILING).status == 7
    assert job("--", "true").status == 0
    box = Outbox(job.state)
    assert (len(box.failed()), box.ids(), relay.messages) == (1, [], [])


# No relay -----------------------------------------------------------------------------------------


def test_without_a_relay_one_line_says_where_the_report_is_and_how_to_set_one_up(cli):
    result = cli(*FAILING)
    assert result.status == 7
    assert result.stderr == (
        "cronwrap: no relay is configured: the report is kept in the outbox; set one up with: cronwrap init\n"
    )


def test_a_relay_that_cannot_be_used_is_not_called_missing(cli):
    cli.write_config('[[relay]]\nurl = "smtps://mail.example.test"\nusr = "me"\n')
    for words, stdin in ((FAILING, b""), (("sendmail", "a@example.test"), b"\nbody\n")):
        *faults, last = cli(*words, stdin=stdin).stderr.splitlines()
        assert "did you mean user?" in faults[0]
        assert last.startswith("cronwrap: no relay can be used: the ")
        assert "cronwrap config check" in last


# The waiter ---------------------------------------------------------------------------------------


def test_a_waiter_delivers_when_the_relay_is_back_and_leaves(job, make_misbehaving, wait_until):
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    server = make_misbehaving("banner", "drop")
    process = job.start(*FAILING, env=server.environment, stderr=subprocess.PIPE, stdin=subprocess.PIPE)
    _out, err = process.communicate(timeout=30)  # to the end: nobody holds the pipe
    assert process.returncode == 7
    assert b"the report is kept" in err
    box = Outbox(job.state)
    ((item,), _) = box.items()
    (waiter,) = wait_until(job.processes)
    wait_until(lambda: "cronwrap.outbox.waiter" in waiter.cmdline())
    assert os.getsid(waiter.pid) == waiter.pid
    assert waiter.cwd() == "/"
    assert {os.readlink(f"/proc/{waiter.pid}/fd/{number}") for number in range(3)} == {"/dev/null"}
    server.recover()
    box.update(item, item.replace(next_attempt=0.0))
    os.unlink(os.path.join(box.directory, "relays"))
    wait_until(lambda: server.accepted, timeout=30)
    wait_until(lambda: not waiter.is_running() or not job.processes(), timeout=30)
    assert box.ids() == []


def test_what_status_finds_dead_is_sent_though_no_run_follows(job, relay, wait_until):
    process = job.start("-n", "j", "--", "sleep", "600")
    runs = os.path.join(job.state, "runs")
    wait_until(lambda: os.path.isdir(runs) and any(name[0] != "." for name in os.listdir(runs)))
    process.kill()
    process.wait()
    assert job("status", CRONWRAP_DELIVERY_BACKGROUND="true").status == 1
    (mail,) = relay.wait_for(1)
    assert mail.parsed["X-Cronwrap-Result"] == "abandoned"
    (run,) = map(json.loads, job("history", "--json").stdout.splitlines())
    assert (run["result"], run["duration"]) == ("abandoned", None)


def test_descriptors_of_the_caller_do_not_stay_with_the_sender(job, make_misbehaving):
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    server = make_misbehaving("banner", "hang")
    ours, theirs = os.pipe()
    process = job.start(
        *FAILING, env={**server.environment, "CRONWRAP_DELIVERY_INLINE": "1s"}, pass_fds=[theirs]
    )
    os.close(theirs)
    assert process.wait(30) == 7
    assert job.processes()
    assert os.read(ours, 1) == b""  # at once: the sender has let go of it
    os.close(ours)


def test_a_sender_goes_on_when_the_run_has_left(job, make_relay, wait_until):
    """Its word on the run's own report reaches nobody any more, and the others wait behind that one."""
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    slow = make_relay(delay=1.0)
    waiting_since(job, 5, next_attempt=0.0)
    result = job(*FAILING, CRONWRAP_DELIVERY_INLINE="0.3s", **slow.environment)
    assert result.status == 7
    assert "the report is kept: no relay has taken it yet" in result.stderr
    assert slow.messages == []
    assert [mail.subject for mail in slow.wait_for(2)][1] == "a report"
    wait_until(lambda: not job.processes())
    assert Outbox(job.state).ids() == []


def test_nothing_stays_behind_where_that_is_not_wanted(job, make_misbehaving):
    server = make_misbehaving("banner", "drop")
    assert job(*FAILING, CRONWRAP_DELIVERY_BACKGROUND="false", **server.environment).status == 7
    assert job.processes() == []
    ((item,), _) = Outbox(job.state).items()
    assert item.attempts == 1


def test_relative_names_of_files_lead_to_the_same_files_later(job, relay):
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    place = os.path.dirname(job.config)
    process = job.start(
        *FAILING,
        env={"CRONWRAP_CONFIG": os.path.basename(job.config), "CRONWRAP_STATE_DIR": "state"},
        cwd=place,
        stderr=subprocess.PIPE,
    )
    result = Result(process.wait(30), b"", process.stderr.read())
    assert (result.status, result.err) == (7, b"")
    assert len(relay.messages) == 1
