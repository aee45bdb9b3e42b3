"""What a job says: read from its pipes, kept, held against patterns, passed on to who watches.

Loaded with a job's first octet, since most jobs are silent.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap.job.capture import BULK, POUR, Capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.job.deadlines import Course, Limits
    from cronwrap.job.live import Live
    from cronwrap.job.matching import Matching

BUFFER, LARGE_BUFFER = 1 << 16, 1 << 18
"""Octets read at a time: what a pipe holds, and a part of what an enlarged one does."""
PIPE_SIZE = 1 << 20
"""What a pipe is enlarged to once it was found full; the most that needs no privilege."""
BULK_READS, POUR_READS = 32, 256
"""So many times a stream is read again, whatever else there is to do: 8 and 16 MiB of it at most."""
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032


class Reader:
    """Reads the streams of one try of a job."""

    def __init__(self, limits: Limits, course: Course, began: float, others: set[int]) -> None:
        """``began`` is when the try did, by the monotonic clock; ``others`` are children not the job's."""
        self._course, self._began = course, began
        self.matcher: Matching | None = None
        if limits.fail_match or limits.ignore_match:
            from cronwrap.job.matching import Matching  # noqa: PLC0415  # for those who have patterns

            self.matcher = Matching(limits.fail_match, limits.ignore_match, others)
        self.capture = Capture(limits.max_output, timed=limits.timed, matcher=self.matcher)
        self._live: Live | None = None
        if limits.live:
            from cronwrap.job.live import Live  # noqa: PLC0415  # a person watches

            self._live = Live()
        self._open: dict[int, int] = {}
        self._held: dict[int, int] = {}  # where something waits to be written: the stream not read meanwhile
        self._paused: set[int] = set()  # what is not read until the patterns have caught up
        self._enlarged: set[int] = set()
        self._set_buffer(BUFFER)

    def attend(self, poll: select.poll, streams: dict[int, int], close: Callable[[int], None]) -> None:
        """Read these descriptors, of streams by their numbers, from now on; ``close`` lets go of one."""
        self._poll, self._open, self._close = poll, streams, close
        if self.matcher:
            self.matcher.attend(poll)

    @property
    def holds(self) -> bool:
        """Whether something that was read waits for who reads it from us."""
        return bool(self._held)

    @property
    def waits(self) -> bool:
        """Whether the job may have to wait for us: it is not idle then."""
        return bool(self._held or self._paused)

    def ready(self, descriptor: int) -> None:
        """Do what can be done with a descriptor."""
        if descriptor in self._held:
            self._release(descriptor)
        elif descriptor in self._open:
            self._read_bulk(descriptor)

    def let_go(self, descriptor: int) -> bool:
        """Forget a descriptor; tell whether it is still waited for."""
        self._enlarged.discard(descriptor)
        return self._open.pop(descriptor) not in self._held.values() and descriptor not in self._paused

    def read_rest(self) -> None:
        """Read what is there at this moment."""
        for descriptor in list(self._open):
            left = PIPE_SIZE  # more than a pipe holds was written meanwhile; it may wait for a slow reader
            while left > 0 and descriptor in self._open and (length := self._read(descriptor)):
                left -= length

    def hurry(self) -> None:
        """Have no more patience with who reads slowly."""
        if self._live:
            self._live.close()
            for target in list(self._held):
                self._release(target)

    def finish(self) -> None:
        """Let go of who watches."""
        if self._live:
            self._live.close()

    def keep_pace(self) -> None:
        """Read no more than the patterns can be held against; ``matching`` bounds how long that may take."""
        matcher = self.matcher
        if not matcher:
            return
        matcher.go_on()
        watched = {d for d, of in self._open.items() if of not in self._held.values()}
        if matcher.full:
            for descriptor in watched - self._paused:
                self._poll.unregister(descriptor)
            self._paused |= watched
        else:
            for descriptor in self._paused & watched:
                self._poll.register(descriptor, select.POLLIN)
            self._paused.clear()

    def _set_buffer(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._view = [memoryview(self._buffer)]

    def _read_bulk(self, descriptor: int) -> None:
        stream = self._open[descriptor]
        if not self._live and (longest := self.capture.pour(stream, descriptor, os.readv, POUR_READS)):
            self._course.wrote(time.monotonic())
            if longest >= POUR:
                self._enlarge(descriptor)
            return
        for _ in range(BULK_READS):
            if self._read(descriptor) < BULK or self._open.get(descriptor) in self._held.values():
                return
            if self.matcher and self.matcher.full:
                return

    def _read(self, descriptor: int) -> int:
        """Read once; give how many octets came."""
        stream = self._open[descriptor]
        try:
            length = os.readv(descriptor, self._view)
        except BlockingIOError:
            return 0
        except OSError:
            length = 0
        if not length:
            self._close(descriptor)
        else:
            now = time.monotonic()
            self._course.wrote(now)
            self.capture.add(stream, self._buffer, length, now - self._began)
            if self._live:
                self._pass_on(self._live, descriptor, bytes(self._view[0][:length]))
            if length >= len(self._buffer):
                self._enlarge(descriptor)
        return length

    def _enlarge(self, descriptor: int) -> None:
        if descriptor in self._enlarged:
            return
        import fcntl  # noqa: PLC0415  # only where much is written

        try:
            if fcntl.fcntl(descriptor, F_GETPIPE_SZ) < PIPE_SIZE:
                fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            return  # the user's share of pipe memory is used up, or another system
        self._enlarged.add(descriptor)
        if len(self._buffer) < LARGE_BUFFER:
            self._set_buffer(LARGE_BUFFER)

    def _pass_on(self, live: Live, descriptor: int, data: bytes) -> None:
        """Pass output on; nothing more of its stream is read until all of it has been taken."""
        stream = self._open[descriptor]
        live.take(stream, data)
        target = live.waits(stream)
        if target >= 0 and target not in self._held:
            self._poll.unregister(descriptor)
            self._poll.register(target, select.POLLOUT)
            self._held[target] = stream

    def _release(self, target: int) -> None:
        """Go on with a stream whose reader has room again, or has gone."""
        live, stream = self._live, self._held[target]
        if live:
            live.go_on(stream)
            if live.waits(stream) >= 0:
                return
        del self._held[target]
        self._poll.unregister(target)
        for descriptor, of in self._open.items():
            if of == stream:
                self._poll.register(descriptor, select.POLLIN)
