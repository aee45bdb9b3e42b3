"""Ending a job means its whole tree, whatever it does against that; and nobody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronwrap.job import procfs
from cronwrap.job.procfs import Process
from support.jobs import lives, number, rehearse

DEAF = "trap '' TERM; while :; do sleep 60; done"
QUICK = "--timeout", "0.4", "--kill-after", "0.2"

DAEMON = "import os\nif not os.fork():\n os.setsid()\n os.fork() or os.execlp('sleep', 's', '61')"

BOMB = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 60

def stay(detached):
    # As soon as it is found it is gone: the next one has another number, and another session.
    while time.monotonic() < end:
        time.sleep(0.5)
        if os.fork():
            os._exit(0)
        if detached:
            os.setsid()
    os._exit(0)

def guard():
    for turn in range(19):
        if not os.fork():
            stay(turn % 2)
    for _ in range(40):
        os.wait()
        if not os.fork():
            stay(True)
    os._exit(0)

for _ in range(10):
    if not os.fork():
        os.setsid()
        guard()
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(60)
"""
"""Two hundred processes: some watch over others and replace who goes, the others are never long the same.

Bounded in number and time, since a machine may be too slow for the test: six hundred, and a minute.
"""


def insist(process, wait_until):
    """Ask to end again and again, with the pauses of a person; give the exit status."""

    def asked():
        if process.poll() is None:
            process.terminate()
            time.sleep(0.15)  # a second request sooner than 0.1 s is the same request
        return process.poll() is not None

    wait_until(asked, timeout=100)
    return process.returncode


def left_of(cli):
    return [process for process in cli.processes() if lives(process.pid)]


# Timeouts ---------------------------------------------------------------------------------------


def test_a_job_that_listens_to_sigterm_ends_at_the_timeout_at_once(cli):
    run = rehearse(cli, "--timeout", "0.3", "--kill-after", "50", "--", "sleep", "60")
    assert (run.status, run.result) == (124, "timeout")
    assert run.headline.startswith("timeout after 0.3")
    assert run.details["terminated"].endswith(" sleep 60")


def test_its_last_words_are_kept_and_its_own_status_changes_nothing(cli):
    line = "trap 'echo goodbye; exit 0' TERM; echo hello; exec 2>&-; while :; do sleep 0.05; done"
    run = rehearse(cli, "--timeout", "0.3", "--", "sh", "-c", line)
    assert (run.status, run.output) == (124, "hello\ngoodbye\n")


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(cli):
    run = rehearse(cli, "--timeout", "0.3", "--kill-after", "0.4", "--", "sh", "-c", DEAF)
    assert run.status == 124
    assert 0.7 <= float(run.details["duration"].split()[0]) < 3.0
    assert left_of(cli) == []


def test_no_grace_at_all_is_possible(cli):
    run = rehearse(cli, "--timeout", "0.3", "--kill-after", "0", "--", "sh", "-c", DEAF)
    assert run.status == 124
    assert left_of(cli) == []


def test_a_job_in_time_is_left_alone(cli):
    assert rehearse(cli, "--timeout", "50", "--", "sh", "-c", "sleep 0.1; exit 3").status == 3


@pytest.mark.parametrize(
    "how",
    [
        "setsid sleep 61 &",
        "nohup sleep 61 &",
        "(setsid sh -c 'sleep 61 & sleep 61' &)",
        "setsid setsid sh -c 'cd /; exec sleep 61 <&- >&- 2>&-' &",
        f'setsid sh -c "{DEAF.replace("60", "61")}" &',
        f'python3 -c "{DAEMON}"',
    ],
    ids=["setsid", "nohup", "double fork", "daemon", "deaf daemon", "forked daemon"],
)
def test_whatever_was_started_ends_with_the_job(cli, how):
    run = rehearse(cli, *QUICK, "--", "sh", "-c", f"{how}\nsleep 60")
    assert run.status == 124
    assert left_of(cli) == []
    assert " 61" in run.details["terminated"]


def test_the_rest_ends_too_when_the_job_itself_listens(cli):
    line = f'setsid sh -c "{DEAF}" & exec sleep 60'
    run = rehearse(cli, *QUICK, "--", "sh", "-c", line)
    assert run.status == 124
    assert left_of(cli) == []


