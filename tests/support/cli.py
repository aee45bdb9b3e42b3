"""The installed ``cronwrap`` as a process of its own, in an environment of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import pwd
import select
import struct
import subprocess
import sys
import sysconfig
import termios
import time
from dataclasses import dataclass, field

import psutil

SCRIPTS = sysconfig.get_path("scripts")
CRONWRAP = os.path.join(SCRIPTS, "cronwrap")
CRONWRAP_SHELL = os.path.join(SCRIPTS, "cronwrap-shell")

ENTRY = "\nimport sys\nfrom cronwrap.__main__ import leave, main\nleave(main(sys.argv[1:]))\n"
"""What the installed program does, after a test has changed something in its process."""
RUN_LIMIT = 60.0
"""Seconds; no test waits longer for one process."""
ATTACKER = 4711
"""The number of a user that no system has: whoever tries to do us harm."""


@dataclass(frozen=True)
class Result:
    """What became of a process."""

    status: int
    """Exit status; negative: the signal it died of."""
    out: bytes
    err: bytes

    @property
    def stdout(self) -> str:
        """Standard output as text."""
        return self.out.decode("utf-8", "surrogateescape")

    @property
    def stderr(self) -> str:
        """Standard error as text."""
        return self.err.decode("utf-8", "surrogateescape")


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set a terminal's size in characters."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminal:
    """A process in a pseudo-terminal, and what it has shown so far."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self.master = process, master
        self.shown = b""

    def write(self, octets: bytes) -> None:
        """Type; b"\\x03" is Ctrl-C, b"\\x1a" Ctrl-Z."""
        os.write(self.master, octets)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the foreground process group gets SIGWINCH."""
        set_size(self.master, rows, columns)

    def read_until(self, wanted: bytes, timeout: float = 10.0) -> bytes:
        """Read until ``wanted`` was shown; give all that was shown so far."""
        deadline = time.monotonic() + timeout
        while wanted not in self.shown:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{wanted!r} was not shown, but {self.shown!r}")
        return self.shown

    def wait(self, timeout: float = RUN_LIMIT) -> int:
        """Read to the end and give the exit status."""
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 0.1))

    def _read(self, timeout: float) -> bool:
        if timeout <= 0 or not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            octets = os.read(self.master, 65_536)
        except OSError:  # EIO: the other end was closed by its last holder (pty(7))
            return False
        self.shown += octets
        return bool(octets)


@dataclass
class Cli:
    """Runs ``cronwrap`` with a home, a state directory and a configuration below one directory."""

    directory: str
    env: dict[str, str] = field(default_factory=dict)
    """The environment of every process; change it as the test needs."""

    def __post_init__(self) -> None:
        self.home = os.path.join(self.directory, "home")
        self.state = os.path.join(self.directory, "state")
        self.config = os.path.join(self.directory, "config.toml")
        os.makedirs(self.home, mode=0o700)
        user = user_name()
        self.env = {
            "HOME": self.home,
            "LOGNAME": user,
            "USER": user,
            "SHELL": "/bin/sh",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": self.directory,
            "CRONWRAP_STATE_DIR": self.state,
            "CRONWRAP_CONFIG": self.config,
            # A process that stays to deliver is wanted by few tests; they take this away.
            "CRONWRAP_DELIVERY_BACKGROUND": "false",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            **self.env,
        }
        self.write_config("")
        self._started: list[subprocess.Popen[bytes]] = []
        self._masters: list[int] = []

    def write_config(self, text: str, mode: int = 0o600) -> str:
        """Write the only configuration file there is; give its path."""
        return write_private(self.config, text, mode)

    def __call__(
        self,
        *words: str | bytes,
        stdin: bytes = b"",
        timeout: float = RUN_LIMIT,
        before: str = "",
        **env: str,
    ) -> Result:
        """Run ``cronwrap WORDS`` to its end; keywords are further variables.

        ``before``: Python text that sets a limit of the program to a test's size, run in its process.
        """
        words, program = (("-c", before + ENTRY, *words), sys.executable) if before else (words, CRONWRAP)
        process = self.start(
            *words,
            program=program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(f"{words!r} still runs after {timeout} s") from expired
        return Result(process.returncode, out, err)

    def start(
        self, *words: str | bytes, program: str = CRONWRAP, env=None, **options
    ) -> subprocess.Popen[bytes]:
        """Start ``cronwrap WORDS``; further options are Popen's."""
        environment = {**self.env, **(env or {})}
        options.setdefault("cwd", self.home)
        process = subprocess.Popen([program, *words], env=environment, **options)
        self._started.append(process)
        return process

    def terminal(self, *words: str, program: str = CRONWRAP, env: dict[str, str] | None = None) -> Terminal:
        """Start ``cronwrap WORDS`` (or a shell that does) as the session leader of a terminal."""
        master, slave = pty.openpty()
        self._masters.append(master)
        set_size(master, 24, 80)  # before anything asks for it
        process = self.start(
            *words,
            program=program,
            env={"TERM": "xterm", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        return Terminal(process, master)

    def processes(self) -> list[psutil.Process]:
        """Give the processes that have this state directory in their environment, zombies left out."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("CRONWRAP_STATE_DIR") == self.env["CRONWRAP_STATE_DIR"]:
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    def kill_left(self) -> None:
        """Kill those processes, but for what has ended by then."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def close(self) -> None:
        """End whatever is left of what was started."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.kill_left()
        for master in self._masters:
            os.close(master)


def user_name() -> str:
    """Give the user's name; a container's user may have none (docker run --user 4711)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def write_private(path: str, text: str, mode: int = 0o600) -> str:
    """Write a file that has this mode from the start, whatever the umask."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    return path
