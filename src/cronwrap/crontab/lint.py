"""What is wrong with a crontab, line by line, and what to do about it. Pure; ``World`` knows the host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cronwrap.crontab.lines import Assignment, Job, Line, Unreadable, encode, parse, shell_texts, split_input
from cronwrap.crontab.schedule import ScheduleError, read
from cronwrap.crontab.shell import BUILTINS, Word, balanced, is_assignment, words
from cronwrap.crontab.wrap import LONGEST_COMMAND, PROGRAM, Use, operand, use_in, use_of, why_left
from cronwrap.errors import UsageError
from cronwrap.model import Record
from cronwrap.settings.command_line import parse as read_arguments

ERROR, WARNING, NOTE = "error", "warning", "note"
HELP = frozenset(("-h", "--help", "--version"))
"""Options that need no command."""

CRON_PATH = "/usr/bin:/bin"
"""What a job's PATH is when the crontab sets none (``_PATH_DEFPATH``)."""
LIKELY_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
"""Where a login shell would have looked."""

GUARDS = frozenset(("[", "[[", "test", "command", "type", "hash", "which"))
"""Commands that ask whether another one is there; what follows one of them may well be missing."""
COMPOUNDS = frozenset(("!", "case", "do", "elif", "else", "for", "function", "if", "select", "then", "time"))
"""Reserved words after which this lint no longer follows."""

_READERS = """
    at awk bash batch bc cat chpasswd dash dc ed ex ftp gpg grep ksh logger lftp mail mailx mutt mysql nc
    passwd patch perl psql python3 read sed sendmail sftp sh s-nail sort sqlite3 ssh su sudo tee telnet tr
    wall wc write xargs zsh
"""
STDIN_READERS = frozenset(_READERS.split())
"""Programs whose standard input people write behind a ``%``."""

_EXPANSION = re.compile(r"\$[A-Za-z_{(]|`")
_HOME = re.compile(r"(?:^|:)~")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT = re.compile(r"[+=]$")


class World(Record):
    """What must be known of the host."""

    find: Callable[[str, str], str | None]
    """Gives where a program is, from its name and a PATH."""
    is_user: Callable[[str], bool]
    subcommands: frozenset[str]
    """Cronwrap's own, which need no ``--``."""


class Finding(Record):
    """One thing to tell about one line."""

    number: int
    severity: str
    """``error``: cron does not take the line, or not as it is meant; ``warning``: it hardly does what is
    meant; ``note``: worth knowing."""
    text: str


Said = tuple[str, str]
"""Severity and text."""


def lint(text: str, world: World, *, system: bool = False) -> tuple[Finding, ...]:
    """Give all findings about a crontab, in the order of its lines."""
    findings = []
    for line in parse(text, system=system):
        for severity, said in (*_line_ends(line), *_by_kind(line, world)):
            findings.append(Finding(number=line.number, severity=severity, text=said))
    return tuple(findings)


def _by_kind(line: Line, world: World) -> Iterator[Said]:
    if isinstance(line, Assignment):
        return _assignment(line, world)
    if isinstance(line, Unreadable):
        return _unreadable(line)
    return _job(line, world) if isinstance(line, Job) else iter(())


def _line_ends(line: Line) -> Iterator[Said]:
    if not line.complete:
        yield ERROR, "the last line has no line feed: cron ignores it, or the whole file; end it with one"
    if line.raw.endswith("\r\n"):
        yield ERROR, "the line ends in CR LF: cron makes the CR a part of it; convert the file (dos2unix)"
    if "\0" in line.raw:
        yield ERROR, "the line holds a NUL character, at which cron stops reading it"


def _assignment(line: Assignment, world: World) -> Iterator[Said]:
    if not _NAME.fullmatch(line.name):
        yield WARNING, f"cron takes this for an assignment to {line.name!r}, which no shell can read"
    if _EXPANSION.search(line.value):
        yield WARNING, f"cron expands nothing in {line.name}: write the value out, without $ and `"
    if _HOME.search(line.value):
        yield WARNING, f"cron does not expand ~ in {line.name}: write the directory out"
    if re.search(r"[ \t]#", line.value):
        yield WARNING, f"what follows the # becomes part of {line.name}: give the comment a line of its own"
    if line.name == "SHELL" and ("/" not in line.value or world.find(line.value, "") is None):
        yield ERROR, f"no program {line.value!r}: cron can start no job below; write the shell's full path"
    if line.name == "CRON_TZ":
        yield NOTE, "CRON_TZ is cronie's; Debian's cron keeps to the time zone of the host"


def _unreadable(line: Unreadable) -> Iterator[Said]:
    content = line.raw.strip()
    first, _, rest = content.partition(" ")
    if not content:
        yield ERROR, "cron takes this for a job without a schedule; leave the line empty"
    elif first in ("export", "set", "setenv"):
        yield ERROR, f"cron knows no {first!r}: write {rest.strip() or 'NAME=value'}"
    elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\s*=", content):
        yield ERROR, f'cron takes no empty value: write {content}""'
    elif re.match(r"[A-Za-z_][A-Za-z0-9_]*\s*=", content):
        yield ERROR, "cron reads no assignment here: quotes must open before and close after the whole value"
    else:
        yield ERROR, "neither comment nor assignment nor job: a job has five time fields, then the command"


