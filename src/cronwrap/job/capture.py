"""What a job writes: its first half and its last half in bounded memory, and an exact count of the rest."""

from __future__ import annotations

from cronwrap.model import STDERR, STDOUT, Mark, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.job.matching import Matching

    Readv = Callable[[int, tuple[memoryview]], int]
    Pieces = list[tuple[int, float, bytes]]

MARKS_LIMIT = 16384
"""Changes between the streams remembered in each half, about 2 MB of memory; a job that alternates more
often has its later changes told as one stretch, its bytes stay whole."""
POUR, BULK = 1 << 16, 4096
"""Octets read at a time from a stream that pours, and those from which on it is read again: a job that writes
lines is read in the order of its streams, one that pours is read fast."""
COUNT_AT = 1 << 15
"""Octets of which the line ends are counted at a time: they are in the nearest cache still."""
SAMPLE, LONG_LINE = 4096, 48
"""Octets by which the length of lines is judged, and the length from which on `replace` counts them."""


class Capture:
    """Takes both streams of a job in order of arrival."""

    def __init__(self, limit: int, *, timed: bool = False, matcher: Matching | None = None) -> None:
        """Keep ``limit`` octets; ``timed`` notes the time of each arrival, not only changes of stream."""
        self._matcher = matcher
        self._head = bytearray()
        self._head_size = limit - limit // 2
        self._tail = bytearray()
        self._tail_size = limit // 2
        self._tail_total = 0
        self._tail_newlines = 0
        self._totals = {STDOUT: 0, STDERR: 0}
        self._marks: tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]] = ([], [])
        self._timed = timed
        self._stream = 0
        self._pouring = 0
        """The stream that came last, once the ring is complete; 0 before."""
        self._place = 0
        """Where in the ring it goes on."""
        self._ring = memoryview(b"")
        self._data = bytearray()
        self._view = memoryview(self._data)

    def add(self, stream: int, data: bytearray, length: int, elapsed: float) -> None:
        """Take the first ``length`` octets of ``data``, which may be re-used afterwards.

        ``elapsed`` is the time of their arrival in seconds since the job's start.
        """
        self._totals[stream] += length
        if data is not self._data:
            self._data, self._view = data, memoryview(data)
        if self._matcher:
            self._matcher.feed(stream, bytes(self._view[:length]))
        room = self._head_size - len(self._head)
        if room:
            self._mark(0, len(self._head), stream, elapsed)
            self._head += self._view[: min(room, length)]
        if length > room:
            if stream != self._stream or self._timed or not self._marks[1]:
                self._mark(1, self._tail_total, stream, elapsed)
            self._add_tail(room, length)
            if len(self._tail) == self._tail_size and self._tail_size and not (self._timed or self._matcher):
                if not self._pouring:
                    self._ring = memoryview(self._tail)
                self._pouring = stream
                self._place = self._tail_total % self._tail_size

    def pour(self, stream: int, descriptor: int, readv: Readv, reads: int) -> int:
        """Read a stream that pours straight into the ring, many times over; 0 when nothing came.

        Else it gives about the longest read, ``POUR`` where so much was found waiting. Nothing is read where
        ``add`` has to see it. This is what gigabytes take: one stream, into a ring that is complete, without
        a copy on the way.

        While the reader is the faster, who writes a pipe fills pages that the reader has just let go of;
        behind a slower one the kernel makes each anew. So this does little more than read, and stops where
        a read brings little.
        """
        if not self._pouring or stream != self._pouring or self._tail_size < POUR:
            return 0
        ring, size, begin = self._ring, self._tail_size, self._place
        place, longest = begin, 0
        try:
            for _ in range(reads):
                length = readv(descriptor, (ring[place : place + POUR],))
                place += length
                if place - begin >= COUNT_AT or place == size:
                    self._count(begin, place)
                    begin = place = place % size
                    longest = max(longest, length)
                if length < BULK:
                    break
        except OSError:
            pass  # nothing is there at the moment; what is wrong with it shows at the next read
        self._count(begin, place)
        return max(longest, place - begin)

    def _count(self, begin: int, end: int) -> None:
        """Take note of what was read into the ring, which is one piece of it."""
        self._tail_newlines += _newlines(self._tail, begin, end)
        self._totals[self._pouring] += end - begin
        self._tail_total += end - begin
        self._place = end % self._tail_size

    def _add_tail(self, start: int, end: int) -> None:
        """Take a part of the buffer into the ring."""
        self._tail_newlines += _newlines(self._data, start, end)
        size, total = self._tail_size, self._tail_total
        self._tail_total += end - start
        if not size:
            return
        if len(self._tail) < size:  # it grows as it is needed: the limit may be far beyond what comes
            self._tail += bytes(min(size, total + end - start) - len(self._tail))
        skipped = max(0, end - start - size)
        place = (total + skipped) % size
        first = min(end - start - skipped, size - place)
        middle = start + skipped + first
        self._tail[place : place + first] = self._view[start + skipped : middle]
        if middle < end:
            self._tail[: end - middle] = self._view[middle:end]

    def _mark(self, half: int, offset: int, stream: int, elapsed: float) -> None:
        marks = self._marks[half]
        if marks and stream == self._stream and not self._timed:
            return
        self._stream = stream
        if len(marks) >= MARKS_LIMIT and half:
            start = self._tail_total - self._tail_size
            gone = next((index for index, mark in enumerate(marks) if mark[0] > start), len(marks)) - 1
            del marks[: max(0, gone)]
        if len(marks) < MARKS_LIMIT:
            marks.append((offset, stream, elapsed))

    @property
    def total(self) -> int:
        """Give how much the job has written so far."""
        return self._totals[STDOUT] + self._totals[STDERR]

    def since(self, position: int) -> tuple[int, int, Pieces]:
        """Give what came from a position on: how many octets of it are gone, and what follows them.

        That is as stream, seconds since the start, octets; of one half at a time. Between the two are, where
        some are gone, the line ends in all there ever was.
        """
        from cronwrap.job.stretches import stretches  # noqa: PLC0415  # for a job that takes its time

        first = len(self._head)
        kept = max(0, self._tail_total - self._tail_size)
        if position < first:
            return 0, 0, stretches(self._marks[0], position, first, self._head, 0)
        gone = max(0, first + kept - position)
        pieces: Pieces = []
        begin = max(position - first, kept)
        if begin < self._tail_total:
            place, end = begin % self._tail_size, self._tail_total % self._tail_size or self._tail_size
            ring = self._tail
            content = ring[place:end] if place < end else ring[place:] + ring[:end]
            pieces = stretches(self._marks[1], begin, self._tail_total, content, begin)
        return gone, self._tail_newlines + self._head.count(b"\n") if gone else 0, pieces

    def output(self) -> Output:
        """Give what was kept, and let go of it: the last call there is."""
        head = bytes(self._head)
        self._head.clear()
        place = self._tail_total % self._tail_size if self._tail_size else 0
        left_out = max(0, self._tail_total - self._tail_size)
        with memoryview(self._tail) as ring:
            tail = b"".join((ring[place:], ring[:place])) if left_out else bytes(ring[: self._tail_total])
        self._ring.release()
        self._tail = bytearray()
        shift = len(head) - left_out
        marks = [Mark(offset=offset, stream=stream, elapsed=at) for offset, stream, at in self._marks[0]]
        before: Mark | None = None
        for offset, stream, at in self._marks[1]:
            mark = Mark(offset=max(offset + shift, len(head)), stream=stream, elapsed=at)
            if mark.offset == len(head):
                before = mark
                continue
            marks += [before] if before else []
            before = None
            marks.append(mark)
        if before and tail:
            marks.append(before)
        if not left_out:
            head, tail = head + tail, b""
        return Output(
            head=head,
            tail=tail,
            left_out_bytes=left_out,
            left_out_lines=self._tail_newlines - tail.count(b"\n") if left_out else 0,
            stdout_bytes=self._totals[STDOUT],
            stderr_bytes=self._totals[STDERR],
            marks=tuple(marks),
        )


def _newlines(data: bytearray, start: int, end: int) -> int:
    # memchr, by which `find` and `replace` go, is many times as fast as counting octet by octet.
    if data.find(b"\n", start, end) < 0:
        return 0
    sampled = data.count(b"\n", start, min(end, start + SAMPLE))
    if sampled * LONG_LINE < min(end - start, SAMPLE):
        return end - start - len(data[start:end].replace(b"\n", b""))
    return data.count(b"\n", start, end)
