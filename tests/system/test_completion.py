"""Shell completion, asked of the shells themselves."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from support.documents import PROJECT

PLACE = os.path.join(PROJECT, "completions")
ASK_BASH = """
source {file}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_cronwrap
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
CASES = [
    ("cronwrap out", "outbox"),
    ("cronwrap crontab unw", "unwrap"),
    ("cronwrap --idle", "--idle-timeout"),
    ("cronwrap history --fai", "--failed"),
    ("cronwrap --overlap sk", "skip"),
    ("cronwrap --name status --form", "--format"),
    ("cronwrap -t a@b --name x -- trunca", "truncate"),
    ("cronwrap -- ls /etc/passw", "/etc/passwd"),
    ("cronwrap crontab lint /etc/passw", "/etc/passwd"),
]


def lines_of(*command):
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=30)
    return done.stdout.splitlines() + done.stderr.splitlines()


def test_the_files_are_what_the_command_line_is_now():
    # In a process of its own: click remembers help options as the first caller in a process has them.
    tool = os.path.join(PROJECT, "tools", "completions.py")
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(("line", "wanted"), [*CASES, ("cronwrap --on failure,reco", "failure,recovery")])
def test_bash_completes(needs, line, wanted):
    needs("bash")
    words = " ".join(map(shlex.quote, line.split()))
    script = ASK_BASH.format(file=shlex.quote(os.path.join(PLACE, "cronwrap.bash")), words=words)
    assert wanted in lines_of("bash", "--norc", "-c", script)


@pytest.mark.parametrize("line", ["cronwrap --name ", "cronwrap outbox nosuch"])
def test_bash_offers_nothing_where_nothing_is_known(needs, line):
    needs("bash")
    words = " ".join([*map(shlex.quote, line.split()), *(["''"] if line.endswith(" ") else [])])
    script = ASK_BASH.format(file=shlex.quote(os.path.join(PLACE, "cronwrap.bash")), words=words)
    assert lines_of("bash", "--norc", "-c", script) == [""]


@pytest.mark.parametrize(("line", "wanted"), [*CASES, ("cronwrap --on failure,reco", "failure,recovery")])
def test_fish_completes(needs, tmp_path, line, wanted):
    needs("fish")
    file = shlex.quote(os.path.join(PLACE, "cronwrap.fish"))
    script = f"source {file}; complete -C {shlex.quote(line)}"
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=30,
    )
    assert wanted in [offer.partition("\t")[0] for offer in done.stdout.splitlines()], done.stderr


def test_zsh_completes(needs, cli):
    needs("zsh")
    shell = cli.terminal("-f", "-i", program="/usr/bin/zsh", env={"PS1": "ready> "})
    shell.resize(24, 200)
    shell.read_until(b"ready> ")
    place = shlex.quote(PLACE)
    shell.write(f"fpath=({place} $fpath); autoload -Uz compinit; compinit -u -D; PS1='s''et> '\n".encode())
    for line, wanted in CASES:
        shell.read_until(b"set> ")
        shell.shown = b""
        # Tab completes, Ctrl-A goes to the beginning of the line, and what is put there prints the rest.
        shell.write(f"{line}\t\x01print -r -- 'LI''NE:' \n".encode())
        shell.read_until(f"LINE: {line.rpartition(' ')[0]} {wanted}".encode())
