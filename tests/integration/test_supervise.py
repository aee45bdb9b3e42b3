"""A job under cronwrap is what it would be without: its start, its streams, its signals, its status."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from support.cli import CRONWRAP, Result
from support.jobs import catches, lives, number, rehearse, told

EXITS = """
import os, sys
from cronwrap.model import Command
from cronwrap.job.signals import Signals
from cronwrap.job.spawn import Start, begin
from cronwrap.job.supervise import Limits, Supervisor
signals = Signals(terminal=False)

def outcome(*argv, **limits):
    start = Start(command=Command(argv=argv, text=""), environment={b"PATH": b"/usr/bin:/bin"})
    return Supervisor(begin(start, signals), Limits(**limits), signals).watch()

"""
"""A process that supervises many jobs one after the other."""

PARENT = """
import signal, subprocess, sys
signal.signal(getattr(signal, "SIG" + sys.argv[2]), lambda *_: None)
child = subprocess.Popen(["sh", sys.argv[1]])
child.wait()
sys.exit(42)
"""
"""A job with a child; both have something to do with the signal."""
SIGNALS = "SigBlk", "SigIgn", "SigCgt"
IGNORED = "HUP", "INT", "TERM", "USR1", "CHLD", "TSTP", "TTOU"
RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134}
"""Number of the system call."""
JOBS_IN_A_ROW = 300
"""What leaks once in a run shows at the second; what leaks now and then, by chance, at one of these."""


def python(script, *words):
    return subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True, timeout=110
    )


# Exit status ------------------------------------------------------------------------------------


def test_output_in_the_charset_of_the_job_s_locale_is_text(cli):
    for locale in ({"LANG": "de_DE.ISO-8859-1"}, {"LANG": "C", "LC_ALL": "de_DE@euro"}):
        run = rehearse(cli, "--", "printf", r"M\344rz\n", **locale)
        assert run.output == "März\n"
        assert "attached" not in run.details["output"]


def test_every_exit_code_is_told_apart():
    script = EXITS + (
        "for code in range(256):\n"
        "    found = outcome('/bin/sh', '-c', f'exit {code}')\n"
        "    assert (found.exit_code, found.signal, found.error) == (code, None, ''), found\n"
        "print('all')\n"
    )
    assert python(script).stdout == "all\n"


@pytest.mark.parametrize("code", [0, 1, 3, 99, 127, 255])
def test_the_exit_status_is_the_jobs_own(cli, code):
    assert cli("--", "sh", "-c", f"exit {code}").status == code


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "USR1", "PIPE", "RTMIN"])
def test_a_job_that_dies_of_a_signal_gives_128_and_its_number(cli, name):
    number = signal.Signals["SIG" + name]
    assert cli("--", "bash", "-c", f"ulimit -c 0; kill -{name} $$").status == 128 + number


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["no-such-program"], 127, "no-such-program: command not found"),
        (["/no/such/program"], 127, "/no/such/program: command not found"),
        (["./bad-interpreter"], 127, "./bad-interpreter: its interpreter was not found"),
        (["./plain-file"], 126, "./plain-file: cannot be executed: Permission denied"),
        (["/etc"], 126, "/etc: cannot be executed: Permission denied"),
        (["./binary"], 126, "./binary: cannot be executed: Exec format error"),
    ],
)
def test_what_cannot_be_executed_has_the_status_a_shell_would_give(cli, words, status, why):
    for name, content, mode in (
        ("plain-file", b"echo hello\n", 0o644),
        ("bad-interpreter", b"#!/no/such/interpreter\n", 0o755),
        ("binary", b"\x7fELF\0\0\0\0", 0o755),
    ):
        path = os.path.join(cli.home, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
    if words == ["./binary"]:
        # execvp(3) hands what the kernel does not know to the shell, which finds a binary file.
        assert cli("--", *words).status in {126, 127}
        return
    run = rehearse(cli, "--", *words)
    assert (run.status, run.headline) == (status, f"not started: {why}")


def test_a_script_without_a_first_line_is_run_by_the_shell(cli):
    path = os.path.join(cli.home, "script")
    with open(path, "w", encoding="ascii") as file:
        file.write('echo "$0 $1"; exit 5\n')
    os.chmod(path, 0o755)
    run = rehearse(cli, "--", "./script", "x y")
    assert (run.status, run.output) == (5, "./script x y\n")


def test_a_directory_that_is_not_there_is_125_and_a_report(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    assert cli("--chdir", "/no/such/place", "--", "touch", "traces").status == 125
    (mail,) = relay.wait_for(1)
    assert mail.body.startswith("not started: cannot change to the directory /no/such/place: No such file")
    assert os.listdir(cli.home) == []


def test_the_job_runs_in_the_directory_that_was_named(cli, tmp_path):
    assert rehearse(cli, "-C", str(tmp_path), "--", "pwd").output == f"{tmp_path}\n"


@pytest.mark.parametrize("named", ["~", "~/"])
def test_the_home_directory_can_be_named_where_no_shell_does_it(cli, tmp_path, named):
    assert rehearse(cli, "--", "pwd", CRONWRAP_CHDIR=named, HOME=str(tmp_path)).output == f"{tmp_path}\n"


def test_a_command_line_longer_than_the_kernel_takes_is_told(cli):
    result = cli(
        "--dry-run", "-c", "exec env x=$(head -c 200000 /dev/zero | tr '\\0' x) true", SHELL="/bin/sh"
    )
    assert result.status in {2, 126}  # the shell's own word for it


def test_no_descriptor_to_be_had_is_125_and_told():
    script = EXITS + (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) + 3,) * 2)\n"
        "found = outcome('/bin/true')\n"
        "print(found.error_status, found.error, found.exit_code)\n"
    )
    assert python(script).stdout == "125 cannot start the job: Too many open files None\n"


# What the job finds -----------------------------------------------------------------------------


def test_no_descriptor_of_cronwraps_leaks_into_the_job(cli):
    found = rehearse(cli, "--", "sh", "-c", "ls -l /proc/self/fd | tail -n +2").output
    names = [line.split(" -> ")[0].split()[-1] for line in found.splitlines()]
    assert names == ["0", "1", "2", "3"]  # 3 is ls, reading the directory
    assert found.splitlines()[3].endswith("/fd")


def test_a_descriptor_that_cronwrap_was_given_reaches_the_job(cli):
    read, write = os.pipe()
    process = cli.start("--", "bash", "-c", f"echo through >&{write}", pass_fds=[write])
    os.close(write)
    assert process.wait(20) == 0
    with open(read, "rb") as file:
        assert file.read() == b"through\n"


def test_the_environment_is_that_of_cronwrap_but_for_the_run_id(cli):
    odd = {"WITH_NEWLINE": "one\ntwo", "EMPTY": "", "CRONWRAP_RELAY_PASSWORD": "hunter2"}
    found = rehearse(cli, "--", "python3", "-c", "import os; print(repr(dict(os.environb)))", **odd)
    there = eval(found.output)
    run_id = there.pop(b"CRONWRAP_RUN_ID").decode()
    assert found.details["run"] == f"cronwrap show {run_id}"
    wanted = {**cli.env, **odd}
    del wanted["CRONWRAP_RELAY_PASSWORD"]
    assert there == {key.encode(): value.encode() for key, value in wanted.items()}


def test_what_python_does_to_the_locale_is_not_the_jobs(cli):
    for name in ("LANG", "LC_ALL"):
        cli.env.pop(name, None)
    assert "LC_CTYPE" not in rehearse(cli, "--", "env").output
    for own in ("C.UTF-8", "C", "POSIX", ""):  # Python puts its own in the place of the last three
        assert f"\nLC_CTYPE={own}\n" in f"\n{rehearse(cli, '--', 'env', LC_CTYPE=own).output}"


def test_standard_input_is_passed_through(cli):
    assert rehearse(cli, "--", "cat", stdin=b"from outside\n").output == "from outside\n"


def test_what_the_job_leaves_of_standard_input_stays_there(cli):
    line = "import sys, os; print(os.read(0, 4))"
    process = subprocess.Popen(["sh", "-c", "printf abcdefgh"], stdout=subprocess.PIPE)
    with process:
        assert cli.start("--", "python3", "-c", line, stdin=process.stdout).wait(20) == 0
        assert process.stdout.read() == b"efgh"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_obstacle(cli, closed):
    script = f"exec cronwrap -n closed -- sh -c 'echo out; echo err >&2; ls -l /proc/self/fd/' {closed}"
    path = f"{os.path.dirname(sys.executable)}:{cli.env['PATH']}"
    process = cli.start("-c", script, program="/bin/sh", env={"PATH": path})
    assert process.wait(20) == 0
    shown = cli("show").stdout
    assert "out\n" in shown
    assert "err\n" in shown


def test_the_job_is_a_process_group_of_its_own(cli):
    found = rehearse(cli, "--", "cut", "-d ", "-f1,5", "/proc/self/stat").output.split()
    assert found[0] == found[1]


def ignore_by_the_kernel(number):
    """Have the kernel ignore a signal, also one that the C library keeps to itself and lets nobody set."""
    action = (ctypes.c_ulong * 4)(signal.SIG_IGN)
    call = ctypes.CDLL(None, use_errno=True).syscall
    assert call(RT_SIGACTION[os.uname().machine], number, ctypes.byref(action), None, 8) == 0


@pytest.mark.parametrize("ignored", [0, *(signal.Signals["SIG" + name] for name in IGNORED), 32, 33])
def test_signals_are_as_cronwrap_was_started_with(cli, ignored):
    """An ignored signal stays ignored (nohup), all others have their default.

    32 and 33 are the C library's own; GNU Make 4.3 leaves them ignored to its children.
    """

    def dispositions(program, *words):
        process = cli.start(
            *words, "cat", "/proc/self/status", program=program, stdout=subprocess.PIPE,
            preexec_fn=(lambda: ignore_by_the_kernel(ignored)) if ignored else None,
        )  # fmt: skip
        lines = process.communicate()[0].decode().splitlines()
        found = dict(line.split(":\t") for line in lines if ":\t" in line)
        return {name: int(found[name], 16) for name in SIGNALS}

    without = dispositions("/usr/bin/env")
    assert not ignored or without["SigIgn"] & 1 << (ignored - 1)
    assert dispositions(CRONWRAP, "--dry-run", "--on", "always", "--") == without


def test_the_mask_is_that_cronwrap_was_started_with_and_does_not_hide_exits(cli):
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR2])

    # The job closes its output: nothing but its exit tells of its end.
    line = "import os; os.write(1, open('/proc/self/status', 'rb').read()); os.closerange(1, 3); os._exit(7)"
    process = cli.start("--dry-run", "--", "python3", "-c", line, stdout=subprocess.PIPE, preexec_fn=block)
    out = process.communicate(timeout=20)[0].decode()
    mask = 1 << (signal.SIGCHLD - 1) | 1 << (signal.SIGUSR2 - 1)
    assert f"SigBlk:\t{mask:016x}\n" in out
    assert process.returncode == 7


def test_a_broken_pipe_within_the_job_ends_its_writer(cli):
    line = "yes | head -n 1; exit ${PIPESTATUS[0]}"
    assert rehearse(cli, "--", "bash", "-c", line).status == 128 + signal.SIGPIPE


def test_a_program_of_the_system_that_the_kernel_does_not_execute_is_run_or_told_of_as_any_other(tmp_path):
    for name, text in (("plain", "echo $0; exit 5"), ("lost", "#!/not/there")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = EXITS + (
        "from cronwrap.job import spawn\n"
        "spawn.SYSTEM_PLACES = (os.fsencode(sys.argv[1]),)\n"
        "one = outcome(sys.argv[1] + '/plain')\n"
        "print(one.exit_code, one.output.kept.decode(), outcome(sys.argv[1] + '/lost').error)\n"
        "try:\n    print(os.waitpid(-1, os.WNOHANG))\n"
        "except ChildProcessError:\n    print('nobody is left')\n"
    )
    place = str(tmp_path)
    expected = f"5 {place}/plain\n {place}/lost: its interpreter was not found\nnobody is left\n"
    assert python(script, place).stdout == expected


def test_the_niceness_is_as_asked_for(cli):
    asked = max(7, os.nice(0))  # nobody but root may go below what the tests themselves run with
    assert rehearse(cli, "--nice", str(asked), "--", "nice").output == f"{asked}\n"


def test_a_niceness_that_may_not_be_set_is_told_and_the_job_runs(cli, needs):
    needs("setpriv")
    script = EXITS + (
        "from cronwrap.job.start_report import read_report\n"
        "start = Start(command=Command(argv=('true',), text=''), environment={}, nice=-5)\n"
        "print(read_report(start, b'nice 13\\n')[0])\n"
    )
    assert python(script).stdout == "niceness -5 could not be set: Permission denied\n"
    words = ["--dry-run", "--on", "always", "--nice", "-5", "--", "nice"]
    bounded = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "--"]
    found = subprocess.run(
        [*(bounded if os.geteuid() == 0 else []), CRONWRAP, *words], preexec_fn=no_higher_priority,
        env=cli.env, cwd=cli.home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "niceness -5 could not be set: Permission denied" in found.stdout
    assert f"\n{os.nice(0)}\n" in found.stdout


def no_higher_priority():
    """Take away what lets others than root set a niceness below zero (getrlimit(2), RLIMIT_NICE)."""
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))


# Signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_to_cronwrap_reach_the_jobs_group(cli, tmp_path, wait_until, name):
    child = tmp_path / "child.sh"
    child.write_text(
        f"trap 'echo child >{tmp_path}/child; exit' {name}\n"
        f"echo $$ >{tmp_path}/ready\nwhile :; do sleep 0.02; done\n"
    )
    process = cli.start("--", "python3", "-c", PARENT, str(child), name)
    wait_until(lambda: number(f"{tmp_path}/ready"))
    process.send_signal(signal.Signals["SIG" + name])
    assert process.wait(20) == 42
    with open(tmp_path / "child", encoding="ascii") as file:
        assert file.read() == "child\n"


def test_a_signal_that_comes_before_the_job_runs_is_not_lost(cli, wait_until):
    """It is sent while cronwrap is anywhere between its first line and the job's exec."""
    for _ in range(8):
        process = cli.start("--", "sleep", "60", stdout=subprocess.DEVNULL)
        wait_until(lambda pid=process.pid: catches(pid, signal.SIGTERM))
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


