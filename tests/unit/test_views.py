"""What people and programs see of the past: in 80 columns, in a pipe, and as JSON."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from datetime import datetime

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.commands import history as history_command
from cronwrap.commands import show as show_command
from cronwrap.commands import status as status_command
from cronwrap.commands import views
from cronwrap.history import journal
from cronwrap.history.folding import fold
from cronwrap.job import use
from cronwrap.mail import Envelope, Message
from cronwrap.model import STDERR, STDOUT, Mark, Output

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COMMANDS = {
    "history": history_command.command,
    "show": show_command.command,
    "status": status_command.command,
}
PROGRAM = """
import importlib, sys
from types import SimpleNamespace
class Settings(dict):
    state_dir, fleet = sys.argv[1], None
settings = Settings({"history.keep": 90 * 86400.0})
module = importlib.import_module("cronwrap.commands." + sys.argv[2])
module.command(sys.argv[3:], obj=SimpleNamespace(settings=lambda: settings), prog_name="cronwrap")
"""


class Settings(dict):
    fleet = None

    def __init__(self, state_dir):
        super().__init__({"history.keep": 90 * 86400.0, "delivery.background": False})
        self.state_dir = state_dir


class Obj:
    def __init__(self, state_dir):
        self.reported = []
        self._settings = Settings(state_dir)

    def settings(self):
        return self._settings

    def report_abandoned(self, entries):
        for entry in entries:
            self.reported.append(entry.fields["run"])
            entry.finish({"result": "abandoned", "ended": time.time(), "mailed": True})


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


def invoke(state, *words, obj=None, status=0):
    result = CliRunner().invoke(COMMANDS[words[0]], words[1:], obj=obj or Obj(state), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def on_terminal(state, *words, columns=80, status=0, **variables):
    """Give what a command writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= {"TERM": "xterm", "LANG": "C.UTF-8", **variables}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, state, *words],
        stdout=slave,
        stderr=slave,
        stdin=slave,
        env=environment,
    ) as process:
        os.close(slave)
        written = b""
        try:
            while piece := os.read(master, 65536):
                written += piece
        except OSError:  # EIO: the last writer closed the terminal
            pass
        os.close(master)
        assert process.wait() == status, written
    return written.decode().replace("\r\n", "\n")


def record(state, run, result="ok", job="backup", ago=600.0, output=None, **more):
    started = time.time() - ago
    start = {"job": job, "command": f"/opt/{job} --all", "host": "db1", "user": "root", "started": started}
    entry = journal.begin(
        state, {"run": run, **start, **{key: more.pop(key) for key in ("command",) if key in more}}
    )
    entry.finish({"ended": started + 3, "duration": 3.0, "result": result, **more}, output)


def rows(text):
    return [re.split(r" {2,}", line) for line in text.splitlines()]


def test_history_has_a_line_for_each_run_newest_first(state):
    record(state, "20260302T040506-aaaaaaaa", ago=7200)
    record(state, "20260302T040506-bbbbbbbb", "failed", exit_code=2, ago=600)
    entry = journal.begin(
        state,
        {
            "run": "20260302T040506-cccccccc",
            "job": "new",
            "command": "x",
            "host": "h",
            "user": "u",
            "started": time.time(),
        },
    )
    assert rows(invoke(state, "history")) == [
        ["RUN", "STARTED", "RESULT", "TOOK", "JOB", "COMMAND"],
        ["cccccccc", "just now", "running", "new", "x"],
        ["bbbbbbbb", "10 min ago", "exit 2", "3.0 s", "backup", "/opt/backup --all"],
        ["aaaaaaaa", "2 h ago", "ok", "3.0 s", "backup", "/opt/backup --all"],
    ]
    assert len(rows(invoke(state, "history", "--job", "backup"))) == 3
    assert len(rows(invoke(state, "history", "--failed"))) == 2
    assert len(rows(invoke(state, "history", "--since", "1h"))) == 3
    assert len(rows(invoke(state, "history", "-n", "1"))) == 2
    assert invoke(state, "history", "--job", "none") == "no runs\n"
    entry.release()


def test_history_as_json_has_the_promised_keys_and_times_with_offset(state):
    record(
        state, "r1", "failed", exit_code=2, reasons=("exit status 2",), output_bytes=3, mailed=True, tries=2
    )
    [line] = invoke(state, "history", "--json").splitlines()
    run = json.loads(line)
    assert " ".join(run) == (
        "run job command host user started ended duration result exit_code signal tries reasons"
        " output_bytes cpu_seconds max_rss_bytes mailed"
    )
    assert (run["mailed"], run["reasons"], run["tries"], run["exit_code"]) == (True, ["exit status 2"], 2, 2)
    assert datetime.fromisoformat(run["started"]).utcoffset() is not None
    assert datetime.fromisoformat(run["ended"]).timestamp() == pytest.approx(time.time() - 597, abs=60)


