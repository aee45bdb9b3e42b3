"""What a job has said so far, handed on while it runs, to a thread that makes it readable for others.

The thread takes its time (it redacts), and may hang (it writes to a disk): the job's output is read all the
same. Where more comes than it can take, what the capture does not have any more is left out, and counted.
"""

from __future__ import annotations

import _thread
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.job.capture import Capture
    from cronwrap.model import Output

    Pieces = list[tuple[int, float, bytes]]

PAUSE = 0.1
"""Seconds between two looks at what has come: a person takes this for at once."""
PAUSE_MAX = 5.0
"""Seconds until the next look where the thread is not done with the last one: a disk hangs, perhaps."""
COST, COST_OF_FLOOD = 3.0, 30.0
"""A pass is followed by at least so many times the time of a core that it took: the second where reading the
output has much to do itself, so that much output is captured as fast as without this."""
FLOOD = 0.1
"""The part of a core from which on that is so."""
FLUSH_PATIENCE, END_PATIENCE = 0.5, 1.0
"""Seconds that the end of a try, and that of a run, wait for the thread."""


class Sink:
    """What takes the output, in the thread; whatever it raises is the end of it."""

    def take(self, left_out: int, lines: int, pieces: Pieces) -> None:
        """Take what came next, after ``left_out`` octets with so many line ends that are gone.

        The pieces are its own: as it is done with one it can let go of it.
        """
        raise NotImplementedError

    def rest(self) -> None:
        """Give on what was held back: a try has ended."""
        raise NotImplementedError

    def end(self, status: int) -> None:
        """Note that the run has ended."""
        raise NotImplementedError


class Publisher:
    """Hands a run's output to a sink; nothing here raises, or waits long."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._position = 0
        """Octets of this try's output that were handed on, or have been left out."""
        self._lines = 0
        """Line ends in them."""
        self._due = self._pause = 0.0
        self._cost = 0.0
        self._marks = time.monotonic(), time.process_time()
        self._task: Callable[[], None] | None = None
        self._idle, self._ready = _thread.allocate_lock(), _thread.allocate_lock()
        self._ready.acquire()
        self._broken = False
        self._late = False
        """Whether the thread was waited for in vain, which is done once."""
        self.status = 0
        """The exit status that the run will have."""
        self._started = False

    def _work(self) -> None:
        while True:
            self._ready.acquire()
            task, began = self._task, time.thread_time()
            try:
                if task:
                    task()
            except BaseException:  # noqa: BLE001  # it costs this, no more
                self._broken = True
            self._cost = time.thread_time() - began
            self._idle.release()
            if not task:
                return

    def _hand(self, task: Callable[[], None] | None, patience: float = 0.0) -> bool:
        """Have the thread do something, if it is done with what was before, or will be in time."""
        patience = 0.0 if self._late else patience
        if self._broken or not (
            self._idle.acquire(timeout=patience) if patience else self._idle.acquire(False)
        ):
            self._late = bool(patience) or self._late
            return False
        self._late = False
        self._task = task
        try:
            if not self._started:
                _thread.start_new_thread(self._work, ())
        except RuntimeError:  # no thread is to be had
            self._broken = True
            return False
        self._started = task is not None
        self._ready.release()
        return True

    def _let_go(self) -> None:
        """Have the thread end once it is done: the next try is forked, as are other processes."""
        if self._started:
            self._hand(None, FLUSH_PATIENCE)

    def until(self, moment: float | None, capture: Capture, now: float) -> float | None:
        """Give when to wake at the latest, for this or for what is due at ``moment``."""
        if self._broken or capture.total == self._position:
            return moment
        if not self._due:
            self._due = now + PAUSE
        return self._due if moment is None else min(moment, self._due)

    def look(self, capture: Capture, now: float) -> None:
        """Hand on what has come, if it is time for that."""
        if not self._due or now < self._due or self._broken:
            return
        if not self._idle.acquire(False):
            self._pause = min(PAUSE_MAX, max(PAUSE, 2 * self._pause))
            self._due = now + self._pause
            return
        self._idle.release()
        self._pause = 0.0
        wall, cpu = self._marks
        used = time.process_time() - cpu - self._cost
        # Where reading has much to do the measure is what it gets of a core, however many others want one.
        flood = used > FLOOD * max(now - wall, PAUSE)
        if used < self._cost * COST_OF_FLOOD if flood else now < wall + self._cost * COST:
            self._due = now + PAUSE
            return
        self._marks = now, cpu + used + self._cost
        self._due = 0.0
        self._next(capture)

    def _next(self, capture: Capture, patience: float = 0.0) -> bool:
        try:
            left_out, lines, pieces = capture.since(self._position)
        except Exception:  # noqa: BLE001  # a module that has gone, no memory
            self._broken = True
            return False
        here = sum(octets.count(b"\n") for _stream, _elapsed, octets in pieces)
        length = sum(len(octets) for _stream, _elapsed, octets in pieces)
        missing = lines - here - self._lines if left_out else 0
        if not self._hand(lambda: self._sink.take(left_out, missing, pieces), patience):
            return False
        self._position += left_out + length
        self._lines += missing + here
        return True

    def add(self, output: Output) -> None:
        """Hand on the output of a try that ended before this began."""
        content, border = output.kept, len(output.head)
        stops = [*(mark.offset for mark in output.marks), len(content)]
        halves: tuple[Pieces, Pieces] = [], []
        for mark, last in zip(output.marks, stops[1:], strict=True):
            for half, begin, end in ((0, 0, border), (1, border, len(content))):
                piece = content[max(mark.offset, begin) : min(last, end)] if mark.offset < end else b""
                halves[half].extend([(mark.stream, mark.elapsed, piece)] if piece else [])

        def task() -> None:
            self._sink.take(0, 0, halves[0])
            self._sink.take(output.left_out_bytes, output.left_out_lines, halves[1])
            self._sink.rest()

        self._hand(task, FLUSH_PATIENCE)

    def flush(self, capture: Capture) -> None:
        """Hand on all there is of a try that has ended; the next one begins at nothing."""
        while capture.total != self._position and self._next(capture, FLUSH_PATIENCE):
            pass
        self._hand(self._sink.rest, FLUSH_PATIENCE)
        self._let_go()
        self._position = self._lines = 0
        self._due = 0.0

    def end(self) -> None:
        """Note that the run has ended, and wait a moment for the thread to be done."""
        status = self.status
        self._hand(lambda: self._sink.end(status), END_PATIENCE)
        self._let_go()
