"""The crons whose crontabs differ, what differs, and which one a file was written for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.model import Record

_TIME = r"[0-9*/,-]+[ \t]+"
_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
_NAMED = rf"(?:(?i:{_NAMES})|[0-9*/,-])+[ \t]+"
YEAR = r"(?:\*|[0-9]{4}[0-9*/,-]*)(?:/[0-9]+)?"
"""The seventh field of supercronic, as people write it."""
_SEVEN = re.compile(rf"^[ \t]*(?:{_TIME}){{4}}{_NAMED}{_NAMED}{YEAR}[ \t]+\S", re.MULTILINE)
_FIVE = re.compile(rf"^[ \t]*(?:{_TIME}){{3}}{_NAMED}{_NAMED}\S", re.MULTILINE)
_PERIOD = re.compile(r"^[ \t]*(?:[0-9]+|@[a-z]+)[ \t]+[0-9]+[ \t]+[A-Za-z]\S*[ \t]+\S", re.MULTILINE)
_START_HOURS = re.compile(r"^[ \t]*START_HOURS_RANGE[ \t]*=", re.MULTILINE)
FLAGS = re.compile(r"(?:-[nqs]+[ \t]+)+(?=[^-\s])")
"""OpenBSD's and FreeBSD's, between the schedule (or the user) and the command."""
_FLAGGED = re.compile(_FIVE.pattern.removesuffix(r"\S") + FLAGS.pattern, re.MULTILINE)
_BSD_NICKNAME = re.compile(r"^[ \t]*@(?:every_minute|every_second|[0-9]+)[ \t]", re.MULTILINE)


class Dialect(Record):
    """What one cron makes of a crontab."""

    name: str
    """As ``--dialect`` has it."""
    who: str
    """For people."""
    percent: bool = True
    """Whether the first ``%`` ends the command, and a backslash keeps it from that."""
    halves_backslashes: bool = False
    r"""Whether ``\\`` in a command becomes one backslash."""
    keeps_backslashes: bool = False
    r"""Whether it keeps ``\\`` as it is; with the other one both are possible."""
    columns: tuple[int, ...] = (5,)
    """Of the schedule, the first that fits."""
    nicknames: str = ""
    """A pattern of the ones that it alone knows."""
    mails_by_variable: bool = True
    """Whether a job finds the crontab's MAILTO in its environment."""
    runs_jobs: bool = True
    """Whether its lines are those of a crontab at all."""
    assumed: bool = False
    """Whether nothing told that it is this one."""


DEBIAN = Dialect(name="debian", who="Debian's cron", halves_backslashes=True)
CRONIE = Dialect(name="cronie", who="cronie", keeps_backslashes=True)
BUSYBOX = Dialect(name="busybox", who="BusyBox's crond", percent=False, mails_by_variable=False)
BSD = Dialect(
    name="bsd", who="a BSD's cron", keeps_backslashes=True, nicknames=r"@(?:every_minute|every_second|[0-9]+)"
)
SUPERCRONIC = Dialect(name="supercronic", who="supercronic", percent=False, columns=(7, 6, 5))
ANACRON = Dialect(name="anacron", who="anacron", columns=(3,), runs_jobs=False)
BY_NAME = {one.name: one for one in (DEBIAN, CRONIE, BUSYBOX, BSD, SUPERCRONIC)}
"""Those that ``--dialect`` takes; an anacrontab is known by itself, and has no jobs of cron's."""
DEFAULT = DEBIAN.replace(who="cron", keeps_backslashes=True, assumed=True)
"""Where nothing tells: by the rules that Debian's cron and cronie share."""

BUSYBOX_SPOOLS = ("/etc/crontabs/",)
"""Alpine's and OpenWrt's."""


def guess(text: str, path: str = "") -> tuple[Dialect, str]:
    """Give the dialect that a crontab shows itself to be in, and by what; DEFAULT when it shows none."""
    return next(_shown(text, path), (DEFAULT, ""))


def _shown(text: str, path: str) -> Iterator[tuple[Dialect, str]]:
    if path.startswith(BUSYBOX_SPOOLS):
        yield BUSYBOX, f"it is in {path.rpartition('/')[0]}"
    if path.rpartition("/")[2] == "anacrontab":
        yield ANACRON, "its name is anacrontab"
    if _START_HOURS.search(text) or (_PERIOD.search(text) and not _FIVE.search(text)):
        yield ANACRON, "its jobs have a period and a delay"
    if _SEVEN.search(text):
        yield SUPERCRONIC, "it has schedules of seven fields"
    if _FLAGGED.search(text):
        yield BSD, "it has flags before a command"
    if _BSD_NICKNAME.search(text):
        yield BSD, "it has schedules that only a BSD's cron knows"
