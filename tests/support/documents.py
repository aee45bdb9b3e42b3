"""The documents' blocks of code, and a stage on which their commands are run.

docs/README.md tells writers which language is treated how.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.cli import SCRIPTS, Cli, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.relay import Relay

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

RELAY, USER, PASSWORD = "smtp.example.com", "cron@example.com", "secret"
"""What documents call the relay, and its login there; the relay of the stage has to know it."""
COMMAND_LIMIT = 60.0
MARK = "\x1e"
"""Stands in the session's output between two commands (ASCII: record separator)."""

PROGRAMS = {
    "backup": "echo copying /srv/www\necho 'tar: /mnt/backup: No space left on device' >&2\nexit 2\n",
    # The real one would change the crontab of whoever runs the tests.
    "crontab": """case ${1-} in
-l) cat "$HOME/.crontab" 2>/dev/null || { echo "no crontab for $LOGNAME" >&2; exit 1; } ;;
-) cat >"$HOME/.crontab.new" && mv "$HOME/.crontab.new" "$HOME/.crontab" ;;
*) cp "$1" "$HOME/.crontab" ;;
esac
""",
}
"""What the documents' commands find beside the programs of the machine."""

_FENCE = re.compile(r"^```(\S*)[ ]?(.*)$")
_NOT_RUN = re.compile(r"^<!-- not run: .+ -->$")
_INDENTED = re.compile(r"^(?:    |\t)(.*)$")
_INLINE = re.compile(r"(?<!`)`(cronwrap [^`]+)`(?!`)")
_PROMPT, _MORE = "$ ", "> "


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    line: int
    """Of its first line of text, counted from 1."""
    language: str
    extra: str
    """What stands behind the language."""
    text: str
    excused: bool
    """Whether a comment above it says why it is not run."""


@dataclass(frozen=True)
class Step:
    """One command of a session, and what the document says comes of it."""

    command: str
    shown: str


def documents() -> list[str]:
    """Give the paths of all documents, relative to the project."""
    found = [name for name in os.listdir(PROJECT) if name.endswith(".md")]
    for directory, _, names in os.walk(os.path.join(PROJECT, "docs")):
        found += [os.path.relpath(os.path.join(directory, name), PROJECT) for name in names]
    return sorted(name for name in found if name.endswith(".md"))


def read(document: str) -> str:
    """Give the text of a document."""
    with open(os.path.join(PROJECT, document), encoding="utf-8") as file:
        return file.read()


def blocks(text: str) -> Iterator[Block]:
    """Give the fenced blocks of a document."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening:
            above = [line for line in lines[:number] if line.strip()]
            begin = number = number + 1
            while lines[number].rstrip() != "```":
                number += 1
            inside = "".join(f"{line}\n" for line in lines[begin:number])
            excused = bool(above and _NOT_RUN.match(above[-1]))
            yield Block(begin + 1, opening[1], opening[2].strip(), inside, excused)
        number += 1


def unfenced(text: str) -> Iterator[tuple[int, str]]:
    """Give number and text of the lines outside of fenced blocks."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def indented_tables(text: str) -> Iterator[tuple[int, str]]:
    """Give the indented blocks that are TOML, by their first line."""
    begin, gathered = 0, ""
    for number, line in [*unfenced(text), (0, "end")]:
        found = _INDENTED.match(line)
        if found or (gathered and not line.strip()):
            begin = begin if gathered else number
            gathered += f"{found[1] if found else ''}\n"
            continue
        if re.match(r"\[\[?[a-z.]+\]", gathered):
            yield begin, gathered
        gathered = ""


def mentions(text: str) -> Iterator[tuple[int, str]]:
    """Give what documents say about command lines without running them: code spans, indented lines."""
    for number, line in unfenced(text):
        indented = _INDENTED.match(line)
        if indented:
            shown = indented[1].removeprefix(_PROMPT)
            if shown.startswith("cronwrap "):
                yield number, re.split(r"\s{2,}", shown)[0]
        else:
            for span in _INLINE.findall(line):
                yield number, span


def steps(block: Block) -> list[Step]:
    """Take a session apart: commands behind ``$``, continued behind ``>``, and their output."""
    found: list[list[str]] = []
    for line in block.text.splitlines():
        if line.startswith(_PROMPT):
            found.append([line.removeprefix(_PROMPT), ""])
        elif not found:
            raise AssertionError(f"line {block.line}: output before the first command")
        elif line.startswith(_MORE) and not found[-1][1]:
            found[-1][0] += "\n" + line.removeprefix(_MORE)
        else:
            found[-1][1] += line + "\n"
    return [Step(command, shown) for command, shown in found]


