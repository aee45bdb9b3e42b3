"""The one table of options.

Every option is a flag, a ``CRONWRAP_*`` variable and a key of the configuration; all three are read
by the same function, named in the table. It is on the way of runs with options: it imports next to nothing.
"""

from __future__ import annotations

from cronwrap.settings.defaults import DEFAULTS
from cronwrap.settings.values import (
    EVENTS,
    address,
    addresses,
    boolean,
    codes,
    directory,
    duration,
    duration_with_unit,
    events,
    header_name,
    hosts,
    integer,
    name,
    nearest,
    one_of,
    or_none,
    patterns,
    plain_text,
    size,
    url,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OVERLAPS = ("allow", "skip", "wait", "kill")
FORMATS = ("report", "cron")
SCOPES = ("host", "fleet")
UNREACHABLE = ("run", "skip", "elect")


class Option:
    """An option of the command form. No ``Record``: there are many of them, and each run makes them all."""

    key: str
    """Its name in the configuration; ``--key`` and ``CRONWRAP_KEY`` are made from it."""
    read: Callable[[object], Any]
    """Gives the value from a text or a TOML value; ValueError says what is allowed."""
    help: str
    default: Any
    """From ``defaults``."""
    metavar: str = ""
    """Empty for a flag."""
    short: str = ""
    repeatable: bool = False
    sets: str = ""
    """The key that this flag sets to false (``--quiet`` is no more than "not ``--live``")."""

    def __init__(self, key: str, read: Callable[[object], Any], text: str, **more: Any) -> None:
        """``more`` are the fields that are not as above; a test holds them against the names there."""
        self.key, self.read, self.help = key, read, text
        self.default = None if "sets" in more else DEFAULTS[key]
        for field, value in more.items():  # `__dict__` would cost many times as much
            setattr(self, field, value)

    @property
    def flag(self) -> str:
        """Give the long flag."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """Give the environment variable."""
        return "CRONWRAP_" + self.key.replace("-", "_").replace(".", "_").upper()


_option = Option

OPTIONS = (
    _option("name", name, "the job's name [from the command]", metavar="NAME", short="n"),
    _option("chdir", plain_text, "working directory of the job", metavar="DIR", short="C"),
    _option("on", events, "mail on: " + " ".join(EVENTS), metavar="EVENTS"),
    _option("ok-codes", codes, "exit codes that are no failure", metavar="CODES"),
    _option(
        "fail-match",
        patterns,
        "a line of output that matches makes the run a failure",
        metavar="REGEX",
        repeatable=True,
    ),
    _option(
        "ignore-match", patterns, "matching lines do not count as output", metavar="REGEX", repeatable=True
    ),
    _option("min-duration", duration, "a run that ends sooner is a failure", metavar="D"),
    _option("max-duration", or_none(duration), "a run that ends later is a failure", metavar="D"),
    _option("after", integer(1, 10**6), "mail failures from the Nth in a row on", metavar="N"),
    _option("remind", duration, "while a job keeps failing, at most one failure mail per D", metavar="D"),
    _option("mailto", addresses, "recipients; an empty text: no mail", metavar="ADDRS", short="t"),
    _option("mailfrom", address, "sender, header and envelope", metavar="ADDR", short="f"),
    _option("format", one_of(*FORMATS), "cron: the output alone, as crond's", metavar="FORM"),
    _option("max-output", size, "how much output is kept: first and last half", metavar="SIZE"),
    _option("timestamps", boolean, "the time since the start on each line of the mailed output"),
    _option("live", boolean, "pass output through as it comes [on a terminal]"),
    _option("quiet", boolean, "pass no output through", sets="live"),
    _option("timeout", or_none(duration), "end the job after D", metavar="D"),
    _option("idle-timeout", or_none(duration), "end the job after D without output", metavar="D"),
    _option("kill-after", duration, "time between SIGTERM and SIGKILL", metavar="D"),
    _option("drain", duration, "how long to read on after the job ended", metavar="D"),
    _option("overlap", one_of(*OVERLAPS), "what to do when the same job still runs", metavar="HOW"),
    _option("stuck-after", integer(1, 10**6), "mail once when the Nth run in a row is skipped", metavar="N"),
    _option("once", boolean, "on one host of the fleet only"),
    _option("scope", one_of(*SCOPES), "where --overlap looks for the same job", metavar="WHERE"),
    _option("unreachable", one_of(*UNREACHABLE), "what to do when the fleet cannot be asked", metavar="HOW"),
    _option("still-running", or_none(duration), "mail once while the job still runs after D", metavar="D"),
    _option("overlap-wait", duration, "the longest wait of --overlap wait", metavar="D"),
    _option("retries", integer(0, 1000), "run again after a failure, N times", metavar="N"),
    _option("retry-delay", duration, "wait before the first retry, doubling", metavar="D"),
    _option("jitter", duration, "wait a part of D first, the same on each run", metavar="D"),
    _option("nice", integer(-20, 19), "niceness of the job", metavar="N"),
    _option("max-memory", or_none(size), "end the job above this resident size", metavar="SIZE"),
    _option("ping", url, "tell a monitor of the start and the end", metavar="URL"),
    _option(
        "ping-after", integer(1, 10**6), "the monitor hears of failures from the Nth in a row on", metavar="N"
    ),
    _option("dry-run", boolean, "run the job, print the mail instead of sending, keep nothing"),
    _option("config", plain_text, "the only configuration file", metavar="FILE"),
)

SECTIONS = (
    _option("delivery.inline", duration, "how long a run waits for its mail"),
    _option("delivery.lifetime", duration_with_unit, "how long a report is retried"),
    _option("delivery.background", boolean, "retry in a process of its own"),
    _option("history.keep", duration_with_unit, "how long runs are remembered"),
    _option("metrics.textfile", directory, "where the node exporter looks for metrics"),
    _option("web.proxy-user", plain_text, "who may say who the visitor of the page is"),
    _option("web.proxy-header", header_name, "in which header it does"),
    _option("web.proxy-root", boolean, "whether it may say root"),
    _option("web.hosts", hosts, "names that the page has at the proxy"),
    _option("redact.patterns", patterns, "what is blotted out before it is stored or sent"),
)
"""The keys of the configuration's other tables, ``[table] key`` written as ``table.key``."""

BY_KEY = {option.key: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}


def take(word: str, words: list[str], flags: dict[str, Any]) -> None:
    """Move one option, and its value, from the words to the flags; ValueError says what is wrong."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        option = BY_KEY.get(name[2:])
    else:
        name, equals, value = word[:2], word[2:], word[2:]
        option = BY_SHORT.get(word[1])
        if value and word[1:].partition("=")[0] in BY_KEY:
            raise ValueError(f"{word.partition('=')[0]} lacks a hyphen")
    if name == "-c":
        raise ValueError("-c and its TEXT are two words")
    if option is None:
        hint = nearest(name.lstrip("-"), [*BY_KEY]).replace("mean ", "mean --")
        raise ValueError(f"no such option: {name}{hint}")
    if not option.metavar:
        if equals:
            raise ValueError(f"{name} takes no value")
        flags[option.sets or option.key] = not option.sets
        return
    if not equals:
        if not words or words[0] == "--":
            raise ValueError(f"{name} needs a value: {name} {option.metavar}")
        value = words.pop(0)
    try:
        got = option.read([value] if option.repeatable else value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    flags[option.key] = flags.get(option.key, ()) + got if option.repeatable else got