def _job(job: Job, world: World) -> Iterator[Said]:
    yield from _schedule(job)
    if job.silent:
        yield NOTE, "the - before the schedule is cronie's; Debian's cron refuses the line"
    yield from _user(job, world)
    if not job.command:
        yield ERROR, "the line has no command"
        return
    if job.command.startswith("*"):
        yield ERROR, "a schedule has five fields; cron refuses a command that begins with *"
        return
    if (size := len(encode(job.command))) > LONGEST_COMMAND:
        yield ERROR, f"the command has {size} octets, cron takes {LONGEST_COMMAND}: move it into a script"
    yield from _percent(job)
    yield from _wrapping(job, world)
    yield from _programs(job, world)


def _schedule(job: Job) -> Iterator[Said]:
    try:
        schedule = read(job.schedule)
    except ScheduleError as error:
        yield ERROR, str(error)
        return
    for remark in schedule.remarks:
        yield WARNING, remark
    if schedule.never:
        yield ERROR, "no year has such a date: the job never runs"
    if schedule.either_day:
        yield NOTE, "day of month and day of week are both given: cron runs the job when either one matches"


def _user(job: Job, world: World) -> Iterator[Said]:
    if job.user is None:
        first, second, *_ = [*job.command.split(maxsplit=2), "", ""]
        follows = second.startswith("/") or (second and world.find(second, _path(job)))
        if follows and world.is_user(first) and world.find(first, _path(job)) is None:
            yield WARNING, f"{first!r} looks like a user column, which only /etc/crontab and /etc/cron.d have"
    elif not job.user:
        yield ERROR, "the user column is missing"
    elif not world.is_user(job.user):
        yield ERROR, f"no user {job.user!r}: a system crontab has the user between schedule and command"


def _percent(job: Job) -> Iterator[Said]:
    if split_input(job.command)[1] is None:
        return
    text = shell_texts(job.command)[0]
    under = _under_cronwrap(text)
    text = text if under is None else under
    programs = {word.value.rpartition("/")[2] for word in _all_words(text)}
    deliberate = balanced(text) and programs & STDIN_READERS and not _FORMAT.search(text.rstrip())
    if not deliberate:
        yield WARNING, "cron ends the command at the % and makes the rest its input: write \\% for a %"


def _under_cronwrap(text: str) -> str | None:
    """Give the text that cronwrap would run, None when it runs none or is not called."""
    use = use_in(text)
    if use is None or not use.form:
        return None
    try:
        invocation = read_arguments([word.value for word in use.arguments])
    except UsageError:
        return None
    return None if invocation is None else invocation.command({}).text


def _all_words(text: str) -> Iterator[Word]:
    at = 0
    while at < len(text):
        found, end = words(text[at:])
        yield from found
        at += end + 1


def _wrapping(job: Job, world: World) -> Iterator[Said]:
    use = use_of(job.command)
    if use is None:
        reason = why_left(job)
        if reason is None:
            yield NOTE, f"the job is not wrapped: cronwrap crontab wrap puts {PROGRAM} before it"
        elif reason:
            yield NOTE, f"the job is not wrapped: {reason}"
    elif misuse := _misuse(use, world.subcommands):
        yield ERROR, f"{PROGRAM} does not understand this line: {misuse}"


def _misuse(use: Use, subcommands: frozenset[str]) -> str:
    """Give why cronwrap would end with status 2 and run nothing, or an empty text."""
    values = [word.value for word in use.arguments]
    try:
        runs = read_arguments(values) is not None
    except UsageError as error:
        return str(error)
    if runs or HELP & set(values):
        return ""
    first = operand(use.arguments)
    if first is None:
        return f"it names no command: {PROGRAM} [OPTIONS] -- COMMAND [ARG]..."
    if first.fixed and first.value not in subcommands:
        return f"there is no subcommand {first.value!r}; to run a command: {PROGRAM} -- {first.value}"
    return ""


def _programs(job: Job, world: World) -> Iterator[Said]:
    text = shell_texts(job.command)[0]
    told: set[str] = set()
    for name in _called(text):
        if name in told or ("/" in name and not name.startswith("/")):
            continue
        told.add(name)
        if world.find(name, _path(job)) is not None:
            continue
        if name.startswith("/"):
            yield WARNING, f"{name} is not there, or not executable"
        elif elsewhere := world.find(name, LIKELY_PATH):
            yield WARNING, f"{name} is not on cron's PATH ({_path(job)}): write {elsewhere}, or set PATH"
        else:
            yield WARNING, f"no program {name!r} on cron's PATH ({_path(job)})"


def _path(job: Job) -> str:
    return job.environment.get("PATH", CRON_PATH)


def _called(text: str) -> Iterator[str]:
    """Give the programs that a text calls for certain; at anything that is not simple it ends."""
    at, redirected = 0, False
    while at < len(text):
        found, end = words(text[at:])
        part = text[at:]
        simple = [word for word in found if not is_assignment(word, part)]
        if redirected:
            simple = []
        if len(simple) < len(found) and re.search(r"(?:^|\s)PATH=", part[:end]):
            return
        if simple:
            name = simple[0].value
            if not simple[0].fixed or name in GUARDS | COMPOUNDS:
                return
            if name not in BUILTINS:
                yield name
            if (under := _under_cronwrap(part)) is not None:
                yield from _called(under)
        operator = re.match(r"[;&|]+|[0-9]*[<>]+&?", part[end:])
        if operator is None:
            return
        redirected = operator[0][0] in "<>"
        at += end + operator.end()
