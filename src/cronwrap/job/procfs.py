"""The processes of a job: which they are, what they use, what they are called, who holds a pipe.

On Linux the tree is read from /proc (proc(5)) directly: psutil, which serves the other systems, is half
as large again as the whole of cronwrap while it waits for a job (docs/decisions/0002-proc.md).
"""

from __future__ import annotations

import os

from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LINUX = os.uname().sysname == "Linux"
PROC = "/proc"
TICKS = os.sysconf("SC_CLK_TCK") if LINUX else 1000
"""Units of ``Process.started`` in a second."""
PAGE = os.sysconf("SC_PAGE_SIZE")
STATE, PARENT, START_TIME = 0, 1, 19
"""Places among the fields of /proc/PID/stat that come after the name (proc(5), counted from 3 there)."""
TREE_LIMIT = 100_000
"""Processes; a walk over a tree that grows as fast as it is walked must end."""
COMMAND_LIMIT = 4096
"""Octets of a command line that are read. A report shows fewer, once secrets have been taken out."""


class Process(Record):
    """One process; the start time makes a re-used pid a different one."""

    pid: int
    started: int
    """Start time in the system's own unit (``TICKS``)."""


def visible() -> bool:
    """Say whether processes can be looked at by our own numbers for them.

    /proc may not be mounted, or be that of another pid namespace, where a number means somebody else.
    """
    if not LINUX:
        return True
    try:
        return os.readlink(f"{PROC}/self") == str(os.getpid())
    except OSError:
        return False


def _fields(pid: int) -> list[bytes]:
    """Give the fields of /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as stream:
            # The name in parentheses may hold blanks and parentheses: fields are counted from the last one.
            return stream.read().rpartition(b")")[2].split()
    except OSError:
        return []


def started(pid: int) -> int | None:
    """Give the start time of a process, or None when there is no such process (a zombie still is one)."""
    if not LINUX:
        from cronwrap.job import psutil_tree  # noqa: PLC0415  # psutil

        return psutil_tree.started(pid)
    fields = _fields(pid)
    return int(fields[START_TIME]) if fields else None


def is_zombie(pid: int) -> bool:
    """Say whether a process has ended and only waits for its parent to take notice."""
    return LINUX and _fields(pid)[: STATE + 1] == [b"Z"]


def walk(pid: int, since: float, others: Collection[int] = ()) -> Iterator[Process]:
    """Give all processes below ``pid``, nearest first, as they are found.

    Left out are those started before ``since``, in seconds by ``supervise.PROCESS_CLOCK``, and ``others``
    with all below them. A process is given before its own children are looked for: stopped then, it has
    no more of them.
    """
    if not visible():
        return
    earliest = int(since * TICKS) - 1  # both round down
    todo = [pid]
    for parent in todo:
        for child in children(parent):
            start = started(child)
            if start is None or start < earliest or child in others:
                continue
            yield Process(pid=child, started=start)
            todo.append(child)
        if len(todo) > TREE_LIMIT:
            return


def children(pid: int) -> list[int]:
    """Give the children of a process; it may miss some while others of them end (proc(5))."""
    if not LINUX:
        from cronwrap.job import psutil_tree  # noqa: PLC0415

        return psutil_tree.children(pid)
    try:
        tasks = os.listdir(f"{PROC}/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            with open(f"{PROC}/{pid}/task/{task}/children", "rb") as stream:
                found += map(int, stream.read().split())
        except OSError:
            if not os.path.exists(f"{PROC}/self/task/{os.getpid()}/children"):
                return _children_by_parent(pid)
    return found


def _children_by_parent(pid: int) -> list[int]:
    """Give the children of a process on a kernel without CONFIG_PROC_CHILDREN: look at all there are."""
    parent = str(pid).encode()
    return [number for number in _all() if _fields(number)[PARENT : PARENT + 1] == [parent]]


def _all() -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC) if name.isdigit()]
    except OSError:
        return []


def resident(processes: Iterable[Process]) -> int:
    """Give the resident memory of some processes in octets; shared pages count in each of them."""
    if not LINUX:
        from cronwrap.job import psutil_tree  # noqa: PLC0415

        return sum(psutil_tree.resident(process.pid) for process in processes)
    total = 0
    for process in processes:
        try:
            with open(f"{PROC}/{process.pid}/statm", "rb") as stream:
                total += int(stream.read().split()[1]) * PAGE
        except OSError:
            continue  # it has just ended
    return total


def describe(pid: int) -> str:
    """Give ``pid command``; the command is what the process calls itself, secrets and all."""
    words = _command(pid) or b"?"
    text = words.decode(errors="replace")
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return f"{pid} {printable}"


def _command(pid: int) -> bytes:
    if not LINUX:
        from cronwrap.job import psutil_tree  # noqa: PLC0415

        return psutil_tree.command(pid)
    try:
        with open(f"{PROC}/{pid}/cmdline", "rb") as stream:
            words = stream.read(COMMAND_LIMIT).rstrip(b"\0").replace(b"\0", b" ")
        if not words:  # a program may have wiped it
            with open(f"{PROC}/{pid}/comm", "rb") as stream:
                words = b"[" + stream.read().strip() + b"]"
    except OSError:
        return b""
    return words


def holders(inodes: Iterable[int]) -> list[int]:
    """Give the pids of the other processes that have one of these pipes open, as far as we may look."""
    wanted = {f"pipe:[{inode}]" for inode in inodes}
    return [pid for pid in _all() if pid != os.getpid() and _holds(pid, wanted)] if visible() else []


def _holds(pid: int, wanted: set[str]) -> bool:
    directory = f"{PROC}/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"{directory}/{name}") in wanted:
                return True
        except OSError:
            continue
    return False


def send(process: Process, signal: int) -> bool:
    """Send a signal to just this process, never to a later one of the same pid; False when it is gone."""
    import _signal  # noqa: PLC0415  # builtin

    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        handle = -1  # an old kernel, another system, or no descriptor left
    try:
        # With the descriptor in hand the pid cannot be given to another process between look and signal.
        if started(process.pid) != process.started:
            return False
        if handle >= 0:
            _signal.pidfd_send_signal(handle, signal)
        else:
            os.kill(process.pid, signal)
    except OSError:
        return False
    finally:
        if handle >= 0:
            os.close(handle)
    return True
