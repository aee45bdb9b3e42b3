"""A job that goes on for long is told of while it runs; one that keeps its own later runs away, as stuck."""

from __future__ import annotations

import json
import os
import signal

import pytest

from cronwrap.history import records
from support.jobs import number

LONG = "--still-running", "0.2s"
UNTIL = "echo so far; while [ ! -e go ]; do sleep 0.05; done; "
"""A job that runs until the test has heard what it waits for."""


@pytest.fixture
def mailed(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return relay


def go(cli):
    with open(os.path.join(cli.home, "go"), "wb"):
        pass


def history(cli):
    return [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]


def results(mails):
    return [mail.parsed["X-Cronwrap-Result"] for mail in mails]


def test_a_mail_comes_while_the_job_runs_with_what_it_said_so_far_and_a_good_end_is_not_told(cli, mailed):
    process = cli.start(*LONG, "--", "sh", "-c", UNTIL + "echo the rest")
    (mail,) = mailed.wait_for(1)
    assert process.poll() is None
    assert mail.parsed["X-Cronwrap-Result"] == "running"
    assert mail.body.startswith("still running after 0.2")
    assert "so far" in mail.body
    assert "tries" not in mail.body
    go(cli)
    assert process.wait() == 0
    (run,) = history(cli)
    assert (run["result"], run["mailed"], run["output_bytes"]) == ("ok", True, 16)
    assert results(mailed.messages) == ["running"]


@pytest.mark.parametrize(
    ("on", "end", "told"), [("failure", "exit 3", "exit 3"), ("failure,recovery", ":", "recovered")]
)
def test_the_end_is_told_once_more_when_it_fails_or_recovery_asks_for_it(cli, mailed, on, end, told):
    process = cli.start(*LONG, "--on", on, "--", "sh", "-c", UNTIL + end)
    mailed.wait_for(1)
    go(cli)
    process.wait()
    first, second = mailed.wait_for(2)
    assert results([first, second]) == ["running", told]
    assert first.parsed["Message-ID"] != second.parsed["Message-ID"]
    assert first.parsed["References"] == second.parsed["References"]


def test_it_is_told_once_in_a_run_not_once_in_a_try(cli, mailed):
    line = "sleep 0.3; exit 1"
    options = (*LONG, "--retries", "2", "--retry-delay", "0.01s")
    assert cli(*options, "--", "sh", "-c", line).status == 1
    assert sorted(results(mailed.wait_for(2))) == ["exit 1", "running"]


def test_a_timeout_ends_the_job_and_spares_the_process_that_tells(cli, make_misbehaving):
    """The relay is silent: when the job's tree is ended, the sender is still at it."""
    silent = make_misbehaving("banner", "hang")
    environment = {**silent.environment, "CRONWRAP_DELIVERY_INLINE": "0.1s", "MAILTO": "ops@example.test"}
    environment["CRONWRAP_DELIVERY_BACKGROUND"] = "true"  # the sender has no hurry then
    run = cli(*LONG, "--timeout", "0.6s", "--", "sh", "-c", "sleep 60", **environment)
    assert run.status == 124
    queued = [json.loads(line) for line in cli("outbox", "--json").stdout.splitlines()]
    assert len(queued) == 2
    timeout = min((item["id"] for item in queued), key=len)
    assert "--still-running" not in cli("outbox", "show", timeout).stdout  # among the processes it ended
    (run,) = history(cli)
    assert run["result"] == "timeout"


def test_a_state_that_cannot_be_written_costs_the_job_nothing(cli):
    with open(cli.state, "wb"):
        pass  # no directory can be made there
    run = cli(*LONG, "--", "sh", "-c", "sleep 0.5; exit 7")
    assert run.status == 7


def test_never_silences_it(cli, mailed):
    assert cli(*LONG, "--on", "never", "--", "sleep", "0.4").status == 0
    assert cli("outbox", "--json").stdout == ""
    assert mailed.messages == []


def test_the_nth_skip_in_a_row_tells_once_which_run_is_in_the_way_and_a_run_begins_a_new_row(
    cli, mailed, wait_until
):
    def hang():
        process = cli.start("-n", "sync", "--", "sh", "-c", "echo $$ >pid; exec sleep 60")
        fields = wait_until(lambda: list(records.running(cli.state, "sync")))[0]
        return process, fields, os.path.join(cli.home, "pid")

    def skip(times):
        for _ in range(times):
            assert cli("-n", "sync", "--overlap", "skip", "--stuck-after", "2", "--", "true").status == 75

    process, fields, path = hang()
    skip(4)
    (mail,) = mailed.wait_for(1)
    assert mail.parsed["X-Cronwrap-Result"] == "stuck"
    assert mail.body.startswith("stuck: 2 runs in a row skipped, run ")
    for word in (fields["run"], str(process.pid), "exec sleep 60"):
        assert word in mail.body
    os.kill(number(path), signal.SIGKILL)
    process.wait()
    mailed.wait_for(2)  # its failure
    process, fields, path = hang()
    skip(3)
    mails = mailed.wait_for(3)
    assert results(mails) == ["stuck", "signal 9", "stuck"]
    assert fields["run"] in mails[2].body
    os.kill(number(path), signal.SIGKILL)


def test_without_a_history_a_skip_is_a_skip_as_ever(cli, wait_until):
    process = cli.start("-n", "sync", "--", "sleep", "60")
    wait_until(lambda: list(records.running(cli.state, "sync")))
    os.mkdir(os.path.join(cli.state, "history.db"))
    run = cli("-n", "sync", "--overlap", "skip", "--stuck-after", "1", "--", "true")
    assert run.status == 75
    process.terminate()
