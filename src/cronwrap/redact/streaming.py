"""Secrets taken out of an output while it comes: what is given is as if the whole had been searched.

What may yet turn out to be part of a secret is held back until that is known: the beginning of a token, the
value of a header, a key whose end is to come, and for the user's patterns lines that are not complete. So
nothing that redaction knows gets through because it came in pieces. ``redactor`` does the searching.
"""

from __future__ import annotations

from itertools import pairwise

from cronwrap.model import Mark, Output
from cronwrap.redact.headers import NAME as HEADER_NAME
from cronwrap.redact.known_secrets import (
    JWT,
    KEY_IDS,
    PREFIXES,
    SPACES,
    cut_at_start,
)
from cronwrap.redact.private_keys import KEY_BLOCK_MAX, held_key
from cronwrap.redact.redactor import (
    ESCAPE,
    ESCAPE_MAX,
    by_stream,
    cut_at_end,
    mapped,
    without,
    without_escapes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cronwrap.redact.redactor import Redactor, Spans

CONTEXT_MAX = 64 * 1024
"""Octets before what is still to be given that are searched with it: the lines that it goes on."""
HELD_MAX = 2 * KEY_BLOCK_MAX
"""Octets that are held back at most; then what may be a secret is taken for one."""
BEGINNINGS = (*(prefix for prefix, _fewest, _kind in PREFIXES), *KEY_IDS, JWT)
OVER_LINES = ("\\n", "\\r", "\\v", "\\f", "\\W", "\\D", "\\x", "\\u", "\\U", "\\N", "\\0", "\\1")
"""What a pattern has that can match a line end, or may, beside ``\\s``, ``[^`` and ``(?s)``."""
PLAIN = " _-:=/@,;'\"<>!&%~"
"""What stands for itself in a pattern, beside letters and digits."""
REPEATED = (")*", ")+", "){")


class Streaming:
    """Takes an output as it comes, and gives what of it is certain, without secrets."""

    def __init__(self, redactor: Redactor, patterns: Sequence[str] = ()) -> None:
        """``patterns`` are those of the user that the redactor has."""
        self._redactor = redactor
        self._has_patterns = bool(patterns)
        self._reaches = [found for found in map(reach, patterns) if found[1] or found[2]]
        self._window: list[tuple[int, float, bytes]] = []
        """From the context on: stream, seconds since the start, octets."""
        self._given = 0
        """Octets of the window that were given before."""
        self._after_gap = False
        """Whether the window begins where something is missing."""
        self.lines = 0
        """Line ends in all that was given, as it was before secrets were taken out."""

    def feed(self, stream: int, elapsed: float, octets: bytes) -> None:
        """Take what came next."""
        if octets:
            self._window.append((stream, elapsed, octets))

    def gap(self, lines: int) -> None:
        """Note that something is missing here, with so many lines; all before has been taken as the last."""
        self.lines += lines
        self._window, self._given, self._after_gap = [], 0, True

    def restart(self) -> None:
        """Note that what comes next has nothing to do with what came before, all of which was given."""
        self._window, self._given, self._after_gap = [], 0, False

    def take(self, *, last: bool = False, cut: bool = False) -> Output:
        """Give what is certain by now; with ``last`` all there is, with ``cut`` as what goes on elsewhere."""
        content = b"".join(octets for _stream, _elapsed, octets in self._window)
        marks = tuple(self._marks())
        if len(content) == self._given:
            return Output()
        spans = self._redactor.spans(
            content, marks, self._finder(cut=cut) if cut or self._after_gap else None
        )
        end = len(content)
        if not (last or cut):
            end = max(self._given, self._certain(content, marks, spans))
            if len(content) - end > HELD_MAX:
                spans = self._redactor.spans(content, marks, self._finder(cut=True))
                end, cut = len(content), True
        part = _part(content, marks, self._given, end)
        inside = [(max(a, self._given) - self._given, min(b, end) - self._given) for a, b in spans]
        part = without(part, [(a, b) for a, b in inside if a < b])
        self.lines += content.count(b"\n", self._given, end)
        self._given = end
        self._forget(content, marks)
        if cut:
            self._window, self._given, self._after_gap = [], 0, True
        return part

    def _finder(self, *, cut: bool) -> Finder:
        return Finder(start=self._after_gap, end=cut)

    def _marks(self) -> Iterator[Mark]:
        offset = 0
        for stream, elapsed, octets in self._window:
            yield Mark(offset=offset, stream=stream, elapsed=elapsed)
            offset += len(octets)

    def _certain(self, content: bytes, marks: tuple[Mark, ...], spans: Spans) -> int:
        """Give up to where nothing that comes can make a difference."""
        end = len(content)
        whole: Spans = [(0, end)]
        found = [end]
        for pieces in (whole, *by_stream(marks, 0, end)):
            text = content if pieces is whole else b"".join(content[a:b] for a, b in pieces)
            at = self._held(text)
            if at < len(text):
                found.append(mapped([(at, len(text))], pieces)[0][0])
        certain = min(found)
        # What is taken out goes as a whole, once its end has come.
        lines = content.rfind(b"\n", 0, end) + 1
        for begin, last in spans:
            if begin < certain < last or (last == end and lines < end and begin < certain):
                certain = begin
        return certain

    def _held(self, text: bytes) -> int:
        """Give from where on one view of the output may go on as a secret."""
        line = text.rfind(b"\n") + 1
        held = min(_held_in_line(text, line), held_key(text))
        if ESCAPE in text[line:]:
            plain, pieces = without_escapes(text[line:])
            inside = _held_in_line(plain, 0)
            if inside < len(plain):
                held = min(held, line + mapped([(inside, len(plain))], pieces)[0][0])
            last = text.rfind(ESCAPE)
            held = min(held, last) if last >= len(text) - ESCAPE_MAX else held
        if self._has_patterns:
            held = min([held, line, *(_held_by(text, line, *found) for found in self._reaches)])
            held = text.rfind(b"\n", 0, held) + 1
        return held

    def _forget(self, content: bytes, marks: tuple[Mark, ...]) -> None:
        """Let go of what is no context any more: all before the line that each stream is in."""
        begins = [content.rfind(b"\n", 0, self._given) + 1]
        for pieces in by_stream(marks, 0, self._given):
            text = b"".join(content[a:b] for a, b in pieces)
            at = text.rfind(b"\n") + 1
            begins += [mapped([(at, len(text))], pieces)[0][0]] if at < len(text) else []
        context = max(min(begins), self._given - CONTEXT_MAX)
        if context <= 0:
            return
        left: list[tuple[int, float, bytes]] = []
        offset = 0
        for stream, elapsed, octets in self._window:
            rest = octets[max(0, context - offset) :]
            offset += len(octets)
            if rest:
                left.append((stream, elapsed, rest))
        self._window, self._given, self._after_gap = left, self._given - context, False


class Finder:
    """Finds what the ends of a stretch have cut, at the ends where something is missing."""

    def __init__(self, *, start: bool, end: bool) -> None:
        self._start, self._end = start, end

    def __call__(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Give what may be the rest, or the beginning, of a secret."""
        if self._start:
            yield from cut_at_start(text)
        if self._end:
            yield from cut_at_end(text)


def reach(pattern: str) -> tuple[bytes, int, int]:
    r"""Give what each match begins with, and over how many lines, or octets, above the last one it may reach.

    Told by the text, to the safe side: a pattern matches within a line unless it has something that can
    match a line end; ``\s`` where nothing is repeated reaches over one line each. The beginning is in small
    letters, and empty where it is not known.
    """
    other = [word for word in OVER_LINES if word in pattern]
    flags = pattern.startswith("(?") and "s" in pattern[2 : max(2, pattern.find(")"))].partition(":")[0]
    other += [sign for sign in ("[^", "\n", "(?s", "[\\S", "[\\s") if sign in pattern]
    spaces = pattern.count("\\s")
    raw = any(ord(char) < ord(" ") and char != "\t" for char in pattern)
    far = other or flags or raw or _in_class(pattern, "\\S") or (spaces and _has_any(pattern, REPEATED))
    return _lead(pattern), spaces, KEY_BLOCK_MAX if far else 0


def _has_any(pattern: str, signs: Sequence[str]) -> bool:
    return any(sign in pattern for sign in signs)


def _lead(pattern: str) -> bytes:
    """Give the plain text that all matches of a pattern begin with, in small letters."""
    if "|" in pattern or not pattern.isascii():
        return b""
    if pattern.startswith("(?"):
        flags, found, rest = pattern[2:].partition(")")
        if not found or flags.strip("aims"):
            return b""
        pattern = rest
    for anchor in ("^", "\\b"):
        pattern = pattern.removeprefix(anchor)
    length = 0
    while length < len(pattern) and (pattern[length].isalnum() or pattern[length] in PLAIN):
        length += 1
    if pattern[length : length + 1] in ("*", "?", "{"):
        length -= 1
    return pattern[: max(0, length)].lower().encode()


def _in_class(pattern: str, word: str) -> bool:
    at = pattern.find(word)
    while at >= 0:
        if pattern.rfind("[", 0, at) > pattern.rfind("]", 0, at):
            return True
        at = pattern.find(word, at + 1)
    return False


def _held_by(text: bytes, line: int, lead: bytes, lines: int, octets: int) -> int:
    """Give from where on a match that reaches over line ends may begin whose end is to come."""
    begin = min(_lines_back(text, line, lines), max(0, len(text) - octets))
    begin = text.rfind(b"\n", 0, begin) + 1
    at = text[begin:].lower().find(lead)
    return begin + at if at >= 0 else len(text)


def _lines_back(text: bytes, line: int, lines: int) -> int:
    """Give where the line begins that is so many lines with something in them above another."""
    while lines and line:
        before = text.rfind(b"\n", 0, line - 1) + 1
        lines -= 1 if text[before : line - 1].strip(SPACES) else 0
        line = before
    return line


def _held_in_line(text: bytes, line: int) -> int:
    """Give from where on the line under way may go on as a secret."""
    end = len(text)
    if line == end:
        return end
    held = end
    header = text.lower().find(HEADER_NAME, line)
    held = header if header >= 0 else held
    run = max([line, *(text.rfind(bytes((octet,)), line) + 1 for octet in SPACES)])
    for beginning in BEGINNINGS:
        at = text.find(beginning, run)
        held = min(held, at) if at >= 0 else held
        for length in range(min(len(beginning) - 1, end - run), 0, -1):
            if text.endswith(beginning[:length]):
                held = min(held, end - length)
                break
    scheme = text.find(b"://", run)
    colon = text.find(b":", scheme + 3) if scheme >= 0 else -1
    return min(held, colon + 1) if colon >= 0 else held


def _part(content: bytes, marks: tuple[Mark, ...], begin: int, end: int) -> Output:
    found = []
    stops = [*(mark.offset for mark in marks), len(content)]
    for mark, (first, last) in zip(marks, pairwise(stops), strict=True):
        if first < end and last > begin:
            found.append(mark.replace(offset=max(first, begin) - begin))
    return Output(head=content[begin:end], marks=tuple(found))
