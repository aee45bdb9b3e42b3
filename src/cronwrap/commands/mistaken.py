"""A mistake on the command line, in two lines: what is wrong, and the right form of what was typed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches

from cronwrap.commands import SUBCOMMANDS
from cronwrap.crontab.right_form import (
    ASKING,
    PROGRAM,
    Reading,
    misspelt,
    of_a_job,
    subcommand_behind_options,
)
from cronwrap.crontab.store import find_program
from cronwrap.errors import UsageError
from cronwrap.pipeline.mistakes import report_mistake
from cronwrap.settings.command_line import quote
from cronwrap.settings.options import BY_KEY


def tell(words: Sequence[str], error: UsageError) -> None:
    """Tell a person of a mistake; by mail as well if a crontab's line seems to have it."""
    text, form = explained(words, str(error))
    alone = not any(map(_terminal, range(3)))
    report_mistake(text, form, words, mailed=alone and of_a_job(words, [*SUBCOMMANDS], _is_program))


def explained(words: Sequence[str], why: str) -> tuple[str, str]:
    """Give what is wrong, and the right form; ``why`` is what the reader of the line said."""
    read = Reading(words)
    if read.dash:
        why = f"{read.dash!r} begins with a dash, where two hyphens belong"
    at = subcommand_behind_options(words, [*SUBCOMMANDS])
    if (
        at
        and read.command is None
        and read.text is None
        and any(not option.startswith("--config") for option in words[:at])
    ):
        return _of_subcommand([*words[:at]], [*words[at:]], why)
    if not read.plain:
        return why, read.form()
    if read.plain[0] in SUBCOMMANDS:
        options = [word for flag, values in read.flags for word in (flag, *values)]
        return _of_subcommand(options, read.plain, why)
    return _of_first_word(read, why)


def _of_first_word(read: Reading, why: str) -> tuple[str, str]:
    first, *rest = read.plain
    if first in ASKING and (not rest or (len(rest) == 1 and rest[0] in SUBCOMMANDS)):
        path = [PROGRAM, *rest] if first != "version" else [PROGRAM]
        return f"no such subcommand: {first!r}; it is an option", " ".join((*path, ASKING[first]))
    near = "" if _is_program(first) else misspelt(first, [*SUBCOMMANDS], _is_program)
    if near:
        why = f"no such subcommand: {first!r}: did you mean {near}? A command stands behind --"
        return why, " ".join((PROGRAM, near, *map(quote, rest)))
    if "--" in rest and not _is_program(first):
        at = rest.index("--")
        named = Reading(["--name", first, *rest])
        if not Reading(rest[:at]).plain and all(flag in _FLAGS for flag, _ in Reading(rest[:at]).flags):
            return (
                f"{first!r} stands before --, and is no option; a job's name is given with --name",
                named.form(),
            )
    return _command(read, why)


_FLAGS = {f"--{key}" for key in BY_KEY} | {f"-{option.short}" for option in BY_KEY.values() if option.short}


def _command(read: Reading, why: str) -> tuple[str, str]:
    first, *rest = read.plain
    if why.startswith("no such subcommand") and first:
        why = f"no such subcommand: {first!r}; a command stands behind --"
        own = [word for word in rest if word.partition("=")[0] in _FLAGS and word.startswith("--")]
        if own:
            why += f", and cronwrap's options before it ({own[0]} is the command's own there)"
    return why, read.form()


def _of_subcommand(options: list[str], words: list[str], why: str) -> tuple[str, str]:
    """Give the same for a line whose first word is a subcommand: options of a job have no place there."""
    from cronwrap.commands import right_subcommand  # noqa: PLC0415  # imports click

    name, *rest = words
    known = right_subcommand.known(name)
    config, rest = _config(rest)
    moved: list[str] = []
    job: list[str] = []
    place = job
    for word in options:
        if word.startswith("-"):
            flag = word.partition("=")[0]
            place = config if flag == "--config" else moved if _belongs(flag, known) else job
        place.append(word)
    given = [word.partition("=")[0] for word in rest if word.startswith("-")]
    foreign = [flag for flag in given if not _belongs(flag, known)]
    if _is_program(name) and ((job and not moved) or foreign):
        return why, Reading([*options, "--", *words]).form()
    form = " ".join((PROGRAM, *map(quote, config), right_subcommand.form([name, *moved, *rest])))
    if form == " ".join((PROGRAM, *map(quote, [*options, *words]))):  # what is wrong is what the words say
        form = f"{PROGRAM} {right_subcommand.name_of(words)} --help"
    return why, form


def _config(rest: list[str]) -> tuple[list[str], list[str]]:
    """Give ``--config FILE``, which belongs before a subcommand, and what is left without it."""
    for at, word in enumerate(rest):
        if word.partition("=")[0] == "--config":
            behind = at + 1 if "=" in word else at + 2
            missing = [] if behind <= len(rest) else ["FILE"]
            return [*rest[at:behind], *missing], [*rest[:at], *rest[behind:]]
    return [], rest


def _belongs(flag: str, known: set[str]) -> bool:
    return flag in known or (flag not in _FLAGS and bool(get_close_matches(flag, known, 1)))


def _is_program(word: str) -> bool:
    return find_program(word, os.environ.get("PATH", os.defpath)) is not None


def _terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
