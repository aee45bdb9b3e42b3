"""What another user has put where the state directory is, or into it, is neither read nor written."""

from __future__ import annotations

import json
import os
import stat

import pytest

from cronwrap.history.journal import tag
from cronwrap.mail import Envelope, Message
from cronwrap.outbox.store import Outbox
from support.cli import ATTACKER

COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("history",),
    ("show",),
    ("outbox",),
    ("outbox", "list", "--json"),
    ("outbox", "show", "r1"),
    ("outbox", "flush"),
    ("outbox", "retry", "r1"),
    ("outbox", "drop", "r1"),
    ("config", "show"),
    ("doctor",),
)
NAME = ("--name", "nightly")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def picture(directory):
    """All there is below a directory: names, owners, modes, contents, times."""
    found = {}
    for place, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            path = os.path.join(place, name)
            state = os.lstat(path)
            content = b""
            if stat.S_ISREG(state.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            found[path] = (state.st_mode, state.st_uid, state.st_mtime_ns, content)
    return found


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


@pytest.fixture
def planted(job):
    """A state as a run leaves it, with a message that would go out over the relay."""
    assert job(*NAME, "--", "true").status == 0
    envelope = Envelope(sender="cron@example.test", recipients=("victim@example.test",))
    Outbox(job.state).store(
        "r1", Message(envelope=envelope, content=b"Subject: x\r\n\r\nx", job="j", subject="s"), 1.0
    )
    return job


def given_away(directory):
    for place, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            os.chown(os.path.join(place, name), ATTACKER, ATTACKER, follow_symlinks=False)


def opened(directory):
    os.chmod(directory, 0o777)


def made_sticky(directory):
    os.chmod(directory, 0o1777)


def behind_a_link(directory):
    os.rename(directory, directory + ".away")
    os.symlink(directory + ".away", directory)


HOW = [given_away, opened, made_sticky, behind_a_link]


@pytest.mark.parametrize("hostile", HOW)
def test_a_foreign_state_directory_is_neither_read_nor_written_by_any_command(planted, relay, hostile):
    hostile(planted.state)
    before = picture(os.path.realpath(planted.state))
    for words in COMMANDS:
        result = planted(*words)
        assert "internal error" not in result.stderr, words
        assert "r1" not in result.stdout.replace("Run", ""), words
    assert picture(os.path.realpath(planted.state)) == before
    assert relay.messages == []


@pytest.mark.parametrize("hostile", HOW)
def test_a_job_runs_beside_a_foreign_state_directory_and_its_report_goes_out_from_memory(
    planted, relay, hostile
):
    hostile(planted.state)
    before = picture(os.path.realpath(planted.state))
    for how in ("allow", "skip", "kill"):
        result = planted(*NAME, "--overlap", how, "--", "sh", "-c", "echo said; exit 3")
        assert result.status == 3
        assert "this run is not on record" in result.stderr
        assert any(word in result.stderr for word in ("chmod 700", "uid ", "is a link"))
    assert picture(os.path.realpath(planted.state)) == before
    assert len(relay.messages) == 3
    assert {recipient for sent in relay.messages for recipient in sent.recipients} == {"ops@example.test"}


def test_a_quiet_job_beside_a_foreign_state_directory_tells_of_it(planted):
    given_away(planted.state)
    result = planted(*NAME, "--", "true")
    assert result.status == 0
    assert f"uid {ATTACKER}" in result.stderr


@pytest.mark.parametrize("inner", ["outbox", "outbox/tmp", "outbox/queue", "outbox/failed", "runs", "locks"])
def test_a_directory_of_the_state_that_leads_elsewhere_is_not_followed(planted, relay, inner, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "old").write_bytes(b"precious")
    os.utime(victim / "old", (1, 1))
    path = os.path.join(planted.state, inner)
    os.rename(path, path + ".away")
    os.symlink(victim, path)
    before = picture(victim)
    for words in COMMANDS:
        assert "internal error" not in planted(*words).stderr, words
    assert planted(*NAME, "--", "sh", "-c", "echo said; exit 3").status == 3
    assert picture(victim) == before
    assert "ops@example.test" in {recipient for sent in relay.messages for recipient in sent.recipients}


def test_links_that_were_planted_for_files_are_not_written_through(planted, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in (
        "settings.cache",
        "history.db",
        "locks/.history",
        "locks/nightly.lock",
        "outbox/lock",
        "outbox/relays",
    ):
        path = os.path.join(planted.state, name)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(victim, path)
    for words in (*COMMANDS, (*NAME, "--", "sh", "-c", "echo said; exit 3")):
        assert "internal error" not in planted(*words).stderr, words
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("what", ["pipe", "directory", "device", "theirs"])
def test_what_is_no_file_of_ours_among_the_records_hangs_and_breaks_nothing(planted, what):
    for suffix in ("", ".end"):
        path = os.path.join(planted.state, "runs", f"r9.{tag('nightly')}{suffix}")
        if what == "pipe":
            os.mkfifo(path)
        elif what == "directory":
            os.mkdir(path)
        elif what == "device":
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        else:
            with open(path, "wb") as file:
                file.write(b"x")
            os.chown(path, ATTACKER, -1)
    assert planted("status").status == 0
    assert planted(*NAME, "--overlap", "kill", "--", "true").status == 0
    runs = [json.loads(line)["run"] for line in planted("history", "--json").stdout.splitlines()]
    assert len(runs) == 2
    assert "r9" not in runs


@pytest.mark.parametrize("place", ["queue", "failed", "tmp"])
@pytest.mark.parametrize("what", ["pipe", "theirs", "link"])
def test_what_is_no_file_of_ours_in_the_outbox_is_not_sent(planted, relay, place, what, tmp_path):
    path = os.path.join(planted.state, "outbox", place, "r9")
    queued = os.path.join(planted.state, "outbox", "queue", "r1")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        os.rename(queued, tmp_path / "r1")
        os.symlink(tmp_path / "r1", path)
    else:
        os.rename(queued, path)
        os.chown(path, ATTACKER, -1)
    planted("outbox", "flush")
    planted("outbox", "retry", "r9")
    shown = planted("outbox", "show", "r9")
    assert "internal error" not in shown.stderr
    sent = [sent.recipients for sent in relay.messages]
    assert sent == ([("victim@example.test",)] if what == "pipe" else [])


def test_an_empty_directory_of_roots_is_not_closed(job, tmp_path):
    srv = tmp_path / "srv"
    srv.mkdir()
    os.chmod(srv, 0o755)
    result = job("--", "true", CRONWRAP_STATE_DIR=str(srv))
    assert result.status == 0
    assert f"chmod 700 {srv}" in result.stderr
    assert stat.S_IMODE(os.stat(srv).st_mode) == 0o755
    assert os.listdir(srv) == []
