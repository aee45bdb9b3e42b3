"""Tables and records for people on a terminal, and objects for programs.

Colour is for terminals alone (and not where ``NO_COLOR`` is set, see no-color.org). A terminal gets lines
that fit; a pipe gets them whole.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

from cronwrap.history.run import Run
from cronwrap.history.tally import FAILED
from cronwrap.manage.runs import result_words
from cronwrap.model import Record
from cronwrap.text import harmless

GREEN, RED, YELLOW, CYAN, BOLD, DIM = "32", "31", "33", "36", "1", "2"
COLOURS = {"ok": GREEN, "running": CYAN, "skipped": YELLOW, **dict.fromkeys(FAILED, RED)}

GAP = "  "
NARROWEST = 8
"""Columns that the last one of a table keeps, however narrow the terminal."""


class Cell(Record):
    """A piece of text in a table."""

    text: str
    colour: str = ""


class Screen:
    """What is written to, and what it can show."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.colours = (
            self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        )
        self.width = shutil.get_terminal_size().columns if self.is_terminal else 0
        """Columns; 0 where lines may be as long as they like."""

    def paint(self, text: str, colour: str) -> str:
        """Give a text in a colour, if there are any."""
        return f"\033[{colour}m{text}\033[0m" if colour and self.colours and text else text


def write(lines: Iterable[str | bytes]) -> None:
    """Write lines to standard output; a reader that goes away ends us without a word, as it ends cat."""
    encoding = sys.stdout.encoding or "utf-8"
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.stdout.flush()
        for line in lines:
            octets = line if isinstance(line, bytes) else f"{line}\n".encode(encoding, "replace")
            sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
    finally:
        signal.signal(signal.SIGPIPE, before)


def raw(content: bytes) -> bytes:
    """Give octets as they are for a pipe or a file, and harmless to a terminal."""
    return harmless(content).encode(errors="replace") if sys.stdout.isatty() else content


def table(screen: Screen, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Iterable[str]:
    """Give the lines of a table; what does not fit is cut from the last column."""
    safe = [[(printable(cell.text), cell.colour) for cell in row] for row in rows]
    widths = [
        max([width(head), *(width(row[column][0]) for row in safe)]) for column, head in enumerate(heads)
    ]
    if screen.width:
        used = sum(widths[:-1]) + len(GAP) * (len(heads) - 1)
        widths[-1] = max(min(widths[-1], screen.width - used), NARROWEST)
    head = [(name, BOLD) for name in heads]
    for row in [head, *safe]:
        cells = [(fit(text, columns), colour) for (text, colour), columns in zip(row, widths, strict=True)]
        padded = [
            screen.paint(text, colour) + " " * (columns - width(text))
            for (text, colour), columns in zip(cells, widths, strict=True)
        ]
        yield GAP.join(padded).rstrip()


def objects(values: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Give one JSON object a line."""
    return map(json_line, values)


def json_line(value: dict[str, Any]) -> str:
    r"""Give an object as JSON; what a terminal would act on or not show is written as ``\u202e``."""
    line = json.dumps(value, ensure_ascii=False)
    seen = {ord(char) for char in line if not (char.isascii() and char.isprintable())}
    told = {code: json.dumps(chr(code))[1:-1] for code in seen if harmless(chr(code)) != chr(code)}
    return line.translate(told | {0x7F: "\\u007f"})


def result_cell(run: Run) -> Cell:
    """Give a run's result for a table."""
    return Cell(text=result_words(run.result, run.exit_code, run.signal), colour=COLOURS.get(run.result, RED))


def printable(text: str) -> str:
    """Give a text on one line that moves no cursor and turns no direction."""
    return harmless(text, one=True)


def say(text: object = "", *, err: bool = False) -> None:
    """Write lines that came from anywhere to a person."""
    click.echo(harmless(str(text)), err=err)


def width(text: str) -> int:
    """Give the columns that a text takes: two for wide characters, none for combining ones (UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """Give a text of at most so many columns; the last one is an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    used = 0
    for number, char in enumerate(text):
        used += _columns(char)
        if used > columns - 1:
            return text[:number] + "…"
    return text


def _columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
