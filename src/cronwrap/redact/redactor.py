"""Secrets taken out of what is stored and sent: the user's patterns, and what is unmistakable.

An output is searched as it was written, and once more in each stream by itself, since the other stream may
have come in between. What the capture's gap may have cut is searched for with less certainty.
"""

from __future__ import annotations

from itertools import pairwise

from cronwrap.model import STDERR, STDOUT
from cronwrap.redact import hinted, known_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Sequence

    from cronwrap.model import Mark, Output
    from cronwrap.redact.searching import Searches

    Spans = list[tuple[int, int]]
    Octets = bytes

REPLACEMENT = b"[redacted]"
HEADER, PRIVATE_KEY = b"authorization", b"PRIVATE KEY"
ESCAPE = b"\x1b"
INTERMEDIATE, PARAMETERS = bytes(range(0x20, 0x30)), bytes(range(0x20, 0x40))
"""What stands before the last octet of a control sequence (ECMA-48, 5.4; ECMA-35, 13.2.1)."""
ESCAPE_MAX = 64
"""Octets of a control sequence (ECMA-48, 5.4) or of the start of a link; a longer one is left as it is."""
TEXTS_KEPT = 100
"""Texts whose redaction is remembered: a run asks for that of its command several times."""


class Redactor:
    """Takes secrets out of octets, texts and outputs."""

    def __init__(self, patterns: Iterable[str] = (), searches: Searches | None = None) -> None:
        """Take the user's patterns; ``ValueError`` names the one that cannot be used.

        ``searches`` does the searching instead, of patterns that it has.
        """
        self._searches = searches or _searches(tuple(patterns))
        self._texts: dict[str, str] = {}

    @property
    def faults(self) -> tuple[str, ...]:
        """Give which patterns were given up, in words, one line each."""
        return tuple(self._searches.faults) if self._searches else ()

    def text(self, text: str) -> str:
        """Give a text without secrets; lone surrogates stand for octets (PEP 383) and stay."""
        if self._searches and text in self._texts:
            return self._texts[text]
        try:
            octets = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a surrogate that stands for no octet
            octets = text.encode("utf-8", "backslashreplace")
        spans = self._spans(octets)
        found = _cut_out(octets, spans).decode("utf-8", "surrogateescape") if spans else text
        if len(self._texts) < TEXTS_KEPT:
            self._texts[text] = found
        return found

    def command(self, text: str) -> str:
        """Give a command line without secrets, those included that are secrets by their place in it."""
        if hinted(text):
            from cronwrap.redact import command_words  # noqa: PLC0415  # for commands that may have one

            pieces, kept = [], 0
            for begin, end in merged(command_words.find(text)):
                pieces += [text[kept:begin], REPLACEMENT.decode()]
                kept = end
            text = "".join([*pieces, text[kept:]])
        return self.text(text)

    def command_line(self, text: str, limit: int, *, whole: int) -> str:
        """Give the same of a process, cut to ``limit`` characters only then.

        One that has ``whole`` characters or more was cut before: what its end may have been goes as well.
        """
        if len(text) >= whole:
            text = text[: text.rfind(" ") + 1]
        return self.command(text)[:limit]

    def bytes(self, content: Octets) -> Octets:
        """Give octets without secrets."""
        return _cut_out(content, self._spans(content))

    def redact_output(self, output: Output) -> Output:
        """Give an output without secrets; its marks point where their stretches begin now."""
        border = len(output.head)
        if output.left_out_bytes:
            spans = self._half(output.head, 0, output.marks, cut_at_end)
            spans += self._half(output.tail, border, output.marks, known_secrets.cut_at_start)
        else:
            spans = self._half(output.head, 0, output.marks)
        return without(output, spans) if spans else output

    def spans(
        self, content: Octets, marks: tuple[Mark, ...], at_the_cut: known_secrets.Finder | None
    ) -> Spans:
        """Give where the secrets are in a stretch of output; ``at_the_cut`` looks at its ends as well."""
        return merged(self._half(content, 0, marks, at_the_cut))

    def _half(
        self,
        content: Octets,
        begin: int,
        marks: tuple[Mark, ...],
        at_the_cut: known_secrets.Finder | None = None,
    ) -> Spans:
        """Find the secrets in a part of the output that begins at an offset of the whole.

        It is searched in the order of arrival and in each stream. Nothing as large as the part itself is
        copied where one stream has it all: what was captured may be most of what a run holds in memory.
        """
        end = begin + len(content)
        spans = []
        streams = by_stream(marks, begin, end)
        for number, pieces in enumerate([[(begin, end)], *streams]):
            text = (
                b"".join(content[first - begin : last - begin] for first, last in pieces)
                if number
                else content
            )
            # Half a key may be one whose line the other stream has broken: in its own it is whole.
            found = self._spans(text, lone_keys=number > 0 or not streams)
            if found == [(0, len(text))] and not number:
                return [(begin, end)]  # all of it goes: nothing is to be found any more
            if at_the_cut is not None:
                found = merged([*found, *at_the_cut(text)])
            spans += mapped(found, pieces)
        return spans

    def _spans(self, content: Octets, *, lone_keys: bool = True) -> Spans:
        spans = self._plain_spans(content, lone_keys=lone_keys)
        if ESCAPE in content:  # a colour may stand within a token, or before the colon of a header
            text, pieces = without_escapes(content)
            spans += mapped(merged(self._plain_spans(text, lone_keys=lone_keys)), pieces)
            spans = merged(spans)
            spans = merged([*spans, *_between(spans, pieces)])
        return merged(spans)

    def _plain_spans(self, content: Octets, *, lone_keys: bool) -> Spans:
        spans = [*known_secrets.find(content)]
        if HEADER in content.lower():
            from cronwrap.redact.headers import authorizations  # noqa: PLC0415  # a quiet run has none

            spans += authorizations(content)
        if PRIVATE_KEY in content:
            from cronwrap.redact.private_keys import key_blocks  # noqa: PLC0415  # nor one of these

            spans += key_blocks(content, lone=lone_keys)
        if self._searches:
            spans += self._searches.spans(content)
        return spans


