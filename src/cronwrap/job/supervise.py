"""Supervising a job: its output, its time, its signals and its end → Outcome.

One loop over poll(2). ``deadlines`` decides what is due, this module does it: whatever can happen (output, an
exit, a signal, a moment that has come) is one method.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap import load_rest
from cronwrap.exit_status import EXIT_INTERNAL
from cronwrap.job.deadlines import (
    GIVE_UP,
    KILL,
    SAMPLE,
    STILL_RUNNING,
    STOP_READING,
    TERMINATE,
    Course,
    Limits,
)
from cronwrap.job.signals import ENDING, FORWARDED, LONGEST_POLL, Signals, tell_group
from cronwrap.job.spawn import Begun, close
from cronwrap.model import STDERR, STDOUT, Outcome, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Protocol

    from cronwrap.job.publisher import Publisher
    from cronwrap.job.reader import Reader
    from cronwrap.job.start_report import Failure
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

REPORT_LIMIT = 1 << 12
"""Octets read at a time of what a child tells that could not become the job."""
RESCUE_BUFFER = 1 << 16
"""Octets read at a time when nothing else is sure: what a pipe holds."""
RESCUE_PAUSE = 0.1
"""Seconds between two looks whether the job has ended, when nothing else tells us."""
HOLDERS_LIMIT = 20
"""Processes named in a report."""


class Supervisor:
    """Watches one try of a job."""

    def __init__(self, begun: Begun, limits: Limits, signals: Signals) -> None:
        self._begun = begun
        self._limits = limits
        self._signals = signals
        self._status: int | None = None
        self._cpu = 0.0
        self._peak = 0
        self._because = ""
        self._foreground = begun.foreground
        self._tree_made: Tree | None = None
        self._ended_names: tuple[str, ...] = ()
        self._holders: tuple[str, ...] = ()
        self._wait: Callable[[int, int], tuple[int, int, float, int]] = _wait_alone
        self._error: Failure | None = None
        if begun.why_not:
            why = getattr(begun.why_not, "strerror", None) or begun.why_not
            self._error = f"cannot start the job: {why}", EXIT_INTERNAL
        self._others = begun.others
        self._began = self._ended = begun.began
        self._course = Course(limits, begun.began)
        self._reader: Reader | None = None
        self._attends = False
        self._open = {begun.stdout: STDOUT, begun.stderr: STDERR}
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

    # Result -------------------------------------------------------------------------------------

    def watch(self) -> Outcome:
        """Give what became of the job, once it, or what was to be ended with it, has ended."""
        self._wait = _waiting()
        if self._limits.live or self._limits.fail_match or self._limits.ignore_match:
            self._reading()
        if self._begun.pid:
            self._attend()
        elif self._reader:
            self._reader.finish()
        if self._foreground:
            self._foreground.close()
        return self._outcome()

    def _outcome(self) -> Outcome:
        status = None if self._error else self._status
        if self.publisher:
            self.publisher.flush(self._reading().capture)
        output = self._reader.capture.output() if self._reader else Output()
        matcher = self._reader.matcher if self._reader else None
        if matcher:
            matcher.finish()
            self.remarks += matcher.given_up
        return Outcome(
            started=self._begun.wall,
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

    def _attend(self) -> None:
        self._report, self._awaits_report = b"", True
        self._poll = select.poll()
        self._poll.register(self._signals.descriptor, select.POLLIN)
        for descriptor in (self._begun.report, *self._open):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        self._attends = True
        if self._reader:
            self._reader.attend(self._poll, self._open, self._close)
        self._loop()
        if self._foreground:
            self._foreground.take_back(self._begun.pid)
        if self._tree_made:
            self._ended_names += tuple(self._tree_made.names)
        if self._reader:
            self._reader.finish()
        if self._open:
            from cronwrap.job.leftover import read_on  # noqa: PLC0415  # rare: it outlives the run

            read_on([*self._open])
        for descriptor in list(self._open):
            self._close(descriptor)
        if self._awaits_report:
            self._end_report()

    # The loop -----------------------------------------------------------------------------------

    def _loop(self) -> None:
        self._reap()
        while self._goes_on():
            for descriptor, event in self._poll.poll(self._wait_for_what_is_due() * 1000 + 1):
                if descriptor == self._signals.descriptor:
                    self._on_signals()
                else:
                    self._ready(descriptor, event)
            if self._reader:
                self._reader.keep_pace()
            self._on_time()
            self._look_beside()

    def _goes_on(self) -> bool:
        if self._reader and self._reader.holds:
            return True
        return not self._course.over(output_open=bool(self._open or self._awaits_report))

    def _wait_for_what_is_due(self) -> float:
        """Give the seconds until something is due."""
        moment = self._course.next_moment()
        now = time.monotonic()
        if self.publisher:
            moment = self.publisher.until(moment, self._reading().capture, now)
        if self.lease:
            moment = self.lease.until(moment, now)
        return LONGEST_POLL if moment is None else max(0.0, min(LONGEST_POLL, moment - now))

    def _look_beside(self) -> None:
        """Do what is done beside the job: its output is published, its lease renewed."""
        if self.lease and (why := self.lease.look()) and self._course.end("overlap", time.monotonic()):
            self._terminate(why)
        if self.publisher:
            self.publisher.look(self._reading().capture, time.monotonic())

    def _on_time(self) -> None:
        now = time.monotonic()
        if self._reader and self._reader.waits:
            self._course.wrote(now)  # the job is not idle, it waits for who reads its output
        moment = self._course.next_moment()
        if moment is not None and moment <= now:
            self._catch_up()  # whoever was stopped himself has no right to speak of a timeout
        due = self._course.due(now)
        if due == TERMINATE:
            self._terminate(self._reason())
        elif due == KILL:
            self._kill(now)
        elif due == GIVE_UP:
            self._give_up(now)
        elif due == STOP_READING:
            self._stop_reading()
        elif due == STILL_RUNNING:
            self._tell_still_running()
        elif due == SAMPLE:
            self._sample()

    def _tell_still_running(self) -> None:
        try:
            pid = self.on_still_running(self._reading().capture.output) if self.on_still_running else 0
        except Exception as error:  # noqa: BLE001  # no process, a module that has gone: the job goes on
            self.remarks.append(f"nobody could be told that it still runs: {type(error).__name__}: {error}")
            return
        if pid:
            self._others.add(pid)  # and what it starts: none of the job's

    def _catch_up(self) -> None:
        """Take what has happened before what is due: cronwrap may have been stopped, or the machine."""
        for descriptor, event in self._poll.poll(0):
            if descriptor == self._begun.report or descriptor in self._open:
                self._ready(descriptor, event)
        self._reap()

    def _reason(self) -> str:
        from cronwrap.spans import duration  # noqa: PLC0415  # only when a job is ended

        if self._course.ended_by == "timeout":
            return f"--timeout {duration(self._limits.timeout or 0.0)}"
        return f"no output for {duration(self._limits.idle_timeout or 0.0)}"

    # When we fail -------------------------------------------------------------------------------

    def rescue(self, error: BaseException) -> Outcome:
        """Give what became of the job when ``watch`` has failed: read on, wait for it, pass signals on.

        No limit is kept to, and nothing needs to be loaded: whatever is wrong with us is not the job's fault.
        """
        self.remarks.append(f"internal error while the job ran: {type(error).__name__}: {error}")
        begun = self._begun
        if not begun.pid:
            return self._outcome()
        streams = dict(self._open)
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
                    tell_group(begun.pid, number)
            if deadline is None and self._rescue_status(begun.pid):
                deadline = time.monotonic() + self._limits.drain
        return self._outcome()

    def _rescue_output(self, streams: dict[int, int], descriptor: int) -> bool:
        try:
            chunk = bytearray(os.read(descriptor, RESCUE_BUFFER))
        except BlockingIOError:
            return True
        except OSError:
            return False
        if chunk:
            self._rescue_chunk(streams[descriptor], chunk)
        return bool(chunk)

    def _rescue_chunk(self, stream: int, chunk: bytearray) -> None:
        try:
            self._reading().capture.add(stream, chunk, len(chunk), time.monotonic() - self._began)
        except Exception:  # noqa: BLE001  # a module that has gone: crond would have mailed it
            try:
                os.write(STDERR, chunk)
            except OSError:
                return

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

    def _reading(self) -> Reader:
        """Give what reads the output, made when there is some, or somebody wants to know of it."""
        if not self._reader:
            load_rest()
            from cronwrap.job.reader import Reader  # noqa: PLC0415  # most jobs are silent

            self._reader = Reader(self._limits, self._course, self._began, self._others)
            if self._attends:
                self._reader.attend(self._poll, self._open, self._close)
        return self._reader

    def _ready(self, descriptor: int, event: int) -> None:
        if descriptor == self._begun.report and self._awaits_report:  # its number may be another's by now
            self._read_report()
        elif event == select.POLLHUP and not self._reader and descriptor in self._open:
            self._close(descriptor)  # it has ended, and nothing was said
        else:
            self._reading().ready(descriptor)

    def _read_report(self) -> None:
        """Read what the child tells that could not become the job; it ends as the program is executed."""
        try:
            chunk = os.read(self._begun.report, REPORT_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._report += chunk
        if not chunk:
            self._end_report()

    def _end_report(self) -> None:
        self._awaits_report = False
        self._poll.unregister(self._begun.report)
        close(self._begun.report)
        if self._report:
            load_rest()
            from cronwrap.job.start_report import read_report  # noqa: PLC0415  # when something went wrong

            remark, self._error = read_report(self._begun.start, self._report)
            self.remarks += [remark] if remark else []

    def _close(self, descriptor: int) -> None:
        """Let go of an output."""
        if not self._reader:
            del self._open[descriptor]
        if not self._reader or self._reader.let_go(descriptor):
            self._poll.unregister(descriptor)
        close(descriptor)

    def _stop_reading(self) -> None:
        """Read what is there at this moment, name who holds the output open, and let go of it."""
        self._reading().read_rest()
        inodes = [os.fstat(descriptor).st_ino for descriptor in self._open]
        if inodes:
            from cronwrap.job import procfs  # noqa: PLC0415

            found = procfs.holders(inodes)[:HOLDERS_LIMIT]
            self._holders = tuple(map(procfs.describe, found)) or ("? a process that may not be looked at",)

    # Exits --------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Take the exit statuses of all children that have ended: the job's, and orphans' of its tree."""
        flags = os.WNOHANG | (os.WUNTRACED if self._foreground and self._foreground.watched else 0)
        while True:
            try:
                pid, status, cpu, peak = self._wait(-1, flags)
            except ChildProcessError:
                if self._begun.subreaper:
                    self._course.nobody_left(time.monotonic())
                return
            if not pid:
                break
            if os.WIFSTOPPED(status):
                if self._foreground and pid == self._begun.pid and not self._course.ending:
                    self._foreground.stopped(pid, os.WSTOPSIG(status))
            elif pid in self._others:
                self._others.remove(pid)  # the number may be given to one of the job's now
            else:
                self._cpu += cpu
                self._peak = max(self._peak, peak)
                if pid == self._begun.pid:
                    self._on_exit(status)
        # Children that are not the job's: wait4(2) cannot say that all of the job's have ended.
        ending = self._course.ending or self._course.awaits_rest
        if self._others and ending and not self._tree().processes():
            self._course.nobody_left(time.monotonic())

    def _on_exit(self, status: int) -> None:
        self._status = status
        self._ended = time.monotonic()
        rest = os.getpid() == 1 and not self._course.ending
        self._course.exited(self._ended, orphans_known=self._begun.subreaper, rest=rest)
        if rest:  # with process 1 all others are killed, without a word
            self._tree().ask_rest()

    # Signals ------------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        numbers = list(self._signals.take())
        self._reap()  # whatever woke us: a child may have ended as well
        for number in numbers:
            if number == _signal.SIGCONT:
                if self._foreground and self._course.running:
                    self._foreground.continued(self._begun.pid)
            elif number != _signal.SIGCHLD:
                self._forward(number)

    def _forward(self, number: int) -> None:
        now = time.monotonic()
        course = self._course
        if number == _signal.SIGTERM and not course.ending and course.running:
            by, because = self.end_asked()
            if by and course.end(by, now):
                self._terminate(because)
                return
        if not course.asked(number, now):
            return
        if course.running:
            tell_group(self._begun.pid, number)
            return
        self._tree().tell(number)
        if number in ENDING and self._reader:
            self._reader.hurry()

    # Ending a tree ------------------------------------------------------------------------------

    def _tree(self) -> Tree:
        if not self._tree_made:
            from cronwrap.job.tree import Tree  # noqa: PLC0415  # once a job outlives its first second

            self._tree_made = Tree(self._begun.pid, self._begun.since, self._others)
        return self._tree_made

    def _terminate(self, because: str) -> None:
        """Ask the whole tree to end; ``deadlines`` has SIGKILL follow for what is left."""
        self._because = because
        self._tree().terminate()

    def _kill(self, now: float) -> None:
        """Kill what is left of the tree, again and again: between look and kill it may have forked."""
        left = self._tree().kill(whole_group=self._course.running)
        if not left and not self._begun.subreaper:
            self._course.nobody_left(now)
        self._reap()

    def _give_up(self, now: float) -> None:
        self._ended_names = ("what is left hangs in the kernel and could not be ended",)
        if self._status is None:
            self._status, self._ended = int(_signal.SIGKILL), now

    def _sample(self) -> None:
        self._reap()  # should the word of an exit ever be lost on its way, this bounds the wait
        if self._status is not None:
            return
        if self.on_long_run:
            self._reading()  # before there is a thread that would import some of it
            note, self.on_long_run = self.on_long_run, None
            self.publisher = note(self._others)
        before = time.process_time()
        resident = self._tree().resident()
        self._peak = max(self._peak, resident)
        now = time.monotonic()
        self._course.sampled(now, time.process_time() - before)
        limit = self._limits.max_memory
        if limit is not None and resident > limit and self._course.end("memory", now):
            is_above = f"{resident >> 20} MiB resident, above --max-memory {limit >> 20} MiB; sampled"
            self._terminate(is_above)


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
