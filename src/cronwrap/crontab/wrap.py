r"""Putting cronwrap before the jobs of a crontab, and taking it off again. Pure.

``wrap`` changes no job's effect. Its quoting commutes with what cron does to ``%`` and backslashes
before a shell sees them: of a pair ``\x`` both octets stay together, and ``'`` becomes ``'\''``, in
which cron finds one escaped quote and nothing else. So ``%`` keeps its meaning wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping

from cronwrap.crontab.background import leaves_behind
from cronwrap.crontab.columns import foreign_column
from cronwrap.crontab.dialect import DEFAULT, Dialect
from cronwrap.crontab.grammar import comment_start, complete
from cronwrap.crontab.lines import Job, encode, jobs, parse, shell_texts, split_input
from cronwrap.crontab.shell import (
    BOURNE_SHELLS,
    POSIX_SHELLS,
    Word,
    is_assignment,
    plain,
    single_quoted,
    words,
)
from cronwrap.errors import UsageError
from cronwrap.model import Record
from cronwrap.settings.command_line import SHELL_BASENAME
from cronwrap.settings.command_line import parse as read_arguments
from cronwrap.settings.options import BY_KEY, OPTIONS

PROGRAM = "cronwrap"

LONGEST_COMMAND = 998
"""Octets: Debian's cron refuses a longer command (``MAX_COMMAND`` is 1000 with NUL and line feed)."""

_MENTION = re.compile(
    r"""(?P<before>^|[\s;&|(`!='"])"""
    r"""(?=["']?(?:[^\s;&|()`'"=]*/)?cronwrap(?:-shell)?["']?(?:\s|$))"""
)
_COMMAND_PLACE = re.compile(r"(?:^|[;&|(`!]|\b(?:then|do|else|exec|time))[ \t]*(?:\w+=\S*[ \t]+)*$")
_BY_SHORT = {option.short: option for option in OPTIONS if option.short}
_TEXT_PIECES = re.compile(r"""(?:'[^']*'|\\'|"[^"\\`]*"|[^\s'"\\`$*?\[{~])+""")
_TEXT_PIECE = re.compile(r"""'([^']*)'|\\(')|"([^"]*)"|([^'"\\]+)""")


class Change(Record):
    """What was done about one job."""

    number: int
    """Of the line, counted from 1."""
    changed: bool
    remark: str = ""
    """Why the line was left as it is, or what was lost; empty when there is nothing to say."""


class Rewrite(Record):
    """A crontab after :func:`wrap` or :func:`unwrap`."""

    text: str
    changes: tuple[Change, ...]
    """One for each job with a command, in order."""


class Use(Record):
    """How a command uses cronwrap."""

    before: str
    """What stands before it on the line: assignments; usually empty."""
    arguments: tuple[Word, ...]
    """All words after the program up to the first operator of the shell."""
    end: int
    """Where the words end; less than the length of the command when an operator follows."""
    form: str
    """``--``, ``-c``, or empty for anything else, such as a subcommand."""
    at: int = 0
    """Index in ``arguments`` of the ``--`` or ``-c``."""


def wrap(
    text: str,
    *,
    prefix: str = PROGRAM,
    system: bool = False,
    dialect: Dialect = DEFAULT,
    only: Container[int] | None = None,
) -> Rewrite:
    """Give a crontab with ``prefix`` before every job that has none; UsageError when it is no good prefix.

    ``only``: before those in lines of these numbers.
    """
    check_prefix(prefix)
    out: dict[int, str] = {}
    changes: list[Change] = []
    lines = parse(text, system=system, dialect=dialect)
    for job in _of_numbers(jobs(lines), only):
        remark = why_left(job)
        if remark is None:
            command = _wrapped(job, prefix)
            remark = leaves_behind(job.parts()[0])
            if job.dialect.percent and (size := len(encode(command))) > LONGEST_COMMAND:
                remark = f"with {prefix} it would have {size} octets; cron takes {LONGEST_COMMAND}"
            else:
                out[job.number] = job.with_command(command)
        changes.append(Change(number=job.number, changed=job.number in out, remark=remark or ""))
    return Rewrite(
        text="".join(out.get(line.number, line.raw) for line in lines),
        changes=tuple(changes),
    )


def _of_numbers(every: tuple[Job, ...], only: Container[int] | None) -> Iterator[Job]:
    return (job for job in every if only is None or job.number in only)


