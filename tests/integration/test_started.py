"""A job started by hand by a process that goes on: its surroundings, its input, what it says."""

import os
import pwd
import resource
import time

import pytest

from cronwrap.crontab.by_hand import ByHand
from cronwrap.crontab.surroundings import Account, Daemon
from cronwrap.errors import CronwrapError
from cronwrap.manage import started
from cronwrap.manage.started import run_of, start

ME = pwd.getpwuid(os.geteuid())


def job(text, home="/", stdin=b"", daemon=None, account=None, **environment):
    return ByHand(
        words=("/bin/sh", "-c", text),
        environment={"HOME": home, "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **environment},
        stdin=stdin,
        account=account or Account(name=ME.pw_name, uid=ME.pw_uid, gid=ME.pw_gid, home=home),
        daemon=daemon or Daemon(),
    )


def said(what, seconds=20.0):
    begun = start(what)
    assert begun.wait(seconds)
    return begun.said


def test_it_has_its_input_place_limits_and_a_session_of_its_own(tmp_path):
    limits = ((resource.RLIMIT_NOFILE, (77, 77)),)
    text = "pwd; umask; ulimit -n; nice; cat; echo $X; "
    text += "cut -d' ' -f6 /proc/$$/stat >sid; echo $$ >pid; ls /proc/self/fd"
    asked = max(5, os.nice(0))  # nobody but root may go below what the tests themselves run with
    daemon = Daemon(umask=0o027, nice=asked, limits=limits)
    lines = said(job(text, str(tmp_path), b"\nfirst\nsecond", daemon, X="of us")).decode().split("\n")
    assert lines[:4] == [str(tmp_path), "0027", "77", str(asked)]
    assert lines[4:8] == ["", "first", "secondof us", "0"]
    assert lines[8:] == ["1", "2", "3", ""]  # the last one is of ls itself
    assert (tmp_path / "sid").read_text().strip() == (tmp_path / "pid").read_text().strip()


def test_a_job_that_does_not_read_keeps_nobody_waiting():
    begun = time.monotonic()
    assert said(job("echo done", stdin=b"x" * 1_000_000)) == b"done\n"
    assert said(job("wc -c", stdin=b"x" * 1_000_000)).strip() == b"1000000"
    assert time.monotonic() - begun < 20


def test_of_what_it_says_the_beginning_is_kept():
    assert len(said(job("head -c 1000000 /dev/zero; echo"))) == started.SAID_LIMIT


def test_it_goes_on_when_nobody_waits(tmp_path, wait_until):
    begun = start(job("sleep 0.3; echo done >out", str(tmp_path)))
    assert not begun.wait(0.0)
    wait_until((tmp_path / "out").exists)


def test_where_its_home_cannot_be_entered_it_runs_elsewhere():
    assert said(job("pwd", "/nonexistent")).strip() in (b"/var/spool/cron", b"/")


@pytest.mark.parametrize("variable", ["a\0b", "x" * 3_000_000])
def test_what_cannot_be_started_is_said(variable):
    with pytest.raises(CronwrapError, match="/bin/sh"):
        start(job("true", X=variable))


def test_only_root_starts_the_jobs_of_others(monkeypatch):
    monkeypatch.setattr(started.os, "geteuid", lambda: 4711)
    with pytest.raises(CronwrapError, match="only root"):
        start(job("true", account=Account(name="daemon", uid=1, gid=1, home="/")))


def test_a_run_that_is_not_on_record_is_not_waited_for_for_ever(tmp_path):
    assert run_of(str(tmp_path / "state"), ("j",), time.time(), patience=0.1) is None
