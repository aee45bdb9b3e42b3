"""The one table of options, and the readers of their values.

Every option is a flag, a ``CRONWRAP_*`` variable and a key of the configuration; all three are read
by the same function, named in the table. This module is on the way of every run: it imports nothing.
"""

from __future__ import annotations

from cronwrap.errors import UsageError
from cronwrap.model import Command, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

EVENTS = ("failure", "output", "stderr", "success", "recovery", "skip", "always", "never")
OVERLAPS = ("allow", "skip", "wait", "kill")
FORMATS = ("report", "cron")

SHELL_BASENAME = "cronwrap-shell"
"""As ``SHELL`` of a crontab it wraps every job; it never runs a job itself."""

_TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DIGITS = frozenset("0123456789")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

NAME_LIMIT = 64
"""Octets of a derived job name: readable in a table of 80 columns, safe as a file name."""
SECRET_LENGTH = 12
"""Characters; no secret that ``redact`` knows by its looks fits into a shorter word."""
LONGEST_DURATION = 100 * 365 * 86400.0
"""Seconds; beyond a century a duration is a typing error, and timers may overflow."""


# Values -----------------------------------------------------------------------------------------


def _number(text: str, *, fraction: bool) -> bool:
    whole, dot, part = text.partition(".")
    if dot and not (fraction and part and _DIGITS.issuperset(part)):
        return False
    return bool(whole) and _DIGITS.issuperset(whole)


def duration(value: object) -> float:
    """Read ``90``, ``90s``, ``1.5s``, ``5m``, ``2h``, ``1d`` or ``1h30m`` as seconds, else ValueError."""
    text = value.strip() if isinstance(value, str) else str(value)
    total, number = 0.0, ""
    for char in text:
        if char in _TIME_UNITS:
            if not _number(number, fraction=True):
                break
            total, number = total + float(number) * _TIME_UNITS[char], ""
        else:
            number += char
    else:
        if number == text and _number(text, fraction=True):
            total, number = float(text), ""
        if text and not number and total <= LONGEST_DURATION and not isinstance(value, bool):
            return total
    raise ValueError(f"{value!r} is not a duration: write 90, 90s, 1.5s, 5m, 2h, 1d or 1h30m")


def size(value: object) -> int:
    """Read ``512``, ``64K``, ``1M`` or ``2G`` as octets (powers of 1024), else ValueError."""
    text = value.strip() if isinstance(value, str) else str(value)
    unit = _SIZE_UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not _number(digits, fraction=False) or isinstance(value, bool) or len(digits) > 15:
        raise ValueError(f"{value!r} is not a size: write 512, 64K, 1M or 2G")
    return int(digits) * (unit or 1)


def _or_none(read: Callable[[object], Any]) -> Callable[[object], Any]:
    """Give a reader for which 0 means no limit (timeout(1)): what ``[defaults]`` sets can be taken away."""
    return lambda value: read(value) or None


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        text = value.strip() if isinstance(value, str) else str(value)
        if isinstance(value, bool) or not _number(text.removeprefix("-"), fraction=False) or len(text) > 9:
            raise ValueError(f"{value!r} is not a whole number")
        if not low <= int(text) <= high:
            raise ValueError(f"{value!r} is not between {low} and {high}")
        return int(text)

    return read


