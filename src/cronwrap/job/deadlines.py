"""Where a try stands and what is due when: the decisions of ``supervise``, without its processes.

The time (``now``) is always handed in, in seconds by the monotonic clock: whatever is done to the system's
clock changes nothing here. However the events come, a job that was told to end has ended, or has been given
up, after ``kill_after`` and ``KILL_LIMIT``, and what it left behind is waited for ``drain`` at most.
"""

from __future__ import annotations

from cronwrap.job.signals import ENDING
from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

KILL_PAUSE = 0.02
"""Seconds between two rounds of SIGKILL."""
KILL_LIMIT = 5.0
"""Seconds; what is left after so long hangs in the kernel and cannot be ended by anybody."""
REPEAT_GUARD = 0.1
"""Seconds; a second SIGTERM within them is the same request (timeout(1) sends to child and group)."""
FIRST_SAMPLE = 1.0
"""Seconds; a job that ends sooner is known by wait4(2) alone."""
SAMPLE_COST = 1000.0
"""A sample is followed by at least so many times the time it took: under 0.1 % of a core."""
MEMORY_INTERVAL = 0.25
"""Seconds between samples where a memory limit is set."""
MEMORY_COST = 50.0
"""As ``SAMPLE_COST``, where a memory limit is set: a late look may be one too late."""

TERMINATE, KILL, GIVE_UP, STOP_READING, SAMPLE = "terminate", "kill", "give up", "stop reading", "sample"
STILL_RUNNING = "still running"
"""What can be due."""


class Limits(Record):
    """What a job may do, in seconds and octets; None: as it likes."""

    timeout: float | None = None
    idle_timeout: float | None = None
    still_running: float | None = None
    """When somebody is told that it still runs; it is not ended."""
    kill_after: float = 10.0
    drain: float = 5.0
    max_memory: int | None = None
    max_output: int = 1 << 20
    timed: bool = False
    live: bool = False
    fail_match: tuple[str, ...] = ()
    ignore_match: tuple[str, ...] = ()


class Course:
    """One try, from its start to the moment when nothing of it is waited for any more."""

    def __init__(self, limits: Limits, began: float) -> None:
        self._limits = limits
        self._began = began
        self._last_output = began
        self._asked_at: float | None = None
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._stop_reading_at: float | None = None
        self._rest_until: float | None = None
        self._sample_at = began + (MEMORY_INTERVAL if limits.max_memory else FIRST_SAMPLE)
        self._tell_at = None if limits.still_running is None else began + limits.still_running
        self.running = True
        """Whether the job itself has not ended yet; what it left behind is another matter."""
        self.reading = True
        """Whether output is still waited for."""
        self.ended_by = ""
        """``Outcome.ended_by``."""
        self.asked_to_end = 0
        """The signal that asked cronwrap to end, or 0."""

    @property
    def awaits_rest(self) -> bool:
        """Say whether what the job left behind was asked to end and has time to."""
        return self._rest_until is not None

    @property
    def ending(self) -> bool:
        """Say whether everything of the job is on its way out."""
        return self._kill_at is not None

    # What happens -------------------------------------------------------------------------------

    def wrote(self, now: float) -> None:
        """Note that there was output, or that it has to wait for somebody who reads slowly."""
        self._last_output = now

    def exited(self, now: float, *, orphans_known: bool = True, rest: bool = False) -> None:
        """Note that the job has ended; with ``rest`` what it left has been asked to end, and gets time to."""
        self.running = False
        if rest:
            self._rest_until = now + self._limits.drain
        if self._kill_at is None:
            self._stop_reading_at = now + self._limits.drain
        elif not orphans_known:
            self._kill_at = now  # nobody can tell when the rest is gone: no patience with it

    def nobody_left(self, now: float) -> None:
        """Note that all that was to be ended has ended; what is in the pipes is still read."""
        self._rest_until = None
        if self._kill_at is not None and not self.running:
            self._kill_at = None
            self._stop_reading_at = now + self._limits.drain

    def end(self, by: str, now: float) -> bool:
        """Begin to end the job; False when that has begun before, or there is nothing to end."""
        if self._kill_at is not None or not self.running:
            return False
        self.ended_by = by
        self._kill_at = now + self._limits.kill_after
        return True

    def asked(self, number: int, now: float) -> bool:
        """Note a signal to cronwrap; True when it is to be passed on, False when there is no patience left.

        A second SIGTERM or SIGINT ends the whole tree at once. What comes when the job itself has ended
        cuts the waiting for the rest short.
        """
        if number in ENDING:
            self.asked_to_end = number
        if not self.running:
            if number in ENDING:
                self._cut_short(now)
            return True
        if number not in (_signal.SIGTERM, _signal.SIGINT):
            return True
        again = self._asked_at is not None and now - self._asked_at >= REPEAT_GUARD
        if self._kill_at is not None or again:
            self._kill_at = now if self._kill_at is None else min(self._kill_at, now)
            return False
        if self._asked_at is None:
            self._asked_at = now
        return True

    def _cut_short(self, now: float) -> None:
        self._rest_until = None
        if self._kill_at is not None:
            self._kill_at = min(self._kill_at, now)
        elif self._stop_reading_at is not None:
            self._stop_reading_at = min(self._stop_reading_at, now)

    def sampled(self, now: float, cost: float) -> None:
        """Note that a sample was taken, which took ``cost`` seconds of a core."""
        if self._limits.max_memory:
            self._sample_at = now + max(MEMORY_INTERVAL, cost * MEMORY_COST)
        else:
            self._sample_at = now + max(FIRST_SAMPLE, cost * SAMPLE_COST)

    # What is due --------------------------------------------------------------------------------

    def due(self, now: float) -> str:
        """Give what is to be done now, or an empty text; what it gives once is taken as done."""
        if self._kill_at is not None:
            return self._due_while_ending(now, self._kill_at)
        if not self.running:
            if self._rest_until is not None and now >= self._rest_until:
                self._rest_until = None
            if self._stop_reading_at is None or now < self._stop_reading_at:
                return ""
            self._stop_reading_at = None
            self.reading = False
            return STOP_READING
        for moment, by in self._timeouts():
            if now >= moment:
                self.end(by, now)
                return TERMINATE
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            return STILL_RUNNING
        return SAMPLE if now >= self._sample_at else ""

    def _due_while_ending(self, now: float, kill_at: float) -> str:
        if now < kill_at:
            return ""
        if self._give_up_at is None:
            self._give_up_at = now + KILL_LIMIT
        elif now >= self._give_up_at:
            self.running = False
            self.nobody_left(now)
            return GIVE_UP
        self._kill_at = now + KILL_PAUSE
        return KILL

    def _timeouts(self) -> list[tuple[float, str]]:
        limits = self._limits
        found = []
        if limits.timeout is not None:
            found.append((self._began + limits.timeout, "timeout"))
        if limits.idle_timeout is not None:
            found.append((self._last_output + limits.idle_timeout, "idle timeout"))
        return found

    def next_moment(self) -> float | None:
        """Give the next moment at which something is due."""
        if self._kill_at is not None:
            return self._kill_at
        if not self.running:
            moments = [at for at in (self._stop_reading_at, self._rest_until) if at is not None]
            return min(moments, default=None)
        moments = [self._sample_at, *(moment for moment, _ in self._timeouts())]
        return min(moments if self._tell_at is None else [*moments, self._tell_at])

    def over(self, *, output_open: bool) -> bool:
        """Say whether nothing of the job is waited for any more."""
        waits = self._kill_at is not None or self._rest_until is not None
        return not self.running and not waits and not (output_open and self.reading)