def check_prefix(prefix: str) -> None:
    """Raise UsageError unless ``prefix`` is cronwrap by any path, with options if need be."""
    use = use_of(prefix)
    if use is None or use.before or use.end != len(prefix) or use.form:
        raise UsageError(
            f"--prefix {prefix!r}: write the path of {PROGRAM} and its options, without -- or -c"
        )
    if re.search(r"[%\n\r\0]|\\$", prefix):
        raise UsageError(f"--prefix {prefix!r}: cron gives % and line breaks a meaning of their own")
    if read_arguments([*(word.value for word in use.arguments), "--", "true"]) is None:
        raise UsageError(f"--prefix {prefix!r}: that runs no job")


def why_left(job: Job) -> str | None:
    """Give why a job is not to be wrapped, empty when it is wrapped already; None when it is to be."""
    shell = job.shell.rpartition("/")[2]
    written = job.parts()[0]
    if shell == SHELL_BASENAME or use_in(written) is not None:
        return ""
    return foreign_column(job) or next(_unsafe(job, shell), None)


def _unsafe(job: Job, shell: str) -> Iterator[str]:
    written = job.parts()[0]
    if shell not in BOURNE_SHELLS:
        yield f"SHELL={job.shell} has other quotes than sh; wrap it by hand"
    if "\0" in job.raw:
        yield "it holds a NUL character"
    if not written.strip(" \t"):
        yield "there is no command before the %"
    if calls_cronwrap(_expanded(written, job.environment)):
        yield f"it calls {PROGRAM} already: wrapped again it would mail twice"
    if job.dialect.assumed and written != job.command and not complete(written):
        yield (
            "a % within quotes ends the command for most crons, but not for BusyBox's: "
            "write \\%, or say --dialect busybox"
        )


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """Give a text with the crontab's own variables that hold cronwrap, as ``$CW -- ls``."""
    for name, value in environment.items():
        if PROGRAM in value and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            text = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", value.replace("\\", r"\\"), text)
    return text


def calls_cronwrap(text: str) -> bool:
    """Give whether a shell's text calls cronwrap anywhere: to run a job, or as one of its own commands."""
    return next(calls(text), None) is not None


def calls(text: str) -> Iterator[Use]:
    """Give each call of cronwrap in a shell's text."""
    if PROGRAM not in text:
        return  # most lines of a large crontab: to read them as a shell does takes long
    text = without_comment(text)
    for match in _MENTION.finditer(text):
        use = use_in(text[match.end("before") :].lstrip("'\""), also=(SHELL_BASENAME,))
        if use is None:
            continue
        if use.form or (_COMMAND_PLACE.search(text[: match.end("before")]) and operand(use.arguments)):
            yield use


def without_comment(text: str) -> str:
    """Give a shell's text up to the comment at its end."""
    at = comment_start(text)
    return text if at < 0 else text[:at]


def use_of(command: str) -> Use | None:
    """Give how a crontab's command uses cronwrap, None when its first word is another program."""
    return use_in(split_input(command)[0])


def use_in(text: str, also: tuple[str, ...] = ()) -> Use | None:
    """Give how a shell's text uses cronwrap, None when its first word is another program."""
    found, end = words(text)
    index = 0
    while index < len(found) and is_assignment(found[index], text):
        index += 1
    if index == len(found) or found[index].value.rpartition("/")[2] not in (PROGRAM, *also):
        return None
    arguments = found[index + 1 :]
    form, at = _form(arguments)
    before = text[: found[index].start]
    return Use(before=before, arguments=arguments, end=end, form=form, at=at)


def _form(arguments: tuple[Word, ...]) -> tuple[str, int]:
    at = 0
    while at < len(arguments):
        value = arguments[at].value
        if value in ("--", "-c"):
            return value, at
        if not value.startswith("-"):
            break
        at += _option_length(arguments, at)
    return "", 0


def _option_length(arguments: tuple[Word, ...], at: int) -> int:
    """Give of how many words an option consists: itself, and its value if that stands apart.

    One that cronwrap does not know has a value if what follows looks like one: it is a typing error, and
    the line is still one that is meant to run a job.
    """
    word = arguments[at].value
    option = BY_KEY.get(word[2:]) if word.startswith("--") else _BY_SHORT.get(word[1:2])
    if option is not None:
        attached = not word.startswith("--") and len(word) > 2
        return 2 if option.metavar and not attached else 1
    unknown = "=" not in word and at + 1 < len(arguments)
    return 2 if unknown and not arguments[at + 1].value.startswith("-") else 1


