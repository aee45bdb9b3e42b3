"""What a mail shows of a job's output, and what it attaches so that no octet of it is lost.

A *piece* is a pair of a stream (``STDOUT``, ``STDERR``, or ``OURS`` for what cronwrap puts in between)
and text that is fit to be shown.
"""

from __future__ import annotations

from bisect import bisect_right

from cronwrap.model import STDOUT, Mark, Output, Record
from cronwrap.report import mime
from cronwrap.spans import count
from cronwrap.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Piece = tuple[int, str]

OURS = 0
"""Stands in a stream's place for lines of cronwrap's own."""

VIEW_LIMIT = 64 * 1024
"""Octets of output that the text shows: what a phone still opens and a person may still read."""
TRY_MINIMUM = 2 * 1024
"""Octets that the text shows of each try, however many there were."""
CUT_SLACK = 4 * 1024
"""How far a cut may move so that it falls between two lines."""
GZIP_ABOVE = 256 * 1024
"""Octets from which on an attachment is compressed: below, opening it at a tap is worth more."""


class View(Record):
    """One try's output as a mail shows it."""

    pieces: tuple[tuple[int, str], ...]
    whole: bool
    """Whether the pieces of the two streams, put together, are exactly what was kept."""


def share(tries: int) -> int:
    """Give how many octets of each try's output are shown when there were so many tries."""
    return max(VIEW_LIMIT // max(tries, 1), TRY_MINIMUM)


def view(output: Output, limit: int, attached: str, *, timestamps: bool) -> View:
    """Give what is shown of an output: all of it up to ``limit`` octets, else its head and tail.

    ``attached`` is the name of the attachment that holds what is not shown. With timestamps every line
    begins with its seconds since the start.
    """
    kept = output.kept
    turns = _turns(output.marks)
    pieces: list[Piece] = []
    for stretch in _stretches(output, kept, limit, attached):
        if isinstance(stretch, str):
            if pieces and not pieces[-1][1].endswith("\n"):
                pieces.append((OURS, "\n"))
            pieces.append((OURS, stretch + "\n"))
        elif timestamps:
            pieces += _timed(kept, stretch, turns, output.marks)
        else:
            pieces += _by_stream(kept, stretch, turns)
    shown = "".join(text for stream, text in pieces if stream != OURS)
    return View(pieces=tuple(pieces), whole=shown.encode() == kept)


def _stretches(output: Output, kept: bytes, limit: int, attached: str) -> list[tuple[int, int] | str]:
    """Give what is shown in its order: from where to where in the kept output, or a line of our own."""
    gap = len(output.head)
    lost = [left_out(output)] if output.left_out_bytes else []
    if len(kept) <= limit:
        return [(0, gap), *lost, (gap, len(kept))] if lost else [(0, len(kept))]
    before, after = _cuts(kept, limit // 2)
    if lost:  # what was left out lies in what is not shown, so that one place says both
        before, after = min(before, gap), max(after, gap)
    hidden = kept[before:after]
    lines = count(hidden.count(b"\n"), "line")
    elsewhere = f"[… {count(len(hidden), 'byte')}, {lines} here stand in the attachment {attached} alone …]"
    return [(0, before), elsewhere, *lost, (after, len(kept))]


def left_out(output: Output) -> str:
    """Give the line that stands for what was not kept."""
    lines = count(output.left_out_lines, "line")
    return f"[… {count(output.left_out_bytes, 'byte')}, {lines} left out …]"


def _cuts(kept: bytes, half: int) -> tuple[int, int]:
    """Give where the shown head ends and the shown tail begins: between lines, or at least characters."""
    before = kept.rfind(b"\n", max(half - CUT_SLACK, 0), half) + 1
    if not before:
        before = half
        while before > half - 3 and kept[before] & 0xC0 == 0x80:
            before -= 1
    start = len(kept) - half
    after = kept.find(b"\n", start, start + min(CUT_SLACK, half)) + 1
    if not after or after == len(kept):
        after = start
        while after < start + 3 and kept[after] & 0xC0 == 0x80:
            after += 1
    return before, after


def _turns(marks: tuple[Mark, ...]) -> list[tuple[int, int]]:
    """Give where the stream changes, as offset and stream: a character may span two marks of one stream."""
    turns = [(0, STDOUT)]
    for mark in marks:
        if mark.stream != turns[-1][1]:
            turns.append((mark.offset, mark.stream))
    return turns


def _by_stream(kept: bytes, stretch: tuple[int, int], turns: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    """Give a stretch of the kept output, cut where the stream changes."""
    at, end = stretch
    index = bisect_right(turns, at, key=_offset_of_turn) - 1
    while at < end:
        until = min(turns[index + 1][0], end) if index + 1 < len(turns) else end
        if until > at:
            yield turns[index][1], visible(kept[at:until])
        at = until
        index += 1


def _timed(
    kept: bytes, stretch: tuple[int, int], turns: Sequence[tuple[int, int]], marks: tuple[Mark, ...]
) -> Iterator[Piece]:
    """Give a stretch of the kept output with the time before each line that begins in it."""
    at, end = stretch
    while at < end:
        until = kept.find(b"\n", at, end) + 1 or end
        index = bisect_right(marks, at, key=_offset_of_mark) - 1
        if index >= 0:
            yield OURS, f"[{marks[index].elapsed:8.3f}] "
        yield from _by_stream(kept, (at, until), turns)
        at = until


def _offset_of_turn(turn: tuple[int, int]) -> int:
    return turn[0]


def _offset_of_mark(mark: Mark) -> int:
    return mark.offset


def attachment_name(number: int, tries: int, output: Output) -> str:
    """Give the name that the attachment of one try's output has, if it needs one; tries count from 1."""
    base = "output.txt" if number == tries else f"output-try-{number}.txt"
    return f"{base}.gz" if len(output.head) + len(output.tail) > GZIP_ABOVE else base


def attachment(name: str, output: Output) -> bytes:
    """Give the part that holds all that was kept, with a line where something was left out."""
    content = _attached(output)
    if name.endswith(".gz"):
        return mime.attachment(name, mime.gzip(content), "application/gzip")
    try:
        content.decode()
    except UnicodeDecodeError:
        return mime.attachment(name, content, "application/octet-stream")
    kind = "application/octet-stream" if b"\0" in content else "text/plain; charset=utf-8"
    return mime.attachment(name, content, kind)


def _attached(output: Output) -> bytes:
    """Give the attachment's content: head, a line of our own if something was left out, tail."""
    if not output.left_out_bytes:
        return output.kept
    return b"".join((output.head, f"\n{left_out(output)}\n".encode(), output.tail))