def test_a_running_run_in_json_has_no_end(state):
    entry = journal.begin(
        state, {"run": "r1", "job": "j", "command": "c", "host": "h", "user": "u", "started": time.time()}
    )
    run = json.loads(invoke(state, "history", "--json"))
    assert (run["result"], run["ended"], run["duration"], run["mailed"]) == ("running", None, None, False)
    entry.release()


@pytest.mark.parametrize("words", [("history",), ("status",), ("show",)])
def test_80_columns_are_enough_whatever_the_names(state, words):
    record(state, "20260302T040506-aaaaaaaa", "failed", exit_code=255, command="/opt/日本語 " + "ä" * 200)
    record(state, "20260302T040506-bbbbbbbb", job="日本" * 40, command="e\u0301" * 200, ago=8e5)
    record(state, "20260302T040506-cccccccc", job="x" * 64, command="a\tb\nc\x1b[31mred\u202eevil", ago=60)
    plain = ESCAPE.sub("", on_terminal(state, *words, status=int(words == ("status",))))
    assert "\x1b" not in plain
    assert "\u202e" not in plain
    if words != ("show",):
        assert max(views.width(line) for line in plain.splitlines()) <= 80
        column = {
            views.width(line[: line.index(word)])
            for line, word in zip(plain.splitlines(), marks(plain), strict=True)
        }
        assert len(column) == 1


def marks(plain):
    """Give what stands in the RESULT column of each line."""
    return [
        next(word for word in ("RESULT", "exit 255", "ok") if word in line) for line in plain.splitlines()
    ]


def test_a_narrow_terminal_is_no_reason_to_fail(state):
    record(state, "20260302T040506-aaaaaaaa")
    assert "backup" in on_terminal(state, "history", columns=20)


def test_colour_is_for_terminals_and_for_those_who_want_it(state):
    record(state, "r1", "failed")
    assert "\x1b[31mfailed" in on_terminal(state, "history")
    assert "\x1b" not in on_terminal(state, "history", NO_COLOR="1")
    assert "\x1b" not in on_terminal(state, "history", TERM="dumb")
    assert "\x1b" not in invoke(state, "history")


def test_a_pipe_gets_whole_lines(state):
    record(state, "r1", command="x" * 500)
    assert "x" * 500 in invoke(state, "history")


def test_a_reader_that_goes_away_is_no_error(state):
    for number in range(200):
        record(state, f"r{number}", command="x" * 2000)
    shell = '"$0" -c "$@" | head -n 1'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, PROGRAM, state, "history", "-n", "200"],
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"RUN")
    assert done.stderr == b""


def test_show_has_all_that_is_known_and_the_output(state):
    output = Output(
        head=b"out\n\x1b[2Jerr\n",
        stdout_bytes=4,
        stderr_bytes=8,
        marks=(Mark(offset=0, stream=STDOUT, elapsed=0.0), Mark(offset=4, stream=STDERR, elapsed=0.1)),
    )
    record(
        state,
        "r1",
        "failed",
        output=output,
        exit_code=2,
        reasons=("exit status 2", "too long"),
        output_bytes=12,
        stdout_bytes=4,
        stderr_bytes=8,
        cpu_seconds=1.5,
        max_rss_bytes=1 << 20,
        tries=3,
        quiet_reason="--after 3",
    )
    text = invoke(state, "show")
    for line in (
        "run       r1",
        "result    exit 2",
        "because   exit status 2; too long",
        "took      3.0 s",
        "tries     3",
        "CPU time  1.5 s",
        "memory    1.0 MiB at most",
        "by        root at db1",
        "mailed    no: --after 3",
        "output    12 B, 8 B of it on stderr",
    ):
        assert line in text.splitlines()
    # A pipe gets what was written, a terminal what is harmless, with stderr told from stdout.
    assert text.endswith("\n\nout\n\x1b[2Jerr\n")
    assert on_terminal(state, "show").endswith("\n\nout\n\x1b[31m␛[2Jerr\x1b[0m\n")


def test_show_says_what_was_left_out(state):
    output = Output(head=b"a\nb", tail=b"y\nz\n", left_out_bytes=5000, left_out_lines=7, stdout_bytes=5007)
    record(state, "r1", output=output, output_bytes=5007, stdout_bytes=5007)
    assert invoke(state, "show", "r1").endswith("\na\nb\n[… 4.9 KiB, 7 lines left out …]\ny\nz\n")


