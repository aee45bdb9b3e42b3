"""The processes of a job: what they use, what they are called, who holds a pipe.

On Linux the tree is read from /proc (proc(5)) directly: psutil, which serves the other systems, is half
as large again as the whole of cronwrap while it waits for a job (docs/decisions/0002-proc.md).
"""

from __future__ import annotations

import os

from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = "/proc"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
TREE_LIMIT = 100_000
"""Processes; a walk over a tree that grows as fast as it is walked must end."""
NAME_LIMIT = 120
"""Characters of a command line in a report."""


class Process(Record):
    """One process; the start time makes a re-used pid a different one."""

    pid: int
    started: int
    """Start time in the system's own unit (proc(5): clock ticks since boot)."""


def started(pid: int) -> int | None:
    """Give the start time of a process, or None when there is no such process (a zombie still is one)."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as stream:
            # The name in parentheses may hold blanks and parentheses: fields are counted from the last one.
            return int(stream.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None if os.path.exists(f"{PROC}/self/stat") else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> int | None:
    import psutil  # noqa: PLC0415  # other systems only

    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return None


def descendants(pid: int, since: float) -> list[Process]:
    """Give all processes below ``pid``, nearest first, but for those started before ``since``.

    ``since`` is in seconds by ``supervise.PROCESS_CLOCK``.
    """
    found: list[Process] = []
    earliest = int(since * (TICKS if os.path.exists(f"{PROC}/self/stat") else 1000)) - 1  # both round down
    todo = [pid]
    while todo and len(found) < TREE_LIMIT:
        for child in _children(todo.pop(0)):
            start = started(child)
            if start is not None and start >= earliest:
                found.append(Process(pid=child, started=start))
                todo.append(child)
    return found


def _children(pid: int) -> Iterable[int]:
    try:
        tasks = os.listdir(f"{PROC}/{pid}/task")
    except OSError:
        return [] if os.path.exists(f"{PROC}/self/task") else _children_elsewhere(pid)
    found: list[int] = []
    for task in tasks:
        try:
            with open(f"{PROC}/{pid}/task/{task}/children", "rb") as stream:
                found += map(int, stream.read().split())
        except OSError:
            if not os.path.exists(f"{PROC}/self/task/{os.getpid()}/children"):
                return _children_elsewhere(pid)  # a kernel without CONFIG_PROC_CHILDREN
    return found


def _children_elsewhere(pid: int) -> Iterable[int]:
    import psutil  # noqa: PLC0415  # other systems only

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def resident(processes: Iterable[Process]) -> int:
    """Give the resident memory of some processes in octets; shared pages count in each of them."""
    total = 0
    for process in processes:
        try:
            with open(f"{PROC}/{process.pid}/statm", "rb") as stream:
                total += int(stream.read().split()[1]) * PAGE
        except (OSError, IndexError):
            if not os.path.exists(f"{PROC}/self/statm"):
                total += _resident_elsewhere(process.pid)
    return total


def _resident_elsewhere(pid: int) -> int:
    import psutil  # noqa: PLC0415  # other systems only

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def describe(pid: int) -> str:
    """Give ``pid command`` for a report; the command is what the process calls itself."""
    try:
        with open(f"{PROC}/{pid}/cmdline", "rb") as stream:
            words = stream.read(4096).rstrip(b"\0").replace(b"\0", b" ")
        if not words:
            with open(f"{PROC}/{pid}/comm", "rb") as stream:
                words = b"[" + stream.read().strip() + b"]"
    except OSError:
        return f"{pid} ?"
    text = words.decode(errors="replace")
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return f"{pid} {printable[:NAME_LIMIT]}"


def holders(inodes: Iterable[int]) -> list[int]:
    """Give the pids of the other processes that have one of these pipes open, as far as we may look."""
    wanted = {f"pipe:[{inode}]" for inode in inodes}
    try:
        pids = [int(name) for name in os.listdir(PROC) if name.isdigit()]
    except OSError:
        return []
    return [pid for pid in pids if pid != os.getpid() and _holds(pid, wanted)]


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
        handle = -1
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
