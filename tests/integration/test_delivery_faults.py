"""A failing job in front of a relay that goes wrong at every stage in every way: the whole program."""

from __future__ import annotations

import time

import pytest

from cronwrap.outbox import dispatch
from cronwrap.outbox.drain import CUT_SHORT, Drainer
from cronwrap.outbox.store import Outbox
from cronwrap.settings import relays as endpoint
from support.misbehaving import CELLS

TIMEOUT, INLINE = 0.4, 1.5
"""Seconds: ``[[relay]] timeout`` and ``delivery.inline``."""
SLACK = 6.0
"""Seconds that two Pythons may take to start on a busy machine."""
REFUSING = ("mail", "rcpt", "data", "dot")
"""Where a 5xx is about this message."""


def configured(cli, server):
    cli.write_config(
        f'mailto = "ops@example.test"\n[delivery]\ninline = "{INLINE}s"\n'
        f'[[relay]]\nurl = "{server.url}"\nuser = "cron@example.test"\npassword = "secret"\n'
        f'ca-file = "{server.authority.ca_file}"\ntimeout = "{TIMEOUT}s"\n'
    )
    return cli


@pytest.mark.parametrize(("stage", "fault"), CELLS)
def test_the_report_is_kept_or_delivered_and_the_job_keeps_its_status(cli, make_misbehaving, stage, fault):
    server = make_misbehaving(stage, fault, drip_interval=0.05)
    job = configured(cli, server)
    began = time.monotonic()
    result = job("--", "sh", "-c", "echo said; exit 7")
    took = time.monotonic() - began
    assert took < INLINE + dispatch.FAREWELL + SLACK
    assert (result.status, result.out) == (7, b"")
    box = Outbox(job.state)
    queued, failed = box.items()[0], box.failed()
    if stage == "quit":
        assert (queued, failed, result.err) == ([], [], b"")
        assert len(server.accepted) == 1
        return
    if stage in REFUSING and fault == "5xx":
        assert queued == []
        assert [item.envelope.recipients for item in failed] == [("ops@example.test",)]
        assert result.stderr.startswith("cronwrap: the report failed: ops@example.test: 55")
        return
    (item,) = queued
    assert (item.attempts, failed) == (1, [])
    assert item.last_error
    assert item.next_attempt > time.time() + 30
    assert result.stderr == f"cronwrap: the report is kept: {item.last_error}\n"
    never_answered = stage == "dot" and fault in ("hang", "drip")
    cut_short = item.last_error == CUT_SHORT
    # On a busy machine the time of the run may be over before a relay has had its own.
    assert cut_short == never_answered or (cut_short and took >= INLINE)
    if stage != "connect":
        arrives_once_it_can(box, server)


def arrives_once_it_can(box, server):
    server.recover()
    relay = endpoint.from_environment(server.environment).replace(timeout=5.0)
    Drainer(box, [relay], 86400.0).drain(everything=True)
    assert box.ids() == []
    assert len(server.accepted) == 1
    assert b"\r\nsaid\r\n" in server.accepted[0]


def test_a_run_does_not_wait_longer_because_of_somebody_elses_mail(cli, make_misbehaving):
    server = make_misbehaving("rcpt", "hang")
    job = configured(cli, server)
    for _ in range(3):
        began = time.monotonic()
        assert job("--", "false").status == 1
        assert time.monotonic() - began < INLINE + dispatch.FAREWELL + SLACK
    assert len(Outbox(job.state).ids()) == 3


def test_a_job_that_succeeds_does_not_wait_for_reports_of_others(cli, make_misbehaving, wait_until):
    server = make_misbehaving("banner", "hang")
    job = configured(cli, server)
    job.env["CRONWRAP_DELIVERY_INLINE"] = "60s"
    job.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    box = Outbox(job.state)
    first = job.start("--", "false")
    wait_until(lambda: server.conversations)
    began = time.monotonic()
    assert job("--", "true").status == 0
    assert job("--", "false", CRONWRAP_DELIVERY_INLINE="50s").status == 1
    assert time.monotonic() - began < SLACK
    first.wait(60)
    assert len(box.ids()) == 2


def test_a_signal_that_asks_for_an_end_ends_the_wait(cli, make_misbehaving, wait_until):
    server = make_misbehaving("ehlo", "hang")
    job = configured(cli, server)
    process = job.start("--", "false", env={"CRONWRAP_DELIVERY_INLINE": "60s"})
    wait_until(lambda: server.conversations)
    process.terminate()
    assert process.wait(dispatch.FAREWELL + SLACK) == 1
    assert len(Outbox(job.state).ids()) == 1
