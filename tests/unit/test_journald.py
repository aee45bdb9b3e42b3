"""One structured line a run, in journald's own protocol."""

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap import journald
from cronwrap.pipeline import run_entry

RUN = {"run": "20260101T000000-12345678", "job": "nightly", "user": "u", "command": "secret", "mailed": True}
ENDED = {"result": "failed", "exit_code": 2, "signal": None, "duration": 3.14159, "tries": 1}


def read(octets):
    """Take a datagram apart, as journald does."""
    fields = {}
    while octets:
        line, _, rest = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, octets = rest[8 : 8 + length], rest[8 + length + 1 :]
            assert rest[8 + length : 8 + length + 1] == b"\n"
        else:
            octets = rest
        assert name.decode() not in fields
        fields[name.decode()] = value
    return fields


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "socket"))
        channel.settimeout(5)
        yield channel


def test_a_run_becomes_one_line_with_a_field_for_each_thing(listener):
    assert journald.tell({**RUN, **ENDED}, listener.getsockname())
    assert read(listener.recv(65536)) == {
        "MESSAGE": b"nightly: exit status 2 after 3.1 s",
        "PRIORITY": b"3",
        "SYSLOG_FACILITY": b"9",
        "SYSLOG_IDENTIFIER": b"cronwrap",
        "CRONWRAP_RUN": RUN["run"].encode(),
        "CRONWRAP_JOB": b"nightly",
        "CRONWRAP_USER": b"u",
        "CRONWRAP_RESULT": b"failed",
        "CRONWRAP_EXIT_CODE": b"2",
        "CRONWRAP_DURATION": b"3.14159",
        "CRONWRAP_TRIES": b"1",
        "CRONWRAP_MAILED": b"1",
    }


@given(job=st.text())
@settings(max_examples=50)
def test_no_name_of_a_job_makes_a_field_of_its_own(job):
    fields = read(journald.datagram({**RUN, **ENDED, "job": job}))
    assert len(fields) == 12
    octets = fields["CRONWRAP_JOB"]
    assert octets == job.encode("utf-8", "backslashreplace")[: journald.VALUE_LIMIT] or max(job) >= "\udc80"


def test_nobody_waits_for_a_journal_that_does_not_read(listener):
    taken = 0
    while journald.tell({**RUN, **ENDED}, listener.getsockname()):
        taken += 1
        assert taken < 100_000
    assert not journald.tell({**RUN, **ENDED}, listener.getsockname() + ".not-there")


def test_a_run_that_ends_is_told_where_somebody_listens(tmp_path, listener, monkeypatch):
    from cronwrap.history import journal  # noqa: PLC0415
    from cronwrap.report.verdict import Policy, judge  # noqa: PLC0415
    from support.reports import outcome  # noqa: PLC0415

    assert run_entry.JOURNALD == journald.SOCKET
    monkeypatch.setattr(run_entry, "JOURNALD", listener.getsockname())
    fields = {**RUN, "host": "h", "started": 1.0}
    del fields["mailed"]
    entry = journal.begin(os.path.join(tmp_path, "state"), fields)
    verdict = judge(outcome(), Policy(), None, 0.0)
    assert run_entry.finish(entry, verdict, ()) == ""
    found = read(listener.recv(65536))
    assert (found["CRONWRAP_JOB"], found["CRONWRAP_RESULT"], found["PRIORITY"]) == (b"nightly", b"ok", b"6")
    assert not any(b"secret" in value for value in found.values())