def _items(value: object) -> list[object]:
    """Give the members of a TOML list or of a comma-separated text."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value]


def codes(value: object) -> tuple[int, ...]:
    """Read exit codes and ranges, ``0,24,100-103`` or ``[0, 24]``, ascending, else ValueError."""
    found: set[int] = set()
    for item in _items(value):
        low, dash, high = str(item).partition("-")
        ends = (low.strip(), high.strip() if dash else low.strip())
        if isinstance(item, bool) or not all(_number(end, fraction=False) and len(end) <= 3 for end in ends):
            raise ValueError(f"{item!r} is not an exit code: write numbers and ranges, as in 0,24,100-103")
        first, last = int(ends[0]), int(ends[1])
        if not 0 <= first <= last <= 255:
            raise ValueError(f"{item!r} is not a range of exit codes between 0 and 255")
        found.update(range(first, last + 1))
    if not found:
        raise ValueError("no exit code: write numbers and ranges, as in 0,24,100-103")
    return tuple(sorted(found))


def events(value: object) -> tuple[str, ...]:
    """Read the events to mail on, else ValueError."""
    items = tuple(str(item).lower() for item in _items(value))
    if not items:
        raise ValueError("no event: to mail nothing write never")
    for item in items:
        if item not in EVENTS:
            raise ValueError(f"{item!r} is not an event{nearest(item, EVENTS)}; allowed: {', '.join(EVENTS)}")
    return items


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError(
                f"{value!r} is not allowed{nearest(str(value), allowed)}; use {', '.join(allowed)}"
            )
        return str(value)

    return read


def boolean(value: object) -> bool:
    """Read ``true``/``false``, ``yes``/``no``, ``on``/``off``, ``1``/``0``, else ValueError."""
    word = str(value).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")  # noqa: TRY004  # one kind of error for a bad value
    if "\0" in value:
        raise ValueError("it holds a NUL character")
    return value


def _url(value: object) -> str:
    text = _text(value)
    if not text.startswith(("http://", "https://")) or any(ord(char) < 33 for char in text):
        raise ValueError(f"{text!r} is not a URL that begins with http:// or https://")
    return text


def _name(value: object) -> str:
    text = _text(value)
    if not text or len(text.encode(errors="surrogateescape")) > 200 or any(ord(char) < 32 for char in text):
        raise ValueError(f"{value!r} is not a job name: 1 to 200 octets, no control characters")
    return text


def _addresses(value: object) -> str:
    """Read addresses to a comma-separated text; ``message`` takes them apart when a mail is due."""
    text = ",".join(map(_text, value)) if isinstance(value, (list, tuple)) else _text(value)
    plain = _SAFE.issuperset(text) and all(
        part.strip("@") and part.count("@") < 2 for part in text.split(",")
    )
    if text and not plain:  # only what is not evidently a list of plain addresses is worth the import
        from cronwrap.address import addresses  # noqa: PLC0415

        addresses(text, "localhost")
    return text


def partly_right(key: str, value: object) -> str:
    """Give recipients that are not right throughout, if any of them is; else an empty text.

    The mail goes to those who are: it must not stay away from all for the fault of one.
    """
    if key != "mailto" or not isinstance(value, (str, list)):
        return ""
    from cronwrap.address import usable  # noqa: PLC0415  # after a mistake alone

    text = value if isinstance(value, str) else ",".join(item for item in value if isinstance(item, str))
    return text if usable(text, "localhost")[0] else ""


def _address(value: object) -> str:
    text = _addresses(value)
    if "," in text and '"' not in text:
        raise ValueError(f"{value!r} is more than one address")
    return text


def _patterns(value: object) -> tuple[str, ...]:
    items = list(map(_text, value)) if isinstance(value, (list, tuple)) else _text(value).splitlines()
    if items:
        import re  # noqa: PLC0415  # only a job that matches its output pays for it
        import warnings  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            for item in items:
                try:
                    re.compile(item)
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValueError(f"{item!r} is not a regular expression: {error}") from None
    return tuple(items)


# The table --------------------------------------------------------------------------------------


class Option(Record):
    """An option of the command form."""

    key: str
    """Its name in the configuration; ``--key`` and ``CRONWRAP_KEY`` are made from it."""
    read: Callable[[object], Any]
    """Gives the value from a text or a TOML value; ValueError says what is allowed."""
    help: str
    default: Any = None
    metavar: str = ""
    """Empty for a flag."""
    short: str = ""
    repeatable: bool = False
    sets: str = ""
    """The key that this flag sets to false (``--quiet`` is no more than "not ``--live``")."""

    @property
    def flag(self) -> str:
        """Give the long flag."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """Give the environment variable."""
        return "CRONWRAP_" + self.key.replace("-", "_").replace(".", "_").upper()


def _option(key: str, read: Callable[[object], Any], text: str, **more: Any) -> Option:
    return Option(key=key, read=read, help=text, **more)


OPTIONS = (
    _option("name", _name, "the job's name [from the command]", metavar="NAME", short="n"),
    _option("chdir", _text, "working directory of the job", metavar="DIR", short="C"),
    _option("on", events, "mail on: " + " ".join(EVENTS), default=("failure", "output"), metavar="EVENTS"),
    _option("ok-codes", codes, "exit codes that are no failure", default=(0,), metavar="CODES"),
    _option(
        "fail-match",
        _patterns,
        "a line of output that matches makes the run a failure",
        default=(),
        metavar="REGEX",
        repeatable=True,
    ),
    _option(
        "ignore-match",
        _patterns,
        "matching lines do not count as output",
        default=(),
        metavar="REGEX",
        repeatable=True,
    ),
    _option("min-duration", duration, "a run that ends sooner is a failure", metavar="D"),
    _option("max-duration", _or_none(duration), "a run that ends later is a failure", metavar="D"),
    _option("after", _integer(1, 10**6), "mail failures from the Nth in a row on", default=1, metavar="N"),
    _option("remind", duration, "while a job keeps failing, at most one failure mail per D", metavar="D"),
    _option("mailto", _addresses, "recipients; an empty text: no mail", metavar="ADDRS", short="t"),
    _option("mailfrom", _address, "sender, header and envelope", metavar="ADDR", short="f"),
    _option(
        "format", _one_of(*FORMATS), "cron: the output alone, as crond's", default="report", metavar="FORM"
    ),
    _option(
        "max-output", size, "how much output is kept: first and last half", default=1 << 20, metavar="SIZE"
    ),
    _option(
        "timestamps", boolean, "the time since the start on each line of the mailed output", default=False
    ),
    _option("live", boolean, "pass output through as it comes [on a terminal]"),
    _option("quiet", boolean, "pass no output through", sets="live"),
    _option("timeout", _or_none(duration), "end the job after D", metavar="D"),
    _option("idle-timeout", _or_none(duration), "end the job after D without output", metavar="D"),
    _option("kill-after", duration, "time between SIGTERM and SIGKILL", default=10.0, metavar="D"),
    _option("drain", duration, "how long to read on after the job ended", default=5.0, metavar="D"),
    _option(
        "overlap",
        _one_of(*OVERLAPS),
        "what to do when the same job still runs",
        default="allow",
        metavar="HOW",
    ),
    _option("overlap-wait", duration, "the longest wait of --overlap wait", metavar="D"),
    _option("retries", _integer(0, 1000), "run again after a failure, N times", default=0, metavar="N"),
    _option("retry-delay", duration, "wait before the first retry, doubling", default=10.0, metavar="D"),
    _option("jitter", duration, "wait a part of D first, the same on each run", metavar="D"),
    _option("nice", _integer(-20, 19), "niceness of the job", metavar="N"),
    _option("max-memory", _or_none(size), "end the job above this resident size", metavar="SIZE"),
    _option("ping", _url, "tell a monitor of the start and the end", metavar="URL"),
    _option(
        "dry-run", boolean, "run the job, print the mail instead of sending, keep nothing", default=False
    ),
    _option("config", _text, "the only configuration file", metavar="FILE"),
)

SECTIONS = (
    _option("delivery.inline", duration, "how long a run waits for its mail", default=30.0),
    _option("delivery.lifetime", duration, "how long a report is retried", default=5 * 86400.0),
    _option("delivery.background", boolean, "retry in a process of its own", default=True),
    _option("history.keep", duration, "how long runs are remembered", default=90 * 86400.0),
    _option("redact.patterns", _patterns, "what is blotted out before it is stored or sent", default=()),
)
"""The keys of the configuration's other tables, ``[table] key`` written as ``table.key``."""

