"""Many jobs of one user that fail at the same instant, against a relay with the usual limits."""

from __future__ import annotations

import subprocess
from collections import Counter

from cronwrap.outbox.store import Outbox

JOBS = 40
CONNECTIONS, MESSAGES = 2, 30


def reports(relay):
    return [report for mail in relay.messages for report in mail.reports]


def test_each_report_of_a_storm_arrives_once_within_the_limits_of_the_relay(cli, make_relay, wait_until):
    relay = make_relay(max_connections=CONNECTIONS, max_messages=MESSAGES)
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    cli.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    jobs = [
        cli.start("--", "sh", "-c", f"echo job {number}; exit 3", stderr=subprocess.PIPE)
        for number in range(JOBS)
    ]
    for job in jobs:
        _out, err = job.communicate(timeout=60)
        assert (job.returncode, err) == (3, b"")
    wait_until(lambda: len(reports(relay)) >= JOBS)
    found = Counter(
        report.get_body(("plain",)).get_content().partition("\njob ")[2].splitlines()[0]
        for report in reports(relay)
    )
    assert found == Counter(str(number) for number in range(JOBS))
    assert relay.counters.peak <= CONNECTIONS
    assert relay.counters.refused == 0
    assert relay.counters.connections < JOBS
    assert Outbox(cli.state).failed() == []


def test_the_storm_leaves_nobody_behind(cli, make_relay, wait_until):
    relay = make_relay()
    cli.write_config(f'mailto = "ops@example.test"\n{relay.table}')
    cli.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
    jobs = [cli.start("--", "false") for _ in range(5)]
    assert [job.wait(60) for job in jobs] == [1] * 5
    wait_until(lambda: not cli.processes())
    assert len(relay.messages) == 5
    assert Outbox(cli.state).ids() == []
