"""Supervising a job: its output, its time, its signals and its end → Outcome.

One loop over poll(2). Everything that can happen (output, an exit, a signal, a moment that has come) is
one method; what a process does after its job has ended is bounded by ``drain``, what cronwrap ends is
bounded by ``kill_after`` and ``KILL_LIMIT``.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap import signals as sig
from cronwrap import terminal as tty
from cronwrap.capture import Capture
from cronwrap.errors import StateError
from cronwrap.model import STDERR, STDOUT, Outcome, Record
from cronwrap.spawn import Pipes, Start, StartError, become_subreaper, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterable

    from cronwrap.matching import Matcher
    from cronwrap.usage import Process
else:
    import _signal

BUFFER = 1 << 20
"""Octets read at a time; a pipe holds no more, and memory that is not written to is not resident."""
PIPE_SIZE = 1 << 20
"""What a pipe is enlarged to once it was found full (F_SETPIPE_SZ); the most that needs no privilege."""
FULL = 1 << 16
F_SETPIPE_SZ = 1031
LIVE_CHUNK = 4096
"""Octets passed on at a time where poll(2) promises no more than PIPE_BUF without blocking."""
FIRST_SAMPLE = 1.0
"""Seconds; a job that ends sooner is known by wait4(2) alone."""
SAMPLE_COST = 1000.0
"""A sample is followed by at least so many times the time it took: under 0.1 % of a core."""
MEMORY_INTERVAL = 0.25
"""Seconds between samples where a memory limit is set."""
MEMORY_COST = 50.0
KILL_PAUSE = 0.02
"""Seconds between two rounds of SIGKILL."""
KILL_LIMIT = 5.0
"""Seconds; what is left after so long hangs in the kernel and cannot be ended by anybody."""
REPEAT_GUARD = 0.1
"""Seconds; a second SIGTERM within them is the same request (timeout(1) sends to child and group)."""
PROCESS_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME)
"""The clock of the start times of processes."""
NAMES_LIMIT = 20
"""Processes named in a report."""


class Limits(Record):
    """What a job may do, in seconds and octets; None: as it likes."""

    timeout: float | None = None
    idle_timeout: float | None = None
    kill_after: float = 10.0
    drain: float = 5.0
    max_memory: int | None = None
    max_output: int = 1 << 20
    timed: bool = False
    live: bool = False
    fail_match: tuple[str, ...] = ()
    ignore_match: tuple[str, ...] = ()


class Supervisor:
    """Runs one try of a job."""

    def __init__(self, start: Start, limits: Limits, signals: sig.Signals) -> None:
        self._start = start
        self._limits = limits
        self._signals = signals
        self.remarks: list[str] = []
        """What could not be done for the job (its niceness, say), in words."""
        self.on_long_run: Callable[[], None] | None = None
        """Called once the job has outlived its first second."""
        self.asked_to_end = 0
        """The signal that asked cronwrap to end, or 0."""
        self.overlap_asked: Callable[[], str] = str
        """Says which other run, if any, asked for this one's end when SIGTERM came."""

    # Start and result ---------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start the job; whether that worked is known to ``watch``."""
        self._subreaper = become_subreaper()
        self._wall = time.time()
        self._began = time.monotonic()
        self._since = time.clock_gettime(PROCESS_CLOCK)
        self._error: StartError | None = None
        self._terminal = tty.controlling()
        # A pipeline (`cronwrap -- cmd | less`) keeps the terminal until the job asks for it, see _stopped.
        if self._terminal == 0 and os.isatty(STDOUT) and tty.foreground(0) == os.getpgrp():
            self._start = self._start.replace(terminal=0)
        try:
            self._pipes: Pipes | None = spawn(self._start, self._signals)
        except OSError as error:
            self._pipes = None
            self._error = StartError(f"cannot start the job: {error.strerror}", 125)

    def watch(self) -> Outcome:
        """Give what became of the job, once it, or what was to be ended with it, has ended."""
        self._status: int | None = None
        self._cpu = 0.0
        self._peak = 0
        self._ended_by = self._ended_because = ""
        self._names: tuple[str, ...] = ()
        self._holders: tuple[str, ...] = ()
        self._matcher = self._new_matcher()
        self._capture = Capture(self._limits.max_output, timed=self._limits.timed, matcher=self._matcher)
        if self._pipes is not None:
            self._attend(self._pipes)
        status = self._status
        output = self._capture.output()
        matcher = self._matcher
        if matcher:
            matcher.finish()
        return Outcome(
            started=self._wall,
            duration=self._ended - self._began if self._pipes else 0.0,
            exit_code=os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
            error=str(self._error or ""),
            error_status=self._error.status if self._error else 0,
            ended_by=self._ended_by,
            ended_because=self._ended_because,
            ended_processes=self._names,
            holders=self._holders,
            cpu_seconds=self._cpu,
            max_rss_bytes=self._peak or None,
            matched=tuple(matcher.matched) if matcher else (),
            spoke=bool(matcher.counted) if matcher else output.total_bytes > 0,
            spoke_stderr=STDERR in matcher.counted if matcher else output.stderr_bytes > 0,
            output=output,
        )

    def _new_matcher(self) -> Matcher | None:
        if not (self._limits.fail_match or self._limits.ignore_match):
            return None
        from cronwrap.matching import Matcher  # noqa: PLC0415  # imports `re`

        return Matcher(self._limits.fail_match, self._limits.ignore_match)

    def _attend(self, pipes: Pipes) -> None:
        self._buffer = bytearray(BUFFER)
        self._view = [memoryview(self._buffer)]
        self._open = {pipes.stdout: STDOUT, pipes.stderr: STDERR}
        self._inodes = [os.fstat(descriptor).st_ino for descriptor in self._open]
        nothing = memoryview(b"")
        self._live = {STDOUT: nothing, STDERR: nothing} if self._limits.live else {}
        self._poll = select.poll()
        self._poll.register(self._signals.descriptor, select.POLLIN)
        for descriptor in self._open:
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        self._last_output = self._began
        self._asked_at: float | None = None
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._drain_at: float | None = None
        self._doomed: list[Process] = []
        interval = MEMORY_INTERVAL if self._limits.max_memory else FIRST_SAMPLE
        self._sample_at: float | None = self._began + interval
        try:
            remark = pipes.started(self._start)
            self.remarks += [remark] if remark else []
        except StartError as error:
            self._error = error
        self._loop(pipes)
        if self._error:
            self._status = None
        self._take_terminal_back(pipes)
        for descriptor in list(self._open):
            self._close(descriptor)

    # The loop -----------------------------------------------------------------------------------

    def _loop(self, pipes: Pipes) -> None:
        self._reap(pipes)
        while not self._finished():
            now = time.monotonic()
            moment = self._next_moment()
            wait = None if moment is None else max(0.0, moment - now) * 1000 + 1
            for descriptor, event in self._poll.poll(wait):
                if descriptor in self._open:
                    self._read(descriptor)
                elif descriptor == self._signals.descriptor:
                    self._on_signals(pipes)
                else:
                    self._pass_on(descriptor, broken=not event & select.POLLOUT)
            self._on_time(pipes)

    def _finished(self) -> bool:
        if self._status is None or self._kill_at is not None or any(self._live.values()):
            return False
        return not self._open or self._drain_at == 0.0

    def _next_moment(self) -> float | None:
        """Give the next moment at which something is due, by the monotonic clock."""
        moments = [self._kill_at, self._drain_at or None]
        if self._status is None:
            moments.append(self._sample_at)
            if self._kill_at is None:
                if self._limits.timeout is not None:
                    moments.append(self._began + self._limits.timeout)
                if self._limits.idle_timeout is not None:
                    moments.append(self._last_output + self._limits.idle_timeout)
        return min((moment for moment in moments if moment is not None), default=None)

    def _on_time(self, pipes: Pipes) -> None:
        now = time.monotonic()
        limits = self._limits
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._kill(now)
            return
        if self._status is not None:
            if self._drain_at and now >= self._drain_at:
                self._stop_draining()
            return
        if limits.timeout is not None and now >= self._began + limits.timeout:
            self._end(pipes, "timeout", f"--timeout {_spell(limits.timeout)}")
        elif limits.idle_timeout is not None and now >= self._last_output + limits.idle_timeout:
            self._end(pipes, "idle timeout", f"no output for {_spell(limits.idle_timeout)}")
        elif self._sample_at is not None and now >= self._sample_at:
            self._sample(pipes, now)

    # Output -------------------------------------------------------------------------------------

    def _read(self, descriptor: int) -> None:
        stream = self._open[descriptor]
        try:
            length = os.readv(descriptor, self._view)
        except BlockingIOError:
            return
        except OSError:
            length = 0
        if not length:
            self._close(descriptor)
            return
        self._last_output = time.monotonic()
        self._capture.add(stream, self._buffer, length, self._last_output - self._began)
        if length >= FULL:
            self._enlarge(descriptor)
        if stream in self._live:
            self._live[stream] = memoryview(bytes(self._view[0][:length]))
            self._ignore(descriptor)  # nothing more is read until this has been passed on
            self._poll.register(stream, select.POLLOUT)

    def _enlarge(self, descriptor: int) -> None:
        import fcntl  # noqa: PLC0415  # only where much is written

        try:
            if fcntl.fcntl(descriptor, F_SETPIPE_SZ + 1) < PIPE_SIZE:
                fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # the user's share of pipe memory is used up, or another system

    def _pass_on(self, stream: int, *, broken: bool) -> None:
        """Pass output on, as much as cannot block; a reader that went away is no concern of the job's."""
        waiting = self._live[stream]
        try:
            if broken:
                raise BrokenPipeError
            waiting = waiting[os.write(stream, waiting[:LIVE_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            del self._live[stream]
            waiting = memoryview(b"")
        if stream in self._live:
            self._live[stream] = waiting
        if not waiting:
            self._ignore(stream)
            for descriptor, of in self._open.items():
                if of == stream:
                    self._poll.register(descriptor, select.POLLIN)

    def _close(self, descriptor: int) -> None:
        del self._open[descriptor]
        self._ignore(descriptor)
        os.close(descriptor)

    def _ignore(self, descriptor: int) -> None:
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            return

    def _stop_draining(self) -> None:
        """Read what is there at this moment, name who holds the output open, and let go of it."""
        self._drain_at = 0.0
        for descriptor in list(self._open):
            self._read(descriptor)
        if self._open:
            from cronwrap import usage  # noqa: PLC0415

            self._holders = tuple(map(usage.describe, usage.holders(self._inodes)[:NAMES_LIMIT]))

    # Exits --------------------------------------------------------------------------------------

    def _reap(self, pipes: Pipes) -> None:
        """Take the exit statuses of all children that have ended: the job's, and orphans' of its tree."""
        flags = os.WNOHANG | (os.WUNTRACED if self._terminal >= 0 else 0)
        while True:
            try:
                pid, status, used = os.wait4(-1, flags)
            except ChildProcessError:
                if self._subreaper and self._kill_at is not None:
                    self._tree_has_ended()
                return
            if not pid:
                return
            if os.WIFSTOPPED(status):
                if pid == pipes.pid:
                    self._stopped(pipes, os.WSTOPSIG(status))
                continue
            self._cpu += used.ru_utime + used.ru_stime
            self._peak = max(self._peak, _rss_octets(used.ru_maxrss))
            if pid == pipes.pid:
                self._status = status
                self._ended = time.monotonic()
                if self._kill_at is None:
                    self._drain_at = self._ended + self._limits.drain
                elif not self._subreaper:
                    self._kill_at = self._ended  # orphans can no longer be told: no patience with them

    # Signals ------------------------------------------------------------------------------------

    def _on_signals(self, pipes: Pipes) -> None:
        for number in self._signals.take():
            if number == _signal.SIGCHLD:
                self._reap(pipes)
            elif number == _signal.SIGCONT:
                self._continued(pipes)
            elif self._status is None:
                self._forward(pipes, number)
            elif number in sig.ENDING:
                self.asked_to_end = number
                _signal_group(pipes.pid, number)
                if self._kill_at is not None:
                    self._kill_at = time.monotonic()
                elif self._drain_at:
                    self._drain_at = time.monotonic()
                self._live.clear()

    def _forward(self, pipes: Pipes, number: int) -> None:
        now = time.monotonic()
        if number in (_signal.SIGTERM, _signal.SIGINT):
            if number == _signal.SIGTERM and (run := self.overlap_asked()):
                self._end(pipes, "overlap", f"asked for by run {run} of the same job")
                return
            if self._kill_at is not None or (self._asked_at and now - self._asked_at >= REPEAT_GUARD):
                self._names = self._names or self._tree_names()
                self._kill_at = now  # asked a second time: no more patience
                return
            self._asked_at = self._asked_at or now
        if number in sig.ENDING:
            self.asked_to_end = number
        _signal_group(pipes.pid, number)

    # Ending a tree ------------------------------------------------------------------------------

    def _tree(self) -> list[Process]:
        """Give the job's processes: all our descendants but those that were there before it."""
        from cronwrap import usage  # noqa: PLC0415  # once a job outlives its first second

        return usage.descendants(os.getpid(), self._since)

    def _tree_names(self) -> tuple[str, ...]:
        from cronwrap import usage  # noqa: PLC0415

        return tuple(usage.describe(process.pid) for process in self._tree()[:NAMES_LIMIT])

    def _end(self, pipes: Pipes, by: str, because: str) -> None:
        """End the job: SIGTERM to its whole tree now, SIGKILL to what is left after ``kill_after``."""
        self._ended_by, self._ended_because = by, because
        self._names = self._tree_names()
        self._doomed = self._tree()
        self._signal_all(self._doomed, _signal.SIGTERM)
        self._signal_all(self._doomed, _signal.SIGCONT)  # a stopped process sees SIGTERM when it goes on
        if not self._doomed:
            _signal_group(pipes.pid, _signal.SIGTERM)
        self._kill_at = time.monotonic() + self._limits.kill_after

    def _kill(self, now: float) -> None:
        """Kill what is left of the tree, again and again: between look and kill it may have forked."""
        if self._give_up_at is None:
            self._give_up_at = now + KILL_LIMIT
        for number in (_signal.SIGSTOP, _signal.SIGKILL):  # stopped first, it cannot fork away
            left = self._signal_all({*self._tree(), *self._doomed}, number)
        if self._status is not None and not left:
            self._tree_has_ended()
        elif now >= self._give_up_at:
            self._names += ("what is left hangs in the kernel and could not be ended",)
            if self._status is None:
                self._status, self._ended = int(_signal.SIGKILL), now
            self._tree_has_ended()
        else:
            self._kill_at = now + KILL_PAUSE

    def _signal_all(self, processes: Iterable[Process], number: int) -> int:
        """Send a signal to each process that still is the one it was; give how many there were."""
        from cronwrap import usage  # noqa: PLC0415

        return sum(usage.send(process, number) for process in processes)

    def _tree_has_ended(self) -> None:
        self._kill_at = None
        self._drain_at = time.monotonic() + self._limits.drain

    def _sample(self, pipes: Pipes, now: float) -> None:
        from cronwrap import usage  # noqa: PLC0415

        if self.on_long_run:
            self._note_long_run(self.on_long_run)
        resident = usage.resident(self._tree())
        self._peak = max(self._peak, resident)
        limit = self._limits.max_memory
        if limit is not None and resident > limit:
            self._end(
                pipes,
                "memory",
                f"{resident >> 20} MiB resident, above --max-memory {limit >> 20} MiB; sampled",
            )
        cost = time.monotonic() - now
        interval = (
            max(MEMORY_INTERVAL, cost * MEMORY_COST) if limit else max(FIRST_SAMPLE, cost * SAMPLE_COST)
        )
        self._sample_at = now + interval

    def _note_long_run(self, note: Callable[[], None]) -> None:
        self.on_long_run = None
        try:
            note()
        except StateError as error:
            self.remarks.append(f"this run is not safely on record: {error}")

    # The terminal -------------------------------------------------------------------------------

    def _stopped(self, pipes: Pipes, number: int) -> None:
        """Stop as well, now that the job has; when it only waits for the terminal, hand that over."""
        group = os.getpgrp()
        front = tty.foreground(self._terminal)
        if number in (_signal.SIGTTIN, _signal.SIGTTOU) and front == group:
            tty.set_foreground(self._terminal, pipes.pid)
        elif tty.can_stop():
            if front == pipes.pid:
                tty.set_foreground(self._terminal, group)
            os.kill(0, _signal.SIGSTOP)  # the shell sees its whole job stop; we go on here after `fg`
            return
        _signal_group(pipes.pid, _signal.SIGCONT)

    def _continued(self, pipes: Pipes) -> None:
        if self._start.terminal >= 0 and tty.foreground(self._terminal) == os.getpgrp():
            tty.set_foreground(self._terminal, pipes.pid)
        _signal_group(pipes.pid, _signal.SIGCONT)

    def _take_terminal_back(self, pipes: Pipes) -> None:
        if self._terminal >= 0 and tty.foreground(self._terminal) == pipes.pid:
            tty.set_foreground(self._terminal, os.getpgrp())


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        return  # everybody has gone


def _rss_octets(maxrss: int) -> int:
    """Give ru_maxrss in octets (getrusage(2): kibibytes, on macOS octets)."""
    return maxrss if os.uname().sysname == "Darwin" else maxrss << 10


def _spell(seconds: float) -> str:
    from cronwrap.text import duration  # noqa: PLC0415  # only when a job is ended

    return duration(seconds)
