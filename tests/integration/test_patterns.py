"""A pattern that would take years holds up neither the job, nor its supervision, nor the report."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest

from cronwrap.job import matching
from cronwrap.job.matching import Matching
from cronwrap.model import STDERR, STDOUT
from cronwrap.patterns import Helper
from cronwrap.redact import searching
from cronwrap.redact.redactor import Redactor
from support.cli import CRONWRAP

CATASTROPHE = r"(\w+\s?)+$"
ADDRESS = r"[\w.+-]+@[\w-]+\.[\w.]+"
"""Takes time that grows with the square of a line without an ``@``."""
LONG = f"{sys.executable} -c \"print('a' * 60000 + '!', flush=True)\"; "


SOON = """
from cronwrap.job import matching
from cronwrap.redact import searching
matching.PIECE_BUDGET = searching.BUDGET = searching.BUDGET_PER_MB = 0.3
"""
"""Has a pattern given up after less of a core than people get: the way is the same."""


def printed(cli, *words):
    return cli("--dry-run", *words, before=SOON).stdout


# --fail-match -------------------------------------------------------------------------------------


def test_the_timeout_fires_beside_a_pattern_that_does_not_end(cli):
    begun = time.monotonic()
    result = cli(
        "--dry-run", "--timeout", "1", "--fail-match", CATASTROPHE, "-c", LONG + "echo later; sleep 60"
    )
    assert time.monotonic() - begun < 20
    assert result.status == 124
    assert "timeout after" in result.stdout
    assert f"--fail-match '{CATASTROPHE}' took too long and was given up" in result.stdout


def test_the_next_pattern_is_held_against_what_follows_one_that_was_given_up(cli):
    """What looks for it then may have the number of a descriptor that has been closed meanwhile."""
    line = "printf '%s!\\n' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; sleep 3; echo BAD thing"
    result = cli("--dry-run", "--fail-match", "(a+)+$", "--fail-match", "BAD", "--", "sh", "-c", line)
    assert "'(a+)+$' took too long and was given up" in result.stdout
    assert "no answer" not in result.stdout
    assert "\noutput matches --fail-match: BAD thing" in result.stdout


def test_sigterm_is_obeyed_beside_a_pattern_that_does_not_end(cli, wait_until, tmp_path):
    started = tmp_path / "started"
    process = cli.start(
        "--on", "never", "--fail-match", CATASTROPHE, "-c", LONG + f"echo $$ > {started}; sleep 60"
    )
    wait_until(lambda: started.exists() and started.read_text().strip())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert not psutil.pid_exists(int(started.read_text()))
    wait_until(lambda: cli.processes() == [])


def test_the_helper_ends_with_a_cronwrap_that_is_killed(cli, wait_until):
    process = cli.start("--on", "never", "--fail-match", CATASTROPHE, "-c", LONG + "sleep 60")
    wait_until(lambda: len(cli.processes()) >= 3, timeout=20)  # itself, the helper, the job
    process.kill()
    process.wait()
    # By the whole path: a checkout may be called cronwrap, and the job's own program be in it.
    wait_until(lambda: not [p for p in cli.processes() if CRONWRAP in p.cmdline()], timeout=20)


def test_the_other_patterns_go_on_when_one_is_given_up(cli):
    result = printed(cli, "--fail-match", CATASTROPHE, "--fail-match", "^oops", "-c", LONG + "echo oops 1")
    assert "output matches --fail-match: oops 1" in result


def test_what_could_not_be_judged_is_told_as_a_failure(cli):
    result = printed(cli, "--on", "failure", "--fail-match", CATASTROPHE, "-c", LONG)
    assert f"output could not be judged: --fail-match '{CATASTROPHE}'" in result


def test_a_pattern_to_ignore_that_is_given_up_ignores_nothing_more(cli):
    result = printed(cli, "--on", "output", "--ignore-match", CATASTROPHE, "-c", LONG)
    assert "aaaa" in result
    assert "--ignore-match" in result


def test_a_job_that_pours_does_not_fill_the_memory_while_a_pattern_is_slow(cli):
    pour = f"{sys.executable} -c \"import sys; [sys.stdout.write('x ' * 30000 + '\\n') for _ in range(200)]\""
    # The shell's own memory would be that of a page: what counts is cronwrap's.
    script = f"{pour}; grep VmHWM /proc/$PPID/status"
    result = printed(cli, "--fail-match", r"(\w \w?)*y", "-c", script)
    peak = int(result.partition("VmHWM:")[2].split()[0])
    assert peak < 60_000


@pytest.fixture
def budget(monkeypatch):
    """Budgets of a test's size."""
    monkeypatch.setattr(matching, "PIECE_BUDGET", 0.2)
    monkeypatch.setattr(searching, "BUDGET", 0.2)


@pytest.fixture
def match():
    """Feed pieces to patterns in a process of their own, and wait for all answers."""

    def run(pieces, fail=(), ignore=()):
        others = set()
        found = Matching(fail, ignore, others)
        for stream, piece in pieces:
            found.feed(stream, piece)
        found.finish()
        assert not others
        return found

    return run


