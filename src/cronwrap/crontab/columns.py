"""Columns of other crons, which this one would take for the command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.crontab.dialect import FLAGS
from cronwrap.crontab.lines import Job
from cronwrap.crontab.schedule import FIELDS, NICKNAMES, REBOOT

_TIME_FIELD = re.compile(r"(?=.*[0-9*?])[0-9*/,?~#LWHR-]+")
_DAYS = re.compile(r"(?:MON|TUE|WED|THU|FRI|SAT|SUN)(?:[,-](?:MON|TUE|WED|THU|FRI|SAT|SUN))*")
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s|m|h|d))+")
_PATH_AS_FIELD = re.compile(r"\.{0,2}/[A-Za-z._]|~/")
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*")
ACCOUNTS = frozenset(("root", "www-data", "nobody", "daemon", "postgres"))
"""Accounts that hosts have in common, and no program is named after."""


def foreign_column(job: Job) -> str:
    """Give which column of another cron stands where the command should, empty when none does."""
    return next(_columns(job), "")


def _columns(job: Job) -> Iterator[str]:
    first, rest = [*job.command.split(None, 1), "", ""][:2]
    named = job.schedule.startswith("@")
    if not job.dialect.runs_jobs:
        yield f"this is {job.dialect.who}'s table, which has other columns than a crontab"
    if foreign_nickname(job):
        yield f"cron does not know {job.schedule}, and what follows may be no command"
    if strange := strange_field(job):
        yield f"{strange[1]!r} stands where a time field should: cron refuses the line"
    if FLAGS.match(job.command):
        yield f"{first} looks like a flag of OpenBSD's or FreeBSD's cron, not like a command"
    if first.startswith("*"):
        yield "the command begins with *: cron takes that for a sixth field and refuses the line"
    if rest and named and (first.isdigit() or _SPAN.fullmatch(first)):
        yield f"{first} looks like a delay, a column of anacron's table, not like a command"
    if rest and (_TIME_FIELD.fullmatch(first) or _DAYS.fullmatch(first)):
        yield f"{first} looks like a sixth time field, which cron does not have, not like a command"
    if rest and job.user is None and first in ACCOUNTS:
        yield f"{first} looks like the user column of a system crontab: see --system"


def foreign_nickname(job: Job) -> bool:
    """Give whether a schedule is a name that the cron of its dialect does not know in any spelling."""
    if not job.schedule.startswith("@") or job.schedule.lower() in (*NICKNAMES, REBOOT):
        return False
    return not (job.dialect.nicknames and re.fullmatch(job.dialect.nicknames, job.schedule))


def strange_field(job: Job) -> tuple[int, str] | None:
    """Give the first of five time fields that is rather a command, and how many stand before it."""
    fields = job.schedule.split()
    if len(fields) != len(FIELDS):
        return None
    for count, field in enumerate(fields):
        named = FIELDS[count].names
        if _PATH_AS_FIELD.match(field) or (
            named and _WORD.fullmatch(field) and field[:3].lower() not in named
        ):
            return count, field
    return None
