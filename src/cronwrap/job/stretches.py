"""A part of what was captured, cut where the stream changes."""

from __future__ import annotations

from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def stretches(
    marks: Sequence[tuple[int, int, float]], begin: int, end: int, content: bytearray, start: int
) -> list[tuple[int, float, bytes]]:
    """Give from ``begin`` to ``end``: stream, seconds, octets. ``content`` begins at ``start``.

    The marks are those of ``Capture``: offset, stream, seconds, ascending.
    """
    found = []
    number = max(0, bisect_right(marks, (begin, 3, 0.0)) - 1)
    while begin < end and number < len(marks):
        _offset, stream, elapsed = marks[number]
        number += 1
        last = min(end, marks[number][0]) if number < len(marks) else end
        if last > begin:
            found.append((stream, elapsed, bytes(content[begin - start : last - start])))
            begin = last
    return found
