"""Starting a job: from a command to a running process group."""

from __future__ import annotations

import os
import time

from cronwrap.exit_status import EXIT_INTERNAL, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND
from cronwrap.job.signals import Signals, block_all, set_mask
from cronwrap.model import Command, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

DEFAULT_PATH = "/usr/bin:/bin"
"""Where programs are looked for without ``PATH``, as crond and confstr(_CS_PATH) have it."""
PR_SET_CHILD_SUBREAPER = 36
SYSTEM_PLACES = (b"/bin", b"/sbin", b"/usr/bin", b"/usr/sbin", b"/usr/local/bin", b"/usr/local/sbin")
"""Where programs are without which nothing works: they are not on a file server that may not answer."""
AS_A_JOB = (True, False, 0, None, None, None, -1, None, True)
"""For `_posixsubprocess`: default actions, no session, a group of its own, the same user; by vfork."""
THREADS, ONE_THREAD = "/proc/self/task", 3
"""A directory with one for each thread (proc(5)), and its links while there is one."""
THREAD_LOOKS, THREAD_PAUSE = 20, 0.0005
"""How often, and seconds apart, it is looked at: one that waits for a disk is not waited for."""
REMARKS = {
    "signals": "the job's signals could not be put back as they were",
    "group": "the job has no process group of its own",
    "terminal": "the job could not be given the terminal",
    "output": "the job's output could not be captured",
}
"""What may go wrong on the way to the job, and is no reason not to run it."""


class Start(Record):
    """How a command is to be started."""

    command: Command
    environment: Mapping[bytes, bytes]
    chdir: str = ""
    nice: int | None = None
    terminal: int = -1
    """Descriptor of the terminal whose foreground the job takes over; -1 for none."""


Failure = tuple[str, int]
"""Why a job was not started: a sentence, and the exit status for it."""


class Pipes(Record):
    """The ends that cronwrap keeps, and the pid of the job."""

    pid: int
    stdout: int
    stderr: int
    report: int
    """What goes wrong before the program runs comes here; ends as the program is executed."""


def read_report(start: Start, report: bytes) -> tuple[str, Failure | None]:
    """Give what could not be done for a job, or an empty text, and why it was not started, if it was not."""
    remark = ""
    for line in report.decode().splitlines():
        stage, _, code = line.partition(" ")
        if stage == "nice":
            remark = f"niceness {start.nice} could not be set: {os.strerror(int(code))}"
        elif stage in REMARKS:
            remark = f"{REMARKS[stage]}: {os.strerror(int(code))}"
        else:
            return remark, _failure(start, stage, int(code))
    return remark, None


def _failure(start: Start, stage: str, code: int) -> Failure:
    reason = os.strerror(code)
    if stage == "chdir":
        return f"cannot change to the directory {start.chdir}: {reason}", EXIT_INTERNAL
    if stage != "exec":
        return f"cannot start the job ({stage}): {reason}", EXIT_INTERNAL
    import errno  # noqa: PLC0415  # builtin; to make its 130 names costs more than to start a job

    program = start.command.argv[0]
    if code in (errno.ENOENT, errno.ENOTDIR):
        if "/" in program and os.path.exists(os.path.join(start.chdir, program)):
            return f"{program}: its interpreter was not found", EXIT_NOT_FOUND
        from cronwrap.crontab.right_form import of_job  # noqa: PLC0415  # after a mistake alone

        right = of_job(start.command.argv)
        hint = f": only a shell understands that; write {right}" if right else ""
        return f"{program}: command not found{hint}", EXIT_NOT_FOUND
    return f"{program}: cannot be executed: {reason}", EXIT_NOT_EXECUTABLE


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


def spawn(start: Start, signals: Signals) -> Pipes:
    """Start a job in a process group of its own; OSError when there is no process or pipe to be had."""
    descriptors: list[int] = []
    try:
        for _ in range(3):
            descriptors += os.pipe()
        _see_threads_off()
        mask = block_all()  # no handler of ours may run in the child
        try:
            pid = _at_once(start, signals, mask, descriptors) or os.fork()
        except OSError:
            set_mask(mask)
            raise
    except OSError:
        for descriptor in descriptors:
            close(descriptor)
        raise
    if not pid:
        _child(start, signals, descriptors)
    # From here on the job runs, and nothing may come out of this function but its pipes.
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
    return Pipes(pid=pid, stdout=descriptors[0], stderr=descriptors[2], report=descriptors[4])


def _at_once(start: Start, signals: Signals, mask: set[int], descriptors: list[int]) -> int:
    """Start a job that wants nothing unusual by vfork(2), as `subprocess` does; 0 where a fork has to do it.

    A fork has each page copied that either side writes to afterwards: two milliseconds, before the job and
    beside it. But who calls vfork stands still until the program is executed, which on a file server that
    does not answer is never: so only programs of the system. `os.posix_spawn` would not do: glibc has signals
    ignored (32 and 33) that were not.
    """
    program = _program_of_the_system(start)
    if not program or start.nice is not None or start.chdir or start.terminal >= 0 or not signals.plain(mask):
        return 0
    words = [os.fsencode(word) for word in start.command.argv]
    variables = [name + b"=" + value for name, value in start.environment.items()]
    pid: int = 0
    try:
        import _posixsubprocess  # noqa: PLC0415  # not everywhere

        call: Any = _posixsubprocess.fork_exec
        ours, theirs = os.pipe()
        streams = (-1, -1, -1, descriptors[1], -1, descriptors[3], ours, theirs)
        try:
            set_mask(mask)  # the job's; it keeps signals away from the child itself
            pid = call(words, (program,), False, (), None, variables, *streams, *AS_A_JOB)
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


def _program_of_the_system(start: Start) -> bytes:
    """Give the path of the program, if it is certain to lie where those of the system do."""
    word = os.fsencode(start.command.argv[0])
    before, slash, name = word.rpartition(b"/")
    path = start.environment.get(b"PATH") or DEFAULT_PATH.encode()
    for place in [before] if slash else path.split(b":"):
        if place not in SYSTEM_PLACES:
            return b""
        if os.access(place + b"/" + name, os.X_OK):
            return place + b"/" + name
    return b""


def _see_threads_off() -> None:
    """Wait a moment for threads that are done to be gone: Python warns who forks beside one (3.12)."""
    try:
        for _ in range(THREAD_LOOKS):
            if os.stat(THREADS).st_nlink <= ONE_THREAD:
                return
            time.sleep(THREAD_PAUSE)
    except OSError:
        return


def close(descriptor: int) -> None:
    """Let go of a descriptor: whatever the system says to that, it is closed."""
    try:
        os.close(descriptor)
    except OSError:
        return


def tell_group(group: int, number: int) -> None:
    """Send a signal to a process group, the leader of which has not been waited for."""
    try:
        os.killpg(group, number)
    except OSError:
        return  # everybody has gone


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
