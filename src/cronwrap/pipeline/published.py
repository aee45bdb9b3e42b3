"""The output of a run that takes its time, redacted and put where other processes can read it."""

from __future__ import annotations

import time

from cronwrap.history.live_output import Writer
from cronwrap.job.publisher import Publisher, Sink
from cronwrap.redact.redactor import Redactor, compiled
from cronwrap.redact.searching import StandingSearches
from cronwrap.redact.streaming import Streaming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.job.publisher import Pieces
    from cronwrap.model import Outcome, Output
    from cronwrap.pipeline.context import RunContext

AT_ONCE = 128 * 1024
"""Octets that are redacted at a time: each is in memory several times then."""
SYNCED_EVERY = 10.0
"""Seconds; what a power cut may cost of the output so far, and no disk is kept busy."""


class Published(Sink):
    """Redacts what comes and writes it down; a full disk costs what came meanwhile."""

    def __init__(self, state_dir: str, run_id: str, limit: int, patterns: tuple[str, ...]) -> None:
        """Start what searches for the user's patterns, if there are any; the disk is left to the thread."""
        self._place = state_dir, run_id, limit
        self._searches = StandingSearches([compiled(pattern) for pattern in patterns]) if patterns else None
        self._streaming = Streaming(Redactor((), self._searches), patterns)
        self._writer: Writer | None = None
        self._missing = 0
        """Octets that were left out before there was something to write to."""
        self._synced = time.monotonic()

    @property
    def pid(self) -> int:
        """The process that searches for the user's patterns, or 0."""
        return self._searches.pid if self._searches else 0

    def take(self, left_out: int, lines: int, pieces: Pieces) -> None:
        """Take what came next, after ``left_out`` octets with so many line ends that are gone."""
        if left_out:
            self._write(self._streaming.take(cut=True))
            self._streaming.gap(lines)
            self._skip(left_out)
        pieces.reverse()
        fed = 0
        while pieces:
            stream, elapsed, octets = pieces.pop()
            for begin in range(0, len(octets), AT_ONCE):
                self._streaming.feed(stream, elapsed, octets[begin : begin + AT_ONCE])
                fed += min(AT_ONCE, len(octets) - begin)
                if fed >= AT_ONCE:
                    self._write(self._streaming.take())
                    fed = 0
        self._write(self._streaming.take())
        if self._writer and time.monotonic() - self._synced > SYNCED_EVERY:
            self._writer.sync()
            self._synced = time.monotonic()

    def rest(self) -> None:
        """Give on what was held back: a try has ended."""
        self._write(self._streaming.take(last=True))
        self._streaming.restart()

    def _skip(self, octets: int) -> None:
        if self._writer:
            self._writer.skip(octets, self._streaming.lines)
        else:
            self._missing += octets

    def _write(self, output: Output) -> None:
        try:
            if not self._writer:
                self._writer = Writer(*self._place)
                self._writer.skip(self._missing, self._streaming.lines)
            if output.head:
                self._writer.write(output, self._streaming.lines)
        except OSError:
            if not self._writer:
                self._missing += len(output.head)

    def end(self, status: int) -> None:
        """Note that the run has ended, and take away what nobody reads."""
        if self._writer:
            self._writer.end(status)
        if self._searches:
            self._searches.end()


def published(run: RunContext, earlier: list[Outcome], others: set[int]) -> Publisher | None:
    """Give what publishes a run's output from now on, with that of its earlier tries; None without processes.

    ``others`` are told the process that helps, if there is one: it is none of the job's.
    """
    settings = run.settings
    try:
        sink = Published(settings.state_dir, run.run_id, settings["max-output"], settings["redact.patterns"])
    except OSError:
        return None
    if sink.pid:
        others.add(sink.pid)
    publisher = Publisher(sink)
    for outcome in earlier:
        publisher.add(outcome.output)
    return publisher