def test_everybody_is_asked_just_once(cli, tmp_path):
    line = (
        f"trap 'echo $0 >>{tmp_path}/asked' TERM; [ $0 != c ] || exec setsid sh {tmp_path}/x.sh d;"
        f"[ $0 != a ] || {{ sh {tmp_path}/x.sh b & sh {tmp_path}/x.sh c & }}\n"
        "for i in $(seq 30); do sleep 0.05; done\n"
    )
    (tmp_path / "x.sh").write_text(line.replace("$0", "$1"))
    rehearse(cli, "--timeout", "0.4", "--kill-after", "0.5", "--", "sh", f"{tmp_path}/x.sh", "a")
    assert sorted((tmp_path / "asked").read_text().split()) == ["a", "b", "d"]


def test_stopped_processes_hear_of_their_end(cli, tmp_path):
    (tmp_path / "x.sh").write_text(
        f"trap 'echo heard >{tmp_path}/$1; exit' TERM; [ $1 = b ] || setsid sh {tmp_path}/x.sh b &\n"
        "kill -STOP $$; sleep 60\n"
    )
    run = rehearse(cli, "--timeout", "0.3", "--kill-after", "8", "--", "sh", f"{tmp_path}/x.sh", "a")
    assert run.status == 124
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "heard\n"
    assert left_of(cli) == []


def test_a_stopped_process_that_ignores_it_is_killed(cli):
    run = rehearse(cli, *QUICK, "--", "sh", "-c", "trap '' TERM; (kill -STOP $$; sleep 60) & sleep 60")
    assert run.status == 124
    assert left_of(cli) == []


def test_zombies_are_in_nobodys_way_and_not_named(cli):
    line = "import subprocess, time\nfor _ in range(20): subprocess.Popen(['true'])\ntime.sleep(60)"
    run = rehearse(cli, *QUICK, "--", "python3", "-c", line)
    assert run.status == 124
    assert len(run.details["terminated"].splitlines()) <= 4  # its own command has three lines


def test_an_idle_job_is_ended_and_one_that_speaks_is_not(cli):
    speak = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done; exec sleep 60"
    run = rehearse(cli, "--idle-timeout", "0.6", "--", "sh", "-c", speak)
    assert (run.status, run.result) == (124, "idle timeout")
    assert run.output == "1\n2\n3\n4\n5\n6\n"
    assert float(run.details["duration"].split()[0]) >= 1.5


def test_both_timeouts_are_told_apart(cli):
    both = "--timeout", "0.3", "--idle-timeout", "30"
    assert rehearse(cli, *both, "--", "sleep", "60").result == "timeout"


def test_what_is_still_in_the_pipe_after_the_end_is_kept(cli):
    line = "import os, time; os.write(1, b'x' * 65000); os.write(1, b'\\n' * 100); time.sleep(60)"
    run = rehearse(cli, "--timeout", "0.5", "--kill-after", "0", "--", "python3", "-c", line)
    assert run.details["output"].startswith("65,100 bytes")


def test_a_job_too_large_is_ended_and_the_report_admits_that_it_was_sampled(cli):
    line = "import time; x = b'x' * (96 << 20); time.sleep(60)"
    run = rehearse(cli, "--max-memory", "64M", "--", "sh", "-c", f'setsid python3 -c "{line}" & wait')
    assert (run.status, run.result) == (124, "memory")
    assert "above --max-memory 64 MiB; sampled" in run.headline
    assert left_of(cli) == []


def test_a_job_within_its_memory_is_left_alone(cli):
    assert rehearse(cli, "--max-memory", "1G", "--", "sh", "-c", "sleep 0.6; exit 3").status == 3


# A bomb -----------------------------------------------------------------------------------------


def test_two_hundred_processes_that_respawn_all_end(cli, wait_until):
    process = cli.start("--kill-after", "60", "--", sys.executable, "-c", BOMB)
    wait_until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 200, timeout=60)
    assert insist(process, wait_until) == 128 + signal.SIGKILL
    assert left_of(cli) == []


# Signals ----------------------------------------------------------------------------------------


