"""What a run says, from any octet on: as it comes while the run lasts, and then what is remembered.

Offsets mean the same throughout: octets of the whole output, secrets taken out, those included that are not
to be had any more.
"""

from __future__ import annotations

from contextlib import closing

from cronwrap.errors import StateError
from cronwrap.exit_status import (
    EXIT_ENDED,
    EXIT_INTERNAL,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SIGNAL_BASE,
    EXIT_SKIPPED,
)
from cronwrap.history import records
from cronwrap.history.finding import find
from cronwrap.history.folding import fold
from cronwrap.history.live_output import Reader
from cronwrap.history.runs import output_of
from cronwrap.model import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from cronwrap.history.kept_output import Kept
    from cronwrap.history.live_output import Part
    from cronwrap.history.run import Run

    Piece = tuple[str, int, bytes]
    """What it is, the offset behind it, and its octets."""

OUT, ERR = "stdout", "stderr"
GAP = "gap"
"""So many octets, written as a decimal number, are not to be had."""
LOST = "lost"
"""What follows is not to be had by its offset; some of it may be in what is remembered of the output."""
WAIT = "wait"
"""Nothing more is there by now."""
END = "end"
"""The run has ended, with this exit status, a decimal number; an empty text where nobody knows."""

ALIVE_EVERY = 5
"""Looks without output after which it is asked whether the run is still there."""
NOT_FOUND, NOT_EXECUTABLE = "not found", "cannot be executed"


def followed(state_dir: str, found: Run, offset: int = 0) -> Generator[Piece]:
    """Give what a run says from an offset on, to its end; ``WAIT`` whenever that takes time."""
    # Of a run that has ended as well: what it said lies there as long as anybody reads it.
    with closing(live(state_dir, found, offset)) as pieces:  # who goes away lets go of the files at once
        for piece in pieces:
            yield piece
            offset = piece[1]
            if piece[0] == END:
                return
    ended = _on_record(state_dir, found.run)
    if ended is None:
        yield END, offset, b""
        return
    for piece in remembered(ended, output_of(state_dir, ended), offset):
        yield piece
        offset = piece[1]
    yield END, offset, b"%d" % status_of(ended)


def live(state_dir: str, found: Run, offset: int) -> Generator[Piece]:
    """Give what a run says while it lasts; without an ``END`` where its record has to say the rest."""
    reader: Reader | None = None
    looks = 0
    alive = found.result == "running"
    try:
        while True:
            reader = reader or _reader(state_dir, found.run)
            if reader:
                part = reader.read(offset)
                yield from _pieces(part, offset)
                offset = part.next
                if part.ended:
                    yield END, offset, b"%d" % part.status
                    return
                if part.pieces or part.skipped:
                    looks = 0
                    continue
            if not alive:  # and what it said last has been looked for since
                return
            looks += 1
            if looks % ALIVE_EVERY == 0:
                alive = any(fields["run"] == found.run for fields in records.running(state_dir, found.job))
                if not alive:
                    continue
            yield WAIT, offset, b""
    finally:
        if reader:
            reader.close()


def _reader(state_dir: str, run: str) -> Reader | None:
    try:
        return Reader(state_dir, run)
    except OSError:
        return None  # it is younger than a second, or its disk is full


def _pieces(part: Part, offset: int) -> Iterator[Piece]:
    if part.skipped:
        offset += part.skipped
        yield GAP, offset, b"%d" % part.skipped
    for stream, octets in part.pieces:
        offset += len(octets)
        yield ERR if stream == STDERR else OUT, offset, octets


def _on_record(state_dir: str, run: str) -> Run | None:
    """Give a run that has ended as its record tells; None where there is none."""
    try:
        fold(state_dir)
    except StateError:
        pass  # what is in the history can be read all the same
    try:
        found = find(state_dir, run)
    except StateError:
        return None
    return found if found.run == run and found.result != "running" else None


def remembered(ended: Run, kept: Kept, offset: int) -> Iterator[Piece]:
    """Give what is remembered of the output of a run that has ended, from an offset on.

    Only the last try of a run is remembered, and of the others how much they have said. What was left out is
    counted as the job has written it, and may have had secrets in it, which offsets do not count: where any
    were taken out, nobody knows the offset of what comes behind.
    """
    before = ended.earlier_bytes if ended.tries > 1 else 0
    if before is None and offset:
        yield LOST, offset, b""
        return
    before = before or 0
    if offset < before:
        yield GAP, before, b"%d" % (before - offset)
    for kind, behind, octets in _of_last_try(ended, kept, max(0, offset - before)):
        yield kind, before + behind, octets


def _of_last_try(ended: Run, kept: Kept, offset: int) -> Iterator[Piece]:
    """Give what is remembered of a run's last try, from an offset in that alone."""
    border, length = len(kept.head), len(kept.head) + kept.left_out_bytes + len(kept.tail)
    if offset > border < length != ended.output_bytes:
        yield LOST, offset, b""
        return
    yield from _rest(kept, 0, border, offset)
    resume = border + kept.left_out_bytes
    if kept.left_out_bytes and offset < resume:
        yield GAP, resume, b"%d" % (resume - max(offset, border))
    if kept.tail:
        yield from _rest(kept, border, border + len(kept.tail), offset - kept.left_out_bytes)


def _rest(kept: Kept, begin: int, end: int, offset: int) -> Iterator[Piece]:
    """Give one half of what was kept from an offset on, as if there were no hole between the two."""
    content = kept.head + kept.tail
    shift = kept.left_out_bytes if begin else 0
    stops = [*(at for at, _stream in kept.stretches), len(content)]
    streams = [0, *(stream for _at, stream in kept.stretches)]
    first = 0
    for stop, stream in zip(stops, streams, strict=True):
        octets = content[max(first, begin, offset) : min(stop, end)]
        if octets:
            yield ERR if stream == STDERR else OUT, min(stop, end) + shift, octets
        first = max(first, stop)


def status_of(run: Run) -> int:
    """Give the exit status that cronwrap had for a run that has ended (SPEC 2), as its record tells."""
    reasons = " ".join(run.reasons)
    if run.result in ("timeout", "stopped") or reasons.startswith(("memory (", "overlap (")):
        return EXIT_ENDED
    if run.result == "skipped":
        return EXIT_SKIPPED
    if run.result == "not-started":
        words = ((NOT_FOUND, EXIT_NOT_FOUND), (NOT_EXECUTABLE, EXIT_NOT_EXECUTABLE))
        return next((status for text, status in words if text in reasons), EXIT_INTERNAL)
    if run.result == "abandoned":
        return EXIT_INTERNAL
    if run.signal is not None:
        return EXIT_SIGNAL_BASE + run.signal
    return run.exit_code or 0
