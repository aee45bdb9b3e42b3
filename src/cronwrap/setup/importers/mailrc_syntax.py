"""The language of mail.rc: logical lines, two styles of quoting, conditions, accounts.

Sources: mailx(1) of Heirloom mailx 12.5, "Commands"; s-nail(1) 14.9, "Old-style argument quoting" and
"Shell-style argument quoting"; the behaviour of s-nail 14.9.24 where these are silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.setup.importers.lines import lines, split_words

BLANKS = " \t"
EXPANDED = "\ue000"
"""Stands for a `$VARIABLE` that mailx would have replaced by something a file alone does not tell."""
HOME = "\ue001"
"""Stands for ``$HOME`` where a path may keep it, as ``~``."""

_C_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "E": "\x1b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_NUMERIC = (
    (re.compile(r"x([0-9A-Fa-f]{1,2})"), 16),
    (re.compile(r"u([0-9A-Fa-f]{1,4})"), 16),
    (re.compile(r"U([0-9A-Fa-f]{1,8})"), 16),
    (re.compile(r"0?([0-7]{1,3})"), 8),
)
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+|[?!#*@-])")


class UnclosedQuoteError(Exception):
    """A quote that nothing closes; S-nail then ignores the whole command."""


def logical_lines(text: bytes) -> Iterator[tuple[int, str]]:
    """Give the commands with the number of their first line: a backslash at the end joins two lines.

    A comment that ends in one swallows the next line too, as in S-nail.
    """
    first, held = 0, ""
    for number, line in lines(text):
        content = line.lstrip(BLANKS)
        if not held:
            first = number
        held += content
        backslashes = len(held) - len(held.rstrip("\\"))
        if backslashes % 2:
            held = held[:-1]
            if held:
                continue
        if held and not held.startswith("#"):
            yield first, held.rstrip(BLANKS)
        held = ""
    if held and not held.startswith("#"):
        yield first, held.rstrip(BLANKS)


def old_style(text: str) -> list[str]:
    """Split a command's arguments by the traditional rules.

    Within quotes a backslash is itself unless it stands before that kind of quote; outside it makes the
    next character an ordinary one. An unclosed quote reaches to the end. `#` has no meaning here.
    """
    return split_words(text, BLANKS.__contains__, lambda quote, after: not quote or after == quote)


def shell_style(text: str) -> tuple[list[str], str]:
    """Split a command's arguments by the shell's rules; gives them and what follows a `;`.

    `EXPANDED` marks where a variable would be put in. UnclosedQuoteError as named.
    """
    found: list[str] = []
    word: str | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char in BLANKS or char in ";&|":
            if word is not None:
                found.append(word)
            word = None
            if char not in BLANKS:
                return found, text[at + 1 :] if char == ";" else ""
            at += 1
        elif char == "#" and word is None:
            return found, ""
        else:
            piece, at = _piece(text, at)
            word = (word or "") + piece
    return (found if word is None else [*found, word]), ""


def _piece(text: str, at: int) -> tuple[str, int]:
    """Give the next piece of a word, its quotes undone, and where the one after it begins."""
    if text.startswith("$'", at):
        return _dollar_quoted(text, at + 2)
    char = text[at]
    if char == "'":
        end = text.find("'", at + 1)
        if end < 0:
            raise UnclosedQuoteError
        return text[at + 1 : end], end + 1
    if char == '"':
        return _double_quoted(text, at + 1)
    if char == "\\":
        return (text[at + 1], at + 2) if at + 1 < len(text) else ("\\", at + 1)
    if variable := _VARIABLE.match(text, at):
        return _stand_in(variable[0]), variable.end()
    return char, at + 1


def _stand_in(variable: str) -> str:
    return HOME if variable in ("$HOME", "${HOME}") else EXPANDED


def home_path(path: str) -> str:
    """Give a path with ``~`` for the home directory, which is expanded when the path is used."""
    prefix, place = ("file://", path[7:]) if path.startswith("file://") else ("", path)
    for spelling in (HOME, "$HOME", "${HOME}"):
        if place == spelling or place.startswith(f"{spelling}/"):
            return f"{prefix}~{place[len(spelling) :]}"
    return path


def _double_quoted(text: str, at: int) -> tuple[str, int]:
    found: list[str] = []
    while at < len(text):
        if text[at] == '"':
            return "".join(found), at + 1
        if text[at] == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\"):
            found.append(text[at + 1])
            at += 2
        elif variable := _VARIABLE.match(text, at):
            found.append(_stand_in(variable[0]))
            at = variable.end()
        else:
            found.append(text[at])
            at += 1
    raise UnclosedQuoteError


def _dollar_quoted(text: str, at: int) -> tuple[str, int]:
    """Give the content of ``$'…'`` with its escapes as in C, and the position after it."""
    found: list[str] = []
    while at < len(text):
        if text[at] == "'":
            return "".join(found), at + 1
        if text[at] != "\\":
            found.append(text[at])
            at += 1
            continue
        at += 1
        for pattern, base in _NUMERIC:
            if number := pattern.match(text, at):
                code = int(number[1], base)
                found.append(chr(code) if code <= 0x10FFFF else "\ufffd")
                at = number.end()
                break
        else:
            after = text[at : at + 1]
            found.append(_C_ESCAPES.get(after, after))
            at += 1
    raise UnclosedQuoteError
