r"""A crontab as lines, without the loss of an octet. Pure.

The grammar is that of Debian's cron 3.0pl1 and of cronie (crontab(5)). Text is decoded with
:func:`decode`, so that octets which are no UTF-8 survive.

What cron does to a command before any shell sees it: the first ``%`` without a backslash ends the
command, and what follows is its standard input, in which each further ``%`` is a line break. ``\%`` is a
``%``; Debian's cron also makes one backslash of ``\\`` in the command, cronie does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cronwrap.crontab.dialect import DEFAULT, YEAR, Dialect

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_ASSIGNMENT = re.compile(
    r"""(?P<name>"[^"=]*"|'[^'=]*'|[^\s="'][^\s=]*|)\s*=\s*(?P<value>"[^"]*"\s*|'[^']*'\s*|[^\s"'].*)""",
    re.ASCII | re.DOTALL,
)
# What looks like a schedule; whether it is one is for `schedule` to say. Names are known in the
# last two fields only, so prose is seldom taken for a job.
_FIELD = r"[0-9*/,~#?LWHR-]+"
_NAMED_FIELD = r"[0-9A-Za-z*/,~#?-]+"
_FIVE_FIELDS = rf"(?:{_FIELD}[ \t]+){{3}}{_NAMED_FIELD}[ \t]+{_NAMED_FIELD}"
_YEAR = rf"[ \t]+{YEAR}(?=[ \t])"
_PERIOD = r"(?:[0-9]+|@[a-z_]+)[ \t]+[0-9]+[ \t]+[^\s=]+"
_SCHEDULES = {
    3: _PERIOD,
    5: rf"@[^ \t]+|{_FIVE_FIELDS}",
    6: _FIVE_FIELDS + _YEAR,
    7: rf"{_FIELD}[ \t]+{_FIVE_FIELDS}{_YEAR}",
}
"""By the number of their fields: three are anacron's, six have a year at the end, seven a second as well."""
_JOBS = {
    columns: re.compile(
        rf"(?P<lead>[ \t]*)(?P<silent>-?)(?P<schedule>{schedule})(?P<gap>[ \t]+|$)(?P<rest>.*)",
        re.DOTALL,
    )
    for columns, schedule in _SCHEDULES.items()
}
_USER = re.compile(r"([^ \t]+)(?:[ \t]+|$)(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\.|%", re.DOTALL)

SYSTEM_PATHS = ("/etc/crontab", "/etc/cron.d/")
"""A crontab there has a user column."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line that is blank or a comment; the base of the others."""

    number: int
    """Counted from 1."""
    raw: str
    """The whole line with its line feed, if it has one."""

    @property
    def complete(self) -> bool:
        """Give whether the line ends in a line feed, without which cron does not take it."""
        return self.raw.endswith("\n")


@dataclass(frozen=True, kw_only=True)
class Assignment(Line):
    """``NAME = value``."""

    name: str
    value: str
    """Without quotes and outer blanks, as the job's environment has it."""


@dataclass(frozen=True, kw_only=True)
class Job(Line):
    """A schedule and a command."""

    head: str
    """All before the command: blanks, schedule, user."""
    schedule: str
    """As it is written, ``*/5 * * * *`` or ``@daily``."""
    silent: bool
    """Whether a ``-`` before it keeps cronie from logging it."""
    user: str | None
    """None when the crontab has no user column."""
    command: str
    """As it is written, ``%`` and all; empty when there is none."""
    environment: Mapping[str, str]
    """The assignments above this line; cron applies no later ones to it."""
    dialect: Dialect = DEFAULT
    """Of the cron that reads the line."""

    def with_command(self, command: str) -> str:
        """Give the whole line with another command."""
        return self.head + command + ("\n" if self.complete else "")

    @property
    def shell(self) -> str:
        """Give the shell that cron runs the command with."""
        return self.environment.get("SHELL", "/bin/sh")

    def parts(self) -> tuple[str, str | None]:
        """Give what the shell gets of the command, and its input, as :func:`split_input` does."""
        return split_input(self.command) if self.dialect.percent else (self.command, None)

    def shell_texts(self) -> tuple[str, ...]:
        """Give what the shell may get to see of the command: two texts where the cron is not known."""
        return shell_texts(self.command, self.dialect)


@dataclass(frozen=True, kw_only=True)
class Unreadable(Line):
    """Neither comment nor assignment nor anything like a job."""


def decode(octets: bytes) -> str:
    """Give the text of a crontab; :func:`encode` gives the same octets back."""
    return octets.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Give the octets of a text that :func:`decode` gave."""
    return text.encode("utf-8", "surrogateescape")


def parse(text: str, *, system: bool = False, dialect: Dialect = DEFAULT) -> tuple[Line, ...]:
    """Give the lines of a crontab; their ``raw`` texts in a row are the text again.

    ``system`` says that there is a user column.
    """
    lines: list[Line] = []
    environment: dict[str, str] = {}
    for number, raw in enumerate(_LINE.findall(text), 1):
        line = _line(number, raw, environment, dialect, system=system)
        if isinstance(line, Assignment):
            environment = {**environment, line.name: line.value}
        lines.append(line)
    return tuple(lines)


def jobs(lines: tuple[Line, ...]) -> tuple[Job, ...]:
    """Give the jobs among the lines that have a command."""
    return tuple(line for line in lines if isinstance(line, Job) and line.command)


def _line(number: int, raw: str, environment: Mapping[str, str], dialect: Dialect, *, system: bool) -> Line:
    body = raw.removesuffix("\n")
    content = body.lstrip(" \t")
    if not content or content.startswith("#"):
        return Line(number=number, raw=raw)
    if match := _ASSIGNMENT.fullmatch(content):
        name, value = (_unquoted(match[part]) for part in ("name", "value"))
        return Assignment(number=number, raw=raw, name=name, value=value)
    for columns in dialect.columns:
        if match := _JOBS[columns].fullmatch(body):
            return _job(number, raw, match, (environment, dialect), system=system)
    return Unreadable(number=number, raw=raw)


def _job(
    number: int, raw: str, match: re.Match[str], context: tuple[Mapping[str, str], Dialect], *, system: bool
) -> Job:
    user, command = None, match["rest"]
    if system:
        column = _USER.fullmatch(command)
        user, command = (column[1], column[2]) if column else ("", "")
    body = raw.removesuffix("\n")
    return Job(
        number=number,
        raw=raw,
        head=body[: len(body) - len(command)],
        schedule=match["schedule"],
        silent=bool(match["silent"]),
        user=user,
        command=command,
        environment=context[0],
        dialect=context[1],
    )


def _unquoted(text: str) -> str:
    text = text.strip(" \t\n\v\f\r")
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text


def split_input(command: str) -> tuple[str, str | None]:
    """Give a command up to its first unescaped ``%``, and what follows that, both as they are written.

    None stands for "no ``%``": the job's standard input is then empty as well, but the line has no mark.
    """
    for match in _ESCAPE.finditer(command):
        if match[0] == "%":
            return command[: match.start()], command[match.end() :]
    return command, None


def shell_texts(command: str, dialect: Dialect = DEFAULT) -> tuple[str, ...]:
    """Give what the shell gets to see of a command: from Debian's cron, then from cronie if it differs."""
    if not dialect.percent:
        return (command,)
    written, _ = split_input(command)
    texts = []
    if dialect.halves_backslashes:
        texts.append(re.sub(r"\\([\\%])", r"\1", written))
    if dialect.keeps_backslashes:
        texts.append(_ESCAPE.sub(lambda match: "%" if match[0] == "\\%" else match[0], written))
    return tuple(dict.fromkeys(texts))


def is_system_path(path: str) -> bool:
    """Give whether a file is known to have a user column by its place alone."""
    return path == SYSTEM_PATHS[0] or path.startswith(SYSTEM_PATHS[1])
