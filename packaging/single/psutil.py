"""What cronwrap asks of psutil, read from /proc (proc(5)): one file for every Linux has nothing compiled."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections import namedtuple
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUS_ZOMBIE = "zombie"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

Uids = namedtuple("Uids", "real effective saved")
Times = namedtuple("Times", "user system children_user children_system")
Memory = namedtuple("Memory", "rss vms")
Partition = namedtuple("Partition", "device mountpoint fstype opts")


class Error(Exception):
    """A process that has gone, or may not be looked at."""


class NoSuchProcess(Error):
    """It has gone."""


class AccessDenied(Error):
    """It may not be looked at."""


class Process:
    """One process; what it is asked for is read anew each time."""

    def __init__(self, pid: int | None = None) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.info: dict[str, object] = {}
        self._began = self._fields()[19]

    def create_time(self) -> float:
        """Give the start in seconds since the epoch."""
        return _booted() + int(self._began) / TICKS

    def ppid(self) -> int:
        """Give the parent."""
        return int(self._fields()[1])

    def status(self) -> str:
        """Give ``zombie``, or the kernel's letter."""
        letter = self._fields()[0]
        return STATUS_ZOMBIE if letter == "Z" else letter

    def name(self) -> str:
        """Give the kernel's name for it, 15 octets at most."""
        return os.fsdecode(self._read("comm").rstrip(b"\n"))

    def cmdline(self) -> list[str]:
        """Give its words; none for a process of the kernel's, or one that has ended."""
        content = self._read("cmdline")
        return os.fsdecode(content.removesuffix(b"\0")).split("\0") if content else []

    def environ(self) -> dict[str, str]:
        """Give the environment that it was started with."""
        pairs = os.fsdecode(self._read("environ")).split("\0")
        return {name: value for name, found, value in (pair.partition("=") for pair in pairs) if found}

    def uids(self) -> Uids:
        """Give its users."""
        for line in self._read("status").splitlines():
            if line.startswith(b"Uid:"):
                return Uids(*map(int, line.split()[1:4]))
        raise NoSuchProcess(self.pid)

    def username(self) -> str:
        """Give the name of its user, or the number where it has none."""
        user = self.uids().real
        try:
            return pwd.getpwuid(user).pw_name
        except KeyError:
            return str(user)

    def cpu_times(self) -> Times:
        """Give seconds of its own and of children that have ended."""
        return Times(*(int(ticks) / TICKS for ticks in self._fields()[11:15]))

    def memory_info(self) -> Memory:
        """Give octets."""
        size, resident = self._read("statm").split()[:2]
        return Memory(int(resident) * PAGE, int(size) * PAGE)

    def children(self, *, recursive: bool = False) -> list[Process]:
        """Give its children, or all its descendants."""
        below: dict[int, list[Process]] = {}
        for process in process_iter():
            with contextlib.suppress(Error):
                below.setdefault(process.ppid(), []).append(process)
        found = list(below.get(self.pid, ()))
        for child in found if recursive else ():
            found += below.get(child.pid, ())  # the loop goes on with them
        return found

    def kill(self) -> None:
        """End it, if it is still the one that it was."""
        if self._fields()[19] != self._began:
            raise NoSuchProcess(self.pid)
        with self._told():
            os.kill(self.pid, signal.SIGKILL)

    def oneshot(self) -> contextlib.AbstractContextManager[None]:
        """Give a context; nothing is cached in it."""
        return contextlib.nullcontext()

    def _fields(self) -> list[str]:
        """Give what stands in /proc/PID/stat behind the name, the state first."""
        return self._read("stat").rpartition(b")")[2].decode("ascii").split()

    def _read(self, name: str) -> bytes:
        with self._told(), open(f"/proc/{self.pid}/{name}", "rb") as file:
            return file.read()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ProcessLookupError) as error:
            raise NoSuchProcess(self.pid) from error
        except PermissionError as error:
            raise AccessDenied(self.pid) from error


def pids() -> list[int]:
    """Give the numbers of all processes that can be seen."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def process_iter(attrs: list[str] | None = None) -> Iterator[Process]:
    """Give all processes, with what is asked for in ``info``; None stands for what may not be read."""
    for pid in pids():
        try:
            process = Process(pid)
            for name in attrs or ():
                try:
                    process.info[name] = getattr(process, name)()
                except AccessDenied:
                    process.info[name] = None
        except Error:
            continue
        yield process


def disk_partitions(*, all: bool = False) -> list[Partition]:  # noqa: A002, ARG001  # psutil's name; always all
    """Give what is mounted, in the order in which it was."""
    with open("/proc/self/mounts", "rb") as file:
        lines = [line.split(b" ")[:4] for line in file]
    return [Partition(*map(_plain, words)) for words in lines]


def _plain(word: bytes) -> str:
    """Give a word of the list of mounts, which writes blanks and the like as octal numbers."""
    return os.fsdecode(word.decode("latin-1").encode("latin-1").decode("unicode_escape").encode("latin-1"))


def _booted() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("btime"))