# Output -----------------------------------------------------------------------------------------


def test_both_streams_are_kept_in_order_of_arrival(cli):
    line = "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done"
    assert rehearse(cli, "--", "sh", "-c", line).output == "o1\ne1\no2\ne2\no3\ne3\n"


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_what_was_written_right_before_the_end_is_kept(cli, live):
    line = "head -c 900000 /dev/zero | tr '\\0' x; echo; echo the end"
    result = cli("--dry-run", "--on", "always", *live, "--", "sh", "-c", line)
    assert "output         900,009 bytes\n" in result.stdout
    assert "\nthe end\n" in result.stdout


@pytest.mark.parametrize(("size", "kept"), [("0", 0), ("1", 1), ("10", 10), ("64K", 65536)])
def test_much_output_is_kept_within_its_bounds_and_counted(cli, size, kept):
    line = "import sys; sys.stdout.write('0123456789abcde\\n' * 1000000)"
    result = cli("--max-output", size, "--", "python3", "-c", line)
    assert result.status == 0
    (run,) = [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]
    assert run["output_bytes"] == 16_000_000
    script = EXITS + (
        f"found = outcome({sys.executable!r}, '-c', {line!r}, max_output={kept}).output\n"
        f"assert len(found.kept) == {kept}, len(found.kept)\n"
        "assert found.left_out_bytes == 16_000_000 - len(found.kept)\n"
        "assert found.left_out_lines == 1000000 - found.kept.count(b'\\n')\n"
    )
    python(script)


