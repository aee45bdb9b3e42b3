"""How a cron calls a shell: which calls of ``cronwrap-shell`` run a job, and under what words.

The grammar is sh's own (POSIX.1-2017, sh): options, then TEXT for ``-c``, or a script and its arguments,
or a script on standard input. What sh would refuse is left for sh to refuse, so that its words are mailed.
"""

from __future__ import annotations

import os
import stat

from cronwrap.settings.command_line import Invocation, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SHELL = "/bin/sh"
WITH_VALUE = "oO"
"""Letters of options whose value is the next word (``-o pipefail``; ``-O`` is bash's)."""
LONG_WITH_VALUE = frozenset(("--rcfile", "--init-file"))
NO_JOB = frozenset(("--help", "--version", "--dump-strings", "--dump-po-strings"))
"""Where /bin/sh is bash these only print."""
SHORT_SCRIPT = 200
"""Octets of a script up to which its text tells more than its path: systemd-cron writes a file a line."""


class Call:
    """The words of a call of sh, sorted."""

    def __init__(self, words: Sequence[str]) -> None:
        self.letters = ""
        """Of all options that were switched on."""
        self.only_prints = False
        rest = list(words)
        while rest and len(rest[0]) > 1 and rest[0][0] in "-+":
            word = rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                self.only_prints = self.only_prints or word in NO_JOB
                del rest[: word in LONG_WITH_VALUE]
                continue
            self.letters += word[1:] if word[0] == "-" else ""
            del rest[: sum(word.count(letter) for letter in WITH_VALUE)]
        if rest[:1] == ["-"] and "c" not in self.letters:
            del rest[0]  # the old form of --
        self.operands = rest
        """TEXT and its arguments, or a script and its."""

    @property
    def of_text(self) -> bool:
        """Give whether the first operand is the text to run."""
        return "c" in self.letters

    @property
    def of_input(self) -> bool:
        """Give whether the script is standard input."""
        return not self.of_text and ("s" in self.letters or not self.operands)

    def runs_a_job(self) -> bool:
        """Give whether something is to be run without a person at the other end."""
        if self.only_prints or "i" in self.letters or "n" in self.letters:
            return False
        return bool(self.operands) if self.of_text else not (self.of_input and _is_terminal())


def job_of(words: Sequence[str]) -> Invocation | None:
    """Give the job that a call of sh runs; None when it runs none, or one that calls cronwrap by itself."""
    call = Call(words)
    if not call.runs_a_job():
        return None
    text, shown = _text_and_name(call)
    if "cronwrap" in text:
        from cronwrap.crontab.wrap import calls_cronwrap  # noqa: PLC0415  # imports `re`

        if calls_cronwrap(text):
            return None  # two mails would be one too many
    if call.of_text and list(words) == ["-c", text]:
        return Invocation(flags={}, text=text)
    return Invocation(flags={}, words=(SHELL, *words), shown=shown)


def _text_and_name(call: Call) -> tuple[str, str]:
    """Give what is run, as far as it is short, and what stands for it in a report."""
    if call.of_text:
        return call.operands[0], call.operands[0]
    if call.of_input:
        text = _short_script(0)
        return text, text or " ".join(map(quote, ("sh", *call.operands)))
    path, *arguments = call.operands
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        text = ""
    else:
        text = _short_script(handle)
        os.close(handle)
    return text, " ".join((text or quote(path), *map(quote, arguments)))


def _short_script(handle: int) -> str:
    """Give the text of a script without ``#!`` and blank lines, empty when it is long; it stays unread."""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        at = os.lseek(handle, 0, os.SEEK_CUR)
        content = os.pread(handle, SHORT_SCRIPT + 1, at)
    except OSError:
        return ""
    if len(content) > SHORT_SCRIPT or b"\0" in content:
        return ""
    lines = os.fsdecode(content).split("\n")
    if lines[0].startswith("#!"):
        del lines[0]
    return "\n".join(line for line in lines if line.strip(" \t")).strip(" \t")


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
