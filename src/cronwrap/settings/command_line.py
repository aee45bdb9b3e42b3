"""The command form, ``[OPTIONS] -- COMMAND [ARG]...`` or ``[OPTIONS] -c TEXT``, without click."""

from __future__ import annotations

import os

from cronwrap.model import Command, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cronwrap.errors import UsageError

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
SHELL_BASENAME = "cronwrap-shell"
"""As ``SHELL`` of a crontab it wraps every job; it never runs a job itself."""
ENVIRON_CHUNK = 1 << 16
"""Octets of an environment read at a time; few have more."""
COERCED_LOCALES = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python puts into LC_CTYPE when it finds itself in the C locale (PEP 538)."""


class Invocation(Record):
    """A command line of the form ``[OPTIONS] -- COMMAND [ARG]...`` or ``[OPTIONS] -c TEXT``."""

    flags: dict[str, Any]
    """The options given, read, by their keys."""
    words: tuple[str, ...] = ()
    """COMMAND and its arguments."""
    text: str | None = None
    """TEXT of ``-c``."""
    shown: str = ""
    """What stands for COMMAND in the report, where that is not its words."""

    def command(self, environ: Mapping[str, str]) -> Command:
        """Give what is to be executed; ``-c`` takes the shell from ``SHELL``, as crond does."""
        if self.text is None:
            return Command(argv=self.words, text=self.shown or " ".join(map(quote, self.words)))
        # An empty TEXT is shown as it was quoted: the run is called after what is shown.
        return Command(argv=(job_shell(environ) or "/bin/sh", "-c", self.text), text=self.text or "''")


def job_shell(environ: Mapping[str, str]) -> str:
    """Give ``SHELL`` as the job sees it: ``/bin/sh`` where a crontab names ours; empty when it is not set."""
    shell = environ.get("SHELL", "")
    return "/bin/sh" if shell.rpartition("/")[2] == SHELL_BASENAME else shell


def job_locale(environ: Mapping[str, str]) -> str | None:
    """Give ``LC_CTYPE`` as the job sees it, None for not at all: what cronwrap was started with.

    Python puts its own in the place of none, and of the C locale's (PEP 538).
    """
    named = environ.get("LC_CTYPE")
    if named not in COERCED_LOCALES:
        return named
    try:
        handle = os.open("/proc/self/environ", os.O_RDONLY | os.O_CLOEXEC)  # `open` would cost twice as much
    except OSError:
        return named
    found = b"\0"
    try:
        while chunk := os.read(handle, ENVIRON_CHUNK):
            found += chunk
    except OSError:
        return named
    finally:
        os.close(handle)
    _, there, value = found.partition(b"\0LC_CTYPE=")
    return os.fsdecode(value.partition(b"\0")[0]) if there else None


def quote(word: str) -> str:
    """Give a word as a POSIX shell needs it written (as ``shlex.quote``, which costs milliseconds)."""
    if word and _SAFE.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def parse(argv: Sequence[str]) -> Invocation | None:
    """Read the command form; None when it is not one (a subcommand, ``--help``); else UsageError."""
    flags: dict[str, Any] = {}
    text: str | None = None
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            return _finish(flags, text, tuple(words))
        if word in ("-h", "--help", "--version"):
            return None
        if word == "-c":
            if not words:
                raise _mistake("-c needs a command text")
            text = words.pop(0)
        elif word.startswith("-") and len(word) > 1:
            from cronwrap.settings.options import take  # noqa: PLC0415  # loaded already: ``__main__``

            try:
                take(word, words, flags)
            except ValueError as error:
                raise _mistake(str(error)) from None
        elif text is not None:
            raise _mistake(f"unexpected {word!r} after -c TEXT: quote the whole command as one word")
        else:
            return None
    return None if text is None else _finish(flags, text, ())


def _finish(flags: dict[str, Any], text: str | None, words: tuple[str, ...]) -> Invocation:
    if text is not None and words:
        raise _mistake("-c TEXT and -- COMMAND exclude each other")
    if text is None and (not words or not words[0]):
        raise _mistake("no command after --")
    return Invocation(flags=flags, words=words, text=text)


def _mistake(text: str) -> UsageError:
    from cronwrap.errors import UsageError  # noqa: PLC0415  # after a mistake alone

    return UsageError(text)
