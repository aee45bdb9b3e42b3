"""What is wrong with the command of a crontab's line, for ``lint``. Pure; ``World`` knows the host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.crontab.background import leaves_behind
from cronwrap.crontab.dialect import BUSYBOX
from cronwrap.crontab.findings import ERROR, NOTE, WARNING, Said, World
from cronwrap.crontab.grammar import Simple, comment_start, simple_commands
from cronwrap.crontab.lines import Job
from cronwrap.crontab.right_form import Reading
from cronwrap.crontab.shell import BUILTINS, Word, balanced, is_assignment, words
from cronwrap.crontab.shell_traits import SHELL_ALONE, bash_alone, silent
from cronwrap.crontab.wrap import PROGRAM, Use, operand, use_in, why_left, without_comment
from cronwrap.errors import UsageError
from cronwrap.settings.command_line import SHELL_BASENAME
from cronwrap.settings.command_line import parse as read_arguments

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
BRING_COMMANDS = frozenset((".", "source", "eval", "alias", "module", "conda", "nvm", "shopt", "enable"))
"""After these, names may mean anything."""

_READERS = """
    at awk bash batch bc cat chpasswd dash dc ed ex ftp gpg grep ksh logger lftp mail mailx mutt mysql nc
    passwd patch perl psql python3 read sed sendmail sftp sh s-nail sort sqlite3 ssh su sudo tee telnet tr
    wall wc write xargs zsh
"""
STDIN_READERS = frozenset(_READERS.split())
"""Programs whose standard input people write behind a ``%``."""

_FORMAT = re.compile(r"[+=]$")


def of_command(job: Job, world: World) -> Iterator[Said]:
    """Give all findings about a job's command."""
    percent = tuple(_percent(job))
    yield from percent
    yield from _wrapping(job, world)
    yield from _shell_text(job, world, quotes_told=bool(percent))
    yield from _programs(job, world)


def _shell_text(job: Job, world: World, *, quotes_told: bool) -> Iterator[Said]:
    """Tell what the job's own shell makes of the command, and of the text under cronwrap."""
    text = job.shell_texts()[0]
    under, use = _under_cronwrap(text), use_in(text)
    inner = under if under is not None and use is not None and use.form == "-c" else text
    shell = "/bin/sh" if _by_shell(job) else job.shell
    # BusyBox's sh is its ash, which knows most of it.
    alone = "" if job.dialect == BUSYBOX else bash_alone(inner, shell)
    if alone:
        yield WARNING, alone
    if world.fault and not quotes_told and not alone:
        for part in dict.fromkeys((text, inner)):
            if fault := world.fault(shell, part):
                yield ERROR, f"{shell} cannot parse this: {fault}"
                return
    behind = leaves_behind(inner) if use is None or inner is not text else ""
    if behind:
        yield NOTE, behind
    if (use is None or inner is not text) and silent(inner):
        yield NOTE, "all output is sent elsewhere: a mail about this job has none of it"


def _by_shell(job: Job) -> bool:
    return job.shell.rpartition("/")[2] == SHELL_BASENAME


def _percent(job: Job) -> Iterator[Said]:
    if job.parts()[1] is None or comment_start(job.parts()[0]) > 0:
        return  # there is none, or it stands in a comment
    text = job.shell_texts()[0]
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
    use = use_in(job.parts()[0])
    if use is None and not _by_shell(job):
        reason = why_left(job)
        if reason is None:
            yield NOTE, f"the job is not wrapped: cronwrap crontab wrap puts {PROGRAM} before it"
        elif reason:
            yield NOTE, f"the job is not wrapped: {reason}"
    elif use is not None and (misuse := _misuse(use, world.subcommands)):
        yield ERROR, f"{PROGRAM} does not understand this line: {misuse}"
    elif use is None or use.form:
        yield from _unmailed(job, use)
        if use is not None:
            yield from _escapes(job, use)


def _unmailed(job: Job, use: Use | None) -> Iterator[Said]:
    """Tell of a wrapped job whose crontab says to mail nobody."""
    if not job.dialect.mails_by_variable or job.environment.get("MAILTO") != "":
        return
    if "CRONWRAP_MAILTO" in job.environment:
        return
    values = [word.value for word in use.arguments[: use.at]] if use else []
    if any(re.match(r"-t|--mailto(?:=|$)|--on(?:=never)?$", value) for value in values):
        return
    yield WARNING, 'MAILTO="" above: a failure of this job is mailed to nobody; see --mailto'


def _escapes(job: Job, use: Use) -> Iterator[Said]:
    """Tell which part of a wrapped line the line's own shell does, outside of cronwrap."""
    text = without_comment(job.shell_texts()[0])
    first, *later = simple_commands(text) or (None,)
    fix = f"put the whole line into {PROGRAM} -c '…'"
    if first is not None:
        for one, before in zip(later, (first, *later), strict=False):
            if use_in(one.text) is None:
                yield WARNING, f"what follows the {before.operator} is not {PROGRAM}'s to watch: {fix}"
                break
        else:
            if first.operator == "&" and not later:
                yield WARNING, f"the & puts {PROGRAM} itself into the background: leave it out"
        yield from _redirected(first, fix)
    if use.form != "--" or len(use.arguments) <= use.at + 1:
        return
    word = use.arguments[use.at + 1]
    if is_assignment(word, job.parts()[0]):
        yield WARNING, f"{word.value} after -- is taken for the program: put it before {PROGRAM}, or write -c"
    elif word.fixed and word.value in SHELL_ALONE:
        yield WARNING, f"{word.value} is the shell's own, no program: {fix}"


def _redirected(command: Simple, fix: str) -> Iterator[Said]:
    for operator, target in command.redirects:
        if ">" in operator and not re.fullmatch(r"[0-9-]|/dev/.*", target):
            yield WARNING, f"{target} gets what {PROGRAM} says, which passes on no output: {fix}"
            return


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
        return f"there is no subcommand {first.value!r}; to run a command: {Reading(values).form()}"
    return ""


def _programs(job: Job, world: World) -> Iterator[Said]:
    path = path_of(job)
    told: set[str] = set()
    for name in programs_called(job.shell_texts()[0]):
        if name in told or ("/" in name and not name.startswith("/")):
            continue
        told.add(name)
        if world.find(name, path) is not None:
            continue
        if name.startswith("/"):
            yield WARNING, f"{name} is not there, or not executable"
        elif elsewhere := world.find(name, LIKELY_PATH):
            yield WARNING, f"{name} is not on cron's PATH ({path}): write {elsewhere}, or set PATH"
        else:
            yield WARNING, f"no program {name!r} on cron's PATH ({path})"


def path_of(job: Job) -> str:
    """Give the PATH that cron gives a job."""
    return job.environment.get("PATH", CRON_PATH)


def programs_called(text: str) -> Iterator[str]:
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
            if not simple[0].fixed or name in GUARDS | COMPOUNDS | BRING_COMMANDS:
                return
            if part[end:].startswith("("):
                return  # it becomes a function
            if name not in BUILTINS:
                yield name
            if (under := _under_cronwrap(part)) is not None:
                yield from programs_called(under)
        operator = re.match(r"[;&|]+|[0-9]*[<>]+&?", part[end:])
        if operator is None:
            return
        redirected = operator[0][0] in "<>"
        at += end + operator.end()
