"""The output of a run that is under way, where another process can read it: bounded, in order, to the octet.

    STATE/output/RUN.0        what comes first, half of ``--max-output``
    STATE/output/RUN.N        what comes then; the latest ``KEPT_PARTS`` of these together hold the other half

A part is only ever appended to, and then done with: nothing is written over, so a reader cannot be misled. A
part is a line that says what it is, and frames. Each frame says at which offset of the whole its octets
stand, and carries a checksum; where the offsets have a hole, something was left out. The last frame of all is
``END`` with the exit status. Offsets count what was left out as well.

Who reads holds a shared flock(2) on the first part. With the run the parts go, unless somebody still reads
them: then the last reader takes them away, or ``sweep`` when even that one has died.
"""

from __future__ import annotations

import fcntl
import os
import struct
from binascii import crc32
from errno import ENOSPC

from cronwrap.model import Mark, Output, Record
from cronwrap.state import NEW, RUNS, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cronwrap.state import Directory

OUTPUT = "output"
"""The directory, within that of the state."""
MAGIC = b"cronwrap-output 1 "
HEADER = struct.Struct("<QQdIB")
"""Offset, line ends up to the end of the frame, seconds since the job's start, length, stream or ``END``."""
CHECK = struct.Struct("<I")
FRAME_BYTES = CHECK.size + HEADER.size
END = 0
"""The stream of the last frame of all; its octets are the exit status."""
KEPT_PARTS = 5
"""Parts after the first that are kept; one less makes up the last half."""
PART_LEAST = 4096
"""Octets of a part; with smaller ones there would be many files for little."""
READ_SIZE = 1 << 18
"""Octets that are read at a time; a frame is never longer."""
PART_MAX = 64 << 20
"""Octets of a part that are read into memory, of whatever lies there."""