def without(output: Output, spans: Spans) -> Output:
    """Give an output with spans of it replaced; its marks point where their stretches begin then."""
    border = len(output.head)
    # A span that reaches over the gap or into the other stream is cut there: each piece keeps its place.
    pieces = list(_split(merged(spans), [border, *_changes(output.marks)]))
    offsets = sorted({border, *(mark.offset for mark in output.marks)})
    moved = dict(zip(offsets, _moved(offsets, pieces), strict=True))
    marks = {moved[mark.offset]: mark.replace(offset=moved[mark.offset]) for mark in output.marks}
    in_head = [piece for piece in pieces if piece[1] <= border]
    in_tail = [(begin - border, end - border) for begin, end in pieces[len(in_head) :]]
    return output.replace(
        head=_cut_out(output.head, in_head),
        tail=_cut_out(output.tail, in_tail),
        marks=tuple(marks.values()),
    )


_MADE: dict[tuple[str, ...], Redactor] = {}


def redactor(patterns: tuple[str, ...]) -> Redactor:
    """Give the one there is for these patterns: their time is limited for all of a run."""
    if patterns not in _MADE:
        _MADE[patterns] = Redactor(patterns)
    return _MADE[patterns]


def _searches(patterns: tuple[str, ...]) -> Searches | None:
    if not patterns:
        return None
    from cronwrap.redact.searching import Searches  # noqa: PLC0415  # for those who have patterns

    return Searches([compiled(pattern) for pattern in patterns])


def compiled(pattern: str) -> re.Pattern[str]:
    """Give a pattern as it is searched for; ``ValueError`` for one that cannot be used."""
    import re  # noqa: PLC0415 - costs more than a quiet run may, and most have no patterns

    try:
        return re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {pattern!r}: {error}") from None


def without_escapes(content: bytes) -> tuple[bytes, Spans]:
    """Give octets without control sequences, and the pieces that are left."""
    pieces: Spans = []
    kept = 0
    at = content.find(ESCAPE)
    while at >= 0:
        end = _escape_end(content, at)
        if kept < at:
            pieces.append((kept, at))
        kept = end
        at = content.find(ESCAPE, end)
    if kept < len(content):
        pieces.append((kept, len(content)))
    return b"".join(content[first:last] for first, last in pieces), pieces