def test_a_second_sigterm_kills_the_whole_tree(cli, tmp_path, wait_until):
    line = f'setsid sh -c "{DEAF}" & echo $! >{tmp_path}/pid; {DEAF}'
    process = cli.start("--kill-after", "60", "--", "sh", "-c", line)
    daemon = wait_until(lambda: number(f"{tmp_path}/pid"))
    process.terminate()
    assert lives(daemon)
    assert insist(process, wait_until) == 128 + signal.SIGKILL
    assert not lives(daemon)
    assert left_of(cli) == []


def test_one_sigterm_is_enough_while_the_job_is_being_ended(cli, tmp_path, wait_until):
    line = f"trap 'echo 1 >{tmp_path}/asked' TERM; while :; do sleep 0.05; done"
    process = cli.start("--timeout", "0.3", "--kill-after", "60", "--", "sh", "-c", line)
    wait_until(lambda: number(f"{tmp_path}/asked"))
    process.terminate()
    assert process.wait(20) == 124


def test_a_signal_cuts_the_drain_short(cli, wait_until):
    process = cli.start("--drain", "400d", "--", "sh", "-c", "sleep 61 & exit 3")
    # The job has ended once its orphan has cronwrap for a parent.
    wait_until(lambda: [child.name() for child in psutil.Process(process.pid).children()] == ["sleep"])
    process.terminate()
    assert process.wait(20) == 3


def test_a_cronwrap_that_is_killed_leaves_the_job_running(cli, tmp_path, wait_until):
    process = cli.start("--", "sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 61")
    job = wait_until(lambda: number(f"{tmp_path}/pid"))
    process.kill()
    process.wait()
    assert lives(job)


# Nobody else ------------------------------------------------------------------------------------