@pytest.mark.parametrize("granted", [True, False])
def test_a_stream_that_pours_is_counted_exactly_be_its_pipe_enlarged_or_not(granted):
    line = "import os; os.write(1, b'0123456789abcde\\n' * 300000); os.write(2, b'x'); os.write(1, b'\\nend')"
    script = EXITS + (
        "import fcntl\n"
        "def refused(*_): raise PermissionError\n"
        f"fcntl.fcntl = fcntl.fcntl if {granted} else refused\n"
        f"found = outcome({sys.executable!r}, '-c', {line!r}, max_output=1000000).output\n"
        "assert (found.stdout_bytes, found.stderr_bytes) == (4800004, 1)\n"
        "assert found.left_out_lines == 300001 - found.kept.count(b'\\n'), found.left_out_lines\n"
        "assert found.tail.replace(b'x', b'').endswith(b'abcde\\n\\nend'), found.tail[-40:]\n"
    )
    python(script)


def test_a_job_that_closes_its_output_early_is_waited_for(cli):
    run = rehearse(cli, "--", "sh", "-c", "echo before; exec >&- 2>&-; sleep 0.3; exit 4")
    assert (run.status, run.output) == (4, "before\n")
    assert float(run.details["duration"].split()[0]) >= 0.3


def test_a_job_that_writes_nothing_but_holds_the_pipe_ends_as_it_ends(cli):
    assert rehearse(cli, "--", "sleep", "0.1").output == ""


