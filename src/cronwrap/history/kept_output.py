"""What the history remembers of a run's output: a part of each end, compressed.

Only a run that said something gets here.
"""

from __future__ import annotations

import zlib

from cronwrap.errors import StateError
from cronwrap.model import Output, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

KEEP_BYTES = 64 * 1024
"""How much of each end is remembered; the mail had more."""
STRETCHES_MAX = 4096
"""Changes between the streams that are remembered; what follows the last one counts to its stream."""
NOTHING = b"x\x9c\x03\x00\x00\x00\x00\x01"
"""No octets, compressed: as a rule there is no tail, and to begin to compress takes 250 KiB of memory."""


class Kept(Record):
    """What is remembered of a run's output."""

    head: bytes = b""
    tail: bytes = b""
    left_out_bytes: int = 0
    left_out_lines: int = 0
    stretches: tuple[tuple[int, int], ...] = ()
    """(offset into head + tail, stream) wherever the stream changes."""


def pack(output: Output) -> dict[str, Any]:
    """Give the columns of an output as they are stored."""
    kept = _shortened(output)
    return {
        "head": zlib.compress(kept.head),
        "tail": zlib.compress(kept.tail) if kept.tail else NOTHING,
        "left_out_bytes": kept.left_out_bytes,
        "left_out_lines": kept.left_out_lines,
        "stretches": " ".join(f"{offset}:{stream}" for offset, stream in kept.stretches),
    }


def whole(output: Output) -> Kept:
    """Give an output with all that was kept of it."""
    return Kept(
        head=output.head,
        tail=output.tail,
        left_out_bytes=output.left_out_bytes,
        left_out_lines=output.left_out_lines,
        stretches=_stretches(output, len(output.head), len(output.head)),
    )


def unpack(columns: Mapping[str, Any]) -> Kept:
    """Give back what ``pack`` was given, as far as it was kept; ``StateError`` if it is damaged."""
    pairs = (word.split(":") for word in columns["stretches"].split())
    try:
        return Kept(
            head=_decompressed(columns["head"]),
            tail=_decompressed(columns["tail"]),
            left_out_bytes=columns["left_out_bytes"],
            left_out_lines=columns["left_out_lines"],
            stretches=tuple((int(offset), int(stream)) for offset, stream in pairs),
        )
    except (zlib.error, ValueError) as error:
        raise StateError(f"the output of this run is damaged: {error}") from error


def _decompressed(packed: bytes) -> bytes:
    """Give one end; zlib.error for more than is ever remembered: a host of a fleet sends what it likes."""
    whole = zlib.decompressobj()
    found = whole.decompress(packed, 2 * KEEP_BYTES + 1)
    if not whole.eof or len(found) > 2 * KEEP_BYTES:
        raise zlib.error("it is incomplete, or too long")
    return found


def _shortened(output: Output) -> Kept:
    head, tail = output.head, output.tail
    if output.left_out_bytes:
        head, tail = head[:KEEP_BYTES], tail[-KEEP_BYTES:]
    elif len(head) > 2 * KEEP_BYTES:
        head, tail = head[:KEEP_BYTES], head[-KEEP_BYTES:]
    whole = len(output.head) + len(output.tail)
    lines = output.head.count(b"\n") + output.tail.count(b"\n") - head.count(b"\n") - tail.count(b"\n")
    return Kept(
        head=head,
        tail=tail,
        left_out_bytes=output.left_out_bytes + whole - len(head) - len(tail),
        left_out_lines=output.left_out_lines + lines,
        stretches=_stretches(output, len(head), whole - len(tail)),
    )


def _stretches(output: Output, head: int, resume: int) -> tuple[tuple[int, int], ...]:
    """Give the changes of the stream in what is left once ``head`` to ``resume`` is cut out."""
    found: list[tuple[int, int]] = []
    for mark in output.marks:
        # All that changed within the cut comes down to the stream that was on when the tail begins.
        offset = mark.offset if mark.offset <= head else max(mark.offset, resume) - resume + head
        if found and found[-1][0] == offset:
            found.pop()
        if not found or found[-1][1] != mark.stream:
            found.append((offset, mark.stream))
    return tuple(found[:STRETCHES_MAX])
