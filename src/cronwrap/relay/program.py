"""Runs a helper program (a password command, sendmail) within bounds of time and memory."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import signal
import subprocess
import time

from cronwrap.model import Record

OUTPUT_LIMIT = 64 * 1024
"""Octets kept of each stream: a secret or an error text is far shorter, ``yes`` is far longer."""
CHUNK = 64 * 1024
"""Octets moved at once: what a pipe holds."""
POLL_INTERVAL = 0.05
"""Seconds between looks whether the program has ended while something it left behind holds its output."""
SECRET_VARIABLES = ("CRONWRAP_RELAY_PASSWORD",)


class Ran(Record):
    """How a helper program ended."""

    status: int | None
    """Exit status, ``-N`` for signal N, None when it took too long and was killed."""
    stdout: bytes
    stderr: bytes


def run(
    argv: list[str],
    content: bytes,
    limit: float,
    mark: dict[str, str] | None = None,
    *,
    environment: dict[str, str] | None = None,
) -> Ran:
    """Run a program with ``content`` on its standard input; OSError when it cannot be started.

    After ``limit`` seconds its process group is killed. ``mark`` is added to its environment, which
    is ours without its secrets unless another one is given.
    """
    ours = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv,
        bufsize=0,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=(ours if environment is None else environment) | (mark or {}),
        start_new_session=True,
    ) as process:
        exchange = _Exchange(process, content)
        status = None
        try:
            status = exchange.until(time.monotonic() + limit)
        finally:
            if status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return Ran(status=status, stdout=bytes(exchange.stdout), stderr=bytes(exchange.stderr))


class _Exchange:
    """Feeds a program and reads what it says, without waiting for either."""

    def __init__(self, process: subprocess.Popen[bytes], content: bytes) -> None:
        self.process, self.unsent = process, memoryview(content)
        self.stdout, self.stderr = bytearray(), bytearray()

    def until(self, deadline: float) -> int | None:
        """Give the exit status once the program has ended and its output is read; None at the deadline."""
        with selectors.DefaultSelector() as selector:
            for stream, event, step in (
                (self.process.stdin, selectors.EVENT_WRITE, self._feed),
                (self.process.stdout, selectors.EVENT_READ, self._take_stdout),
                (self.process.stderr, selectors.EVENT_READ, self._take_stderr),
            ):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, event, step)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.get_map():
                    return self._wait(left)
                # In this order: what it wrote before it ended is then there to be read.
                status = self.process.poll()
                ready = selector.select(0 if status is not None else min(left, POLL_INTERVAL))
                moving = False
                for key, _events in ready:
                    if key.data(key.fd):
                        moving = True
                    else:
                        selector.unregister(key.fd)
                        self._finish(key.fileobj)
                if status is not None and not moving:
                    return status
        return None

    def _wait(self, limit: float) -> int | None:
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return None

    def _feed(self, descriptor: int) -> bool:
        """Write what the pipe takes; False when nothing is left, or nobody reads."""
        with contextlib.suppress(BrokenPipeError):
            self.unsent = self.unsent[os.write(descriptor, self.unsent[:CHUNK]) :]
            return bool(self.unsent)
        return False

    def _take_stdout(self, descriptor: int) -> bool:
        return _take(descriptor, self.stdout)

    def _take_stderr(self, descriptor: int) -> bool:
        return _take(descriptor, self.stderr)

    @staticmethod
    def _finish(stream: object) -> None:
        """Close a pipe that is through: the program sees the end of its input."""
        if isinstance(stream, io.FileIO):
            stream.close()


def _take(descriptor: int, kept: bytearray) -> bool:
    """Read what is there; False at the end of the stream."""
    octets = os.read(descriptor, CHUNK)
    kept += octets[: OUTPUT_LIMIT - len(kept)]
    return bool(octets)