# What is left behind ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["nohup sleep 60 &", "setsid sleep 60 &", "(sleep 60 &);"])
def test_what_holds_the_output_open_is_named_within_the_drain_and_lives_on(cli, how):
    run = rehearse(cli, "--drain", "1.5", "--", "sh", "-c", f"{how} echo started; exit 6")
    assert (run.status, run.output) == (6, "started\n")
    holder = run.details["still running"].splitlines()[0]
    assert holder.endswith(" sleep 60")
    (left,) = [process for process in cli.processes() if process.name() == "sleep"]
    assert holder == f"{left.pid} sleep 60"
    assert float(run.details["duration"].split()[0]) < 1.5  # the job's own time


def test_no_drain_at_all_still_reads_what_is_there(cli):
    line = "head -c 60000 /dev/zero | tr '\\0' x; sleep 60 & exit 0"
    run = rehearse(cli, "--drain", "0", "--", "sh", "-c", line)
    assert run.details["output"].startswith("60,000 bytes")
    assert "sleep 60" in run.details["still running"]


def test_no_drain_at_all_reads_all_that_is_there_at_the_end(cli, tmp_path, wait_until):
    """While cronwrap stands still more is written than it reads at a time, and the job ends."""
    line = (
        "import fcntl, os, sys, time\nfcntl.fcntl(1, 1031, 1 << 20)\n"
        f"print(os.getpid(), file=open({str(tmp_path / 'ready')!r}, 'w'))\n"
        "sys.stdin.read()\n"
        "if not os.fork(): time.sleep(60)\n"
        "os.write(1, b'x' * 900000); os._exit(0)\n"
    )
    words = "--dry-run", "--on", "always", "--drain", "0", "--", "python3", "-c", line
    process = cli.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    job = wait_until(lambda: number(str(tmp_path / "ready")))
    process.send_signal(signal.SIGSTOP)
    process.stdin.close()
    wait_until(lambda: not lives(job))
    process.send_signal(signal.SIGCONT)
    with process.stdout as file:
        out = file.read()
    run = told(Result(process.wait(20), out, b""))
    assert run.details["output"].startswith("900,000 bytes")
    assert run.details["still running"]


