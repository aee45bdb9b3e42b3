"""The right form of a command line that cronwrap could not understand, whole and quoted. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from cronwrap.crontab.shell import single_quoted
from cronwrap.crontab.shell_traits import SHELL_ALONE
from cronwrap.settings.command_line import quote
from cronwrap.settings.options import BY_KEY, BY_SHORT, Option
from cronwrap.settings.values import BAD_VALUE, EVENTS

PROGRAM = "cronwrap"
ANY_COMMAND = "COMMAND [ARG]..."
HELP = ("-h", "--help", "--version")
ASKING = {"help": "--help", "usage": "--help", "version": "--version"}
"""Words that ask for what an option gives."""
DASHES = "‐‑‒–—―−"  # noqa: RUF001  # what a text processor, or a web page, makes of hyphens
CLOSE = 0.8
"""How near a word that is a program must be to a subcommand to be taken for one: ``stat``, but not ``sh``."""
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_OF_SHELL = re.compile(r"[\s|;&<>$`]")
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)")
_SIZE = re.compile(r"([0-9]+)\s*([kmgt])?(?:i?b|bytes?)?")


def undashed(word: str) -> str:
    """Give a word with hyphens for the dashes that it begins with: an en dash mostly was two of them."""
    text = word.encode(errors="surrogateescape").decode(errors="replace")
    rest = text.lstrip(DASHES + "-")
    begins = text[: len(text) - len(rest)]
    if not set(begins) & set(DASHES):
        return word
    return f"-{rest}" if rest[:1] and not rest[1:2].isalpha() and begins[1:] == "" else f"--{rest}"


class Reading:
    """A command line, read as its writer most likely meant it."""

    def __init__(self, words: Sequence[str]) -> None:
        self.options: list[str] = []
        """cronwrap's own, in their right form."""
        self.flags: list[tuple[str, list[str]]] = []
        """They as they were given: the flag, and the words after it that are its value."""
        self.command: list[str] | None = None
        """What stands behind ``--``."""
        self.text: str | None = None
        self.plain: list[str] = []
        """The first word that is no option, and all behind it, where there was neither ``--`` nor ``-c``."""
        self.asks = ""
        """An option that only prints."""
        self.dash = ""
        """The first word that begins with a dash instead of hyphens."""
        self.known = False
        """Whether an option of the command form is among them."""
        rest = list(words)
        while rest and not self._ended(rest):
            rest = self._option(undashed(rest[0]), rest[1:])

    def _ended(self, rest: list[str]) -> bool:
        word = undashed(rest[0])
        self.dash = self.dash or (rest[0] if word != rest[0] else "")
        if word == "--":
            self.command = rest[1:]
        elif word in HELP:
            self.asks = word
        elif word == "-c":
            self._text(rest[1:])
        elif _glued(word):
            self._text([word[2:].removeprefix("="), *rest[1:]])
        elif not word.startswith("-") or word == "-":
            self.plain = rest
        else:
            return False
        return True

    def _text(self, rest: list[str]) -> None:
        """Read TEXT, and what behind it should have been quoted with it."""
        given = [word for word in rest if word != "--"] if rest[:1] == ["--"] else rest
        if not given:
            self.text = ""
            return
        self.text, behind = given[0], given[1:]
        while behind:
            name = undashed(behind[0]).partition("=")[0]
            if name.startswith("--") and name != "--" and (found := _nearest(name)) and found in BY_KEY:
                behind = self._option(undashed(behind[0]), behind[1:])
                continue
            more = [word for word in behind if word != "--"]
            self.text = " ".join((self.text, *map(quote, more)))
            return

    def _option(self, word: str, rest: list[str]) -> list[str]:
        """Take one option, and its value; give the words that are left."""
        name, equals, value = word.partition("=")
        option = BY_KEY.get(_nearest(name))
        if not name.startswith("--") and name[1:] not in BY_KEY and word[1] in BY_SHORT:
            option, equals, value = BY_SHORT[word[1]], word[2:], word[2:]
            name = word[:2]
        self.known = self.known or (option is not None and _nearest(name) not in HELP)
        if option is None:
            if _nearest(name) in HELP and not {"--", "-c"} & set(rest):
                self.asks = _nearest(name)
                return []
            takes = not equals and rest and not rest[0].startswith("-") and {"--", "-c"} & set(rest)
            self.flags.append((word, rest[:1] if takes else []))
            self.options.append("[OPTIONS]")
            return rest[1:] if takes else rest
        if not option.metavar:
            self.flags.append((name, []))
            self.options += _flag(option, value.lower())
            return rest
        given: list[str] = []
        if not equals and rest and undashed(rest[0]) not in ("--", "-c"):
            value, given, rest = rest[0], rest[:1], rest[1:]
        shown = right_value(option, value) if equals or given else option.metavar
        if given and rest and not rest[0].startswith("-") and {"--", "-c"} & set(rest):
            joined = right_value(option, f"{value} {rest[0]}")
            if joined != option.metavar and joined[0] != "'":
                shown, given, rest = joined, [*given, rest[0]], rest[1:]
        self.flags.append((name, given))
        short = name if len(name) == 2 else option.flag
        self.options += [f"{short}={shown}"] if equals and short == option.flag else [short, shown]
        return rest

    def form(self) -> str:
        """Give the right form."""
        if self.asks:
            return f"{PROGRAM} {self.asks}"
        options = list(dict.fromkeys(self.options)) if "[OPTIONS]" in self.options else self.options
        if self.text is not None:
            behind = " ".join(map(quote, self.command or ()))
            text = f"{self.text} {behind}".strip()
            tail = f"-c {single_quoted(text) if text else 'TEXT'}"
        elif self.command is not None:
            tail = _command(self.command, split=False)
        else:
            tail = _command(self.plain)
        return " ".join((PROGRAM, *options, tail))


