"""Whatever is wrong with cronwrap, before a job starts or while it runs: it runs, with all that is its."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

import cronwrap
from cronwrap import log
from cronwrap.outbox.store import Outbox
from support.cli import CRONWRAP
from support.tracing import need_strace, with_faults

PACKAGE = os.path.dirname(os.path.abspath(cronwrap.__file__))
START = """
import sys
sys.path.insert(0, {place!r})
{before}
from cronwrap.__main__ import leave, main
leave(main(sys.argv[1:]))
"""
SAID = "sh", "-c", "echo said; exit 7"


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    os.utime(cli.config, (1_700_000_000, 1_700_000_000))
    assert cli("--", "true").status == 0
    return cli


@pytest.fixture
def copy(job, tmp_path):
    """A copy of the package that a test may break, and what runs it."""
    place = str(tmp_path / "copy")
    shutil.copytree(PACKAGE, f"{place}/cronwrap", ignore=shutil.ignore_patterns("__pycache__"))

    def run(*words, before=""):
        process = job.start(
            "-c", START.format(place=place, before=before), *words,
            program=sys.executable, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = process.communicate(timeout=100)
        return process.returncode, out.decode(), err.decode()

    run.place = f"{place}/cronwrap"
    return run


# Before the start -------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [5, 6, 7, 8, 9, 10, 11, 12, 14])
def test_a_job_runs_with_hardly_any_descriptors_and_its_output_is_not_lost(job, relay, room):
    words = f"ulimit -n {room}; exec {CRONWRAP} -- sh -c 'echo said; exit 7'"
    process = job.start("-c", words, program="/bin/sh", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7
    kept = Outbox(job.state).items()[0]
    assert b"said\n" in out + err or kept or any("said" in mail.body for mail in relay.messages)


@pytest.mark.parametrize(
    "fault",
    [
        "pipe2:error=EMFILE", "pipe2:error=EMFILE:when=2+", "clone:error=EAGAIN:when=1",
        "rt_sigprocmask:error=EINVAL:when=1+", "prctl:error=ENOSYS", "setpgid:error=EPERM",
        "dup2:error=EBUSY", "set_robust_list:error=ENOSYS", "wait4:error=ENOSYS:when=1",
    ],
)  # fmt: skip
def test_a_fault_around_the_start_keeps_no_job_from_running(job, fault):
    need_strace()
    call = fault.partition(":")[0]
    words = [*with_faults(call, fault)[1:], CRONWRAP, "--", "sh", "-c", "mkdir ran; exit 7"]
    process = job.start(*words, program="strace", stderr=subprocess.DEVNULL)
    assert process.wait(60) == 7
    assert os.listdir(job.home) == ["ran"]  # once


@pytest.mark.parametrize(
    "module", ["run", "settings.load", "pipeline.context", "job.overlap", "job.signals", "job.supervise"]
)
def test_a_module_that_is_missing_before_the_start_keeps_no_job_from_running(copy, module):
    os.unlink(f"{copy.place}/{module.replace('.', '/')}.py")
    status, out, err = copy("--", *SAID)
    assert (status, out) == (7, "said\n")
    assert "nobody watches it" in err


# While it runs ----------------------------------------------------------------------------------


def test_a_package_removed_under_a_job_that_took_its_time_costs_nothing(copy, relay):
    status, out, err = copy("--", "sh", "-c", f"echo said; sleep 3; rm -r {copy.place}; exit 7")
    assert (status, out) == (7, "")
    # What sends is loaded when something is to be sent: until it is there again the report waits.
    assert relay.messages or "the report is kept" in err


def test_a_package_removed_under_a_short_job_costs_neither_status_nor_output(copy):
    status, _out, err = copy("--", "sh", "-c", f"echo said; rm -r {copy.place}; exit 7")
    assert status == 7
    assert "said\n" in err


@pytest.mark.parametrize("module", ["_sqlite3", "resource", "_ctypes", "zlib", "_socket"])
def test_what_cannot_be_imported_costs_what_it_is_for_alone(copy, relay, module):
    before = f"sys.modules[{module!r}] = None"
    assert copy("--", "true", before=before)[:2] == (0, "")
    assert copy("--", *SAID, before=before)[0] == 7
    if module != "_socket":  # without which nothing can be sent
        (mail,) = relay.messages
        assert "\nsaid\n" in mail.body
    assert "abandoned" not in copy("history")[1]


@pytest.mark.parametrize("module", ["reader", "capture", "start_report", "supervise"])
def test_what_watches_a_job_is_there_before_it_starts(copy, relay, module):
    gone = f"{copy.place}/job/{module}.py"
    assert copy("--", "sh", "-c", f"rm {gone}; echo said; exit 7")[:2] == (7, "")
    (mail,) = relay.messages
    assert "\nsaid\n" in mail.body


@pytest.mark.parametrize("words", [("--jitter", "0.1"), ("--overlap", "wait"), ("--once",)])
def test_what_few_runs_need_keeps_none_from_running(copy, words):
    before = "sys.modules['cronwrap.pipeline.under_way'] = None"
    assert copy("-n", "j", *words, "--", *SAID, before=before)[0] == 7


def test_a_bug_of_ours_while_the_job_runs_costs_neither_status_nor_report(copy, relay):
    before = (
        "from cronwrap.job import reader\n"
        "def fail(*words): raise RuntimeError('a bug')\n"
        "reader.Reader._read = fail"
    )
    line = "echo said; sleep 0.3; head -c 300000 /dev/zero; exit 7"
    assert copy("--", "sh", "-c", line, before=before)[0] == 7
    (mail,) = relay.messages
    assert "said" in mail.body
    assert "a bug" in mail.body


def test_a_bug_of_ours_when_it_has_ended_costs_neither_status_nor_output(copy):
    before = (
        "from cronwrap.report import compose\n"
        "def fail(*words): raise RuntimeError('a bug')\n"
        "compose.compose = fail"
    )
    status, _out, err = copy("--", *SAID, before=before)
    assert status == 7
    assert "\nsaid\n" in err
    assert "a bug" in err
    assert "abandoned" not in copy("history")[1]


# Time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--timeout", "--idle-timeout"])
def test_a_cronwrap_that_was_stopped_makes_no_timeout_of_a_job_that_ended_in_time(job, wait_until, option):
    line = "touch started; sleep 0.5; echo said; exit 0"
    process = job.start(option, "2s", "--on", "never", "--", "sh", "-c", line)
    wait_until(lambda: os.path.exists(f"{job.home}/started"))
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)  # the time itself is what is tested
    process.send_signal(signal.SIGCONT)
    assert process.wait(30) == 0


# The system log ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_system_log_that_nobody_reads_is_not_waited_for(monkeypatch, tmp_path, kind):
    place = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, kind) as daemon:
        daemon.bind(place)
        if kind == socket.SOCK_STREAM:
            daemon.listen(0)
        monkeypatch.setattr(log, "PLACES", (place,))
        began = time.monotonic()
        taken = [log.log("x" * 4000) for _ in range(2000)]
        assert taken[0]
        assert not taken[-1]
        assert time.monotonic() - began < 30


def test_a_line_reaches_the_system_log_as_syslog_writes_it(monkeypatch, tmp_path):
    place = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(place)
        monkeypatch.setattr(log, "PLACES", (place,))
        assert log.log("a\x1b[2Jb\0c\ud800")
        line = daemon.recv(9000).decode()
    assert line.startswith("<75>")
    assert line.endswith(f" cronwrap[{os.getpid()}]: a?[2Jb?c?")


def test_without_a_system_log_nothing_is_said_to_be_in_it(monkeypatch, tmp_path):
    monkeypatch.setattr(log, "PLACES", (str(tmp_path / "none"),))
    assert not log.log("lost")