def test_what_holds_the_output_and_writes_for_ever_does_not_hold_up_the_report(cli):
    run = rehearse(cli, "--drain", "0.2", "--", "sh", "-c", "yes & exit 0")
    assert run.status == 0
    assert run.details["still running"].splitlines()[0].endswith(" yes")


def test_what_ends_within_the_drain_is_no_holder(cli):
    run = rehearse(cli, "--drain", "20", "--", "sh", "-c", "(sleep 0.2; echo late) & exit 0")
    assert run.output == "late\n"
    assert "still running" not in run.details


def test_a_daemon_with_streams_of_its_own_is_not_waited_for(cli, wait_until):
    line = "setsid sleep 60 >/dev/null 2>&1 </dev/null & exit 0"
    run = rehearse(cli, "--drain", "30", "--", "sh", "-c", line)
    assert "still running" not in run.details
    wait_until(lambda: [process.name() for process in cli.processes()] == ["sleep"])


def test_children_that_cronwrap_found_are_not_the_jobs(cli, tmp_path):
    """A shell with a child becomes cronwrap by exec; the job's timeout leaves that child alone."""
    script = (
        f"sleep 60 >/dev/null 2>&1 & echo $! >{tmp_path}/mine; "
        "exec cronwrap --dry-run --timeout 0.3 --kill-after 0.2 -- sh -c 'trap \"\" TERM; sleep 50; sleep 50'"
    )
    path = f"{os.path.dirname(sys.executable)}:{cli.env['PATH']}"
    process = cli.start("-c", script, program="/bin/bash", env={"PATH": path}, stdout=subprocess.PIPE)
    out = process.communicate(timeout=20)[0].decode()
    assert process.returncode == 124
    assert "sleep 50" in out
    assert "hangs" not in out
    assert "sleep 60" not in out.partition("terminated")[2]
    mine = number(f"{tmp_path}/mine")
    os.kill(mine, signal.SIGKILL)  # it is there


