"""The main job: a command, a TLS relay with a login, a mail read back."""

from __future__ import annotations

import pytest


@pytest.fixture
def job(cli, relay):
    """The installed cronwrap with a relay configured."""
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


def test_a_job_that_succeeds_in_silence_leaves_no_trace(job, relay):
    result = job("--", "true")
    assert (result.status, result.out, result.err, relay.messages) == (0, b"", b"", [])
    assert job.processes() == []


def test_a_failure_is_mailed_with_its_output(job, relay):
    result = job("--", "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (result.status, result.stdout, result.stderr) == (3, "", "")
    (mail,) = relay.messages
    assert mail.subject.endswith("> sh -c 'echo one; echo two >&2; exit 3'")
    assert mail.body.startswith("exit status 3 after ")
    assert "\none\ntwo\n" in mail.body
    assert (mail.sender, mail.recipients) == ("cron@example.test", ("ops@example.test",))
    assert mail.parsed["X-Cronwrap-Result"] == "exit 3"
    assert job("outbox").stdout == "the outbox is empty\n"
