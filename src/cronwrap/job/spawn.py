"""Starting a job: from a command to a running process group."""

from __future__ import annotations

import os
import time
from stat import S_ISREG

from cronwrap.beside import Beside, fork_alone
from cronwrap.exit_status import EXIT_INTERNAL
from cronwrap.job.signals import Signals, block_all, set_mask
from cronwrap.model import Command, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from cronwrap.job.foreground import Foreground

DEFAULT_PATH = "/usr/bin:/bin"
"""Where programs are looked for without ``PATH``, as crond and confstr(_CS_PATH) have it."""
PR_SET_CHILD_SUBREAPER = 36
PROCESS_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME)
"""The clock of the start times of processes."""
SYSTEM_PLACES = (b"/bin", b"/sbin", b"/usr/bin", b"/usr/sbin", b"/usr/local/bin", b"/usr/local/sbin")
"""Where programs are without which nothing works: they are not on a file server that may not answer."""
INTERPRETER_LIMIT = 256
"""Octets at a script's start that the kernel looks at for its interpreter (BINPRM_BUF_SIZE)."""
ANSWER = 0.5
"""Seconds for a program to be read; one that takes longer is started by a process that may wait for it."""
AS_A_JOB = (True, False, 0, None, None, None, -1, None, True)
"""For `_posixsubprocess`: default actions, no session, a group of its own, the same user; by vfork."""


class Start(Record):
    """How a command is to be started."""

    command: Command
    environment: Mapping[bytes, bytes]
    chdir: str = ""
    nice: int | None = None
    terminal: int = -1
    """Descriptor of the terminal whose foreground the job takes over; -1 for none."""


class Begun(Record):
    """A try of a job that has been started, or was to be."""

    start: Start
    wall: float
    """When, in Unix time; and by the clock of the start times of processes, and by the monotonic one."""
    since: float
    began: float
    subreaper: bool
    """Whether orphans among its descendants become our children."""
    others: set[int]
    """The children that are none of the job's."""
    foreground: Foreground | None
    """What sees to the terminal, where a person has started it."""
    pid: int = 0
    """The job's, and that of its process group; 0 where there was no process or pipe to be had for it."""
    stdout: int = -1
    """Our ends of the pipes that it writes to."""
    stderr: int = -1
    report: int = -1
    """What goes wrong before the program runs comes here; ends as the program is executed."""
    why_not: Exception | None = None


def begin(start: Start, signals: Signals) -> Begun:
    """Start a job, as ``spawn`` does, and be there for what it leaves; nothing is raised once it runs."""
    foreground = None
    subreaper, others = become_subreaper(), children_before()
    if signals.terminal:
        from cronwrap.job.foreground import Foreground  # noqa: PLC0415  # a person has started it

        foreground = Foreground()
        start = start.replace(terminal=foreground.lent)
    times = {"wall": time.time(), "since": time.clock_gettime(PROCESS_CLOCK), "began": time.monotonic()}
    why_not: OSError | None = None
    pid, stdout, stderr, report = 0, -1, -1, -1
    try:
        pid, stdout, stderr, report = spawn(start, signals)
    except OSError as error:
        why_not = error
    return Begun(
        start=start,
        **times,
        subreaper=subreaper,
        others=others,
        foreground=foreground,
        pid=pid,
        stdout=stdout,
        stderr=stderr,
        report=report,
        why_not=why_not,
    )