def test_many_exits_in_a_row_leave_no_descriptor_and_no_zombie():
    script = EXITS + (
        "def open_now(): return len(os.listdir('/proc/self/fd'))\n"
        "outcome('/bin/true'); before = open_now()\n"
        f"for turn in range({JOBS_IN_A_ROW}):\n"
        "    assert outcome('/bin/true').exit_code == 0\n"
        "assert open_now() == before, open_now()\n"
        "try:\n    os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError:\n    print('none')\n"
    )
    assert python(script).stdout == "none\n"


def test_a_clock_that_jumps_changes_no_duration_and_no_timeout():
    script = EXITS + (
        "import random, time\n"
        "true_time = time.time\n"
        "time.time = lambda: true_time() + random.choice([-1, 1]) * random.random() * 1e8\n"
        "found = outcome('/bin/sleep', '0.2')\n"
        "assert found.exit_code == 0 and 0.2 <= found.duration < 2, found\n"
        "found = outcome('/bin/sleep', '60', timeout=0.2)\n"
        "assert found.ended_by == 'timeout' and 0.2 <= found.duration < 2, found\n"
        "assert [name.split()[1] for name in found.ended_processes] == ['/bin/sleep'], found\n"
    )
    python(script)


def test_a_thousand_orphans_are_all_reaped(cli, tmp_path, wait_until):
    line = (
        "import os, sys, time\n"
        "for _ in range(1000):\n"
        "    if not os.fork():\n"
        "        os.fork()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        f"print(os.getpid(), file=open({str(tmp_path / 'ready')!r}, 'w'))\n"
        "sys.stdin.read()\n"
    )
    process = cli.start("--", "python3", "-c", line, stdin=subprocess.PIPE)
    job = wait_until(lambda: number(str(tmp_path / "ready")), timeout=60)
    wait_until(lambda: [child.pid for child in psutil.Process(process.pid).children()] == [job], timeout=60)
    process.stdin.close()
    assert process.wait(20) == 0


# Use of resources -------------------------------------------------------------------------------


def test_cpu_time_is_that_of_the_whole_tree(cli):
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    run = rehearse(cli, "--", "sh", "-c", f"python3 -c '{burn}' & python3 -c '{burn}'; wait")
    assert 0.6 <= float(run.details["CPU time"].split()[0]) < 1.5


def test_orphans_count_as_well(cli):
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    # The number of an orphan is taken until cronwrap has waited for it.
    line = (
        f"(setsid python3 -c '{burn}' >/dev/null 2>&1 & echo $! >pid)\n"
        "while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done"
    )
    run = rehearse(cli, "--", "sh", "-c", line)
    assert float(run.details["CPU time"].split()[0]) >= 0.3


def test_peak_memory_is_that_of_the_largest_process_at_least(cli):
    run = rehearse(cli, "--", "python3", "-c", "x = b'x' * (64 << 20)")
    value, unit = run.details["peak memory"].split()
    assert unit == "MiB"
    assert 64 <= float(value) < 90


def test_the_memory_of_a_tree_is_sampled_together(cli):
    hold = "import time; x = b'x' * (40 << 20); time.sleep(1.4)"
    run = rehearse(cli, "--", "sh", "-c", f'python3 -c "{hold}" & python3 -c "{hold}"; wait')
    value, unit = run.details["peak memory"].split()
    assert unit == "MiB"
    assert float(value) >= 80


# Live output ------------------------------------------------------------------------------------