def test_show_as_json_has_the_output(state):
    record(state, "r1", output=Output(head=b"a\xff\n"), quiet_reason="nothing to report")
    run = json.loads(invoke(state, "show", "--json"))
    assert (run["output_head"], run["quiet_reason"], run["left_out_bytes"]) == (
        "a\\xff\n",
        "nothing to report",
        0,
    )


def test_status_has_a_line_a_job(state, monkeypatch):
    monkeypatch.setattr(use, "of_run", lambda _run: None)  # the run is this process, which may have children
    for number, result in enumerate(("ok", "ok", "failed", "failed")):
        record(state, f"r{number}", result, ago=(4 - number) * 3600, exit_code=0 if result == "ok" else 2)
    record(state, "r9", job="tidy", ago=90)
    entry = journal.begin(
        state,
        {
            "run": "now",
            "job": "tidy",
            "command": "c",
            "host": "h",
            "user": "root",
            "started": time.time() - 65,
        },
    )
    table = rows(invoke(state, "status", status=1))
    assert table == [
        ["JOB", "RESULT", "ENDED", "TOOK", "USUALLY"],
        ["backup", "exit 2", "59 min ago", "3.0 s", "3.0 s", "2 failures in 2 h"],
        ["tidy", "ok", "1 min ago", "3.0 s", "3.0 s", "running for 1 min 5 s"],
    ]
    backup, tidy = map(json.loads, invoke(state, "status", "--json", status=1).splitlines())
    assert (backup["failures_in_a_row"], backup["usual_duration"], backup["running"]) == (2, 3.0, None)
    assert (tidy["job"], tidy["result"], tidy["running"]) == ("tidy", "ok", "now")
    entry.release()


def test_status_of_nothing_says_so(state):
    assert invoke(state, "status") == "no job has run yet\n"


@pytest.mark.parametrize("words", [(), ("--json",), ("--long",)])
def test_status_exits_with_1_as_long_as_a_job_is_failing(state, words):
    record(state, "r1", job="good", ago=3000)
    invoke(state, "status", *words)
    record(state, "r2", "failed", ago=2000, exit_code=2)
    record(state, "r3", "skipped", ago=1900)
    record(state, "r4", job="good", ago=1000)
    invoke(state, "status", *words, status=1)
    invoke(state, "status", "--job", "backup", *words, status=1)
    assert "backup" not in invoke(state, "status", "--job", "good", *words)
    record(state, "r5", ago=900)
    invoke(state, "status", *words)


def test_status_finds_abandoned_runs_and_has_them_reported_once(state):
    code = (
        "import os, sys; from cronwrap.history import journal;"
        " journal.begin(sys.argv[1], {'run': 'dead', 'job': 'j',"
        " 'command': 'c', 'host': 'h', 'user': 'u', 'started': 1.0}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, state], check=False)
    obj = Obj(state)
    assert "abandoned" in invoke(state, "status", obj=obj, status=1)
    assert "abandoned" in invoke(state, "status", obj=obj, status=1)
    assert obj.reported == ["dead"]


@pytest.mark.parametrize(("age", "first"), [(7200.0, True), (600.0, False)])
def test_the_outbox_comes_first_once_a_report_has_waited_for_an_hour(state, age, first):
    from cronwrap.outbox.store import Outbox  # noqa: PLC0415

    message = Message(
        envelope=Envelope(sender="a@example.com", recipients=("b@example.com",)),
        content=b"Subject: x\r\n\r\nx\r\n",
        job="j",
        subject="x",
    )
    record(state, "r1")
    Outbox(state).store("m1", message, time.time() - age)
    lines = invoke(state, "status").splitlines()
    assert lines[0 if first else -1].startswith("outbox: 1 report waits for")


def test_an_unreadable_record_is_said_beside_the_table(state):
    record(state, "r1")
    with open(os.path.join(state, "runs", "r2.00000000.end"), "wb") as file:
        file.write(b"garbage")
    result = CliRunner().invoke(COMMANDS["history"], [], obj=Obj(state))
    assert "cronwrap: the record of a run could not be read" in result.stderr
    assert "r1" in result.stdout


def test_a_broken_history_is_said_and_what_waits_is_shown(state):
    record(state, "r1")
    fold(state)
    with open(os.path.join(state, "history.db"), "wb") as file:
        file.write(b"x" * 5000)
    record(state, "r2")
    result = CliRunner().invoke(COMMANDS["history"], [], obj=Obj(state))
    assert "is set aside as" in result.stderr
    assert invoke(state, "history").splitlines()[1].startswith("r2")


@given(text=st.text(), columns=st.integers(1, 40))
def test_what_is_fitted_never_takes_more_columns(text, columns):
    line = views.printable(text)
    assert "\n" not in line
    assert views.width(views.fit(line, columns)) <= columns
