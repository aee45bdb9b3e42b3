"""A lock where files cannot be locked: a file whose name is the lock, and whose one line says whose it is.

The kernel does not let go of it with its process, so whoever finds it looks whether its holder lives: by
number and time of start on this machine and boot, and by the file's age on any other.
"""

from __future__ import annotations

import os
import time

from cronwrap.state import boot_id, process_started

STALE = 900.0
"""Seconds after which the lock of another machine's process counts no more: a sender's work takes minutes."""
LINE_LIMIT = 512
"""Octets."""
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Named:
    """A lock by name, held by a process and the children that it forks."""

    def __init__(self, name: str, dir_fd: int | None) -> None:
        self._name, self._dir_fd = name, dir_fd
        self._line = ""

    def take(self) -> bool:
        """Take it, or say that somebody else has it; OSError when it cannot be made."""
        for _ in range(2):
            try:
                handle = os.open(
                    self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._dir_fd
                )
            except FileExistsError:
                if self._lives():
                    return False
                self._remove()
                continue
            self._line = _whose(os.getpid())
            with open(handle, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(self._line)
            return True
        return False

    def hand_over(self, pid: int) -> None:
        """Leave it to a child that was forked since; this process has it no more."""
        if self._line:
            try:
                handle = os.open(self._name, os.O_WRONLY | os.O_TRUNC | _FLAGS, dir_fd=self._dir_fd)
            except OSError:
                return
            with open(handle, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(_whose(pid))
            self._line = ""

    def release(self) -> None:
        """Let go of it, if it is this process's, or was before it was handed over to this one."""
        if self._line and self._read() in (self._line, _whose(os.getpid())):
            self._remove()
        self._line = ""

    def _remove(self) -> None:
        try:
            os.unlink(self._name, dir_fd=self._dir_fd)
        except OSError:
            return

    def _read(self) -> str:
        try:
            handle = os.open(self._name, os.O_RDONLY | _FLAGS, dir_fd=self._dir_fd)
        except OSError:
            return ""
        with open(handle, "rb") as stream:
            return stream.read(LINE_LIMIT).decode(errors="replace")

    def _lives(self) -> bool:
        """Tell whether its holder lives, as far as this machine can tell."""
        words = self._read().split()
        try:
            age = time.time() - os.stat(self._name, dir_fd=self._dir_fd, follow_symlinks=False).st_mtime
        except OSError:
            return False  # it has just gone
        if len(words) != 4 or words[0] != os.uname().nodename or words[2] == "0":
            return 0 <= age < STALE  # being written, another machine's, or one without /proc
        return words[1] == (boot_id() or "-") and str(process_started(words[3])) == words[2]


def _whose(pid: int) -> str:
    return f"{os.uname().nodename} {boot_id() or '-'} {process_started(pid)} {pid}\n"