def become_subreaper() -> bool:
    """Make orphans among our descendants our children (prctl(2)); False where that is not to be had."""
    try:
        # The C module alone: `import ctypes` would cost as much as all else before the job's start.
        import _ctypes  # noqa: PLC0415

        program: Any = None  # the symbols of the running program, libc among them
        address = _ctypes.dlsym(_ctypes.dlopen(program, 0), "prctl")
        return bool(_ctypes.call_function(address, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0)
    except (ImportError, AttributeError, OSError):
        return False


def children_before() -> set[int]:
    """Give the children that cronwrap has already: those of the program whose place it took by exec."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return set()
    from cronwrap.job import procfs  # noqa: PLC0415  # hardly ever

    return set(procfs.children(os.getpid()))


def spawn(start: Start, signals: Signals) -> tuple[int, int, int, int]:
    """Start a job in a process group of its own; OSError when there is no process or pipe to be had.

    Gives its pid and, of the pipes that it writes to, our ends: standard output, standard error, report.
    """
    descriptors: list[int] = []
    try:
        for _ in range(3):
            descriptors += os.pipe()
        mask = block_all()  # no handler of ours may run in the child
        try:
            pid = _at_once(start, signals, mask, descriptors) or fork_alone()
        except BaseException:
            set_mask(mask)
            raise
    except BaseException:
        for descriptor in descriptors:
            close(descriptor)
        raise
    if not pid:
        _child(start, signals, descriptors)
    # From here on the job runs, and nothing may come out of this function but what it gives.
    try:
        set_mask(mask)
    except OSError:
        pass
    for descriptor in descriptors[1::2]:
        close(descriptor)
    try:
        os.setpgid(pid, pid)  # the child does the same: whoever comes first
    except OSError:
        pass
    return pid, descriptors[0], descriptors[2], descriptors[4]


def _at_once(start: Start, signals: Signals, mask: set[int], descriptors: list[int]) -> int:
    """Start a job that wants nothing unusual by vfork(2), as `subprocess` does; 0 where a fork has to do it.

    A fork has each page copied that either side writes to afterwards: two milliseconds, before the job and
    beside it. But who calls vfork stands still until the program is executed, which on a file server that
    does not answer is never: so only programs of the system, and what has just been looked at.
    `os.posix_spawn` would not do: glibc has signals ignored (32 and 33) that were not.
    """
    if start.nice is not None or start.terminal >= 0 or not signals.plain(mask):
        return 0
    program = _program(start)
    if not program:
        return 0
    words = [os.fsencode(word) for word in start.command.argv]
    variables = [name + b"=" + value for name, value in start.environment.items()]
    pid: int = 0
    try:
        import _posixsubprocess  # noqa: PLC0415  # not everywhere

        call: Any = _posixsubprocess.fork_exec
        ours, theirs = os.pipe()
        place = start.chdir or None
        streams = (-1, -1, -1, descriptors[1], -1, descriptors[3], ours, theirs)
        try:
            set_mask(mask)  # the job's; it keeps signals away from the child itself
            pid = call(words, (program,), False, (), place, variables, *streams, *AS_A_JOB)
        finally:
            block_all()
            close(theirs)
            failed = os.read(ours, 1)
            close(ours)
    except (
        ImportError,
        TypeError,
        ValueError,
        OSError,
    ):  # another Python, no process or pipe: the fork tells
        return pid
    if failed:
        os.waitpid(pid, 0)  # nothing was executed; the fork finds out why
        return 0
    return pid


def _program(start: Start) -> bytes:
    """Give the path of the program, if nothing that may not answer is between us and it; else nothing."""
    word = os.fsencode(start.command.argv[0])
    before, slash, name = word.rpartition(b"/")
    path = start.environment.get(b"PATH") or DEFAULT_PATH.encode()
    places = [before] if slash else path.split(b":")
    if not start.chdir:
        for place in places:
            if place not in SYSTEM_PLACES:
                break
            if os.access(place + b"/" + name, os.X_OK):
                return place + b"/" + name
    # An empty member of PATH is the current directory.
    paths = [word] if slash else [(place or b".") + b"/" + name for place in places]
    try:
        found: bytes = Beside(lambda: _seen(paths, start.chdir)).wait(ANSWER)
    except Exception:  # noqa: BLE001  # it does not answer, may not be read, or there is no memory: the fork tells
        return b""
    return found


def _seen(paths: list[bytes], chdir: str) -> bytes:
    """Give the first of these programs there is, once it has been read; OSError where that cannot be done.

    That it was opened a moment ago says most: a file server is asked each time. What kind of program it is
    decides whether there is another to be opened (execve(2), "Interpreter scripts").
    """
    if chdir:
        os.close(os.open(chdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    for path in paths:
        full = os.path.join(os.fsencode(chdir), path)
        try:
            if not S_ISREG(os.stat(full).st_mode) or not os.access(full, os.X_OK):
                return b""
        except (FileNotFoundError, NotADirectoryError):
            continue
        handle = os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            start = os.read(handle, INTERPRETER_LIMIT)
        finally:
            os.close(handle)
        interpreter = start[2:].split()[:1] if start.startswith(b"#!") else []
        plain = not interpreter or interpreter[0].rpartition(b"/")[0] in SYSTEM_PLACES
        return path if plain else b""
    return b""


def close(descriptor: int) -> None:
    """Let go of a descriptor: whatever the system says to that, it is closed."""
    try:
        os.close(descriptor)
    except OSError:
        return


def _child(start: Start, signals: Signals, descriptors: list[int]) -> NoReturn:
    stage = "setup"

    def tried(stage: str, work: Callable[..., object], *words: object) -> None:
        try:
            work(*words)
        except OSError as error:
            os.write(descriptors[5], f"{stage} {error.errno}\n".encode())

    try:
        tried("signals", signals.restore)
        tried("group", os.setpgid, 0, 0)
        if start.terminal >= 0:
            tried("terminal", os.tcsetpgrp, start.terminal, os.getpid())  # SIGTTOU is blocked
        if start.nice is not None:
            tried("nice", os.setpriority, os.PRIO_PROCESS, 0, start.nice)
        if start.chdir:
            stage = "chdir"
            os.chdir(start.chdir)
        tried("output", os.dup2, descriptors[1], 1)
        tried("output", os.dup2, descriptors[3], 2)
        tried("signals", set_mask, signals.mask)
        stage = "exec"
        execute(start)
    except BaseException as error:  # noqa: BLE001  # a NUL in a configured directory is a ValueError, say
        from errno import EINVAL  # noqa: PLC0415  # as above

        code = getattr(error, "errno", None) or EINVAL
        os.write(descriptors[5], f"{stage} {code}\n".encode())
    finally:
        os._exit(EXIT_INTERNAL)


def execute(start: Start) -> NoReturn:
    """Execute as execvp(3) does: along PATH, and by /bin/sh what the kernel does not know; or OSError."""
    words = [os.fsencode(word) for word in start.command.argv]
    path = start.environment.get(b"PATH") or DEFAULT_PATH.encode()
    places = [b""] if b"/" in words[0] else path.split(b":")
    denied: OSError | None = None
    for place in places:
        program = os.path.join(place, words[0]) if place else words[0]
        if not place and b"/" not in program:
            program = b"./" + program  # an empty member of PATH is the current directory
        try:
            os.execve(program, words, start.environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            from errno import EACCES, ENOEXEC  # noqa: PLC0415  # as above

            if error.errno == ENOEXEC:
                os.execve(b"/bin/sh", [b"/bin/sh", program, *words[1:]], start.environment)
            if error.errno != EACCES:
                raise
            denied = error
    from errno import ENOENT  # noqa: PLC0415  # as above

    raise denied or FileNotFoundError(ENOENT, "")
