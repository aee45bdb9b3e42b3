"""Passing a job's output on as it comes, each stream to its own, without ever waiting for its reader."""

from __future__ import annotations

import os
import select
from stat import S_ISFIFO

from cronwrap.model import STDERR, STDOUT

CHUNK = 4096
"""Octets written at a time where writing may block: poll(2) promises room for PIPE_BUF, no more."""


class Live:
    """Where the job's output goes on to; a reader that went away is no concern of the job's."""

    def __init__(self) -> None:
        self._targets = {stream: _target(stream) for stream in (STDOUT, STDERR)}
        self._waiting = {STDOUT: memoryview(b""), STDERR: memoryview(b"")}

    def take(self, stream: int, data: bytes) -> None:
        """Pass output on, as much as can be at once; the rest waits for ``go_on``."""
        if stream in self._targets:
            self._waiting[stream] = memoryview(bytes(self._waiting[stream]) + data)
            self.go_on(stream)

    def go_on(self, stream: int) -> None:
        """Write as much as can be written without waiting."""
        while self._waiting[stream]:
            try:
                written = self._write(stream)
            except OSError:
                self._drop(stream)  # the reader went away, the disk is full
                return
            if not written:
                return
            self._waiting[stream] = self._waiting[stream][written:]

    def _write(self, stream: int) -> int:
        target, waiting = self._targets[stream], self._waiting[stream]
        if target != stream:
            try:
                return os.write(target, waiting)
            except BlockingIOError:
                return 0
        poll = select.poll()
        poll.register(target, select.POLLOUT)
        return os.write(target, waiting[:CHUNK]) if poll.poll(0) else 0

    def waits(self, stream: int) -> int:
        """Give the descriptor that must become writable before more of a stream is read, or -1."""
        return self._targets[stream] if self._waiting[stream] else -1

    def close(self) -> None:
        """Give up what is still waiting."""
        for stream in list(self._targets):
            self._drop(stream)

    def _drop(self, stream: int) -> None:
        target = self._targets.pop(stream, stream)
        self._waiting[stream] = memoryview(b"")
        if target != stream:
            os.close(target)


def _target(stream: int) -> int:
    """Give a descriptor for a stream that can be written to without blocking, or the stream itself.

    The stream itself is shared with others, whom O_NONBLOCK would surprise. Pipes and terminals can be
    opened a second time; a file does not block, and of a socket poll(2) tells enough.
    """
    try:
        if S_ISFIFO(os.fstat(stream).st_mode) or os.isatty(stream):
            return os.open(f"/proc/self/fd/{stream}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        pass  # another system, or a terminal of another user
    return stream
