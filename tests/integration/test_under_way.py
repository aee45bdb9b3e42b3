"""A run under way: its output so far on disk, ``tail``, ``stop``, and what is left of one that was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from cronwrap.history import journal, records, stopping
from support.cli import ATTACKER
from support.jobs import lives, number

TOKEN = "ghp_abcdefghij1234567890abcd"


@pytest.fixture
def under_way(cli, wait_until):
    """Start a run, and wait until it is on record; gives its process, and its id as ``run``."""

    def start(name, line, *options, **popen):
        process = cli.start("-n", name, *options, "--", "sh", "-c", line, **popen)
        process.run = wait_until(
            lambda: next((f["run"] for f in records.running(cli.state, name) if f["pid"] == process.pid), "")
        )
        return process

    return start


def output_files(cli):
    try:
        return sorted(os.listdir(os.path.join(cli.state, "output")))
    except FileNotFoundError:
        return []


def on_disk(cli):
    """Give all that lies in the directory of the outputs."""
    content = b""
    for name in output_files(cli):
        with open(os.path.join(cli.state, "output", name), "rb") as file:
            content += file.read()
    return content


def last(cli, *words):
    return json.loads(cli("show", *words, "--json").stdout)


# tail -------------------------------------------------------------------------------------------


def test_tail_gives_all_there_is_and_what_comes_to_the_octet_and_ends_with_the_runs_status(
    cli, under_way, tmp_path
):
    """The run is joined before its first second and after it; both see the same."""
    line = (
        f"printf 'first\\377\\033[1m\\n'; echo {TOKEN[:9]}`sleep 1.1`{TOKEN[9:]}; echo err >&2; "
        f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; i=0; "
        "while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 7"
    )
    run = under_way("job", line)
    tail = [cli.start("tail", "job", stdout=subprocess.PIPE)]
    time.sleep(1.5)  # both ways to begin are wanted: from the record alone, and from what is on disk
    tail.append(cli.start("tail", run.run[4:], stdout=subprocess.PIPE))
    (tmp_path / "go").touch()
    expected = b"first\377\033[1m\n[redacted]\nerr\n" + b"".join(b"line %d\n" % i for i in range(2000))
    for process in tail:
        assert process.communicate()[0] == expected
        assert process.returncode == 7
    assert run.wait() == 7
    assert output_files(cli) == []
    ended = cli("tail")
    assert (ended.status, ended.out) == (7, expected)
    assert "has ended" in ended.stderr
    assert "exit 7" in ended.stderr


def test_a_secret_is_never_on_disk_in_clear_however_it_comes(cli, under_way, wait_until):
    """Not in pieces, not with the other stream in between, and not a user's own over two lines."""
    cli.write_config("mailto = ''\n[redact]\npatterns = ['pin:\\s*\\d+']\n")
    line = (
        f"sleep 1.1; echo one; printf {TOKEN[:20]}; sleep 0.3; echo between >&2; echo {TOKEN[20:]}; "
        "echo pin:; sleep 0.3; echo 4711; sleep 0.3; echo two; echo three; sleep 60"
    )
    run = under_way("job", line)
    seen = []

    def complete():
        seen.append(on_disk(cli))
        return b"two" in seen[-1]

    wait_until(complete)
    for content in seen:
        assert b"abcdefghij" not in content
        assert b"4711" not in content
    taken_out = seen[-1].count(b"[redacted]")
    # The token is in one piece, or in two where the other stream came in between; then what that says may
    # be taken for the token's end as well.
    assert taken_out in (2, 3, 4), seen[-1]
    shown = last(cli, "job")
    assert (shown["result"], shown["output_head"].count("[redacted]")) == ("running", taken_out)
    run.send_signal(signal.SIGTERM)
    run.wait()


