"""A shell's text as simple commands and what joins them. Pure.

The rule is that of ``shell``: to be sure or to say no. What cannot be followed to its end gives an ``open``
token, and nothing after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.crontab.shell import Word, is_assignment, words
from cronwrap.model import Record

WORD, OPERATOR, REDIRECT, COMMENT, OPEN = "word", "operator", "redirect", "comment", "open"

_REDIRECT = re.compile(r"&>>?|[0-9]*(?:<<<|<<-?|>>|<&|>&|<>|>\||[<>])")
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;&|()\n]")
_BREAKS = frozenset(" \t\n;&|<>()")
_ENDS = {'"': '"', "`": "`", "$(": ")", "${": "}"}
"""What ends what may hold anything."""
_TO_MAIL = re.compile(r"/dev/(?:stdout|stderr|fd/[0-9]+)")
DEEPEST = 50
"""Expansions within expansions that are followed; a person writes two or three."""


class Token(Record):
    """A piece of a shell's text that is no blank."""

    kind: str
    start: int
    end: int
    depth: int
    """Open parentheses before it."""


class Simple(Record):
    """A simple command: its words, where its output goes, and the operator behind it."""

    text: str
    """From its first word to its last."""
    start: int
    end: int
    words: tuple[Word, ...]
    """Without redirections; assignments in front included."""
    redirects: tuple[tuple[str, str], ...]
    """Operator and target, as they are written."""
    operator: str
    """Empty at the end of the text."""

    @property
    def name(self) -> str:
        """Give the word in the place of the command, empty when there is none."""
        return next((word.value for word in self.words if not is_assignment(word, self.text)), "")

    def mailed(self, before: tuple[bool, bool] = (True, True)) -> tuple[bool, bool]:
        """Give whether standard output and standard error still go where the shell's went."""
        goes = [False, *before, *[False] * 7]
        for operator, target in self.redirects:
            digits = operator.rstrip("<>&|-")
            number = int(digits[-1:]) if digits else 1
            if "<" in operator:
                continue
            if operator.startswith("&") or (operator.endswith(">&") and not re.fullmatch(r"[0-9]|-", target)):
                goes[1] = goes[2] = False
            elif operator.endswith(">&"):
                goes[number] = target != "-" and goes[int(target)]
            else:
                goes[number] = _TO_MAIL.fullmatch(target) is not None
        return goes[1], goes[2]


def tokens(text: str) -> Iterator[Token]:
    """Give the tokens of a text in order."""
    at = depth = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        kind, end = _token(text, at)
        yield Token(kind=kind, start=at, end=end, depth=depth)
        if kind == OPEN:
            return
        if kind == OPERATOR:
            depth = max(0, depth + (text[at] == "(") - (text[at] == ")"))
        at = end


def _token(text: str, at: int) -> tuple[str, int]:
    if text[at] == "#":
        return COMMENT, len(text)
    if text[at : at + 2] in ("<(", ">("):
        end = _word_end(text, at)
        return (WORD, end) if end >= 0 else (OPEN, len(text))
    if match := _REDIRECT.match(text, at) or _OPERATOR.match(text, at):
        return (OPERATOR if match.re is _OPERATOR else REDIRECT), match.end()
    end = _word_end(text, at)
    return (WORD, end) if end >= 0 else (OPEN, len(text))


def _word_end(text: str, at: int, nesting: int = 0) -> int:
    """Give where a word ends, -1 when something in it stays open."""
    if text[at : at + 2] in ("<(", ">("):
        at = _closed(text, at + 2, ")", nesting + 1)
    while 0 <= at < len(text) and text[at] not in _BREAKS:
        at = _piece_end(text, at, nesting)
    return at


def _piece_end(text: str, at: int, nesting: int) -> int:
    """Give where a quoted piece, an expansion or a single character ends; -1 when it stays open."""
    char, two = text[at], text[at : at + 2]
    if char == "\\":
        return at + 2 if at + 1 < len(text) else -1
    if char == "'":
        return text.find("'", at + 1) + 1 or -1
    if two == "$'":  # bash has escapes in it, dash has not
        end = text.find("'", at + 2)
        return -1 if end < 0 or "\\" in text[at:end] else end + 1
    if begun := next((begun for begun in (char, two) if begun in _ENDS), ""):
        return _closed(text, at + len(begun), _ENDS[begun], nesting + 1)
    return at + 1


def _closed(text: str, at: int, end: str, nesting: int) -> int:
    """Give where what ends in ``end`` is over, -1 when it is not, or is not sure to be."""
    if nesting > DEEPEST:
        return -1
    while 0 <= at < len(text):
        char = text[at]
        if char == end:
            return at + 1
        if end == '"' and char == "'":
            at += 1  # itself, within double quotes
        elif end == ")" and char == "(":
            at = _closed(text, at + 1, ")", nesting + 1)
        elif end in ")`" and char == "#" and text[at - 1] in _BREAKS:
            return -1  # a comment, to the end of the line
        elif end == "`" and char == "\\":
            at += 2
        else:
            at = _piece_end(text, at, nesting)
    return -1


def comment_start(text: str) -> int:
    """Give where the comment at the end of a text begins, -1 when there is none beyond doubt."""
    if "#" not in text:
        return -1
    return next(
        (token.start if token.depth == 0 else -1 for token in tokens(text) if token.kind == COMMENT), -1
    )


def complete(text: str) -> bool:
    """Give whether no quote or expansion of a text stays open."""
    return all(token.kind != OPEN for token in tokens(text))


def simple_commands(text: str) -> tuple[Simple, ...]:
    """Give the simple commands of a text, those in parentheses too, up to where it can be followed."""
    found: list[Simple] = []
    part: list[Token] = []
    for token in tokens(text):
        if token.kind == OPERATOR:
            found.append(_simple(text, part, text[token.start : token.end]))
            part = []
        elif token.kind == OPEN:
            break
        elif token.kind != COMMENT:
            part.append(token)
    found.append(_simple(text, part, ""))
    return tuple(one for one in found if one.words or one.redirects)


def _simple(text: str, part: list[Token], operator: str) -> Simple:
    if not part:
        return Simple(text="", start=0, end=0, words=(), redirects=(), operator=operator)
    start, end = part[0].start, part[-1].end
    redirects, plain_words = [], []
    target_of = ""
    for token in part:
        written = text[token.start : token.end]
        if token.kind == REDIRECT:
            target_of = written
        elif target_of:
            redirects.append((target_of, written))
            target_of = ""
        else:
            value, _ = words(written)
            fixed = bool(value) and value[0].fixed and value[0].end == len(written)
            plain_words.append(
                Word(
                    start=token.start - start,
                    end=token.end - start,
                    value=value[0].value if fixed else written,
                    fixed=fixed,
                )
            )
    return Simple(
        text=text[start:end],
        start=start,
        end=end,
        words=tuple(plain_words),
        redirects=tuple(redirects),
        operator=operator,
    )