def operand(arguments: tuple[Word, ...]) -> Word | None:
    """Give the first word that is neither an option nor an option's value, None when there is none."""
    at = 0
    while at < len(arguments) and arguments[at].value.startswith("-"):
        at += _option_length(arguments, at)
    return arguments[at] if at < len(arguments) else None


def _wrapped(job: Job, prefix: str) -> str:
    written, given = job.parts()
    rest = "" if given is None else "%" + given
    # Generators find their lines again by a comment at the end: it stays there.
    end = _body_end(job, written)
    body, comment = written[:end], written[end:]
    shell = job.shell.rpartition("/")[2]
    # These files, read at every start, may define functions of any name (bash(1), sh(1)).
    has_startup_file = any(job.environment.get(name) for name in ("ENV", "BASH_ENV"))
    if shell in POSIX_SHELLS and not has_startup_file and plain(body):
        return f"{prefix} -- {body}{comment}{rest}"
    return f"{prefix} -c {single_quoted(body)}{comment}{rest}"


def _body_end(job: Job, written: str) -> int:
    """Give where the command ends and blanks and a comment begin; all of it where a shell might see none."""
    at = comment_start(written)
    end = len(written[: max(at, 0)].rstrip(" \t"))
    slashes = end - len(written[:end].rstrip("\\"))
    end += slashes % 2  # the first blank is escaped
    if not 0 < end < at:
        return len(written)
    seen = zip(shell_texts(written, job.dialect), shell_texts(written[:at], job.dialect), strict=False)
    if all(comment_start(whole) == len(before) for whole, before in seen):
        return end
    return len(written)


def unwrap(
    text: str, *, system: bool = False, dialect: Dialect = DEFAULT, only: Container[int] | None = None
) -> Rewrite:
    """Give a crontab without cronwrap; what :func:`wrap` put there comes off to the octet.

    ``only``: in lines of these numbers alone.

    Lines written by hand come off as well as can be; a remark says what options went with it.
    """
    out: dict[int, str] = {}
    changes: list[Change] = []
    lines = parse(text, system=system, dialect=dialect)
    for job in _of_numbers(jobs(lines), only):
        use = use_in(job.parts()[0])
        if use is None or not use.form:
            changes.append(Change(number=job.number, changed=False))
            continue
        command, remark = _unwrapped(job, use)
        if command is not None:
            out[job.number] = job.with_command(command)
        changes.append(Change(number=job.number, changed=command is not None, remark=remark))
    return Rewrite(
        text="".join(out.get(line.number, line.raw) for line in lines),
        changes=tuple(changes),
    )


def _unwrapped(job: Job, use: Use) -> tuple[str | None, str]:
    command, written = job.command, job.parts()[0]
    options = list(use.arguments[: use.at])
    marker = use.arguments[use.at]
    if use.form == "--":
        body = use.before + command[marker.end :].lstrip(" \t")
    else:
        comment = written[use.end :]
        if len(use.arguments) == use.at + 1 or (comment and not comment.startswith("#")):
            return None, "more than one quoted text follows -c; take it off by hand"
        word, after = use.arguments[use.at + 1], use.arguments[use.at + 2 :]
        text = _text_of(written[word.start : word.end])
        if text is None or operand(after) is not None or use.before:
            return None, "the text of -c is not one quoted word alone; take it off by hand"
        options += after
        # Blanks after a quoted text are of no account to the shell; the ones before a % go with them.
        last = use.arguments[-1].end
        body = text + (written[last:] if comment else "") + command[len(written) :]
    if not body.strip(" \t"):
        return None, "there is no command to leave"
    dropped = " ".join(written[word.start : word.end] for word in options)
    return body, f"options dropped: {dropped}" if dropped else ""


def _text_of(written: str) -> str | None:
    r"""Give the text of ``-c`` as the crontab would have it, None when that cannot be told.

    Within single quotes ``\%`` stays what it is, for cron. Expansions within double quotes are kept:
    the job's own shell finds the same variables.
    """
    if not _TEXT_PIECES.fullmatch(written):
        return None
    return "".join("".join(parts) for parts in _TEXT_PIECE.findall(written))
