"""What there is of the output of a run that is under way, or was when its cronwrap died, in one piece."""

from __future__ import annotations

from cronwrap.history.live_output import END, MAGIC, OUTPUT, content_of, parts, unframed
from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.state import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def so_far(state_dir: str, run: str) -> Output | None:
    """Give what there is of a run's output, as it would have been kept; None when there is nothing."""
    try:
        directory = state(state_dir, OUTPUT)
        contents = [content_of(directory, f"{run}.{number}") for number in parts(directory, run)]
    except OSError:
        return None
    limit = 0
    frames: list[Frame] = []
    for content in contents:
        head, found, rest = content.partition(b"\n")
        if found and head.startswith(MAGIC) and head[len(MAGIC) :].isdigit():
            limit = int(head[len(MAGIC) :])
            frames += [Frame(*frame[:5]) for frame in unframed(rest, 0) if frame[3] != END]
    return _output(frames, limit - limit // 2, limit // 2) if frames else None


class Frame:
    """What was written in one go: octets of one stream, and where in the whole they stand."""

    __slots__ = ("elapsed", "lines", "octets", "offset", "stream")

    def __init__(self, offset: int, lines: int, elapsed: float, stream: int, octets: bytes) -> None:
        self.offset, self.lines, self.elapsed, self.stream, self.octets = (
            offset,
            lines,
            elapsed,
            stream,
            octets,
        )

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + len(self.octets)


class Hole(Frame):
    """Words that say how much is missing."""

    __slots__ = ()


def _output(frames: list[Frame], first: int, last: int) -> Output:
    """Give frames as an output: the first octets without a hole, and the last ones, of either so many."""
    known = 0
    while known < len(frames) and frames[known].offset == (frames[known - 1].end if known else 0):
        known += 1
    whole = known == len(frames) and frames[-1].end <= first + last
    if not whole:
        known = next((number for number in range(known) if frames[number].end > first), known)
    head = b"".join(frame.octets for frame in frames[:known])
    marks = _marked(frames[:known])
    rest = list(_with_holes(frames[known:]))
    tail = b"".join(frame.octets for frame in rest)
    cut = _whole_words(rest, max(0, len(tail) - last))
    tail_marks = _marked(rest)
    before = [mark.replace(offset=cut) for mark in tail_marks if mark.offset <= cut][-1:]
    kept = [*before, *(mark for mark in tail_marks if mark.offset > cut)] if rest else []
    marks += [mark.replace(offset=mark.offset - cut + len(head)) for mark in kept]
    sizes = {STDOUT: 0, STDERR: 0}
    for frame in frames:
        sizes[frame.stream] = sizes.get(frame.stream, 0) + len(frame.octets)
    # Of what is gone nobody knows the stream: it counts to standard output if that spoke.
    sizes[STDOUT if sizes[STDOUT] else STDERR] += frames[-1].end - sum(sizes.values())
    lines = (
        rest[-1].lines - tail[cut:].count(b"\n") - (frames[known - 1].lines if known else 0) if rest else 0
    )
    return Output(
        head=head,
        tail=tail[cut:],
        left_out_bytes=max(0, frames[-1].end - len(head) - len(tail[cut:])) if rest else 0,
        left_out_lines=max(0, lines),
        stdout_bytes=sizes[STDOUT],
        stderr_bytes=sizes[STDERR],
        marks=tuple(marks),
    )


def _whole_words(frames: list[Frame], cut: int) -> int:
    """Give where the last octets begin: behind the words of a hole, where these would be cut."""
    offset = 0
    for frame in frames:
        if isinstance(frame, Hole) and offset < cut < offset + len(frame.octets):
            return offset + len(frame.octets)
        offset += len(frame.octets)
    return cut


def _with_holes(frames: list[Frame]) -> Iterator[Frame]:
    """Give frames with a line in each hole between them that says how much is missing."""
    for number, frame in enumerate(frames):
        missing = frame.offset - frames[number - 1].end if number else 0
        if missing > 0:
            words = b"\n[... %d bytes left out ...]\n" % missing
            yield Hole(frame.offset, frame.lines, frame.elapsed, frame.stream, words)
        yield frame


def _marked(frames: list[Frame]) -> list[Mark]:
    marks: list[Mark] = []
    offset = 0
    for frame in frames:
        if not marks or (marks[-1].stream, marks[-1].elapsed) != (frame.stream, frame.elapsed):
            marks.append(Mark(offset=offset, stream=frame.stream, elapsed=frame.elapsed))
        offset += len(frame.octets)
    return marks
