"""What a mail shows of a job's output, and what it attaches so that no octet of it is lost.

A *piece* is a stream (``STDOUT``, ``STDERR``, or ``OURS`` for what cronwrap puts in between), text that is
fit to be shown, and the style in which the job wrote it.
"""

from __future__ import annotations

from cronwrap.model import STDOUT, Mark, Output, Record
from cronwrap.report import mime
from cronwrap.report.ansi import PLAIN, Pen
from cronwrap.report.charset import UTF_8
from cronwrap.spans import count
from cronwrap.text import as_overwritten, pictured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from cronwrap.report.ansi import Style
    from cronwrap.report.charset import Reading

    Piece = tuple[int, str, Style]

OURS = 0
"""Stands in a stream's place for lines of cronwrap's own."""

HEAD_LIMIT, TAIL_LIMIT = 4 * 1024, 12 * 1024
"""Octets of a long output that the text shows: how it began, and what people look for, its end."""
VIEW_LIMIT = HEAD_LIMIT + TAIL_LIMIT
"""Octets up to which the text shows an output whole: what a phone opens at once and a person reads."""
TRY_MINIMUM = 2 * 1024
"""Octets that the text shows of each try, however many there were."""
SEQUENCE_LIMIT = 40
"""Octets that the sequence of a colour has at most, as a rule."""
GZIP_ABOVE = 256 * 1024
"""Octets from which on an attachment is compressed: below, opening it at a tap is worth more."""


class View(Record):
    """One try's output as a mail shows it."""

    pieces: tuple[tuple[int, str, Style], ...]
    whole: bool
    """Whether the pieces of the two streams, put together, are what was kept, colours and styles apart."""

    @property
    def text(self) -> str:
        """Give all of it as plain text."""
        return "".join(text for _stream, text, _style in self.pieces)


