"""The command form, ``[OPTIONS] -- COMMAND [ARG]...`` or ``[OPTIONS] -c TEXT``, without click."""

from __future__ import annotations

from cronwrap.model import Command, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cronwrap.errors import UsageError

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
SHELL_BASENAME = "cronwrap-shell"
"""As ``SHELL`` of a crontab it wraps every job; it never runs a job itself."""


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
            take(word, words, flags)
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


def take(word: str, words: list[str], flags: dict[str, Any]) -> None:
    """Move one option, and its value, from the words to the flags; else UsageError."""
    from cronwrap.settings.options import BY_KEY, BY_SHORT  # noqa: PLC0415  # loaded already: ``__main__``

    if word.startswith("--"):
        name, equals, value = word.partition("=")
        option = BY_KEY.get(name[2:])
    else:
        name, equals, value = word[:2], word[2:], word[2:]
        option = BY_SHORT.get(word[1])
        if value and word[1:].partition("=")[0] in BY_KEY:
            raise _mistake(f"{word.partition('=')[0]} lacks a hyphen")
    if name == "-c":
        raise _mistake("-c and its TEXT are two words")
    if option is None:
        from cronwrap.settings.values import nearest  # noqa: PLC0415

        hint = nearest(name.lstrip("-"), [*BY_KEY]).replace("mean ", "mean --")
        raise _mistake(f"no such option: {name}{hint}")
    if not option.metavar:
        if equals:
            raise _mistake(f"{name} takes no value")
        flags[option.sets or option.key] = not option.sets
        return
    if not equals:
        if not words or words[0] == "--":
            raise _mistake(f"{name} needs a value: {name} {option.metavar}")
        value = words.pop(0)
    try:
        got = option.read([value] if option.repeatable else value)
    except ValueError as error:
        raise _mistake(f"{name}: {error}") from None
    flags[option.key] = flags.get(option.key, ()) + got if option.repeatable else got
