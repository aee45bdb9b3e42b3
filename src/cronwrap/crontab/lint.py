"""What is wrong with a crontab, line by line, and what to do about it. Pure; ``World`` knows the host."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from cronwrap.address import usable
from cronwrap.crontab.columns import foreign_column, foreign_nickname, strange_field
from cronwrap.crontab.dialect import BSD, BUSYBOX, CRONIE, DEBIAN, DEFAULT, FLAGS, Dialect
from cronwrap.crontab.findings import ERROR, NOTE, WARNING, Finding, Said, World
from cronwrap.crontab.lines import Assignment, Job, Line, Unreadable, encode, jobs, parse
from cronwrap.crontab.lint_command import CRON_PATH, LIKELY_PATH, of_command, path_of
from cronwrap.crontab.schedule import FIELDS, ScheduleError, read
from cronwrap.crontab.wrap import LONGEST_COMMAND

__all__ = ["CRON_PATH", "ERROR", "LIKELY_PATH", "NOTE", "WARNING", "Finding", "World", "lint"]

BYTE_ORDER_MARKS = ("\ufeff", "\udcff\udcfe", "\udcfe\udcff")
"""UTF-8's, and UTF-16's as ``lines.decode`` gives them."""
EVALUATED = frozenset(
    (
        "ENV",
        "BASH_ENV",
        "PROMPT_COMMAND",
        "PS1",
        "PS4",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "MANPAGER",
        "LESSOPEN",
        "LESSCLOSE",
        "GIT_SSH_COMMAND",
        "GIT_EDITOR",
        "GIT_PAGER",
        "GIT_PROXY_COMMAND",
        "GIT_ASKPASS",
    )
)
"""Variables whose value a shell expands or runs (sh(1), bash(1), git(1))."""

_EXPANSION = re.compile(r"\$[A-Za-z_{(]|`")
_HOME = re.compile(r"(?:^|:)~")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME = re.compile(r"(?=.*[0-9*])[0-9*/,?~#LWHR-]+|(?i:(?:sun|mon|tue|wed|thu|fri|sat)(?:[,-]\w+)*)")


def lint(
    text: str,
    world: World,
    *,
    system: bool = False,
    dialect: Dialect = DEFAULT,
    only: Container[int] | None = None,
) -> tuple[Finding, ...]:
    """Give all findings about a crontab, in the order of its lines; ``only``: about lines so numbered."""
    marks = tuple(mark for mark in BYTE_ORDER_MARKS if text.startswith(mark))
    findings = [
        Finding(
            number=1,
            severity=ERROR,
            text="the file begins with a byte order mark, which cron takes for a part of its first line; "
            "save it as UTF-8 without one",
        )
        for _ in marks
    ]
    lines = parse(text.removeprefix(marks[0]) if marks else text, system=system, dialect=dialect)
    evaluated = _evaluated(lines)
    continued = False
    for line in lines:
        asked = only is None or line.number in only
        told = (*_line_ends(line), *_by_kind(line, world, evaluated, dialect)) if asked else ()
        if continued and isinstance(line, Unreadable):
            told = ()  # it was meant for the end of the line before, which has been told of
        continued = line.raw.endswith("\\\n") and not line.raw.lstrip(" \t").startswith("#")
        if continued and asked:
            told = (*told, (ERROR, "a crontab has no continuation lines: the \\ at the end joins nothing"))
        findings += [Finding(number=line.number, severity=severity, text=said) for severity, said in told]
    return tuple(findings)


def _by_kind(line: Line, world: World, evaluated: frozenset[str], dialect: Dialect) -> tuple[Said, ...]:
    try:
        if isinstance(line, Assignment):
            return tuple(_assignment(line, world, evaluated, dialect))
        if isinstance(line, Unreadable):
            return tuple(_unreadable(line))
        return tuple(_job(line, world)) if isinstance(line, Job) else ()
    except Exception as error:  # noqa: BLE001  # nothing in one line may keep the others from being judged
        return ((NOTE, f"this line could not be judged: {error!r}"),)


def _evaluated(lines: tuple[Line, ...]) -> frozenset[str]:
    """Give the variables whose text a later shell reads as commands: it expands what is in them."""
    asked = (line.value for line in lines if isinstance(line, Assignment))
    if not any(_EXPANSION.search(value) or _HOME.search(value) for value in asked):
        return EVALUATED  # nobody asks for more: the commands need not be searched
    found: set[str] = set(EVALUATED)
    for job in jobs(lines):
        if re.search(r"\beval\b|(?:^|\s)-[a-z]*c\b|\benvsubst\b", job.command):
            found.update(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", job.command))
    return frozenset(found)


def _line_ends(line: Line) -> Iterator[Said]:
    if not line.complete:
        yield ERROR, "the last line has no line feed: cron ignores it, or the whole file; end it with one"
    if line.raw.endswith("\r\n"):
        yield ERROR, "the line ends in CR LF: cron makes the CR a part of it; convert the file (dos2unix)"
    if "\0" in line.raw:
        yield ERROR, "the line holds a NUL character, at which cron stops reading it"


def _assignment(
    line: Assignment, world: World, evaluated: frozenset[str], dialect: Dialect
) -> Iterator[Said]:
    if not _NAME.fullmatch(line.name):
        yield WARNING, f"cron takes this for an assignment to {line.name!r}, which no shell can read"
    if _EXPANSION.search(line.value) and line.name not in evaluated:
        yield WARNING, f"cron expands nothing in {line.name}: write the value out, without $ and `"
    if _HOME.search(line.value) and line.name not in evaluated:
        yield WARNING, f"cron does not expand ~ in {line.name}: write the directory out"
    if re.search(r"[ \t]#", line.value):
        yield WARNING, f"what follows the # becomes part of {line.name}: give the comment a line of its own"
    elif line.name in ("MAILTO", "MAILFROM", "CRONWRAP_MAILTO", "CRONWRAP_MAILFROM"):
        yield from _addresses(line)
    if line.name == "SHELL":
        yield from _shell(line.value, world)
    if line.name in ("CRON_TZ", "TZ", "CRONWRAP_TZ"):
        yield from _zone(line, world)
    if line.name == "CRON_TZ" and dialect in (DEBIAN, DEFAULT):
        yield NOTE, "CRON_TZ is cronie's; Debian's cron keeps to the time zone of the host"
    if dialect == BUSYBOX and line.name not in ("SHELL", "MAILTO"):
        yield WARNING, f"{line.name} does not reach a job: BusyBox's crond knows SHELL and MAILTO alone"


def _shell(value: str, world: World) -> Iterator[Said]:
    program, *options = value.split()[:2] or [""]
    if options and value.startswith("/") and not (world.look and world.find(value, "")):
        said = (
            f"SHELL={value}: cron takes all of it for the path of a program and gives it no options; write "
        )
        yield ERROR, said + program
    elif "/" not in value or world.find(value, "") is None:
        yield ERROR, f"no program {value!r}: cron can start no job below; write the shell's full path"


def _addresses(line: Assignment) -> Iterator[Said]:
    if _EXPANSION.search(line.value):
        return  # told already
    _, faults = usable(line.value, "localhost")
    if faults and ";" in line.value:
        yield WARNING, f"{line.name}: a comma stands between two addresses, not a semicolon"
    elif faults:
        yield WARNING, f"{line.name}: {faults[0]}"


def _zone(line: Assignment, world: World) -> Iterator[Said]:
    # TZ may hold a rule (CET-1CEST) instead of a name, CRON_TZ a name alone.
    name = line.value.removeprefix(":")
    named = line.name == "CRON_TZ" or ("/" in name and not name.startswith("/"))
    if named and world.is_zone and not world.is_zone(name):
        yield WARNING, f"{line.name}: there is no time zone {line.value!r}"


def _unreadable(line: Unreadable) -> Iterator[Said]:
    content = line.raw.strip()
    first, _, rest = content.partition(" ")
    times = next(at for at, word in enumerate([*content.split(), "x"]) if not _TIME.fullmatch(word))
    if not content:
        yield ERROR, "cron takes this for a job without a schedule; leave the line empty"
    elif first in ("export", "set", "setenv"):
        yield ERROR, f"cron knows no {first!r}: write {rest.strip() or 'NAME=value'}"
    elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\s*=", content):
        yield ERROR, f'cron takes no empty value: write {content}""'
    elif re.match(r"[A-Za-z_][A-Za-z0-9_]*\s*=", content):
        yield ERROR, "cron reads no assignment here: quotes must open before and close after the whole value"
    elif times and len(content.split()) > times:
        yield ERROR, _too_few(times, content.split()[times])
    else:
        yield ERROR, "neither comment nor assignment nor job: a job has five time fields, then the command"


def _too_few(count: int, word: str) -> str:
    fields = ("no", "one", "two", "three", "four", "five")[min(count, 5)]
    plural = "field" if count == 1 else "fields"
    return f"{fields} time {plural} before {word!r}: a schedule has five, then comes the command"


def _job(job: Job, world: World) -> Iterator[Said]:
    if not job.dialect.runs_jobs:
        yield NOTE, f"taken for {job.dialect.who}'s table: this line is not judged"
        return
    if few := _strange_field(job):
        yield ERROR, few
        return
    if other := foreign_column(job):
        yield from _foreign(job, other)
        return
    yield from _schedule(job)
    if job.silent and job.dialect in (DEBIAN, DEFAULT):
        yield NOTE, "the - before the schedule is cronie's; Debian's cron refuses the line"
    yield from _user(job, world)
    if not job.command:
        yield ERROR, "the line has no command"
        return
    if job.dialect.percent and (size := len(encode(job.command))) > LONGEST_COMMAND:
        yield ERROR, f"the command has {size} octets, cron takes {LONGEST_COMMAND}: move it into a script"
    yield from of_command(job, world)


def _strange_field(job: Job) -> str:
    """Give that a command stands where a time field should, empty when none does."""
    strange = strange_field(job)
    if strange is None:
        return ""
    count, field = strange
    few = _too_few(count, field)
    if re.fullmatch("[A-Za-z]+", field):
        few += f"; or write {FIELDS[count].name} as a number or as {FIELDS[count].names[0]}, …"
    return few


def _foreign(job: Job, other: str) -> Iterator[Said]:
    """Tell of a column that only another cron knows, as that cron or this one takes it."""
    if job.command.startswith("*"):
        yield ERROR, "a schedule has five fields; cron refuses a command that begins with *"
    elif job.dialect == BSD and FLAGS.match(job.command):
        yield NOTE, f"the job is not wrapped: {other}"
    elif foreign_nickname(job):
        yield from _schedule(job)
    else:
        yield WARNING, other


def _schedule(job: Job) -> Iterator[Said]:
    written = job.schedule
    if job.dialect.nicknames and re.fullmatch(job.dialect.nicknames, written):
        return
    if len(job.dialect.columns) > 1 and not written.startswith("@"):
        fields = written.split()
        written = " ".join(fields[1:6] if len(fields) > 6 else fields[:5])
        if re.search("[LW#?]", written):
            return  # of its own
    try:
        schedule = read(written)
    except ScheduleError as error:
        yield ERROR, str(error)
        return
    if schedule.random and job.dialect in (CRONIE, BSD):
        schedule = schedule.replace(remarks=())
    for remark in schedule.remarks:
        yield WARNING, remark
    if schedule.never:
        yield ERROR, "no year has such a date: the job never runs"
    if schedule.either_day:
        yield NOTE, "day of month and day of week are both given: cron runs the job when either one matches"


def _user(job: Job, world: World) -> Iterator[Said]:
    if job.user is None:
        first, second, *_ = [*job.command.split(maxsplit=2), "", ""]
        follows = second.startswith("/") or (second and world.find(second, path_of(job)))
        if follows and world.is_user(first) and world.find(first, path_of(job)) is None:
            yield WARNING, f"{first!r} looks like a user column, which only /etc/crontab and /etc/cron.d have"
    elif not job.user:
        yield ERROR, "the user column is missing"
    elif not world.is_user(job.user):
        yield ERROR, f"no user {job.user!r}: a system crontab has the user between schedule and command"
