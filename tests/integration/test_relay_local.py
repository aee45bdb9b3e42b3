"""sendmail programs and maildirs, good and bad."""

from __future__ import annotations

import errno
import os
import stat
import time

import pytest

from cronwrap.mail import Envelope
from cronwrap.relay import local as relay_local
from cronwrap.relay.connect import connect
from cronwrap.relay.probe import probe
from cronwrap.settings import relays as endpoint

CONTENT = b"Subject: local\r\n\r\none\r\n.two\r\n"
ENVELOPE = Envelope(sender="cron@example.test", recipients=("a@example.test", "-b@example.test"))


@pytest.fixture
def program(tmp_path):
    """Make a sendmail of a few lines of shell."""

    def make(body):
        path = tmp_path / "sendmail"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


def send(url, envelope=ENVELOPE, content=CONTENT):
    with connect(endpoint.parse({"url": url}, "test")) as session:
        return session.send(envelope, content)


def test_sendmail_gets_the_envelope_as_arguments_and_the_message_with_lf(program, tmp_path):
    path = program(f'printf "%s\\n" "$@" >{tmp_path}/argv; cat >{tmp_path}/stdin')
    assert send(f"sendmail:{path}").delivered == ENVELOPE.recipients
    words = (tmp_path / "argv").read_text().splitlines()
    assert words == ["-i", "-f", "cron@example.test", "--", "a@example.test", "-b@example.test"]
    assert (tmp_path / "stdin").read_bytes() == b"Subject: local\n\none\n.two\n"


def test_sendmail_does_not_see_the_relays_password(program, tmp_path, monkeypatch):
    monkeypatch.setenv("CRONWRAP_RELAY_PASSWORD", "hunter2")
    assert send(f"sendmail:{program(f'env >{tmp_path}/env')}").delivered
    assert "hunter2" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize("status", range(64, 79))
def test_the_exit_status_of_sendmail_decides(program, status):
    delivery = send(f"sendmail:{program(f'echo why >&2; exit {status}')}")
    assert not delivery.delivered
    kept = delivery.refused if status in (64, 65, 67, 68) else delivery.deferred
    assert {address for address, why in kept if "why" in why} == set(ENVELOPE.recipients)
    assert bool(delivery.relay_fault) == (status in (69, 72, 77, 78))


@pytest.mark.parametrize("status", [126, 127])
def test_a_shells_failure_to_start_sendmail_is_the_relays_fault(program, status):
    assert send(f"sendmail:{program(f'exit {status}')}").relay_fault


def test_a_sendmail_that_dies_is_a_temporary_failure_of_this_message(program):
    delivery = send(f"sendmail:{program('kill -9 $$')}")
    assert "signal 9" in delivery.deferred[0][1]
    assert not delivery.relay_fault


def test_a_missing_sendmail_is_the_relays_fault(tmp_path):
    assert f"{tmp_path}/none" in send(f"sendmail:{tmp_path}/none").relay_fault


def test_a_sendmail_that_never_ends_is_killed_with_its_children(program, tmp_path, monkeypatch, wait_until):
    monkeypatch.setattr(relay_local, "SENDMAIL_LIMIT", 0.3)
    started = time.monotonic()
    delivery = send(f"sendmail:{program(f'sleep 60 & echo $! >{tmp_path}/child; wait')}")
    assert time.monotonic() - started < 10
    assert "did not end" in delivery.deferred[0][1]
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not alive(child))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_sendmail_that_reads_nothing_and_says_much_is_taken_at_its_status(program):
    big = b"x" * (1 << 20)
    path = program("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 0")
    assert send(f"sendmail:{path}", content=big).delivered


def test_what_sendmail_leaves_behind_does_not_hold_us_up(program, tmp_path):
    started = time.monotonic()
    assert send(f"sendmail:{program(f'sleep 30 & echo $! >{tmp_path}/child')}").delivered
    assert time.monotonic() - started < 10
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_cronwrap_does_not_call_itself_as_sendmail_for_ever(program, monkeypatch):
    path = program(f'test "${relay_local.WITHIN}" = 1')
    assert send(f"sendmail:{path}").delivered
    monkeypatch.setenv(relay_local.WITHIN, "1")
    assert "cronwrap itself" in send(f"sendmail:{path}").relay_fault


def test_a_maildir_is_made_and_gets_the_message_under_new(tmp_path):
    path = tmp_path / "Mail dir"
    for _ in range(3):
        assert send(f"maildir:{path}").delivered == ENVELOPE.recipients
    names = os.listdir(path / "new")
    assert len(names) == 3
    assert all((path / "new" / name).read_bytes() == b"Subject: local\n\none\n.two\n" for name in names)
    assert sorted(os.listdir(path)) == ["cur", "new", "tmp"]
    assert os.listdir(path / "tmp") == []
    assert stat.S_IMODE(os.stat(path / "new").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(path / "new" / names[0]).st_mode) == 0o600


def test_a_maildir_where_a_file_stands_is_the_relays_fault(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in send(f"maildir:{tmp_path}/file").relay_fault


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, call):
    def fail(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "m").mkdir()
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "m" / folder).mkdir()
    monkeypatch.setattr(os, call, fail)
    assert "No space left" in send(f"maildir:{tmp_path}/m").relay_fault
    assert [os.listdir(tmp_path / "m" / folder) for folder in ("tmp", "new")] == [[], []]


def test_a_filesystem_without_links_is_served_by_rename(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fail)
    assert send(f"maildir:{tmp_path}/m").delivered
    assert len(os.listdir(tmp_path / "m" / "new")) == 1


def test_a_probe_tells_whether_a_local_relay_can_be_used(program, tmp_path):
    path = program("exit 0")
    for url, good in (
        (f"sendmail:{path}", True),
        (f"sendmail:{tmp_path}/none", False),
        (f"maildir:{tmp_path}/new/dir", True),
        (f"maildir:{path}/x", False),
    ):
        (step,) = probe(endpoint.parse({"url": url}, "test"))
        assert (step.ok, bool(step.advice)) == (good, not good)
