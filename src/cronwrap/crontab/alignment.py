"""Which lines of two texts belong together, in about as long as it takes to read both. Pure.

``difflib`` alone takes the cube of the number of lines where many are alike, blank ones between the jobs say:
half a minute for two thousand. So lines that both texts have as often as each other are taken for the same
ones, as far as their order allows; what lies between them is compared by ``difflib`` while it is short.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

SHORT = 20_000
"""Pairs of lines that ``difflib`` compares, in milliseconds at the worst."""

Lines = Sequence[Hashable]
Block = tuple[int, int, int]
"""Index in both, and how many lines are the same from there on."""
Code = tuple[str, int, int, int, int]
"""As ``SequenceMatcher.get_opcodes`` has it."""


def blocks(old: Lines, new: Lines) -> list[Block]:
    """Give the lines that are the same in both, in their order."""
    found: list[Block] = []
    todo = [(0, len(old), 0, len(new), 0)]
    while todo:
        first_old, end_old, first_new, end_new, stage = todo.pop()
        head = _same(old, new, first_old, first_new, min(end_old - first_old, end_new - first_new), 1)
        found.append((first_old, first_new, head))
        first_old, first_new = first_old + head, first_new + head
        tail = _same(old, new, end_old - 1, end_new - 1, min(end_old - first_old, end_new - first_new), -1)
        end_old, end_new = end_old - tail, end_new - tail
        found.append((end_old, end_new, tail))
        if first_old == end_old or first_new == end_new:
            continue
        inner_old, inner_new = old[first_old:end_old], new[first_new:end_new]
        if len(inner_old) * len(inner_new) <= SHORT:
            matcher = SequenceMatcher(None, inner_old, inner_new, autojunk=False)
            found += ((a + first_old, b + first_new, size) for a, b, size in matcher.get_matching_blocks())
        elif stage < 2:
            pairs = [(-1, -1), *_anchors(inner_old, inner_new, alike=not stage)]
            ends = [*pairs[1:], (len(inner_old), len(inner_new))]
            for (a, b), (next_a, next_b) in zip(pairs, ends, strict=True):
                if a >= 0:
                    found.append((first_old + a, first_new + b, 1))
                todo.append(
                    (first_old + a + 1, first_old + next_a, first_new + b + 1, first_new + next_b, stage + 1)
                )
    return sorted(block for block in found if block[2])


def opcodes(old: Lines, new: Lines) -> list[Code]:
    """Give how one becomes the other: ``(kind, from, to, from, to)``, ``equal`` stretches among them."""
    found: list[Code] = []
    at_old = at_new = 0
    for first_old, first_new, size in (*_joined(blocks(old, new)), (len(old), len(new), 0)):
        if at_old < first_old or at_new < first_new:
            kind = "insert" if at_old == first_old else "delete" if at_new == first_new else "replace"
            found.append((kind, at_old, first_old, at_new, first_new))
        at_old, at_new = first_old + size, first_new + size
        if size:
            found.append(("equal", first_old, at_old, first_new, at_new))
    return found


def _same(old: Lines, new: Lines, at_old: int, at_new: int, most: int, step: int) -> int:
    """Give how many lines are the same from two places on, forwards or backwards."""
    return next((n for n in range(most) if old[at_old + n * step] != new[at_new + n * step]), most)


def _joined(found: list[Block]) -> list[Block]:
    joined: list[Block] = []
    for a, b, size in found:
        if joined and (joined[-1][0] + joined[-1][2], joined[-1][1] + joined[-1][2]) == (a, b):
            joined[-1] = (*joined[-1][:2], joined[-1][2] + size)
        else:
            joined.append((a, b, size))
    return joined


def _anchors(old: Lines, new: Lines, *, alike: bool) -> list[tuple[int, int]]:
    """Give pairs of lines that are the same, ascending in both: the longest such row.

    ``alike``: only of lines that both have as often; else the first with the first, and so on.
    """
    count_old, count_new = Counter(old), Counter(new)
    places: dict[tuple[Hashable, int], int] = {}
    seen: Counter[Hashable] = Counter()
    for index, line in enumerate(old):
        if not alike or count_old[line] == count_new[line]:
            places[line, seen[line]] = index
            seen[line] += 1
    seen.clear()
    pairs = []
    for index, line in enumerate(new):
        place = places.get((line, seen[line]))
        seen[line] += 1
        if place is not None:
            pairs.append((place, index))
    return _ascending(pairs)


def _ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give the longest row of pairs, ascending in the second, whose first ascend as well (patience sort)."""
    tops: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, (place, _) in enumerate(pairs):
        pile = bisect_left(tops, place)
        if pile == len(tops):
            tops.append(place)
            last.append(index)
        else:
            tops[pile], last[pile] = place, index
        before.append(last[pile - 1] if pile else -1)
    row = []
    at = last[-1] if last else -1
    while at >= 0:
        row.append(pairs[at])
        at = before[at]
    return row[::-1]
