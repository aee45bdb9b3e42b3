"""What a shell's text asks of the shell, and where its output goes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.crontab.grammar import OPERATOR, REDIRECT, WORD, simple_commands, tokens

POSIX_ONLY = frozenset(("sh", "dash"))
"""Shells without bash's grammar; BusyBox's ash has most of it."""
_ALONE = """
    ! { } case do done elif else esac fi for if in then until while [[
    . : alias bg break cd continue declare disown eval exec exit export fg function jobs let local popd pushd
    readonly return select set shift shopt source suspend times trap typeset ulimit umask unalias unset wait
"""
SHELL_ALONE = frozenset(_ALONE.split())
"""What is a shell's own, and does nothing as a program even where one has that name."""
BASH_COMMANDS = frozenset(("[[", "source", "function", "declare", "shopt", "pushd", "popd", "let", "select"))
_RANDOM = re.compile(r"\$\{?RANDOM\b|\$\(\(\s*RANDOM\b")
_QUIET = frozenset((":", ".", "[", "test", "cd", "export", "set", "sleep", "true", "umask", "exit", "wait"))
"""Commands that say nothing when all is well."""


def bash_alone(text: str, shell: str) -> str:
    """Give what of a text only bash understands, and what another shell makes of it; empty for nothing."""
    return next(_bash_alone(text, shell), "") if shell.rpartition("/")[2] in POSIX_ONLY else ""


def _bash_alone(text: str, shell: str) -> Iterator[str]:
    advice = f"bash's, {shell} does not know it; set SHELL=/bin/bash, or write it as sh knows it"
    for token in tokens(text):
        written = text[token.start : token.end]
        if token.kind == REDIRECT and written.startswith("&>"):
            yield (
                f"{written} is bash's: {shell} runs the command in the background and empties the file; "
                "write >FILE 2>&1"
            )
        elif (token.kind, written) == (OPERATOR, "|&"):
            yield f"|& is bash's, {shell} does not know it: write 2>&1 |"
        elif (token.kind, written) == (REDIRECT, "<<<"):
            yield f"<<< is {advice}"
        elif token.kind == WORD and written.startswith(("<(", ">(")):
            yield f"{written[:2]}…) is {advice}"
    for command in simple_commands(text):
        if command.name in BASH_COMMANDS:
            yield f"{command.name} is {advice}"
    if _RANDOM.search(text):
        yield f"RANDOM is empty to {shell}: it is {advice}"


def silent(text: str) -> bool:
    """Give whether all that a text's commands write goes to files or /dev/null."""
    commands = simple_commands(text)
    base = (True, True)
    speaks = False
    for command in commands:
        if command.name == "exec" and len(command.words) == 1:
            base = command.mailed(base)
            continue
        to_pipe = command.operator in ("|", "|&")
        out, errors = command.mailed((base[0] and not to_pipe, base[1] and command.operator != "|&"))
        if command.name not in _QUIET and (out or errors):
            return False
        speaks = speaks or bool(command.words)
    return speaks and not all(command.name in _QUIET for command in commands)