@pytest.mark.usefixtures("budget")
def test_what_is_known_before_a_pattern_is_given_up_counts(match):
    pieces = [(STDOUT, b"oops 1\n"), (STDERR, b"a" * 60 + b"!\n"), (STDOUT, b"oops 2\n")]
    found = match(pieces, fail=["oops", r"(a+)+$"])
    assert found.matched == ["oops 1", "oops 2"]
    assert found.given_up == ["--fail-match '(a+)+$' took too long and was given up"]
    assert found.unknown == found.given_up[0]


def test_a_job_that_was_silent_for_long_is_no_stalled_helper(monkeypatch):
    monkeypatch.setattr(matching, "STALLED", 0.3)
    found = Matching(["oops"], [], set())
    found.feed(STDOUT, b"one\n")
    deadline = time.monotonic() + 20
    while found._queue and time.monotonic() < deadline:
        found.go_on()
    since = time.monotonic()
    while time.monotonic() - since < 0.4:
        found.go_on()
    found.feed(STDOUT, b"oops\n")
    found.finish()
    assert (found.given_up, found.matched) == ([], ["oops"])


def test_a_helper_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(matching, "STALLED", 0.3)
    made = []
    monkeypatch.setattr(matching, "Helper", lambda serve: made.append(Helper(serve)) or made[-1])
    found = Matching(["oops"], [], set())
    os.kill(made[0].pid, signal.SIGSTOP)
    found.feed(STDERR, b"oops\n")
    found.finish()
    assert found.given_up == ["--fail-match 'oops' had no answer for 0 s"]
    assert found.counted == {STDERR}


@pytest.mark.usefixtures("budget")
def test_every_pattern_may_be_given_up(match):
    patterns = [r"(a+)+$", r"(a|aa)+$", r"(a*)*$"]
    found = match([(STDOUT, b"a" * 60 + b"!\n")], fail=patterns[:2], ignore=patterns[2:])
    assert len(found.given_up) == 3
    assert found.counted == {STDOUT}


def test_patterns_without_a_process_are_said_to_be_not_searched_for(match, monkeypatch):
    def none():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none)
    found = match([(STDOUT, b"x\n")], fail=["oops"])
    assert found.counted == {STDOUT}
    assert "Resource temporarily unavailable" in found.unknown


def test_a_helper_that_is_killed_costs_a_pattern_and_no_answer(match, monkeypatch):
    made = []

    class Watched(Helper):
        def __init__(self, serve):
            super().__init__(serve)
            made.append(self)
            if len(made) == 1:
                os.kill(self.pid, signal.SIGKILL)

    monkeypatch.setattr(matching, "Helper", Watched)
    found = match([(STDOUT, b"one\ntwo\n")], fail=["zero", "two"])
    assert found.matched == ["two"]
    assert len(found.given_up) == 1


# [redact] -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("pattern", [CATASTROPHE + "%", ADDRESS, r"(a|aa)+@"])
def test_a_text_that_a_pattern_is_too_slow_for_is_withheld_and_that_is_said(pattern):
    redactor = Redactor((r"pin=\d+", pattern))
    begun = time.process_time()
    assert redactor.text("pin=1 " + "a" * 300_000 + " pin=2") == "[redacted]"
    assert redactor.text("pin=1 x") == "[redacted] x"
    assert time.process_time() - begun < 5
    assert redactor.faults == (
        f"[redact] pattern '{pattern}' took too long and was given up: what it left is withheld",
    )


@pytest.mark.usefixtures("budget")
def test_patterns_have_no_more_than_their_time_in_all(monkeypatch):
    monkeypatch.setattr(searching, "BUDGET_IN_ALL", 0.5)
    redactor = Redactor((r"(a+)+$",))
    for number in range(10):
        assert redactor.text("a" * 60 + f"! {number}") == "[redacted]"


def test_a_report_comes_when_a_pattern_to_redact_is_too_slow(cli):
    cli.write_config(f"[redact]\npatterns = ['{ADDRESS}']\n")
    line = f"{sys.executable} -c \"print('a' * 1000000)\"; echo bob@example.test; exit 3"
    result = cli("--dry-run", "-c", line, before=SOON)
    assert result.status == 3
    assert "exit status 3" in result.stdout
    assert "bob@example.test" not in result.stdout
    assert f"[redact] pattern '{ADDRESS}' took too long and was given up" in result.stdout


def test_a_slow_pattern_and_the_command_hold_up_no_start(cli):
    cli.write_config("[redact]\npatterns = ['(a+)+$']\n")
    begun = time.monotonic()
    result = cli("--dry-run", "--timeout", "1", "-c", f"sleep 60; : {'a' * 60}!")
    assert result.status == 124
    assert time.monotonic() - begun < 20
    assert "aaaa" not in result.stdout


def test_secrets_are_found_as_before_by_patterns_in_a_process_of_their_own():
    lines = "".join(f"token={number} rest\n" for number in range(20_000))
    assert Redactor((r"token=\S+",)).text(lines) == "[redacted] rest\n" * 20_000
