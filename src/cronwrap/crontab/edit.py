r"""A crontab as a person edits it in a browser, without the loss of an octet that was left alone. Pure.

A form's text has line ends of its own (HTML makes CR LF of all), knows no octets that are no text, and shows
some characters not at all. So:

- What is no UTF-8, and every character that a reader would not see or a browser would change, is shown octet
  by octet as characters of Unicode's last private plane (U+10FF00 and the octet), which come back as they
  went. Those very characters, should a crontab have them, are shown so as well: nothing is taken for another.
- Line ends are not in the text: a line that is still there keeps its own, a new one gets the one above it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from cronwrap.crontab.alignment import opcodes
from cronwrap.text import as_octets, harmless, pictured

LF, CRLF = "\n", "\r\n"
OCTETS = 0x10FF00
"""The character for octet 0: the last 256 of the Private Use Area, plane 16."""
LONGEST_SHOWN = 4_000
"""Characters of a line on a page; cron takes commands of a thousand."""
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_JOINERS = "\u200c\u200d"
"""Emoji and whole scripts are spelt with them; beside ASCII they are out of place."""
_LONE_JOINER = re.compile(rf"(?<![^\x00-\x7f])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f])")


class UneditableError(ValueError):
    """What was posted cannot be a crontab."""


def as_form(octets: bytes) -> str:
    """Give a crontab as the text of a form; :func:`merged` makes octets of it again."""
    return "".join(text + (LF if end else "") for text, end in _lines(octets))


def merged(original: bytes, posted: str, *, plain_ends: bool = False) -> bytes:
    """Give the crontab that was meant by a form's text: each line that is still there to the octet.

    ``plain_ends``: every line shall end in LF. The last line gets an end unless it has none as it was.
    """
    old = _lines(original)
    text = posted.replace(CRLF, LF).replace("\r", LF)
    new = [line.removesuffix(LF) for line in _LINE.findall(text)]
    ends = _ends(old, new)
    kept_open = bool(new) and not text.endswith(LF) and bool(old) and old[-1] == (new[-1], "")
    if kept_open:
        ends[-1] = ""
    if plain_ends:
        ends = [end and LF for end in ends]
    return b"".join(_octets(line) + end.encode() for line, end in zip(new, ends, strict=True))


def with_line(octets: bytes, line: str) -> bytes:
    """Give a crontab with one more line at its end; a last line without its line feed gets one before."""
    gap = b"" if not octets or octets.endswith(b"\n") else b"\n"
    return octets + gap + line.encode("utf-8", "surrogateescape") + b"\n"


def has_crlf(octets: bytes) -> bool:
    """Give whether some line ends in CR LF, of which cron takes the CR for a part of the line."""
    return b"\r\n" in octets


def shown(line: str) -> str:
    r"""Give a line of a crontab (decoded by ``lines.decode``) as a page may show it, without its line feed.

    What cannot be seen is written out: ``\xe9``, ``\u202e``, ``␍``. The end of a very long line is left out.
    """
    line = line.removesuffix(LF)
    clipped = line[:LONGEST_SHOWN]
    if not (clipped.isascii() and clipped.isprintable()):
        told = pictured(as_octets(clipped).decode("utf-8", "backslashreplace"))
        clipped = "".join(char if char == "\t" or char in _JOINERS else harmless(char) for char in told)
    more = len(line) - LONGEST_SHOWN
    return f"{clipped} … ({more:,} characters more)" if more > 0 else clipped


def _lines(octets: bytes) -> list[tuple[str, str]]:
    """Give each line as a form has it, and its end."""
    found = []
    for raw in _LINE.findall(octets.decode("utf-8", "surrogateescape")):
        end = next((end for end in (CRLF, LF) if raw.endswith(end)), "")
        found.append((_form_text(raw.removesuffix(end)), end))
    return found


def _form_text(line: str) -> str:
    if line.isascii() and line.replace("\t", " ").isprintable():
        return line
    text = "".join(char if _plain(char) else _as_octets(char) for char in line)
    return _LONE_JOINER.sub(lambda match: _as_octets(match[0]), text)


@lru_cache(maxsize=4096)
def _plain(char: str) -> bool:
    """Give whether a browser shows a character and gives it back."""
    code = ord(char)
    if char == "\t" or char in _JOINERS:
        return True
    if code >= OCTETS or 0xD800 <= code <= 0xDFFF or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return False  # one of ours, an octet that is no text, and what is no character at all
    return harmless(char) == char


def _as_octets(char: str) -> str:
    return "".join(chr(OCTETS + octet) for octet in char.encode("utf-8", "surrogateescape"))


def _octets(line: str) -> bytes:
    try:
        if line.isascii():
            return line.encode()
        out = bytearray()
        for char in line:
            code = ord(char)
            out += bytes((code - OCTETS,)) if code >= OCTETS else char.encode("utf-8", "surrogateescape")
        return bytes(out)
    except UnicodeEncodeError:
        raise UneditableError("what was posted is not text") from None


def _ends(old: Sequence[tuple[str, str]], new: Sequence[str]) -> list[str]:
    """Give the line end of each new line: its own where it was there before."""
    own: list[str | None] = [None] * len(new)
    for first_old, first_new, count in _paired([text for text, _ in old], new):
        for index in range(count):
            own[first_new + index] = old[first_old + index][1]
    last = next((end for _, end in old if end), LF)
    found = []
    for end in own:
        last = end or last
        found.append(last)
    return found


def _paired(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int]]:
    """Give the lines that belong together: index in both, and how many; changed ones by their place."""
    codes = opcodes(old, new)
    return [(a, c, min(b - a, d - c)) for _kind, a, b, c, d in codes]
