"""run, pause, resume, mute and unmute, as they are called."""

import json
import os
import time
from email import policy
from email.parser import BytesParser

import pytest

from cronwrap.errors import StateError
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from support.cli import SCRIPTS
from support.crontab_program import put_crontab_program

TABLE = """\
PATH={scripts}:/usr/bin:/bin
CRONWRAP_STATE_DIR={state}
CRONWRAP_CONFIG={config}
CRONWRAP_DELIVERY_BACKGROUND=false
MAILTO=ops@example.test
FOO = bar baz
@daily cronwrap -n probe -- sh -c 'env >{out}; cat >>{out}; pwd >>{out}; exit 3'%one%two \\% three
@daily cronwrap -n twin -- true
@daily cd / && cronwrap -n twin -- false
@daily echo bare | cat; cut -d ' ' -f 6 /proc/$$/stat >{out}
"""


@pytest.fixture
def hand(cli, tmp_path):
    """cronwrap, with a crontab program that shows a crontab of four jobs."""
    out = tmp_path / "out"
    text = TABLE.format(scripts=SCRIPTS, state=cli.state, config=cli.config, out=out)
    (tmp_path / "table").write_text(text)
    put_crontab_program(tmp_path / "bin", tmp_path / "table")
    cli.env["PATH"] = f"{tmp_path}/bin:{cli.env['PATH']}"
    cli.env["MAILTO"] = "ops@example.test"
    cli.out = out
    return cli


def lines_of(lines, name):
    """Give the value of a variable among lines of env."""
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def latest(hand):
    return json.loads(hand("show", "--json").stdout)


def reports(hand):
    queue = os.path.join(hand.state, "outbox", "queue")
    found = []
    for name in sorted(os.listdir(queue)) if os.path.isdir(queue) else ():
        with open(os.path.join(queue, name), "rb") as file:
            content = file.read()
        mail = BytesParser(policy=policy.default).parsebytes(content[content.index(b"From:") :])
        found.append(mail.get_body(("plain",)).get_content())
    return found


def test_a_job_runs_in_crons_surroundings_and_not_in_the_callers(hand):
    done = hand("run", "probe", stdin=b"the caller's", MINE="1", TERM="xterm")
    assert done.status == 3
    lines = hand.out.read_text().splitlines()
    assert lines[-3:] == ["one", "two % three", lines_of(lines, "HOME")]
    names = {line.partition("=")[0] for line in lines[:-3]}
    assert {"HOME", "LOGNAME", "PATH", "SHELL", "FOO", "CRONWRAP_RUN_ID"} <= names
    assert not names & {"MINE", "TERM", "CRONWRAP_BY_HAND", "TMPDIR"}
    assert "FOO=bar baz" in lines


def test_a_run_by_hand_is_marked_in_record_history_and_mail(hand):
    hand("run", "probe")
    assert latest(hand)["by_hand"]
    assert "by hand" in hand("show").stdout
    assert "by hand" in hand("history").stdout
    assert json.loads(hand("history", "--json").stdout)["by_hand"]
    assert " by hand" in reports(hand)[0]


def test_a_line_without_cronwrap_is_on_record_all_the_same_and_in_a_session_of_its_own(hand):
    assert hand("run", "--line", "10").status == 0
    run = latest(hand)
    assert (run["command"].partition(";")[0], run["output_head"], run["by_hand"]) == (
        "echo bare | cat",
        "bare\n",
        True,
    )
    assert int(hand.out.read_text()) != os.getsid(0)


def test_a_name_of_several_lines_is_listed_and_the_line_decides(hand):
    done = hand("run", "twin")
    assert (done.status, done.stderr.count("--line crontab:")) == (1, 2)
    assert hand("run", "twin", "--line", "9").status == 1
    assert hand("run", "twin", "--line", "crontab:8").status == 0
    assert "did you mean probe?" in hand("run", "prob").stderr


def test_what_would_be_run_is_shown_as_a_shell_takes_it(hand):
    shown = hand("run", "probe", "--print")
    assert not hand.out.exists()
    hand.start("-c", shown.stdout, program="/bin/sh").wait()
    assert "two % three" in hand.out.read_text()


def test_a_job_is_known_from_its_first_run_on(hand):
    for name in ("first", "second"):
        hand("-n", name, "--", "true")
    assert hand("pause", "second").stderr == ""
    hand("-n", "third", "--", "true")
    assert hand("mute", "third").status == 0


def test_a_paused_job_is_skipped_until_it_is_resumed(hand):
    assert "until" in hand("pause", "probe", "--for", "2h").stdout  # it never ran, but the crontab has it
    done = hand("-n", "probe", "--", "echo", "out", MAILTO="ops@example.test")
    assert (done.status, done.out) == (75, b"")
    run = latest(hand)
    assert (run["result"], run["mailed"]) == ("skipped", False)
    assert run["reasons"][0].startswith("paused until ")
    assert "paused for" in hand("status").stdout
    assert json.loads(hand("status", "--json").stdout)["paused"]
    assert hand("run", "probe").status == 3  # by hand it runs all the same
    assert "1 run was skipped" in hand("resume", "probe").stdout
    assert hand("-n", "probe", "--", "echo", "out").status == 0
    assert sorted(("1 run was skipped" in body) for body in reports(hand)) == [False, True]


