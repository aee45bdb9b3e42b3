"""What of a shell's grammar must be known to put a program in front of a crontab's command. Pure.

The rule throughout is to be sure or to say no: a text that is not plain beyond doubt is left to a shell.
"""

from __future__ import annotations

import re

from cronwrap.model import Record

BOURNE_SHELLS = frozenset(("sh", "dash", "ash", "bash", "ksh", "ksh93", "mksh", "yash", "zsh"))
"""Shells in which single quotes keep every character but the quote itself."""

POSIX_SHELLS = frozenset(("sh", "dash", "ash", "bash"))
"""Shells whose words without special characters mean themselves; the others have more of them."""

SAME_AS_PROGRAM = frozenset(("echo", "true", "false"))
"""Builtins that do what the program of that name does, as long as no word begins with a dash."""

# POSIX.1-2017, XCU 2.4 (reserved words), 2.9.1.1 and 2.14 (builtins)
_OF_POSIX = """
    ! { } case do done elif else esac fi for if in then time until while
    . : break continue eval exec exit export readonly return set shift times trap unset
    alias bg cd command fc fg getopts hash jobs kill newgrp pwd read type ulimit umask unalias wait
"""
_OF_DASH_AND_BASH = """
    [ [[ ]] bind builtin caller chdir compgen complete compopt coproc declare dirs disown enable function help
    history let local logout mapfile popd printf pushd readarray select shopt source suspend test typeset
"""

BUILTINS = SAME_AS_PROGRAM.union(_OF_POSIX.split(), _OF_DASH_AND_BASH.split())
"""Words that a POSIX shell, dash or bash takes for its own in the place of a command."""

_PLAIN = re.compile(
    r"[A-Za-z0-9_./][A-Za-z0-9_./:,+@-]*"  # the command; with a `=` it would be an assignment
    r"(?:[ \t]+[A-Za-z0-9_./:,+@-][A-Za-z0-9_./:,+@=-]*)*"
    r"[ \t]*"
)
_WORD = re.compile(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^ \t\n'"\\;&|<>()])+""", re.DOTALL)
_PIECE = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\]+""", re.DOTALL)
_IN_DOUBLE_QUOTES = re.compile(r'\\(["\\$`\n])')
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")

_RESERVED = """
    ! { } [[ ]] case coproc do done elif else esac fi for function if in select then time until while
"""
RESERVED = frozenset(_RESERVED.split())
_VALUE = r"\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\}"
_SURE = re.compile(
    r"[ \t]+"
    r"|(?P<duplicate>[0-9]?>&[0-9-])(?![^ \t;&|])"
    r"|(?P<redirect>[0-9]?(?:>>?|<)[ \t]*)(?![&|<>])"
    r"|(?P<operator>&&|\|\|?|;|&(?!>))"
    rf"""|(?P<word>(?![0-9]+[<>])(?:[A-Za-z0-9_./:,+@=%^~*?-]|'[^'\n]*'|"(?:[^"\\`$\n]|{_VALUE})*"|{_VALUE}|\\[^\n])+"""
    r"|(?<![^ \t;&|])[][](?=[ \t;&|]|$))",
    re.ASCII,
)


class Word(Record):
    """One word of a simple command, and where it stands."""

    start: int
    end: int
    value: str
    """Without its quotes; expansions are left as they are written."""
    fixed: bool
    """Whether the shell would expand nothing in it."""


def plain(text: str) -> bool:
    """Give whether executing the words of a text does what a POSIX shell does with the text."""
    if not _PLAIN.fullmatch(text):
        return False
    command, *arguments = text.split()
    if command in SAME_AS_PROGRAM:
        return not any(word.startswith("-") for word in arguments)
    return command not in BUILTINS


def single_quoted(text: str) -> str:
    r"""Give a text as one word of a Bourne-type shell, always in quotes; ``'`` becomes ``'\''``."""
    return "'" + text.replace("'", "'\\''") + "'"


def words(text: str) -> tuple[tuple[Word, ...], int]:
    """Give the words up to the first operator, comment or open quote, and where that stands.

    The second value is the length of the text when all of it was words and blanks.
    """
    found: list[Word] = []
    at = _skip_blanks(text, 0)
    while at < len(text) and text[at] != "#":
        match = _WORD.match(text, at)
        if match is None:
            break
        found.append(_word(match))
        at = _skip_blanks(text, match.end())
    return tuple(found), at


def is_assignment(word: Word, text: str) -> bool:
    """Give whether a word of ``text`` is an assignment when it stands before the command."""
    return _ASSIGNMENT.match(text, word.start, word.end) is not None


def surely_parsed(text: str) -> bool:
    """Give whether dash, bash and every other POSIX shell can parse a text, where that is beyond doubt."""
    at, begun, named, redirected, operator = 0, False, False, False, ""
    while at < len(text):
        match = _SURE.match(text, at)
        kind = match and match.lastgroup
        if match is None or (redirected and kind != "word"):
            return False
        if kind == "operator":
            if not begun:
                return False
            operator, begun, named = match[0], False, False
        elif kind:
            if kind == "word" and not redirected:
                if not named and match[0] in RESERVED:
                    return False
                named = named or _ASSIGNMENT.match(match[0]) is None
            begun, redirected, operator = True, kind == "redirect", ""
        at = match.end()
    return (begun and not redirected) or operator in (";", "&")


def balanced(text: str) -> bool:
    """Give whether no quote, parenthesis or backquote of a text stays open; a guess for here-documents."""
    rest = "".join(piece for piece in _PIECE.findall(text) if piece[0] not in "'\"\\")
    left_over = _PIECE.sub("", text)  # a quote without its partner, or a backslash at the end
    return not left_over.strip("\\") and rest.count("`") % 2 == 0 and rest.count("(") == rest.count(")")


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _word(match: re.Match[str]) -> Word:
    value, fixed = "", True
    for piece in _PIECE.findall(match[0]):
        if piece[0] == "'":
            value += piece[1:-1]
        elif piece[0] == '"':
            value += _IN_DOUBLE_QUOTES.sub(r"\1", piece[1:-1])
            fixed = fixed and not any(char in piece for char in "$`")
        elif piece[0] == "\\":
            value += piece[1:]
        else:
            value += piece
            fixed = fixed and not any(char in piece for char in "$`*?[{~")
    return Word(start=match.start(), end=match.end(), value=value, fixed=fixed)