def test_a_number_that_was_given_to_somebody_else_is_never_hit():
    with subprocess.Popen(["sleep", "60"]) as process:
        found = procfs.started(process.pid)
        earlier = Process(pid=process.pid, started=found - 1)
        assert not procfs.send(earlier, signal.SIGKILL)
        assert process.poll() is None
        assert procfs.send(Process(pid=process.pid, started=found), signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL


def test_where_proc_is_not_that_of_our_own_numbers_nobody_is_found(monkeypatch, tmp_path):
    os.symlink(f"/proc/{os.getppid()}", tmp_path / str(os.getppid()))
    os.symlink(f"/proc/{os.getpid()}", tmp_path / str(os.getpid()))
    os.symlink("4711", tmp_path / "self")
    assert list(procfs.walk(os.getppid(), 0.0)) != []
    monkeypatch.setattr(procfs, "PROC", str(tmp_path))
    assert list(procfs.walk(os.getppid(), 0.0)) == []
    assert procfs.holders([1, 2, 3]) == []


def test_the_tree_is_found_on_a_kernel_that_lists_no_children():
    job = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & wait"])
    try:
        while len(procfs.children(job.pid)) < 2:
            pass
        assert sorted(procfs._children_by_parent(job.pid)) == sorted(procfs.children(job.pid))
    finally:
        for child in procfs.children(job.pid):
            os.kill(child, signal.SIGKILL)
        job.wait()


def test_the_other_systems_reader_gives_the_same():
    from cronwrap.job import psutil_tree  # noqa: PLC0415  # psutil, on other systems only

    job = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & wait"])
    try:
        while len(procfs.children(job.pid)) < 2:
            pass
        assert sorted(psutil_tree.children(job.pid)) == sorted(procfs.children(job.pid))
        assert psutil_tree.command(job.pid) == b"sh -c sleep 60 & sleep 60 & wait"
        assert psutil_tree.resident(job.pid) == procfs.resident([Process(pid=job.pid, started=0)])
        assert abs(psutil_tree.started(job.pid) / 1000 - time.time()) < 60
    finally:
        for child in procfs.children(job.pid):
            os.kill(child, signal.SIGKILL)
        job.wait()
    assert psutil_tree.started(job.pid) is None
    assert (psutil_tree.children(job.pid), psutil_tree.resident(job.pid), psutil_tree.command(job.pid)) == (
        [],
        0,
        b"",
    )


# Anything in any order --------------------------------------------------------------------------

ACTIONS = st.sampled_from(
    [
        "echo out",
        "echo err >&2",
        "sleep 0.05",
        "sleep 60 &",
        "setsid sleep 60 &",
        "(setsid sleep 60 &)",
        "trap '' TERM HUP",
        "exec >&-",
        "exec 2>&-",
        "kill -STOP $$",
        "kill -TERM $$",
        "kill -KILL $$",
        "kill -TERM $PPID",
        "kill -USR1 $PPID",
        "kill -INT $PPID",
        "yes | head -c 200000",
        "yes &",
        "exit 3",
        "sleep 60",
    ]
)
JOBS = st.lists(st.lists(ACTIONS, max_size=7).map("\n".join), min_size=6, max_size=6)


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(JOBS)
def test_whatever_a_job_does_its_run_ends_in_time(cli, jobs):
    options = "--timeout", "0.5", "--kill-after", "0.2", "--drain", "0.2", "--on", "never"
    processes = [cli.start(*options, "--", "sh", "-c", job, stderr=subprocess.DEVNULL) for job in jobs]
    for process, job in zip(processes, jobs, strict=True):
        assert 0 <= process.wait(15) < 256, job
    cli.kill_left()  # what outlived its job in peace


# As process 1 -----------------------------------------------------------------------------------


@pytest.fixture
def as_first(cli, needs):
    """Start ``cronwrap WORDS`` as process 1 of a pid namespace."""
    needs("namespaces")
    words = ["--pid", "--fork", "--mount-proc", "--kill-child", "--"]
    cronwrap = os.path.join(os.path.dirname(sys.executable), "cronwrap")

    def start(*more, **options):
        return cli.start(*words, cronwrap, *more, program=shutil.which("unshare"), **options)

    return start


def test_as_process_1_it_exits_with_the_jobs_status(as_first):
    process = as_first("--live", "--", "sh", "-c", "echo $PPID; exit 7", stdout=subprocess.PIPE)
    assert process.communicate(timeout=20)[0] == b"1\n"
    assert process.returncode == 7


def test_as_process_1_it_reaps_what_it_inherits(as_first):
    line = (
        "for i in $(seq 50); do (setsid true &); done\n"
        "while set -- /proc/[0-9]*; [ $# -gt 2 ]; do sleep 0.02; done; cat $1/comm $2/comm"
    )
    process = as_first("--live", "--", "sh", "-c", line, stdout=subprocess.PIPE)
    assert process.communicate(timeout=20)[0] == b"cronwrap\nsh\n"


def test_as_process_1_it_forwards_signals(as_first, tmp_path, wait_until):
    line = f"trap 'exit 42' TERM; echo 1 >{tmp_path}/ready; while :; do sleep 0.02; done"
    process = as_first("--", "sh", "-c", line)
    wait_until(lambda: number(f"{tmp_path}/ready"))
    (first,) = psutil.Process(process.pid).children()
    first.terminate()
    assert process.wait(20) == 42


def test_as_process_1_it_ends_the_whole_tree(as_first):
    line = f'(setsid sh -c "{DEAF}" &); {DEAF}'
    process = as_first(*QUICK, "--", "sh", "-c", line)
    assert process.wait(20) == 124


def test_as_process_1_it_asks_what_the_job_left_to_end_and_gives_it_time(as_first, tmp_path):
    bye = f"trap 'sleep 0.3; echo bye >{tmp_path}/bye; exit' TERM"
    daemon = f"{bye}; echo >{tmp_path}/up; while :; do sleep 0.02; done"
    line = (
        f'setsid sh -c "{daemon}" >/dev/null 2>&1 & while [ ! -e {tmp_path}/up ]; do sleep 0.02; done; exit 3'
    )
    assert as_first("--", "sh", "-c", line).wait(20) == 3
    assert (tmp_path / "bye").read_text() == "bye\n"


def test_as_process_1_it_waits_for_what_the_job_left_no_longer_than_it_may(as_first, tmp_path):
    daemon = f"trap '' TERM; echo >{tmp_path}/up; sleep 60"
    line = (
        f'setsid sh -c "{daemon}" >/dev/null 2>&1 & while [ ! -e {tmp_path}/up ]; do sleep 0.02; done; exit 3'
    )
    assert as_first("--drain", "0.5s", "--", "sh", "-c", line).wait(20) == 3


def test_the_history_has_what_a_run_used(cli):
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    cli("--", "python3", "-c", burn)
    (run,) = [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]
    assert run["cpu_seconds"] >= 0.2
    assert run["max_rss_bytes"] > 1 << 20
