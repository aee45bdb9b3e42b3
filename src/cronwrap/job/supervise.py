"""Supervising a job: its output, its time, its signals and its end → Outcome.

One loop over poll(2). ``deadlines`` decides what is due, this module does it: whatever can happen (output, an
exit, a signal, a moment that has come) is one method.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap.exit_status import EXIT_INTERNAL
from cronwrap.job.capture import BULK, POUR, Capture
from cronwrap.job.deadlines import (
    ENDING,
    GIVE_UP,
    KILL,
    SAMPLE,
    STILL_RUNNING,
    STOP_READING,
    TERMINATE,
    Course,
    Limits,
)
from cronwrap.job.signals import FORWARDED, LONGEST_POLL, Signals
from cronwrap.job.spawn import (
    Failure,
    Pipes,
    Start,
    become_subreaper,
    children_before,
    close,
    read_report,
    spawn,
    tell_group,
)
from cronwrap.model import STDERR, STDOUT, Outcome, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Protocol

    from cronwrap.job.foreground import Foreground
    from cronwrap.job.live import Live
    from cronwrap.job.matching import Matching
    from cronwrap.job.publisher import Publisher
    from cronwrap.job.tree import Tree

    class Lease(Protocol):
        """A lease on a job, which is lost unless it is renewed."""

        def until(self, moment: float | None, now: float) -> float:
            """Give the moment of the next look, if it is before ``moment``."""

        def look(self) -> str:
            """Renew it when that is due; give why the job is to end, or an empty text."""

else:
    import _signal

__all__ = ["Limits", "Supervisor"]

REPORT = 0
"""The stream by which the child tells why it could not become the job."""
BUFFER, LARGE_BUFFER = 1 << 16, 1 << 18
"""Octets read at a time: what a pipe holds, and a part of what an enlarged one does."""
PIPE_SIZE = 1 << 20
"""What a pipe is enlarged to once it was found full; the most that needs no privilege."""
BULK_READS, POUR_READS = 32, 256
"""So many times a stream is read again, whatever else there is to do: 8 and 16 MiB of it at most."""
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
PROCESS_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME)
"""The clock of the start times of processes."""
RESCUE_PAUSE = 0.1
"""Seconds between two looks whether the job has ended, when nothing else tells us."""
HOLDERS_LIMIT = 20
"""Processes named in a report."""


class Supervisor:
    """Runs one try of a job."""

    def __init__(self, start: Start, limits: Limits, signals: Signals) -> None:
        self._start = start
        self._limits = limits
        self._signals = signals
        self._status: int | None = None
        self._cpu = 0.0
        self._peak = 0
        self._because = ""
        self._foreground: Foreground | None = None
        self._tree_made: Tree | None = None
        self._ended_names: tuple[str, ...] = ()
        self._holders: tuple[str, ...] = ()
        self._wait: Callable[[int, int], tuple[int, int, float, int]] = _wait_alone
        self._error: Failure | None = None
        self._pipes: Pipes | None = None
        self._wall = time.time()
        self._began = self._ended = time.monotonic()
        self._course = Course(limits, self._began)
        self._matcher: Matching | None = None
        self._capture = Capture(limits.max_output)
        self.remarks: list[str] = []
        """What could not be done for the job (its niceness, say), in words."""
        self.on_long_run: Callable[[set[int]], Publisher | None] | None = None
        """Called once the job has outlived its first second, with the pids that are not its own; gives who
        publishes its output from then on."""
        self.publisher: Publisher | None = None
        self.on_still_running: Callable[[Callable[[], Output]], int] | None = None
        """Called when the job still runs after ``Limits.still_running``, with what gives its output so far
        and is for a child alone; gives that child's pid, or 0."""
        self.lease: Lease | None = None
        """What is to be renewed while the job runs; its ``look`` may give why the job is to end."""
        self.end_asked: Callable[[], tuple[str, str]] = lambda: ("", "")
        """Says whether SIGTERM came since somebody asked for this run's end: ``ended_by`` and the reason."""

    @property
    def asked_to_end(self) -> int:
        """The signal that asked cronwrap to end, or 0."""
        return self._course.asked_to_end

    # Start and result ---------------------------------------------------------------------------

    def spawn(self) -> OSError | None:
        """Start the job; give None, or why there was no process or pipe to be had for it."""
        self._subreaper = become_subreaper()
        self._others = children_before()
        self._foreground = self._new_foreground()
        if self._foreground:
            self._start = self._start.replace(terminal=self._foreground.lent)
        self._wall = time.time()
        self._since = time.clock_gettime(PROCESS_CLOCK)
        self._began = self._ended = time.monotonic()
        self._course = Course(self._limits, self._began)
        why_not: OSError | None = None
        try:
            self._pipes = spawn(self._start, self._signals)
        except OSError as error:
            why_not = error
            self._error = f"cannot start the job: {error.strerror}", EXIT_INTERNAL
        return why_not

    def watch(self) -> Outcome:
        """Give what became of the job, once it, or what was to be ended with it, has ended."""
        self._wait = _waiting()
        self._matcher = self._new_matcher()
        self._capture = Capture(self._limits.max_output, timed=self._limits.timed, matcher=self._matcher)
        if self._pipes is not None:
            self._attend(self._pipes)
        if self._foreground:
            self._foreground.close()
        return self._outcome()

    def _outcome(self) -> Outcome:
        status = None if self._error else self._status
        if self.publisher:
            self.publisher.flush(self._capture)
        output = self._capture.output()
        matcher = self._matcher
        if matcher:
            matcher.finish()
            self.remarks += matcher.given_up
        return Outcome(
            started=self._wall,
            duration=self._ended - self._began,
            exit_code=os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
            error=self._error[0] if self._error else "",
            error_status=self._error[1] if self._error else 0,
            ended_by=self._course.ended_by,
            ended_because=self._because,
            ended_processes=self._ended_names,
            holders=self._holders,
            cpu_seconds=self._cpu,
            max_rss_bytes=self._peak or None,
            matched=tuple(matcher.matched) if matcher else (),
            unmatched=matcher.unknown if matcher else "",
            spoke=bool(matcher.counted) if matcher else output.total_bytes > 0,
            spoke_stderr=STDERR in matcher.counted if matcher else output.stderr_bytes > 0,
            output=output,
        )

    def _new_matcher(self) -> Matching | None:
        if not (self._limits.fail_match or self._limits.ignore_match):
            return None
        from cronwrap.job.matching import Matching  # noqa: PLC0415  # for those who have patterns

        return Matching(self._limits.fail_match, self._limits.ignore_match, self._others)

    def _new_foreground(self) -> Foreground | None:
        if not self._signals.terminal:
            return None
        from cronwrap.job.foreground import Foreground  # noqa: PLC0415  # a person has started it

        return Foreground()

    def _new_live(self) -> Live | None:
        if not self._limits.live:
            return None
        from cronwrap.job.live import Live  # noqa: PLC0415  # a person watches

        return Live()

    def _attend(self, pipes: Pipes) -> None:
        self._set_buffer(BUFFER)
        self._report = b""
        self._open = {pipes.report: REPORT, pipes.stdout: STDOUT, pipes.stderr: STDERR}
        self._held: dict[int, int] = {}  # where something waits to be written: the stream not read meanwhile
        self._paused: set[int] = set()  # what is not read until the patterns have caught up
        self._enlarged: set[int] = set()
        self._live = self._new_live()
        self._poll = select.poll()
        self._poll.register(self._signals.descriptor, select.POLLIN)
        for descriptor in self._open:
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        if self._matcher:
            self._matcher.attend(self._poll)
        self._loop(pipes)
        if self._foreground:
            self._foreground.take_back(pipes.pid)
        if self._tree_made:
            self._ended_names += tuple(self._tree_made.names)
        if self._live:
            self._live.close()
        if left := [descriptor for descriptor, stream in self._open.items() if stream != REPORT]:
            from cronwrap.job.leftover import read_on  # noqa: PLC0415  # rare: it outlives the run

            read_on(left)
        for descriptor in list(self._open):
            self._close(descriptor)

    # The loop -----------------------------------------------------------------------------------

    def _loop(self, pipes: Pipes) -> None:
        self._reap(pipes)
        while self._held or not self._course.over(output_open=bool(self._open)):
            for descriptor, _ in self._poll.poll(self._wait_for_what_is_due() * 1000 + 1):
                if descriptor == self._signals.descriptor:
                    self._on_signals(pipes)
                elif descriptor in self._held:
                    self._release(descriptor)
                elif descriptor in self._open:
                    self._read_bulk(descriptor)
            if self._matcher:
                self._keep_pace(self._matcher)
            self._on_time(pipes)
            self._look_beside(pipes)

    def _wait_for_what_is_due(self) -> float:
        """Give the seconds until something is due."""
        moment = self._course.next_moment()
        now = time.monotonic()
        if self.publisher:
            moment = self.publisher.until(moment, self._capture, now)
        if self.lease:
            moment = self.lease.until(moment, now)
        return LONGEST_POLL if moment is None else max(0.0, min(LONGEST_POLL, moment - now))

    def _look_beside(self, pipes: Pipes) -> None:
        """Do what is done beside the job: its output is published, its lease renewed."""
        if self.lease and (why := self.lease.look()) and self._course.end("overlap", time.monotonic()):
            self._terminate(pipes, why)
        if self.publisher:
            self.publisher.look(self._capture, time.monotonic())

    def _keep_pace(self, matcher: Matching) -> None:
        """Read no more than the patterns can be held against; ``matching`` bounds how long that may take."""
        matcher.go_on()
        watched = {d for d, of in self._open.items() if of != REPORT and of not in self._held.values()}
        if matcher.full:
            for descriptor in watched - self._paused:
                self._poll.unregister(descriptor)
            self._paused |= watched
        else:
            for descriptor in self._paused & watched:
                self._poll.register(descriptor, select.POLLIN)
            self._paused.clear()

    def _on_time(self, pipes: Pipes) -> None:
        now = time.monotonic()
        if self._held or self._paused:
            self._course.wrote(now)  # the job is not idle, it waits for who reads its output
        moment = self._course.next_moment()
        if moment is not None and moment <= now:
            self._catch_up(pipes)  # whoever was stopped himself has no right to speak of a timeout
        due = self._course.due(now)
        if due == TERMINATE:
            self._terminate(pipes, self._reason())
        elif due == KILL:
            self._kill(pipes, now)
        elif due == GIVE_UP:
            self._give_up(now)
        elif due == STOP_READING:
            self._stop_reading()
        elif due == STILL_RUNNING:
            self._tell_still_running()
        elif due == SAMPLE:
            self._sample(pipes)

    def _tell_still_running(self) -> None:
        try:
            pid = self.on_still_running(self._capture.output) if self.on_still_running else 0
        except Exception as error:  # noqa: BLE001  # no process, a module that has gone: the job goes on
            self.remarks.append(f"nobody could be told that it still runs: {type(error).__name__}: {error}")
            return
        if pid:
            self._others.add(pid)  # and what it starts: none of the job's

    def _catch_up(self, pipes: Pipes) -> None:
        """Take what has happened before what is due: cronwrap may have been stopped, or the machine."""
        for descriptor, _ in self._poll.poll(0):
            if descriptor in self._open and descriptor not in self._held:
                self._read_bulk(descriptor)
        self._reap(pipes)

    def _reason(self) -> str:
        from cronwrap.spans import duration  # noqa: PLC0415  # only when a job is ended

        if self._course.ended_by == "timeout":
            return f"--timeout {duration(self._limits.timeout or 0.0)}"
        return f"no output for {duration(self._limits.idle_timeout or 0.0)}"

    # When we fail -------------------------------------------------------------------------------

    def rescue(self, error: BaseException) -> Outcome:
        """Give what became of the job when ``watch`` has failed: read on, wait for it, pass signals on.

        No limit is kept to, and nothing is loaded: whatever is wrong with us is not the job's fault.
        """
        self.remarks.append(f"internal error while the job ran: {type(error).__name__}: {error}")
        pipes = self._pipes
        if pipes is None:
            return self._outcome()
        streams = {pipes.stdout: STDOUT, pipes.stderr: STDERR}
        poll = select.poll()
        for descriptor in streams:
            poll.register(descriptor, select.POLLIN)
        deadline: float | None = None if self._status is None else time.monotonic() + self._limits.drain
        while (streams or deadline is None) and (deadline is None or time.monotonic() < deadline):
            for descriptor, _ in poll.poll(RESCUE_PAUSE * 1000):
                if not self._rescue_output(streams, descriptor):
                    poll.unregister(descriptor)
                    del streams[descriptor]
            for number in self._signals.take():
                if number in FORWARDED and deadline is None:
                    tell_group(pipes.pid, number)
            if deadline is None and self._rescue_status(pipes.pid):
                deadline = time.monotonic() + self._limits.drain
        return self._outcome()

    def _rescue_output(self, streams: dict[int, int], descriptor: int) -> bool:
        try:
            chunk = bytearray(os.read(descriptor, BUFFER))
        except BlockingIOError:
            return True
        except OSError:
            return False
        if chunk:
            self._capture.add(streams[descriptor], chunk, len(chunk), time.monotonic() - self._began)
        return bool(chunk)

    def _rescue_status(self, pid: int) -> bool:
        try:
            found, status, cpu, _peak = self._wait(pid, os.WNOHANG)
        except ChildProcessError:
            return True  # somebody has its status, and it is not to be had any more
        if found:
            self._status, self._ended = status, time.monotonic()
            self._cpu += cpu
        return bool(found)

    # Output -------------------------------------------------------------------------------------

    def _set_buffer(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._view = [memoryview(self._buffer)]

    def _read_bulk(self, descriptor: int) -> None:
        stream = self._open[descriptor]
        if not self._live and (longest := self._capture.pour(stream, descriptor, os.readv, POUR_READS)):
            self._course.wrote(time.monotonic())
            if longest >= POUR:
                self._enlarge(descriptor)
            return
        for _ in range(BULK_READS):
            if self._read(descriptor) < BULK or self._open.get(descriptor) in self._held.values():
                return
            if self._matcher and self._matcher.full:
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
        elif stream == REPORT:
            self._report += self._view[0][:length]
        else:
            now = time.monotonic()
            self._course.wrote(now)
            self._capture.add(stream, self._buffer, length, now - self._began)
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

    def _close(self, descriptor: int) -> None:
        stream = self._open.pop(descriptor)
        self._enlarged.discard(descriptor)
        if stream not in self._held.values() and descriptor not in self._paused:
            self._poll.unregister(descriptor)
        close(descriptor)
        if stream == REPORT:
            remark, self._error = read_report(self._start, self._report)
            self.remarks += [remark] if remark else []

    def _stop_reading(self) -> None:
        """Read what is there at this moment, name who holds the output open, and let go of it."""
        for descriptor in list(self._open):
            left = PIPE_SIZE  # more than a pipe holds was written meanwhile; it may wait for a slow reader
            while left > 0 and descriptor in self._open and (length := self._read(descriptor)):
                left -= length
        inodes = [os.fstat(descriptor).st_ino for descriptor in self._open]
        if inodes:
            from cronwrap.job import procfs  # noqa: PLC0415

            found = procfs.holders(inodes)[:HOLDERS_LIMIT]
            self._holders = tuple(map(procfs.describe, found)) or ("? a process that may not be looked at",)

    # Exits --------------------------------------------------------------------------------------

    def _reap(self, pipes: Pipes) -> None:
        """Take the exit statuses of all children that have ended: the job's, and orphans' of its tree."""
        flags = os.WNOHANG | (os.WUNTRACED if self._foreground and self._foreground.watched else 0)
        while True:
            try:
                pid, status, cpu, peak = self._wait(-1, flags)
            except ChildProcessError:
                if self._subreaper:
                    self._course.nobody_left(time.monotonic())
                return
            if not pid:
                break
            if os.WIFSTOPPED(status):
                if self._foreground and pid == pipes.pid and not self._course.ending:
                    self._foreground.stopped(pid, os.WSTOPSIG(status))
            elif pid in self._others:
                self._others.remove(pid)  # the number may be given to one of the job's now
            else:
                self._cpu += cpu
                self._peak = max(self._peak, peak)
                if pid == pipes.pid:
                    self._on_exit(pipes, status)
        # Children that are not the job's: wait4(2) cannot say that all of the job's have ended.
        ending = self._course.ending or self._course.awaits_rest
        if self._others and ending and not self._tree(pipes).processes():
            self._course.nobody_left(time.monotonic())

    def _on_exit(self, pipes: Pipes, status: int) -> None:
        self._status = status
        self._ended = time.monotonic()
        rest = os.getpid() == 1 and not self._course.ending
        self._course.exited(self._ended, orphans_known=self._subreaper, rest=rest)
        if rest:  # with process 1 all others are killed, without a word
            self._tree(pipes).ask_rest()

    # Signals ------------------------------------------------------------------------------------

    def _on_signals(self, pipes: Pipes) -> None:
        numbers = list(self._signals.take())
        self._reap(pipes)  # whatever woke us: a child may have ended as well
        for number in numbers:
            if number == _signal.SIGCONT:
                if self._foreground and self._course.running:
                    self._foreground.continued(pipes.pid)
            elif number != _signal.SIGCHLD:
                self._forward(pipes, number)

    def _forward(self, pipes: Pipes, number: int) -> None:
        now = time.monotonic()
        course = self._course
        if number == _signal.SIGTERM and not course.ending and course.running:
            by, because = self.end_asked()
            if by and course.end(by, now):
                self._terminate(pipes, because)
                return
        if not course.asked(number, now):
            return
        if course.running:
            tell_group(pipes.pid, number)
            return
        self._tree(pipes).tell(number)
        if number in ENDING and self._live:
            self._live.close()  # no more patience with a slow reader either
            for target in list(self._held):
                self._release(target)

    # Ending a tree ------------------------------------------------------------------------------

    def _tree(self, pipes: Pipes) -> Tree:
        if not self._tree_made:
            from cronwrap.job.tree import Tree  # noqa: PLC0415  # once a job outlives its first second

            self._tree_made = Tree(pipes.pid, self._since, self._others)
        return self._tree_made

    def _terminate(self, pipes: Pipes, because: str) -> None:
        """Ask the whole tree to end; ``deadlines`` has SIGKILL follow for what is left."""
        self._because = because
        self._tree(pipes).terminate()

    def _kill(self, pipes: Pipes, now: float) -> None:
        """Kill what is left of the tree, again and again: between look and kill it may have forked."""
        left = self._tree(pipes).kill(whole_group=self._course.running)
        if not left and not self._subreaper:
            self._course.nobody_left(now)
        self._reap(pipes)

    def _give_up(self, now: float) -> None:
        self._ended_names = ("what is left hangs in the kernel and could not be ended",)
        if self._status is None:
            self._status, self._ended = int(_signal.SIGKILL), now

    def _sample(self, pipes: Pipes) -> None:
        self._reap(pipes)  # should the word of an exit ever be lost on its way, this bounds the wait
        if self._status is not None:
            return
        if self.on_long_run:
            note, self.on_long_run = self.on_long_run, None
            self.publisher = note(self._others)
        before = time.process_time()
        resident = self._tree(pipes).resident()
        self._peak = max(self._peak, resident)
        now = time.monotonic()
        self._course.sampled(now, time.process_time() - before)
        limit = self._limits.max_memory
        if limit is not None and resident > limit and self._course.end("memory", now):
            is_above = f"{resident >> 20} MiB resident, above --max-memory {limit >> 20} MiB; sampled"
            self._terminate(pipes, is_above)


def _waiting() -> Callable[[int, int], tuple[int, int, float, int]]:
    """Give what waits for a child, without waiting: its pid, status, seconds of CPU time and peak memory.

    wait4(2)'s result is made with the module `resource`, loaded by the first call after the status is
    taken: where it cannot be loaded the status would be lost.
    """
    try:
        import resource  # noqa: F401, PLC0415
    except (ImportError, OSError):
        return _wait_alone
    return _wait_with_usage


def _wait_with_usage(pid: int, flags: int) -> tuple[int, int, float, int]:
    found, status, used = os.wait4(pid, flags)
    return found, status, used.ru_utime + used.ru_stime, _rss_octets(used.ru_maxrss)


def _wait_alone(pid: int, flags: int) -> tuple[int, int, float, int]:
    return (*os.waitpid(pid, flags), 0.0, 0)


def _rss_octets(maxrss: int) -> int:
    """Give ru_maxrss in octets (getrusage(2): kibibytes, on macOS octets)."""
    return maxrss if os.uname().sysname == "Darwin" else maxrss << 10