class Writer:
    """Writes what a run says; OSError for whatever a disk may say, and what was not written is left out."""

    def __init__(self, state_dir: str, run: str, limit: int) -> None:
        """Begin; ``limit`` octets are kept, the first and the last half."""
        self._directory = state(state_dir, OUTPUT, make=True)
        self._run, self._limit = run, limit
        self._room = limit - limit // 2
        """Octets that the first part still takes."""
        self._part_bytes = max(PART_LEAST, limit // 2 // (KEPT_PARTS - 1))
        self._offset = self._lines = 0
        self._number = 0
        self._first = self._fd = -1
        self._begin(0)
        self._first = self._fd

    def _begin(self, number: int) -> None:
        name, line = f"{self._run}.{number}", MAGIC + b"%d\n" % self._limit
        fd = self._directory.create(name)
        written = 0
        try:
            written = os.write(fd, line)
        finally:
            if written < len(line):
                os.close(fd)
                _unlink(self._directory, name)
        if written < len(line):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if self._fd not in (-1, self._first):
            os.close(self._fd)
        self._fd, self._number, self._size = fd, number, len(line)
        if number > KEPT_PARTS:
            _unlink(self._directory, f"{self._run}.{number - KEPT_PARTS}")

    def write(self, output: Output, lines: int) -> None:
        """Append the head of an output, stretch by stretch; ``lines`` are the line ends up to its end."""
        begin = self._offset
        stops = [*(mark.offset for mark in output.marks), len(output.head)]
        self._lines = lines - output.head.count(b"\n")
        try:
            for mark, last in zip(output.marks, stops[1:], strict=True):
                self._stretch(mark, output.head[mark.offset : last])
        except OSError:
            self._offset, self._lines = begin + len(output.head), lines  # it is left out, then
            raise
        self._lines = lines

    def skip(self, octets: int, lines: int) -> None:
        """Note that something was left out here; ``lines`` are the line ends up to its end."""
        self._offset += octets
        self._lines = lines

    def _stretch(self, mark: Mark, octets: bytes) -> None:
        while octets:
            if self._number == 0 and self._room:
                most = self._room
            elif self._number == 0 or self._size >= self._part_bytes:
                self._begin(self._number + 1)
                continue
            else:
                most = max(1, self._part_bytes - self._size - FRAME_BYTES)
            piece, octets = (
                octets[: min(most, READ_SIZE - FRAME_BYTES)],
                octets[min(most, READ_SIZE - FRAME_BYTES) :],
            )
            self._lines += piece.count(b"\n")
            self._frame(mark.stream, mark.elapsed, piece)
            if self._number == 0:
                self._room -= len(piece)
                if (
                    self._size >= self._limit + PART_LEAST
                ):  # a job that goes from stream to stream all the time
                    self._room = 0

    def _frame(self, kind: int, elapsed: float, octets: bytes) -> None:
        body = HEADER.pack(self._offset, self._lines, elapsed, len(octets), kind) + octets
        self._append(CHECK.pack(crc32(body)) + body)
        self._offset += len(octets)

    def _append(self, data: bytes) -> None:
        """Append, all or nothing."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.pwrite(self._fd, rest, self._size + len(data) - len(rest)) :]
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def sync(self) -> None:
        """Have what was written survive a power cut."""
        os.fsync(self._fd)

    def end(self, status: int) -> None:
        """Note the end of the run, and take the parts away unless somebody reads them."""
        try:
            self._frame(END, 0.0, b"%d" % status)
        except OSError:
            pass  # who reads finds the run ended
        _unlink_unless_read(self._directory, self._run, self._first)
        for fd in {self._first, self._fd} - {-1}:
            os.close(fd)
        self._first = self._fd = -1


class Part(Record):
    """What was read at a time."""

    pieces: tuple[tuple[int, bytes], ...] = ()
    """Each with its stream, ``STDOUT`` or ``STDERR``."""
    next: int
    """The offset behind them, to go on from."""
    skipped: int = 0
    """Octets before them that are not there any more, or never were."""
    ended: bool = False
    """Whether nothing follows: the run has ended."""
    status: int = 0
    """The exit status of a run that has ended."""


class Reader:
    """Reads what a run says from any offset on; FileNotFoundError where there is nothing to read (yet)."""

    def __init__(self, state_dir: str, run: str) -> None:
        self._directory, self._run = state(state_dir, OUTPUT), run
        self._first = self._directory.open(f"{run}.0")
        try:
            fcntl.flock(self._first, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pass  # it is being taken away, or there are no locks: what is open can be read all the same
        self._fd = self._first
        self._begin(0)
        self._at = 0
        """The offset that is read next."""
        self._over = False

    def _begin(self, number: int) -> None:
        if number:
            fd = self._directory.open(f"{self._run}.{number}")
            if self._fd != self._first:
                os.close(self._fd)
            self._fd = fd
        else:
            self._fd = self._first
        self._number, self._place = number, 0

    def read(self, offset: int, most: int = READ_SIZE) -> Part:
        """Give about ``most`` octets that stand at an offset or behind it, all that there are by now."""
        if offset < self._at:
            self._begin(0)
        self._at = offset
        pieces: list[tuple[int, bytes]] = []
        skipped = length = 0
        while length < most:
            later = self._later()
            data = os.pread(self._fd, READ_SIZE, self._place)
            before = self._place
            for begin, kind, octets, end in self._frames(data):
                if begin > self._at and pieces:  # what is missing here is told before what follows it
                    self._place = end - FRAME_BYTES - len(octets)
                    return Part(pieces=tuple(pieces), next=self._at, skipped=skipped)
                if kind == END:
                    self._over = True
                    skipped += max(0, begin - self._at)
                    self._at = max(begin, self._at)
                    status = int(octets) if octets.isdigit() else 0
                    return Part(
                        pieces=tuple(pieces), next=self._at, skipped=skipped, ended=True, status=status
                    )
                skipped += max(0, begin - self._at)
                rest = octets[max(0, self._at - begin) :]
                self._at = max(self._at, begin + len(octets))
                if rest:
                    pieces.append((kind, rest))
                    length += len(rest)
                self._place = end
            if self._place == before:
                if later is None:
                    break
                try:
                    self._begin(later)
                except FileNotFoundError:
                    continue  # it has just been taken away: a later one is there
        return Part(pieces=tuple(pieces), next=self._at, skipped=skipped)

    def _later(self) -> int | None:
        """Give the number of the next part there is; asked before this one is read to its end."""
        numbers = [number for number in parts(self._directory, self._run) if number > self._number]
        return min(numbers, default=None)

    def _frames(self, data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
        """Give the whole frames in what was read: offset, stream, octets, and where in the part each ends."""
        start = self._place
        at = 0
        if not start:
            if b"\n" not in data[:64] or not data.startswith(MAGIC):
                return
            at = data.index(b"\n") + 1
            self._place = at
        for begin, _lines, _elapsed, kind, octets, end in unframed(data, at):
            yield begin, kind, octets, start + end

    def close(self) -> None:
        """Let go; the last who has read to the end takes away what is left."""
        if self._fd != self._first:
            os.close(self._fd)
        if self._over:
            _unlink_unless_read(self._directory, self._run, self._first)
        os.close(self._first)


def remove(state_dir: str, run: str) -> None:
    """Take away what is left of a run's output, unless somebody reads it."""
    try:
        directory = state(state_dir, OUTPUT)
        fd = directory.open(f"{run}.0", os.O_RDWR)
    except OSError:
        return
    _unlink_unless_read(directory, run, fd)
    os.close(fd)


def sweep(state_dir: str) -> None:
    """Take away what killed runs and readers left of runs that are not on record as begun."""
    try:
        names = state(state_dir, OUTPUT).names()
        begun = {
            name.removeprefix(NEW).partition(".")[0]
            for name in state(state_dir, RUNS).names()
            if not name.endswith(".end")
        }
    except OSError:
        return
    for run in {name.partition(".")[0] for name in names} - begun:
        remove(state_dir, run)


def _unlink_unless_read(directory: Directory, run: str, first: int) -> None:
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # who reads does it
    except OSError:
        pass  # no locks here: an open file can be read to its end all the same
    for number in sorted(parts(directory, run), reverse=True):
        _unlink(directory, f"{run}.{number}")


def parts(directory: Directory, run: str) -> list[int]:
    """Give the numbers of the parts there are, ascending."""
    begin = f"{run}."
    names = [name[len(begin) :] for name in directory.names() if name.startswith(begin)]
    return sorted(int(name) for name in names if name.isdigit())


def content_of(directory: Directory, name: str) -> bytes:
    """Give what is in a part."""
    fd = directory.open(name)
    try:
        return os.pread(fd, min(os.fstat(fd).st_size, PART_MAX), 0)
    finally:
        os.close(fd)


def unframed(data: bytes, at: int) -> Iterator[tuple[int, int, float, int, bytes, int]]:
    """Give the whole frames: offset, lines, seconds, stream, octets, and where each ends."""
    while at + FRAME_BYTES <= len(data):
        offset, lines, elapsed, length, kind = HEADER.unpack_from(data, at + CHECK.size)
        end = at + FRAME_BYTES + length
        if end > len(data):
            return
        if crc32(data[at + CHECK.size : end]) != CHECK.unpack_from(data, at)[0]:
            return  # torn by a power cut
        yield offset, lines, elapsed, kind, data[at + FRAME_BYTES : end], end
        at = end


def _unlink(directory: Directory, name: str) -> None:
    try:
        directory.unlink(name)
    except OSError:
        return
