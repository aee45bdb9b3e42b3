"""Whatever a job, a relay or a file says, a terminal is told nothing that it would act on or hide."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from cronwrap.mail import Envelope, Message
from cronwrap.outbox.store import FAILED, Outbox
from support.cli import CRONWRAP

EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202ee\u2066f\u200bg\u200dh\u00adi\u2028j\U000e0041k"
"""Escapes, a C1 control, what turns the direction, what takes no room, a line separator, a tag."""
OURS = re.compile(rb"\x1b\[[0-9;]*m")
"""Our own colours."""
HIDDEN = ("\u202e", "\u2066", "\u200b", "\u200d", "\u00ad", "\u2028", "\U000e0041", "\x9b", "\x07")


def fit_for_a_terminal(shown):
    text = OURS.sub(b"", shown).decode(errors="strict")
    assert "\x1b" not in text, text
    for char in HIDDEN:
        assert char not in text, (hex(ord(char)), text)
    return text


@pytest.fixture
def job(cli):
    """A state in which everything that can be said was said by an enemy."""
    cli.write_config('mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n')
    cli.env["LC_ALL"] = "C.UTF-8"
    plain = "".join(char for char in EVIL if char.isprintable() or char in HIDDEN[:5])
    cli("-n", plain, "-c", f"printf '%s\\n' '{EVIL}'; exit 3 # {EVIL}")
    box = Outbox(cli.state)
    envelope = Envelope(
        sender="cron@example.test", recipients=(f'"{EVIL.replace(chr(27), "").replace(chr(7), "")}"@x',)
    )
    content = f"Subject: {EVIL}\r\nX: y\r\n\r\n{EVIL}\r\n".encode()
    item = box.store("r8", Message(envelope=envelope, content=content, job=EVIL, subject=EVIL), 1.0)
    box.update(item, item.replace(last_error=f"relay said {EVIL}", attempts=3))
    path = os.path.join(cli.state, "outbox", FAILED, "r9")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write(EVIL)
    with open(os.path.join(cli.home, "table"), "w", encoding="utf-8") as file:
        file.write(
            f"{EVIL}=1\n* * * * * {EVIL}\n99 * * * * '{EVIL}\n* * * * * cronwrap --name '{EVIL}' -- x\n"
        )
    return cli


COMMANDS = [
    ("status",),
    ("status", "--json"),
    ("history",),
    ("history", "--json"),
    ("show",),
    ("show", "--json"),
    ("outbox",),
    ("outbox", "list", "--json"),
    ("outbox", "show", "r8"),
    ("outbox", "show", "r8", "--raw"),
    ("outbox", "show", "r8", "--json"),
    ("outbox", "show", "r9"),
    ("outbox", "show", EVIL),
    ("outbox", "drop", EVIL),
    ("outbox", "flush"),
    ("show", EVIL),
    ("history", "--job", EVIL),
    ("crontab", "lint", "table"),
    ("crontab", "wrap", "table"),
    ("crontab", "wrap", EVIL),
    ("crontab", "audit", "table"),
    ("config", "show", "--job", EVIL),
    ("config", "check"),
    ("config", "import", EVIL),
    (EVIL,),
    ("status", f"--{EVIL}"),
    ("status", EVIL),
    (f"--{EVIL}", "--", "true"),
    ("--timeout", EVIL, "--", "true"),
    ("--dry-run", "--name", EVIL, "--quiet", "-c", f"printf '%s\\n' '{EVIL}'; exit 3"),
    ("--config", EVIL, "--quiet", "--", "true"),
    ("--quiet", "--chdir", EVIL, "--", "true"),
    ("--quiet", "--", EVIL),
    ("--quiet", "--overlap", "skip", "--name", EVIL, "--", "false"),
]


@pytest.mark.parametrize(
    "words", COMMANDS, ids=lambda words: " ".join(words).encode("ascii", "backslashreplace").decode()[:40]
)
def test_every_screen_and_every_error_is_fit_for_a_terminal(job, words):
    terminal = job.terminal(*words)
    terminal.wait()
    assert "Traceback" not in fit_for_a_terminal(terminal.shown)


def test_settings_and_their_faults_are_fit_for_a_terminal(job):
    strange = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}" for char in EVIL
    )
    job.write_config(
        f'mailto = "{strange}"\n"{strange}" = 1\n[defaults]\n"{strange}" = 1\ntimeout = "{strange}"\n'
        f'[jobs."{strange}"]\nchdir = "/{strange}"\n[[relay]]\nurl = "{strange}"\n'
        f'[[relay]]\nurl = "maildir:/tmp/x"\n"{strange}" = 1\n'
    )
    for words in (
        ("config", "show"),
        ("config", "show", "--json"),
        ("config", "check"),
        ("doctor",),
        ("--quiet", "--", "true"),
    ):
        terminal = job.terminal(*words)
        terminal.wait()
        assert "Traceback" not in fit_for_a_terminal(terminal.shown)


def test_an_error_about_a_directory_is_fit_for_a_terminal(job):
    place = os.path.join(job.home, "a\x1b[2J\u202eb")
    os.mkdir(place, 0o755)
    with open(os.path.join(place, "x"), "w", encoding="ascii"):
        pass
    for words in (("status",), ("doctor",), ("outbox",), ("--quiet", "--", "false")):
        terminal = job.terminal(*words, env={"CRONWRAP_STATE_DIR": place})
        terminal.wait()
        assert "chmod 700" in fit_for_a_terminal(terminal.shown)


def test_a_pipe_gets_the_output_of_a_job_as_it_was(job):
    assert EVIL.encode() in job("show").out
    assert EVIL.encode() in job("outbox", "show", "r8", "--raw").out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_standard_stream_that_is_closed_is_no_fault_of_ours(cli, closed):
    each = f'for word in show metrics -h ""; do "{CRONWRAP}" $word {closed}; echo $?; done'
    words = f'"{CRONWRAP}" -- true; {each}'
    shell = cli.start("-c", words, program="/bin/sh", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown = shell.communicate()[0].decode()
    assert "internal error" not in shown
    assert [line for line in shown.splitlines() if line.isdigit()] == ["0", "0", "0", "2"]


def test_a_working_directory_that_is_gone_is_told_where_it_is_needed(cli):
    each = f'for words in "crontab lint x" status; do "{CRONWRAP}" $words; echo $?; done'
    words = f"mkdir gone; cd gone; rmdir ../gone; {each}"
    shell = cli.start("-c", words, program="/bin/sh", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told, status, *rest = shell.communicate()[0].decode().splitlines()
    assert (told.partition(": cd ")[0], status) == (
        "cronwrap: the working directory is not there any more",
        "1",
    )
    assert rest == ["no job has run yet", "0"]