def _command(words: Sequence[str], *, split: bool = True) -> str:
    """Give the end of a command line that runs words: behind ``--``, or by the shell where only that can."""
    if not words or not words[0]:
        return f"-- {ANY_COMMAND}"
    if split and len(words) == 1 and _OF_SHELL.search(words[0]):
        return f"-c {single_quoted(words[0])}"
    if words[0] in SHELL_ALONE:
        return f"-c {single_quoted(' '.join(map(quote, words)))}"
    if _ASSIGNMENT.match(words[0]):
        rest = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word)), None)
        end = "" if rest is not None else f" {ANY_COMMAND}"
        shell = rest is not None and words[rest] in SHELL_ALONE
        quoted = " ".join(_assigned(word) for word in words)
        return f"-c {single_quoted(quoted)}" if shell else f"-- env {' '.join(map(quote, words))}{end}"
    return f"-- {' '.join(map(quote, words))}"


def _assigned(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"{name}={quote(value)}" if equals and _ASSIGNMENT.match(word) else quote(word)


def of_job(words: Sequence[str]) -> str:
    """Give how a command that was not found is run by a shell or env(1); empty where it is a program."""
    if words and (words[0] in SHELL_ALONE or _ASSIGNMENT.match(words[0])):
        return f"{PROGRAM} {_command(words)}"
    return f"{PROGRAM} {_command(words)}" if len(words) == 1 and " " in words[0] else ""


def _flag(option: Option, value: str) -> list[str]:
    if value in ("no", "false", "off", "0"):
        return ["--quiet"] if option.key == "live" else ["--live"] if option.key == "quiet" else []
    return [option.flag]


def right_value(option: Option, value: str) -> str:
    """Give a value as the option takes it, quoted; its metavar where that cannot be told."""
    for candidate in (value, *_candidates(option, value.strip(" \t'\"“”‘’"))):  # noqa: RUF001  # typed by a text processor
        try:
            option.read([candidate] if option.repeatable else candidate)
        except BAD_VALUE:
            continue
        if candidate or not value:
            return quote(candidate)
    return option.metavar


def _candidates(option: Option, value: str) -> list[str]:
    lower = value.lower()
    if option.metavar == "D":
        found = _TIME.findall(lower)
        whole = not _TIME.sub("", lower).strip() and bool(found)
        weeks = [f"{int(number) * 7}d" for number, unit in found if unit[:1] == "w" and number.isdigit()]
        return weeks[:1] or (["".join(f"{number}{unit[:1]}" for number, unit in found)] if whole else [])
    if option.metavar == "SIZE":
        size = _SIZE.fullmatch(lower)
        return [f"{size[1]}{(size[2] or '').upper()}"] if size else []
    if option.metavar == "URL":
        return [f"https://{value}"] if re.match(r"[\w-]+(\.[\w-]+)+(/|$)", value) else []
    return _of_words(option, value, lower)


def _of_words(option: Option, value: str, lower: str) -> list[str]:
    if option.metavar == "ADDRS":
        return [re.sub(r"[;\s]+", ",", value), re.sub(r"\s*[;,]\s*", ",", value)]
    if option.metavar == "EVENTS":
        items = [get_close_matches(item, EVENTS, 1) for item in re.split(r"[,;\s]+", lower) if item]
        return [",".join(item[0] for item in items)] if items and all(items) else []
    if option.metavar in ("HOW", "FORM"):
        allowed = ("allow", "skip", "wait", "kill", "report", "cron")
        return get_close_matches(lower, allowed, 3)
    return [re.sub(r"[;\s]+", ",", value)] if option.metavar == "CODES" else [value]


def _glued(word: str) -> bool:
    """Tell whether a word is ``-c`` and its TEXT, no option that lacks a hyphen (as ``-chdir``)."""
    return word[:2] == "-c" and len(word) > 2 and not _nearest(word.partition("=")[0])


def _nearest(name: str) -> str:
    """Give the key of the option that was meant, or one of ``HELP``; empty where none is near."""
    if name in HELP:
        return name
    if len(name) == 2 and name[0] == "-" and name[1] in BY_SHORT:
        return BY_SHORT[name[1]].key
    if name.lower() in ("-v", "-?"):
        return "--help" if name == "-?" else "--version"
    word = name.lstrip("-").lower().replace("_", "-")
    known = [*BY_KEY, "help", "version"]
    begun = [key for key in known if word and len(word) > 1 and key.startswith(word)]
    near = [word] if word in known else begun if len(begun) == 1 else get_close_matches(word, known, 1)
    return "" if len(word) < 2 or not near else near[0] if near[0] in BY_KEY else f"--{near[0]}"


def misspelt(word: str, subcommands: Sequence[str], is_program: Callable[[str], bool]) -> str:
    """Give the subcommand that a word may have been meant for; empty where it is a command."""
    if "/" in word or word in SHELL_ALONE:
        return ""
    cutoff = CLOSE if is_program(word) else 0.6
    return next(iter(get_close_matches(word.lower(), subcommands, 1, cutoff)), "")


def subcommand_behind_options(words: Sequence[str], subcommands: Sequence[str]) -> int:
    """Give where the first word that is no option stands, if it is a subcommand and not the first; else 0."""
    at = next((at for at, word in enumerate(words) if not undashed(word).startswith("-")), 0)
    return at if at and words[at] in subcommands and not {"--", "-c"} & {*words[:at]} else 0


def of_a_job(words: Sequence[str], subcommands: Sequence[str], is_program: Callable[[str], bool]) -> bool:
    """Tell whether a command line looks like a crontab's, and not like a person's subcommand (SPEC, 2)."""
    read = Reading(words)
    if read.command is not None or read.text is not None:
        return True
    if subcommand_behind_options(words, subcommands):
        return False
    while read.plain and _ASSIGNMENT.match(read.plain[0]):
        del read.plain[0]
    first = (read.plain[0].split() or [""])[0] if read.plain else ""
    if first in subcommands or first in ASKING or (first and misspelt(first, subcommands, is_program)):
        return False
    behind = {word.partition("=")[0] for word in read.plain[1:]}
    flags = {name for key, option in BY_KEY.items() for name in (f"--{key}", f"-{option.short}")} - {"-"}
    marked = bool(behind & (flags | {"--", "-c"}))
    return read.known or marked or "/" in first or (bool(first) and is_program(first))