def _escape_end(content: bytes, at: int) -> int:
    """Give where the sequence ends that begins at an escape."""
    kind = content[at + 1 : at + 2]
    limit = min(len(content), at + ESCAPE_MAX)
    if kind == b"[":
        end = known_secrets.run_end(content, at + 2, PARAMETERS, limit)
        return min(end + 1, len(content))
    if kind == b"]":
        ends = [content.find(b"\x07", at, limit) + 1, content.find(b"\x1b\\", at + 1, limit) + 2]
        return min((end for end in ends if end > 1), default=at + 2)
    return min(known_secrets.run_end(content, at + 1, INTERMEDIATE, limit) + 1, len(content))


def _between(spans: Spans, pieces: Spans) -> Iterator[tuple[int, int]]:
    """Give the control sequences with a secret right before and right after them."""
    begins = {begin for begin, _end in spans}
    ends = {end for _begin, end in spans}
    for (_, last), (first, _) in pairwise(pieces):
        if last in ends and first in begins:
            yield last, first


def cut_at_end(content: bytes) -> Iterator[tuple[int, int]]:
    """Give what may be the beginning of a secret, or of a header with one, whose rest is missing."""
    from cronwrap.redact.headers import cut_header  # noqa: PLC0415  # for output that was cut

    yield from known_secrets.cut_at_end(content)
    yield from cut_header(content)


def merged(spans: Iterable[tuple[int, int]]) -> Spans:
    """Give spans in order, those that touch or overlap as one."""
    found: Spans = []
    for begin, end in sorted(spans):
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def by_stream(marks: tuple[Mark, ...], begin: int, end: int) -> list[Spans]:
    """Give the pieces of each stream between two offsets; nothing when one stream has it all."""
    pieces: dict[int, Spans] = {STDOUT: [], STDERR: []}
    for number, mark in enumerate(marks):
        last = marks[number + 1].offset if number + 1 < len(marks) else end
        first, last = max(mark.offset, begin), min(last, end)
        if first < last:
            pieces[mark.stream].append((first, last))
    return list(pieces.values()) if all(pieces.values()) else []


def mapped(spans: Spans, pieces: Spans) -> Spans:
    """Give spans of the joined pieces as spans of the whole. Both are in order."""
    found: Spans = []
    starts = 0
    rest = iter(spans)
    span = next(rest, None)
    for first, last in pieces:
        length = last - first
        while span is not None and span[0] < starts + length:
            begin, end = max(span[0], starts), min(span[1], starts + length)
            found.append((begin - starts + first, end - starts + first))
            if span[1] > starts + length:
                break  # it goes on in the next piece
            span = next(rest, None)
        starts += length
    return found


def _changes(marks: tuple[Mark, ...]) -> list[int]:
    """Give the offsets at which the stream changes."""
    return [mark.offset for before, mark in pairwise(marks) if before.stream != mark.stream]


def _split(spans: Spans, stops: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Give the spans, which are in order, cut wherever one reaches over a stop."""
    rest = iter(sorted(stops))
    stop = next(rest, None)
    for begin, end in spans:
        first = begin
        while stop is not None and stop < end:
            if stop > first:
                yield first, stop
                first = stop
            stop = next(rest, None)
        yield first, end


def _moved(offsets: Sequence[int], spans: Spans) -> Iterator[int]:
    """Give where each offset lies once the spans are replaced; one inside a span goes to its end."""
    shift = number = 0
    for offset in offsets:
        while number < len(spans) and spans[number][1] <= offset:
            shift += len(REPLACEMENT) - (spans[number][1] - spans[number][0])
            number += 1
        inside = number < len(spans) and spans[number][0] < offset
        yield (spans[number][0] + len(REPLACEMENT) if inside else offset) + shift


def _cut_out(content: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    pieces = []
    kept = 0
    for begin, end in spans:
        pieces += [content[kept:begin], REPLACEMENT]
        kept = end
    return b"".join([*pieces, content[kept:]]) if pieces else content