def test_a_pause_ends_by_itself(hand):
    hold = Hold(kind=holds.PAUSE, job="j", since=time.time() - 60, until=time.time() - 1, by="root")
    holds.write(hand.state, hold)
    assert hand("-n", "j", "--", "true").status == 0
    assert os.listdir(os.path.join(hand.state, "pauses")) == ["j.paused"]


def test_an_unknown_job_is_told_of_with_the_nearest_name(hand):
    done = hand("pause", "prode")
    assert (done.status, "did you mean probe?" in done.stderr) == (1, True)
    assert hand("pause", "probe", "--until", "2020-01-01").status == 2
    assert hand("mute", "probe", "--for", "1h", "--until-ok").status == 2


@pytest.mark.parametrize("content", [b"", b"garbage", b'{"kind": "pause"}', b"[" * 10_000])
def test_a_damaged_pause_pauses_nothing_and_is_told_of(hand, content):
    holds.write(hand.state, Hold(kind=holds.PAUSE, job="j", since=0.0))
    with open(os.path.join(hand.state, "pauses", "j.pause"), "wb") as file:
        file.write(content)
    done = hand("-n", "j", "--", "true")
    assert done.status == 0
    assert "it may be paused" in done.stderr
    assert "runs again" in hand("resume", "j").stdout


def test_a_full_disk_is_told_of_and_leaves_no_half_of_a_pause(hand, monkeypatch):
    monkeypatch.setattr(holds.os, "write", lambda _fd, octets: len(octets) - 1)
    with pytest.raises(StateError, match=r"j\.pause cannot be written: No space left"):
        holds.write(hand.state, Hold(kind=holds.PAUSE, job="j", since=1.0))
    assert os.listdir(os.path.join(hand.state, "pauses")) == []


def test_a_signal_goes_on_to_the_job(hand, wait_until):
    (hand.out.parent / "table").write_text(f"@daily : >{hand.out}; exec sleep 60; : cronwrap -- x\n")
    process = hand.start("run", "--line", "1")
    wait_until(hand.out.exists)
    process.terminate()
    assert process.wait() == 128 + 15


@pytest.mark.parametrize("name", ["a/../b", "ä b%c", "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 60, ".x"])
def test_a_job_of_any_name_can_be_paused(tmp_path, name):
    state = str(tmp_path / "state")
    holds.write(state, Hold(kind=holds.PAUSE, job=name, since=1.0))
    assert holds.read(state, holds.PAUSE, name).job == name
    assert [hold.job for hold in holds.every(state)] == [name]
    assert holds.read(state, holds.PAUSE, f"{name}.") is None


def test_a_muted_job_runs_and_the_first_mail_after_says_what_went_unsaid(hand):
    hand("-n", "j", "--", "true")
    hand("mute", "j")
    assert [hand("-n", "j", "--", "false").status for _ in range(2)] == [1, 1]
    assert latest(hand)["quiet_reason"].startswith("muted until unmuted")
    hand("-n", "j", "--", "true")
    assert "2 failures went unsaid" in hand("unmute", "j").stdout
    assert reports(hand) == []
    assert "was muted" in hand("status").stdout
    hand("-n", "j", "--", "false")
    hand("-n", "j", "--", "false")
    second, first = sorted(reports(hand), key=lambda body: "Failure 2 in a row" not in body)
    assert "2 failures went unsaid" in first
    assert "it succeeded again" in first
    assert "unsaid" not in second


def test_a_mute_until_it_succeeds_ends_with_the_first_good_run(hand):
    hand("-n", "j", "--", "true")
    hand("mute", "j", "--until-ok")
    hand("-n", "j", "--", "false")
    assert reports(hand) == []
    hand("-n", "j", "--", "echo", "fine")
    assert "1 failure went unsaid" in reports(hand)[0]
    hand("-n", "j", "--", "false")
    assert len(reports(hand)) == 2


def test_status_next_has_the_jobs_that_never_ran_and_fits_80_columns(hand):
    hand("run", "probe")
    table = hand("status", "--next").stdout
    assert [line.split()[1] for line in table.splitlines() if line.startswith("twin")] == ["never"]
    states = [json.loads(line) for line in hand("status", "--next", "--json").stdout.splitlines()]
    assert {state["job"] for state in states} >= {"probe", "twin"}
    assert next(state for state in states if state["job"] == "probe")["next"]
    assert f"last run {latest(hand)['run']}" in hand("status", "--long").stdout