def test_live_output_is_passed_on_at_once_each_stream_to_its_own(cli, tmp_path):
    fifo = str(tmp_path / "go")
    os.mkfifo(fifo)
    line = f"echo one; echo two >&2; read x <{fifo}; printf 'no line end'"
    process = cli.start("--live", "--", "sh", "-c", line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"one\n"
    assert process.stderr.readline() == b"two\n"
    with open(fifo, "w", encoding="ascii") as file:
        file.write("go\n")
    assert process.stdout.read() == b"no line end"
    assert process.wait(20) == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_does_not_hurt_the_job(cli, tmp_path, stream):
    read, write = os.pipe()
    os.close(read)
    line = f"echo hello; echo hello >&2; echo done >{tmp_path}/done"
    process = cli.start("--live", "--", "sh", "-c", line, **{stream: write})
    os.close(write)
    assert process.wait(20) == 0
    assert (tmp_path / "done").exists()


def test_a_reader_that_goes_away_in_the_middle_does_not_hurt_the_job(cli):
    line = "yes | head -c 3000000; exit 5"
    process = cli.start("--live", "--", "sh", "-c", line, stdout=subprocess.PIPE)
    process.stdout.read(1000)
    process.stdout.close()
    assert process.wait(20) == 5
    (run,) = [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]
    assert run["output_bytes"] == 3_000_000


def test_a_full_disk_below_the_live_output_does_not_hurt_the_job(cli):
    with open("/dev/full", "wb") as full:
        process = cli.start("--live", "--", "sh", "-c", "echo hello; exit 5", stdout=full)
        assert process.wait(20) == 5


def test_a_slow_reader_gets_everything_and_the_job_waits_for_it(cli):
    process = cli.start("--live", "--drain", "0", "--", "seq", "200000", stdout=subprocess.PIPE)
    waiting = os.pidfd_open(process.pid)
    assert not select.select([waiting], [], [], 0.3)[0]
    os.close(waiting)
    read = b""
    while chunk := process.stdout.read(3001):
        read += chunk
    assert read == b"".join(b"%d\n" % n for n in range(1, 200001))
    assert process.wait(20) == 0


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_a_reader_that_stops_reading_does_not_put_the_timeout_out_of_force(cli, tmp_path, wait_until, kind):
    ours, theirs = os.pipe() if kind == "pipe" else pty.openpty() if kind == "terminal" else pair()
    line = f"echo $$ >{tmp_path}/job; exec yes 2>&1"
    process = cli.start("--live", "--timeout", "0.4", "--", "sh", "-c", line, stdout=theirs)
    os.close(theirs)
    handle = os.pidfd_open(wait_until(lambda: number(f"{tmp_path}/job")))
    assert select.select([handle], [], [], 10)[0], "the job was not ended"
    os.close(handle)
    assert psutil.Process(process.pid).memory_info().rss < 14 << 20
    os.close(ours)
    assert process.wait(20) == 124


def pair():
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def test_a_job_that_waits_for_its_reader_is_not_idle(cli):
    line = "yes | head -c 300000; exit 5"
    process = cli.start("--live", "--idle-timeout", "0.2", "--", "sh", "-c", line, stdout=subprocess.PIPE)
    process.stdout.read(1)
    waiting = os.pidfd_open(process.pid)
    assert not select.select([waiting], [], [], 0.5)[0]
    os.close(waiting)
    process.stdout.read()
    assert process.wait(20) == 5


def test_both_streams_into_one_pipe_that_is_full_block_nothing(cli):
    """Room for one of the two, as poll(2) promises it to both, must not make cronwrap wait for ever."""
    line = "yes out & yes err >&2 & wait"
    process = cli.start(
        "--live", "--timeout", "0.4", "--", "sh", "-c", line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    waiting = os.pidfd_open(process.pid)
    assert not select.select([waiting], [], [], 0.6)[0]
    os.close(waiting)
    process.stdout.close()
    assert process.wait(20) == 124


def test_live_output_to_a_socket_arrives(cli):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = cli.start("--live", "--", "sh", "-c", "seq 50000", stdout=theirs)
        theirs.close()
        read = b""
        while chunk := ours.recv(65536):
            read += chunk
    assert read == b"".join(b"%d\n" % n for n in range(1, 50001))
    assert process.wait(20) == 0


def test_the_shared_stream_stays_a_blocking_one(cli):
    read, write = os.pipe()
    process = cli.start("--live", "--", "sh", "-c", "echo hello; sleep 0.1", stdout=write)
    with open(read, "rb") as file:
        assert file.readline() == b"hello\n"
        assert os.get_blocking(write)
        assert process.wait(20) == 0
        os.close(write)