def matches(shown: str, real: str) -> bool:
    """Tell whether output is what a document shows; ``…`` stands for any text there."""
    pattern = ".*".join(map(re.escape, _trimmed(shown).split("…")))
    return re.fullmatch(pattern, _trimmed(real), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


class Stage:
    """A home with a relay behind it, in which the blocks of one document are run in their order."""

    def __init__(self, cli: Cli, relay: Relay) -> None:
        self._cli, self._relay = cli, relay
        programs = os.path.join(cli.home, "bin")
        os.mkdir(programs)
        for name, text in PROGRAMS.items():
            write_private(os.path.join(programs, name), f"#!/bin/sh\n{text}", mode=0o755)
        write_private(os.path.join(cli.home, "smtp-password"), f"{PASSWORD}\n")
        self.config = os.path.join(cli.home, ".config/cronwrap/config.toml")
        os.makedirs(os.path.dirname(self.config), mode=0o700)
        cli.env |= {
            "PATH": f"{programs}:{SCRIPTS}:{cli.env['PATH']}",
            "CRONWRAP_CONFIG": self.config,
            "SSL_CERT_FILE": relay.authority.ca_file,
        }
        write_private(self.config, f'mailto = "ops@example.com"\n\n{relay.table}')

    def close(self) -> None:
        """End what commands have left running."""
        self._cli.close()

    def script(self, block: Block) -> None:
        """Run a script to its end; a command that fails is a fault of the document."""
        done = self._shell("set -e\n" + block.text)
        assert done.returncode == 0, f"line {block.line}: status {done.returncode}: {done.stdout}"

    def session(self, block: Block) -> None:
        """Run a session; each command's output is what the document shows.

        A command that fails has ``$ echo $?`` behind it.
        """
        taken = steps(block)
        script = "".join(
            f"{step.command}\n__status=$?\nprintf '{MARK}%s{MARK}' $__status\n(exit $__status)\n"
            for step in taken
        )
        parts = self._shell(script).stdout.split(MARK)
        assert len(parts) == 2 * len(taken) + 1, f"line {block.line}: the shell gave up: {parts[-1]}"
        for number, step in enumerate(taken):
            output, status = parts[2 * number], parts[2 * number + 1]
            where = f"line {block.line}: $ {step.command}\n"
            assert matches(step.shown, output), f"{where}shows:\n{step.shown}\nand really:\n{output}"
            follower = taken[number + 1].command if number + 1 < len(taken) else ""
            assert status == "0" or follower == "echo $?", f"{where}failed unsaid: {status}\n{output}"

    def shown_mail(self) -> str:
        """Give the last mail that arrived, as documents show one."""
        mail = self._relay.wait_for(1)[-1]
        head = "".join(
            f"{name}: {mail.parsed[name]}\n"
            for name in ("From", "To", "Subject", "Date", "X-Cronwrap-Job", "X-Cronwrap-Result")
        )
        return self._as_documented(f"{head}\n{mail.body}")

    def _shell(self, script: str) -> subprocess.CompletedProcess[str]:
        here = f"{self._relay.host}:{self._relay.port}"
        script = re.sub(rf"{re.escape(RELAY)}(?::465)?", here, script)
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            env=self._cli.env,
            cwd=self._cli.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
        done.stdout = self._as_documented(done.stdout)
        return done

    def _as_documented(self, text: str) -> str:
        """Put the names that documents use in place of those of this machine and this test."""
        host, user = os.uname().nodename, self._cli.env["USER"]
        text = text.replace(f"{self._relay.host}:{self._relay.port}", f"{RELAY}:465")
        text = text.replace(self._cli.home, "/home/alice")
        text = re.sub(rf"<{re.escape(user)}@{re.escape(host.partition('.')[0])}>", "<alice@web1>", text)
        text = re.sub(rf"(?m)^(host +){re.escape(host)}$", r"\1web1", text)
        return re.sub(rf"(?m)^(user +){re.escape(user)}$", r"\1alice", text)


def command_words(line: str) -> list[str]:
    """Give the words of a command line in a document, without the brackets and bars of a synopsis."""
    try:
        words = shlex.split(line)
    except ValueError:  # `cronwrap -c '…` is cut on purpose
        words = line.split()
    return [word.strip("[]") for word in words if word != "|"]
