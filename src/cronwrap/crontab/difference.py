"""The difference between two states of a crontab, as data for a page and as text. Pure."""

from __future__ import annotations

from typing import Any

from cronwrap.crontab.alignment import Code, opcodes
from cronwrap.crontab.edit import shown
from cronwrap.crontab.lines import decode

CONTEXT = 3
"""Lines around a change, as everywhere."""
SAME, REMOVED, ADDED = "same", "removed", "added"
SIGNS = {SAME: " ", REMOVED: "-", ADDED: "+"}
NO_LINE_FEED = "\\ No newline at end of file"
"""As diff(1) has it, and whoever reads its output expects."""


def hunks(old: bytes, new: bytes, context: int = CONTEXT) -> list[dict[str, Any]]:
    """Give what differs, in the order of the lines: ``old_start old_count new_start new_count lines``.

    A line is ``kind`` (same, removed, added), ``old`` and ``new`` (its numbers, or None), ``text`` (fit to be
    shown) and ``complete`` (whether it has a line feed). Line ends count: CR LF is not LF.
    """
    before, after = (decode(octets).split("\n") for octets in (old, new))
    # Of "a\n" split makes "a" and "": the last one is no line, but tells that the one before it is complete.
    ends = (len(before) - 1, len(after) - 1)
    before, after = ([*lines[:-1], *([lines[-1]] if lines[-1] else [])] for lines in (before, after))
    found = []
    for group in _grouped(opcodes(_marked(before, ends[0]), _marked(after, ends[1])), context):
        lines = [line for code in group for line in _lines(code, (before, after), ends)]
        first, last = group[0], group[-1]
        found.append(
            {
                "old_start": first[1] + 1 if last[2] > first[1] else first[1],
                "old_count": last[2] - first[1],
                "new_start": first[3] + 1 if last[4] > first[3] else first[3],
                "new_count": last[4] - first[3],
                "lines": lines,
            }
        )
    return found


def as_text(found: list[dict[str, Any]], old_name: str, new_name: str) -> str:
    """Give a difference as ``diff -u`` would."""
    out = [f"--- {old_name}", f"+++ {new_name}"] if found else []
    for hunk in found:
        old, new = (f"{hunk[f'{which}_start']},{hunk[f'{which}_count']}" for which in ("old", "new"))
        out.append(f"@@ -{old} +{new} @@")
        for line in hunk["lines"]:
            out.append(SIGNS[line["kind"]] + line["text"])
            if not line["complete"]:
                out.append(NO_LINE_FEED)
    return "".join(f"{line}\n" for line in out)


def _marked(lines: list[str], complete: int) -> list[tuple[str, bool]]:
    return [(line, number < complete) for number, line in enumerate(lines)]


def _grouped(codes: list[Code], context: int) -> list[list[Code]]:
    """Give the changes with the lines around them; those that are near each other together."""
    if all(code[0] == "equal" for code in codes):
        return []
    groups: list[list[Code]] = [[]]
    for number, (kind, a, b, c, d) in enumerate(codes):
        if kind != "equal":
            groups[-1].append((kind, a, b, c, d))
            continue
        first, last = number == 0, number == len(codes) - 1
        if not first and not last and b - a <= 2 * context:
            groups[-1].append((kind, a, b, c, d))
            continue
        if not first:
            size = min(context, b - a)
            groups[-1].append((kind, a, a + size, c, c + size))
        if not last:
            size = min(context, b - a)
            if not first:
                groups.append([])
            groups[-1].append((kind, b - size, b, d - size, d))
    return [[code for code in group if code[1] < code[2] or code[3] < code[4]] for group in groups]


def _lines(code: Code, texts: tuple[list[str], list[str]], complete: tuple[int, int]) -> list[dict[str, Any]]:
    kind, a, b, c, d = code
    if kind == "equal":
        return [_line(SAME, texts[0][a + at], (a + at, c + at), complete) for at in range(b - a)]
    removed = [_line(REMOVED, texts[0][at], (at, None), complete) for at in range(a, b)]
    return removed + [_line(ADDED, texts[1][at], (None, at), complete) for at in range(c, d)]


def _line(
    kind: str, text: str, at: tuple[int | None, int | None], complete: tuple[int, int]
) -> dict[str, Any]:
    old, new = at
    ended = old < complete[0] if old is not None else new is not None and new < complete[1]
    return {
        "kind": kind,
        "old": None if old is None else old + 1,
        "new": None if new is None else new + 1,
        "text": shown(text),
        "complete": ended,
    }
