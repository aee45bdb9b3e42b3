"""In a terminal a job under cronwrap is used as without it: reading, Ctrl-C, Ctrl-Z, fg, passwords."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from support.cli import CRONWRAP
from support.jobs import catches, lives, number

READ = "read x; echo got $x"
PASSWORD = "import getpass; print('got', getpass.getpass('Password: '))"


@pytest.fixture
def shell(cli, wait_until):
    """A real interactive bash in a terminal, where ``cronwrap`` is the installed one."""
    terminal = cli.terminal(
        "--norc",
        "--noprofile",
        "-i",
        program="/bin/bash",
        env={
            "PS1": "<ready>",
            "PATH": f"{os.path.dirname(CRONWRAP)}:{cli.env['PATH']}",
            "CRONWRAP_ON": "never",
        },
    )
    terminal.read_until(b"<ready>")
    terminal.resize(24, 1000)  # no echo of a command is broken into lines

    def say(line, wanted=b"<ready>"):
        """Type a line and read on to what is wanted, its echo left out."""
        terminal.shown = b""
        terminal.write(line.encode() + b"\n")
        typed = line.split("\n")[0].encode()[:20]
        terminal.read_until(typed)
        while b"\n" not in terminal.shown.partition(typed)[2]:  # the rest of the echo may say what is wanted
            assert terminal._read(10)
        terminal.shown = terminal.shown.partition(typed)[2].partition(b"\n")[2]
        return terminal.read_until(wanted)

    def goes_on(of_job):
        front = os.tcgetpgrp(terminal.master)
        if front == terminal.process.pid:
            return False
        leader = psutil.Process(front)
        # With a job it is the job's turn: cronwrap has handed over and told it to go on.
        waits = not of_job or CRONWRAP not in leader.cmdline()[:2]
        return waits and leader.status() != psutil.STATUS_STOPPED

    def fg(*, of_job=True):
        """Bring the stopped job to the foreground; the shell says so just before it does.

        A Ctrl-Z that comes before the job has gone on is lost: SIGCONT discards it (signal(7)).
        """
        say("fg", b"cronwrap")
        wait_until(lambda: goes_on(of_job))

    terminal.say, terminal.fg = say, fg
    yield terminal
    terminal.process.send_signal(signal.SIGKILL)


def test_a_job_reads_from_the_terminal(shell):
    shell.say(f"cronwrap -- sh -c 'echo ask; {READ}'", b"ask")
    shell.write(b"hello\n")
    shell.read_until(b"got hello")
    shell.read_until(b"<ready>")


def test_the_terminal_is_the_shells_again_after_the_job(shell):
    shell.say("cronwrap -- sh -c 'read x'", b"")
    shell.write(b"x\n")
    shell.read_until(b"<ready>")
    assert b"status 0" in shell.say("echo status $?", b"status 0")


def test_ctrl_c_ends_the_job_with_its_status(shell):
    # A shell that is about to start a program may take a Ctrl-C as meant for that one, and wait for its end.
    shell.say("cronwrap -- sh -c 'echo runs; exec sleep 60'", b"runs")
    shell.write(b"\x03")
    shell.read_until(b"<ready>")
    shell.say("echo status $?", b"status 130")


CATCH = """
import os, signal, sys, time
caught = []
def catch(number, frame):
    caught.append(number)
    os.write(1, b"caught")
signal.signal(signal.SIGINT, catch)
os.write(1, b"runs")
while not caught:
    time.sleep(0.01)