def test_a_flood_is_bounded_on_disk_and_whoever_cannot_keep_up_is_told(cli, under_way):
    run = under_way(
        "job", "sleep 1.2; head -c 30M /dev/zero; echo; echo end; sleep 0.5", "--max-output", "64K"
    )
    tail = cli.start("tail", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    most = 0
    while tail.poll() is None and run.poll() is None:
        most = max(most, len(on_disk(cli)))
        time.sleep(0.02)
    out, err = tail.communicate()
    assert tail.returncode == 0
    assert out.endswith(b"\nend\n")
    assert b"left out here" in err
    assert 0 < most < 64 * 1024 * 3 // 2


def test_on_a_terminal_escapes_are_shown_and_not_obeyed(cli):
    cli("-n", "job", "--", "printf", r"\033]0;title\007\033[2Jtext\n", MAILTO="")
    terminal = cli.terminal("tail", "job")
    terminal.wait()
    assert b"text" in terminal.shown
    assert b"\033]0;" not in terminal.shown
    assert b"\033[2J" not in terminal.shown


def test_tail_of_nothing_says_so(cli):
    result = cli("tail")
    assert (result.status, result.stdout) == (1, "")
    assert "no run is on record yet" in result.stderr
    assert "no run and no job x" in cli("tail", "x").stderr


# killed -----------------------------------------------------------------------------------------


def test_the_report_of_a_killed_run_has_its_output_so_far_and_then_it_is_gone(cli, under_way, wait_until):
    run = under_way("job", f"echo told; echo {TOKEN}; echo err >&2; sleep 60")
    wait_until(lambda: b"err" in on_disk(cli))
    run.kill()
    run.wait()
    assert cli("-n", "job", "--", "true").status == 0
    (item,) = (json.loads(line) for line in cli("outbox", "--json").stdout.splitlines())
    report = cli("outbox", "show", item["id"]).stdout
    for words in ("abandoned: cronwrap was killed", "told\n", "[redacted]\n", "err\n"):
        assert words in report
    assert TOKEN not in report
    assert output_files(cli) == []
    shown = last(cli, run.run)
    assert shown["result"] == "abandoned"
    assert (
        shown["output_head"] == "told\n[redacted]\nerr\n" or shown["output_head"] == "err\ntold\n[redacted]\n"
    )
    assert shown["stderr_bytes"] == 4


def test_a_disk_that_does_not_answer_costs_the_output_so_far_alone(cli):
    """Neither the job nor its report waits for it."""
    code = (
        "import sys, time; import cronwrap.history.live_output as live\n"
        "live.Writer.__init__ = lambda *a: time.sleep(1000)\n"
        "from cronwrap.__main__ import main; sys.exit(main())"
    )
    began = time.monotonic()
    process = cli.start(
        "-c",
        code,
        "-n",
        "job",
        "--",
        "sh",
        "-c",
        "echo out; sleep 1.5; echo more; exit 3",
        program=sys.executable,
    )
    assert process.wait(timeout=30) == 3
    assert time.monotonic() - began < 8
    shown = last(cli, "job")
    assert (shown["result"], shown["output_head"]) == ("failed", "out\nmore\n")


def test_a_disk_that_does_not_answer_keeps_no_signal_from_the_job(cli, tmp_path, wait_until):
    code = (
        "import sys, time; import cronwrap.history.stopping as stopping\n"
        "stopping.asked = lambda *a: time.sleep(1000)\n"
        "from cronwrap.__main__ import main; sys.exit(main())"
    )
    line = f"trap 'exit 7' TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.1; done"
    run = cli.start("-c", code, "-n", "job", "--", "sh", "-c", line, program=sys.executable)
    wait_until(lambda: number(str(tmp_path / "pid")))
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=10) == 7


# stop -------------------------------------------------------------------------------------------


def test_stop_ends_the_whole_tree_and_the_report_says_who_did_it(cli, under_way, tmp_path, wait_until):
    line = f"(trap '' TERM; echo $$; exec setsid sh -c 'echo $$ >{tmp_path}/pid; sleep 60') & wait"
    run = under_way("job", line, "--kill-after", "0.3s", "--retries", "3", "--retry-delay", "0")
    other = wait_until(lambda: number(str(tmp_path / "pid")))
    result = cli("stop", "job")
    assert (result.status, result.stderr) == (0, "")
    assert f"run {run.run} of job: stopped after" in result.stdout
    assert run.wait() == 124
    assert not lives(other)
    shown = last(cli, run.run)
    assert (shown["result"], shown["tries"], shown["mailed"]) == ("stopped", 1, True)
    name = cli.env["USER"]
    assert shown["reasons"] == [f"stopped by {name} (uid {os.getuid()}) with cronwrap stop"]
    report = cli("outbox", "show", run.run).stdout
    assert f"\nstopped by {name} after " in report
    assert "X-Cronwrap-Result: stopped\n" in report
    assert cli("status", "--json").stdout.count('"failures_in_a_row": 1') == 1
    assert [name for name in os.listdir(os.path.join(cli.state, "runs")) if name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--retries", "2", "--retry-delay", "60"), "exit 3"),
        (("--jitter", "100d"), "exit 3"),
        (("--overlap", "wait"), "exit 3"),
    ],
)
def test_stop_ends_a_run_that_waits(cli, options, line, wait_until):
    cli.env["MAILTO"] = ""
    holder = None
    if "--overlap" in options:
        holder = cli.start("-n", "job", "--overlap", "skip", "--", "sleep", "60")
        wait_until(lambda: list(records.running(cli.state)))
    run = cli.start("-n", "job", *options, "--", "sh", "-c", line)

    def runs():
        found = [*records.running(cli.state), *stopping.waiting(cli.state)]
        return next((fields["run"] for fields in found if fields["pid"] == run.pid), "")

    wanted = wait_until(runs)
    if "--retries" in options:
        wait_until(lambda: not any(p.name() == "sh" for p in cli.processes()))
    assert cli("stop", wanted).status == 0
    assert run.wait(timeout=10) == 124
    shown = last(cli, wanted)
    assert shown["result"] == "stopped"
    assert not list(stopping.waiting(cli.state))
    if holder:
        assert holder.poll() is None