BY_KEY = {option.key: option for option in OPTIONS}
_BY_SHORT = {option.short: option for option in OPTIONS if option.short}


# The command line -------------------------------------------------------------------------------


class Invocation(Record):
    """A command line of the form ``[OPTIONS] -- COMMAND [ARG]...`` or ``[OPTIONS] -c TEXT``."""

    flags: dict[str, Any]
    """The options given, read, by their keys."""
    words: tuple[str, ...] = ()
    """COMMAND and its arguments."""
    text: str | None = None
    """TEXT of ``-c``."""

    def command(self, environ: Mapping[str, str]) -> Command:
        """Give what is to be executed; ``-c`` takes the shell from ``SHELL``, as crond does."""
        if self.text is None:
            return Command(argv=self.words, text=" ".join(map(quote, self.words)))
        return Command(argv=(job_shell(environ) or "/bin/sh", "-c", self.text), text=self.text)


def job_shell(environ: Mapping[str, str]) -> str:
    """Give ``SHELL`` as the job sees it: ``/bin/sh`` where a crontab names ours; empty when it is not set."""
    shell = environ.get("SHELL", "")
    return "/bin/sh" if shell.rpartition("/")[2] == SHELL_BASENAME else shell


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
                raise UsageError("-c needs a command text: cronwrap -c 'TEXT'")
            text = words.pop(0)
        elif word.startswith("-") and len(word) > 1:
            take(word, words, flags)
        elif text is not None:
            raise UsageError(f"unexpected {word!r} after -c TEXT: quote the whole command as one word")
        else:
            return None
    return None if text is None else _finish(flags, text, ())