sys.exit(7)
"""


def test_a_job_that_wants_ctrl_c_for_itself_keeps_it(shell, cli):
    with open(f"{cli.home}/job.py", "w", encoding="ascii") as file:
        file.write(CATCH)
    shell.say(f"cronwrap -- {sys.executable} job.py", b"runs")
    shell.write(b"\x03")
    shell.read_until(b"caught")
    shell.read_until(b"<ready>")
    shell.say("echo status $?", b"status 7")


def test_ctrl_z_stops_and_fg_goes_on(shell):
    shell.say(f"cronwrap -- sh -c 'echo runs; {READ}'", b"runs")
    shell.write(b"\x1a")
    shell.read_until(b"Stopped")
    shell.read_until(b"<ready>")
    shell.fg()
    shell.write(b"hello\n")
    shell.read_until(b"got hello")
    shell.read_until(b"<ready>")


def test_ctrl_z_twice_is_no_different(shell):
    shell.say(f"cronwrap -- sh -c 'echo runs; {READ}'", b"runs")
    for _ in range(2):
        shell.shown = b""
        shell.write(b"\x1a")
        shell.read_until(b"Stopped")
        shell.read_until(b"<ready>")
        shell.fg()
    shell.write(b"hello\n")
    shell.read_until(b"got hello")


def test_a_stopped_job_goes_on_in_the_background(shell):
    shell.say("cronwrap -- sh -c 'echo runs; read x; echo never'", b"runs")
    shell.write(b"\x1a")
    shell.read_until(b"Stopped")
    shell.read_until(b"<ready>")
    # In the background it asks for the terminal again, and is stopped for that.
    shell.say("bg; wait; jobs", b"Stopped")
    shell.say("kill %1; fg; echo status $?", b"status 143")


def test_a_job_in_the_background_that_reads_is_stopped_until_fg(shell):
    shell.say(f"cronwrap -- sh -c '{READ}' &", b"<ready>")
    shell.say("wait; jobs -l", b"Stopped")
    shell.fg()
    shell.write(b"hello\n")
    shell.read_until(b"got hello")
    shell.read_until(b"<ready>")


def test_in_a_pipeline_the_job_reads_from_the_terminal_too(shell):
    shell.say(f"cronwrap --live -- sh -c 'echo ask >&2; {READ}' | cat", b"ask")
    shell.write(b"hello\n")
    shell.read_until(b"got hello")
    shell.read_until(b"<ready>")


def test_ctrl_c_in_a_pipeline_reaches_the_job(shell):
    shell.say("cronwrap --live -- sh -c 'echo runs; exec sleep 60' | cat", b"runs")
    shell.write(b"\x03")
    shell.read_until(b"<ready>")
    shell.say("echo status ${PIPESTATUS[0]}", b"status")


def test_ctrl_z_in_a_pipeline_stops_all_of_it(shell):
    shell.say(f"cronwrap --live -- sh -c 'echo runs; {READ}' | cat", b"runs")
    shell.write(b"\x1a")
    shell.read_until(b"Stopped")
    shell.read_until(b"<ready>")
    shell.fg()
    shell.write(b"hello\n")
    shell.read_until(b"got hello")


def test_a_password_is_asked_for_without_an_echo(shell):
    shell.say(f'cronwrap -- python3 -c "{PASSWORD}"', b"Password: ")
    shell.write(b"secret\n")
    shown = shell.read_until(b"got secret")
    assert shown.count(b"secret") == 1


def test_a_password_is_asked_for_whatever_the_streams_are(shell, cli):
    path = os.path.join(cli.home, "out")
    shell.say(
        f'cronwrap -- python3 -c "{PASSWORD}" </dev/null >{path} 2>&1; cronwrap show >>{path}', b"Password: "
    )
    shell.write(b"secret\n")
    shell.read_until(b"<ready>")
    with open(path, encoding="utf-8") as file:
        assert "got secret" in file.read()


def test_the_job_sees_the_windows_size_and_its_changes(shell):
    line = 'trap "stty size" WINCH; trap "exit 3" INT; echo runs; while :; do sleep 0.02; done'
    shell.say(f"cronwrap -- bash -c '{line}'", b"runs")
    shell.resize(33, 111)
    shell.read_until(b"33 111")
    shell.write(b"\x03")
    shell.read_until(b"<ready>")


def test_live_output_is_not_stopped_by_tostop(shell):
    shell.say("stty tostop")
    shell.say("cronwrap -- sh -c 'echo hello; sleep 0.1; echo again $((1 + 1))'", b"again 2")
    shell.read_until(b"<ready>")


def test_a_try_that_left_the_terminal_to_somebody_dead_does_not_take_it_from_the_next(shell, cli, wait_until):
    """An interactive shell is killed while a group of its own is in the foreground."""
    with open(f"{cli.home}/try.sh", "w", encoding="ascii") as file:
        file.write("if [ -e n ]; then read x; echo got $x; exit; fi\n>n\nexec bash -ic 'sh ./kill.sh; :'\n")
    with open(f"{cli.home}/kill.sh", "w", encoding="ascii") as file:
        file.write("kill -9 $PPID\n")
    shell.say("cronwrap --retries 1 --retry-delay 0s -- sh ./try.sh", b"")
    wait_until(lambda: os.path.exists(f"{cli.home}/n"))
    shell.write(b"hello\n")
    shell.read_until(b"got hello")


def test_ctrl_z_while_cronwrap_waits_stops_it_as_well(shell, wait_until):
    shell.say("cronwrap --jitter 100d -- true", b"")
    wait_until(lambda: catches(os.tcgetpgrp(shell.master), signal.SIGTSTP))
    shell.write(b"\x1a")
    shell.read_until(b"Stopped")
    shell.read_until(b"<ready>")
    shell.fg(of_job=False)
    shell.write(b"\x03")
    shell.read_until(b"<ready>")
    shell.say("echo status $?", b"status 130")


def test_where_no_shell_could_go_on_ctrl_z_does_not_stop(cli):
    """As the leader of its session cronwrap has nobody who would let it go on: as without it, no stop."""
    terminal = cli.terminal("--on", "never", "--", "sh", "-c", f"echo runs; {READ}")
    terminal.read_until(b"runs")
    terminal.write(b"\x1a")
    terminal.write(b"hello\n")
    terminal.read_until(b"got hello")
    assert terminal.wait(20) == 0


def test_a_job_that_cannot_have_the_terminal_is_not_left_hanging(cli, tmp_path, wait_until):
    """In an orphaned process group nobody will ever bring it to the foreground."""
    inner = f"{CRONWRAP} --on never -- sh -c 'echo $$ >{tmp_path}/job; read x'; echo $? >{tmp_path}/status"
    script = (
        "import os, sys\n"
        "if not os.fork():\n"
        "    os.setpgid(0, 0)\n"
        f"    if not os.fork(): os.execvp('sh', ['sh', '-c', {inner!r}])\n"
        "    os._exit(0)\n"
        "os.wait(); print('orphaned', flush=True); sys.stdin.read()\n"
    )
    terminal = cli.terminal("-c", script, program="/usr/bin/python3")
    terminal.read_until(b"orphaned")
    assert wait_until(lambda: number(f"{tmp_path}/status")) == 128 + signal.SIGHUP


def test_a_closed_terminal_ends_the_job(cli, tmp_path, wait_until):
    terminal = cli.terminal("--on", "never", "--", "sh", "-c", f"echo $$ >{tmp_path}/job; sleep 60")
    job = wait_until(lambda: number(f"{tmp_path}/job"))
    os.close(terminal.master)
    cli._masters.remove(terminal.master)
    wait_until(lambda: not lives(job))
    terminal.process.wait(20)


def test_without_a_terminal_nothing_of_this_matters(cli):
    process = cli.start(
        "--live", "--", "sh", "-c", "cat </dev/tty; echo $?", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert b"No such device or address" in process.communicate(timeout=20)[0]