def share(tries: int) -> int:
    """Give how many octets of each try's output are shown when there were so many tries."""
    return max(VIEW_LIMIT // max(tries, 1), TRY_MINIMUM)


def view(output: Output, limit: int, attached: str, *, timestamps: bool) -> View:
    """Give what is shown of an output: all of it up to ``limit`` octets, else its head and tail.

    ``attached`` is the name of the attachment that holds what is not shown. With timestamps every line
    begins with its seconds since the start.
    """
    shown = Shown(output, timestamps=timestamps)
    hidden = False
    for stretch in _stretches(output, shown.kept, limit, attached):
        if stretch is None:
            shown.lose()
        elif isinstance(stretch, str):
            shown.say(stretch)
        elif stretch[2]:
            shown.show(stretch[0], stretch[1])
        else:
            hidden = True
            shown.skip(stretch[0], stretch[1])
    return View(pieces=tuple(shown.pieces), whole=shown.exact and not hidden)


def ending(output: Output, limit: int) -> str:
    """Give the end of an output as plain text of at most ``limit`` octets, from a line's beginning on."""
    kept = output.kept
    begin = max(len(kept) - limit, 0)
    while begin and kept[begin : begin + 1] and kept[begin] & 0xC0 == 0x80:
        begin += 1
    shown = Shown(output, timestamps=False)
    if output.left_out_bytes and begin <= len(output.head):
        shown.show(begin, len(output.head))
        shown.say(left_out(output))
        begin = len(output.head)
    shown.show(begin, len(kept))
    octets = "".join(part for _stream, part, _style in shown.pieces).encode()
    if len(octets) <= limit and output.total_bytes <= limit:
        return octets.decode()
    cut = octets[max(len(octets) - limit, 0) :]
    line = cut.find(b"\n", 0, limit // 2) + 1
    return cut[line:].decode(errors="ignore")


class Shown:
    """What a mail shows of an output, put together from its beginning to its end."""

    def __init__(self, output: Output, *, timestamps: bool) -> None:
        self.kept = output.kept
        self.pieces: list[Piece] = []
        self.exact = True
        """Whether the text shows each octet as the character that it is."""
        self._marks = output.marks
        self._turns = _turns(output.marks)
        self._pen = Pen()
        self._timestamps = timestamps

    def say(self, words: str) -> None:
        """Put in a line of our own."""
        if self.pieces and not self.pieces[-1][1].endswith("\n"):
            self._add(OURS, "\n", PLAIN)
        self._add(OURS, words + "\n", PLAIN)

    def skip(self, begin: int, end: int) -> None:
        """Leave out a stretch of what was kept; the colours that it sets hold on."""
        self._pen.skip(self.kept[begin:end].decode("utf-8", "replace"))

    def lose(self) -> None:
        """Leave out what nobody knows: it may have reset the colours."""
        self._pen = Pen()

    def show(self, begin: int, end: int) -> None:
        """Show a stretch of what was kept."""
        if not self._timestamps:
            self._by_stream(begin, end)
            return
        while begin < end:
            until = self.kept.find(b"\n", begin, end) + 1 or end
            index = _place(self._marks, begin, _offset_of_mark)
            if index >= 0:
                self._add(OURS, f"[{self._marks[index].elapsed:8.3f}] ", PLAIN)
            self._by_stream(begin, until)
            begin = until

    def _by_stream(self, at: int, end: int) -> None:
        index = _place(self._turns, at, _offset_of_turn)
        while at < end:
            until = min(self._turns[index + 1][0], end) if index + 1 < len(self._turns) else end
            if until > at:
                self._text(self._turns[index][1], self.kept[at:until])
            at = until
            index += 1

    def _text(self, stream: int, octets: bytes) -> None:
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            text = octets.decode("utf-8", "backslashreplace")
            self.exact = False
        left = as_overwritten(text)
        for part, style in self._pen.write(left):
            harmless = pictured(part)
            self.exact &= harmless == part
            self._add(stream, harmless, style)
        self.exact &= left == text

    def _add(self, stream: int, text: str, style: Style) -> None:
        if self.pieces and self.pieces[-1][0] == stream and self.pieces[-1][2] == style:
            text = self.pieces.pop()[1] + text
        self.pieces.append((stream, text, style))


def _stretches(
    output: Output, kept: bytes, limit: int, attached: str
) -> Iterator[tuple[int, int, bool] | str | None]:
    """Give what is shown in its order: from where to where in the kept output, or a line of our own.

    A stretch comes with whether it is shown; None stands for what was not kept.
    """
    gap = len(output.head) if output.left_out_bytes else len(kept)
    before, after = _cuts(kept, limit) if len(kept) > limit else (gap, gap)
    if output.left_out_bytes:  # it lies in what is not shown, so that one place says both
        before, after = min(before, gap), max(after, gap)
    before, after = _beside_sequences(kept, before, after)
    yield 0, before, True
    if after > before:
        hidden = kept[before:after]
        lines = count(hidden.count(b"\n"), "line")
        yield f"[… {count(len(hidden), 'byte')}, {lines} here stand in the attachment {attached} alone …]"
        yield before, after, False
    if output.left_out_bytes:
        yield left_out(output)
        yield None
    yield after, len(kept), True


def left_out(output: Output) -> str:
    """Give the line that stands for what was not kept."""
    lines = count(output.left_out_lines, "line")
    return f"[… {count(output.left_out_bytes, 'byte')}, {lines} left out …]"


def _cuts(kept: bytes, limit: int) -> tuple[int, int]:
    """Give where the shown head ends and the shown tail begins: between lines, or at least characters.

    For the sake of a line's end up to a half of either is given away.
    """
    head = limit * HEAD_LIMIT // VIEW_LIMIT
    before = kept.rfind(b"\n", head // 2, head) + 1
    if not before:
        before = head
        while before > head - 3 and kept[before] & 0xC0 == 0x80:
            before -= 1
    start = len(kept) - (limit - head)
    if kept[start - 1 : start] == b"\n":
        return before, start
    after = kept.find(b"\n", start, start + (limit - head) // 2) + 1
    if not after:
        after = start
        while after < start + 3 and kept[after] & 0xC0 == 0x80:
            after += 1
    return before, after


def _beside_sequences(kept: bytes, before: int, after: int) -> tuple[int, int]:
    """Give the cuts moved so that neither falls within the sequence of a colour and shows a half of it."""
    if before >= after:
        return before, after
    start = kept.rfind(b"\x1b", max(before - SEQUENCE_LIMIT, 0), before)
    if start >= 0 and not kept[start + 1 : before].strip(b"[0123456789;:"):
        before = start
    start = kept.rfind(b"\x1b[", max(after - SEQUENCE_LIMIT, before), after + 1)
    end = kept.find(b"m", start, start + SEQUENCE_LIMIT) + 1
    if start >= 0 and end > after and not kept[start + 2 : end - 1].strip(b"0123456789;:"):
        after = end
    return before, after


def _turns(marks: tuple[Mark, ...]) -> list[tuple[int, int]]:
    """Give where the stream changes, as offset and stream: a character may span two marks of one stream."""
    turns = [(0, STDOUT)]
    for mark in marks:
        if mark.stream != turns[-1][1]:
            turns.append((mark.offset, mark.stream))
    return turns


def _place(found: Sequence[Any], at: int, offset: Callable[[Any], int]) -> int:
    """Give the index of the last of some stretches that begins at an offset or before it; -1 for none."""
    if len(found) == 1 and offset(found[0]) <= at:
        return 0
    from bisect import bisect_right  # noqa: PLC0415  # for a job that writes to both its streams

    return bisect_right(found, at, key=offset) - 1


def _offset_of_turn(turn: tuple[int, int]) -> int:
    return turn[0]


def _offset_of_mark(mark: Mark) -> int:
    return mark.offset


def attachment_name(number: int, tries: int, reading: Reading) -> str:
    """Give the name that the attachment of one try's output has, if it needs one; tries count from 1."""
    base = "output" if number == tries else f"output-try-{number}"
    kind = "txt" if _is_text(reading) else "bin"
    large = len(reading.output.head) + len(reading.output.tail) > GZIP_ABOVE
    return f"{base}.{kind}.gz" if large else f"{base}.{kind}"


def attachment(name: str, reading: Reading) -> bytes:
    """Give the part that holds all that was kept, with a line where something was left out."""
    content = _attached(reading)
    if name.endswith(".gz"):
        return mime.attachment(name, mime.gzip(content), "application/gzip")
    kind = f"text/plain; charset={reading.charset}" if _is_text(reading) else "application/octet-stream"
    return mime.attachment(name, content, kind)


def _is_text(reading: Reading) -> bool:
    """Tell whether an output is text that a program may open as such."""
    return bool(reading.charset) and b"\0" not in reading.output.head and b"\0" not in reading.output.tail


def _attached(reading: Reading) -> bytes:
    """Give the attachment's content: head, a line of our own if something was left out, tail."""
    output = reading.output
    if not output.left_out_bytes:
        return output.kept
    words = left_out(output)
    if reading.charset not in ("", UTF_8):
        words = words.replace("…", "...")  # which is in each of the others
    return b"".join((output.head, f"\n{words}\n".encode(), output.tail))