def _finish(flags: dict[str, Any], text: str | None, words: tuple[str, ...]) -> Invocation:
    if text is not None and words:
        raise UsageError("-c TEXT and -- COMMAND exclude each other")
    if text is None and (not words or not words[0]):
        raise UsageError("no command after --: cronwrap [OPTIONS] -- COMMAND [ARG]...")
    return Invocation(flags=flags, words=words, text=text)


def take(word: str, words: list[str], flags: dict[str, Any]) -> None:
    """Move one option, and its value, from the words to the flags; else UsageError."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        option = BY_KEY.get(name[2:])
    else:
        name, equals, value = word[:2], word[2:], word[2:]
        option = _BY_SHORT.get(word[1])
    if option is None:
        flag_names = [candidate.flag for candidate in OPTIONS]
        raise UsageError(f"no such option: {name}{nearest(name, flag_names)}")
    if not option.metavar:
        if equals:
            raise UsageError(f"{name} takes no value")
        flags[option.sets or option.key] = not option.sets
        return
    if not equals:
        if not words:
            raise UsageError(f"{name} needs a value: {name} {option.metavar}")
        value = words.pop(0)
    try:
        got = option.read([value] if option.repeatable else value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    flags[option.key] = flags.get(option.key, ()) + got if option.repeatable else got


def nearest(word: str, allowed: Sequence[str]) -> str:
    """Give ``: did you mean X?`` for a misspelt word, or an empty text."""
    from difflib import get_close_matches  # noqa: PLC0415  # only after a mistake

    found = get_close_matches(word, allowed, n=1)
    return f": did you mean {found[0]}?" if found else ""


def quote(word: str) -> str:
    """Give a word as a POSIX shell needs it written (as ``shlex.quote``, which costs milliseconds)."""
    if word and _SAFE.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def job_name(command_text: str, secrets: Sequence[str] = ()) -> str:
    """Give the name of a job that was given none: a slug of its command, without what is secret in it.

    A slug that does not tell the whole command ends in a checksum of it, so that two commands never
    share a history or a lock. ``secrets`` are the patterns of ``[redact]``.
    """
    if secrets or any(len(word) >= SECRET_LENGTH and word[0] != "/" for word in command_text.split()):
        from cronwrap.redact import Redactor  # noqa: PLC0415  # not for a word that cannot hold a secret

        command_text = Redactor(secrets).text(command_text)
    head, blank, rest = command_text.strip().partition(" ")
    readable = head.rpartition("/")[2] + blank + rest
    slug = "".join(char if char in _NAME else "-" for char in readable)
    while "--" in slug:
        slug = slug.replace("--", "-")
    slug = slug.strip("-.")
    if slug == command_text:
        return slug[:NAME_LIMIT] if len(slug) <= NAME_LIMIT else f"{slug[: NAME_LIMIT - 9]}-{_crc(slug)}"
    return f"{slug[: NAME_LIMIT - 9].rstrip('-.') or 'job'}-{_crc(command_text)}"


def _crc(text: str) -> str:
    from binascii import crc32  # noqa: PLC0415  # a bare word needs none

    return f"{crc32(text.encode(errors='surrogateescape')):08x}"