def test_of_several_runs_none_is_stopped_until_one_is_named(cli, under_way):
    first, second = under_way("job", "sleep 60"), under_way("job", "sleep 60")
    result = cli("stop", "job")
    assert result.status == 1
    assert first.run in result.stderr
    assert second.run in result.stderr
    assert (first.poll(), second.poll()) == (None, None)
    assert cli("stop", first.run[-8:]).status == 0
    assert first.wait() == 124
    assert second.poll() is None
    assert cli("stop").status == 0
    assert second.wait() == 124
    assert "no run is under way" in cli("stop").stderr
    assert "stopped" in cli("stop", "job").stderr


def test_a_process_that_has_the_number_by_now_is_not_hit(cli):
    """A record whose cronwrap has gone, or began at another time, leads to nobody."""
    bystander = subprocess.Popen(["sleep", "60"])
    fields = {"run": "20260101T000000-00000000", "job": "job", "command": "x", "host": "h", "user": "u"}
    entry = journal.begin(cli.state, {**fields, "started": 1.0})
    try:
        path = os.path.join(cli.state, "runs")
        name = next(name for name in os.listdir(path))
        told = {**entry.fields, "pid": bystander.pid, "pid_started": 1}
        with open(os.path.join(path, name), "r+b") as file:
            file.write(journal.frame(told))
        result = cli("stop", "job")
        assert result.status == 1
        assert "cannot be reached from here" in result.stderr
        assert bystander.poll() is None
    finally:
        entry.withdraw()
        bystander.kill()
        bystander.wait()


# Which run is meant -----------------------------------------------------------------------------


def test_a_run_is_named_by_its_id_any_part_of_it_or_its_job(cli):
    cli.env["MAILTO"] = ""
    for name in ("a", "b", "b"):
        assert cli("-n", name, "--", "echo", name).status == 0
    *_rest, run = [json.loads(line) for line in cli("history", "--json").stdout.splitlines()]
    assert run["job"] == "a"
    assert (
        last(cli, run["run"])["run"]
        == last(cli, "a")["run"]
        == last(cli, run["run"][7:])["run"]
        == run["run"]
    )
    assert last(cli)["job"] == last(cli, "b")["job"] == "b"
    ambiguous = cli("show", run["run"][:8])
    assert ambiguous.status == 1
    assert f"{run['run']} (a)" in ambiguous.stderr
    # A job's name wins over a part of an id.
    part = run["run"][-8:]
    assert cli("-n", part, "--", "echo", "mine").status == 0
    assert last(cli, part)["job"] == part


def test_root_finds_stops_and_sees_the_runs_of_others_as_those_others(cli, needs, wait_until):
    """The command becomes the run's owner; who did it is known all the same."""
    needs("root")
    home = tempfile.mkdtemp(dir="/tmp")  # where another user can get to
    os.chmod(home, 0o755)
    mine = os.path.join(home, "mine")
    os.mkdir(mine)
    os.chown(mine, ATTACKER, ATTACKER)
    state = os.path.join(mine, ".local/state/cronwrap")
    env = {"HOME": mine, "PATH": cli.env["PATH"], "MAILTO": "", "CRONWRAP_DELIVERY_BACKGROUND": "false"}
    # Python may be where only root may look: all is loaded before the process becomes another user.
    load = (
        "import importlib, os, pkgutil, pwd, sys, cronwrap\n"
        "for module in pkgutil.walk_packages(cronwrap.__path__, 'cronwrap.'):\n"
        "    importlib.import_module(module.name)\n"
        "from cronwrap.__main__ import main\n"
    )
    one = f"*[{ATTACKER}] * 3"
    become = f"os.setgroups([]); os.setresgid({one}); os.setresuid({one}); sys.exit(main())"
    words = ["-n", "theirs", "--", "sh", "-c", "echo told; sleep 60"]
    run = subprocess.Popen([sys.executable, "-c", load + become, *words], env=env, cwd=mine)
    code = (
        f"{load}import cronwrap.commands.others as others\n"
        f"user = pwd.struct_passwd(('somebody', 'x', {ATTACKER}, {ATTACKER}, '', {mine!r}, '/bin/sh'))\n"
        "others._users = lambda: [user]; others.state_variable = lambda _environ: ''\n"
        "sys.exit(main())"
    )
    try:
        wait_until(lambda: os.path.isdir(os.path.join(state, "output")))

        def by_root(*told):
            process = cli.start("-c", code, *told, program=sys.executable, stdout=-1, stderr=-1, text=True)
            out, err = process.communicate(timeout=30)
            return process.returncode, out, err

        status, out, err = by_root("stop", "theirs")
        assert (status, err) == (0, "")
        assert "of theirs: stopped after" in out
        assert run.wait(timeout=10) == 124
        status, out, err = by_root("show", "theirs")
        assert (status, err) == (0, "")
        assert "stopped by root (uid 0) with cronwrap stop" in out
        assert out.endswith("told\n")
        assert by_root("tail", "theirs")[:2] == (124, "told\n")
        for place, _directories, names in os.walk(state):
            for name in names:
                assert os.stat(os.path.join(place, name)).st_uid == ATTACKER
    finally:
        run.kill()
        run.wait()
        shutil.rmtree(home)
