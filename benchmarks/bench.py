"""What every benchmark stands on: an installed cronwrap, its peers, timing, and the table.

Each figure is the median of runs that alternate with the peer's, so that a machine that changes its
speed changes both.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cronwrap.bundle_writer import SETTLED
from support import debian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACE = os.path.join(PROJECT, ".bench")
SOURCES = ("src", "scripts", "pyproject.toml")
WARM_UP = 2
"""Runs that are not counted: the first ones read files from the disk and write byte code."""
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""

CONFIG = """
mailto = "ops@example.test"
mailfrom = "cron@example.test"

[[relay]]
url = "smtps://localhost:465"
user = "cron@example.test"
password = "secret"

[defaults]
max-output = "1M"

[jobs.nightly]
timeout = "6h"
ok-codes = [0, 24]
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: str
    theirs: str = ""
    ratio: float | None = None
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def judgement(self) -> str:
        """Give ``aim``, ``ok`` or ``MISSED``; nothing when there is nothing to reach."""
        sign = -1 if self.more_is_better else 1
        if self.ratio is None:
            return ""
        if self.must is not None and sign * self.ratio > sign * self.must:
            return "MISSED"
        if self.aim is not None and sign * self.ratio <= sign * self.aim:
            return "aim"
        return "ok" if self.must is not None else ""


class Left(Exception):  # noqa: N818 -- no error: the row is left out
    """A row cannot be measured here, and why."""


def need(program: str, package: str) -> str:
    """Give the path of a peer, installed if need be; Left when that cannot be done."""
    if reason := debian.installed({program: package}):
        raise Left(f"{reason} (package {package})")
    return debian.find(program)


class Installation:
    """cronwrap as a user has it: installed from a wheel, in an environment of its own."""

    def __init__(self) -> None:
        os.makedirs(PLACE, exist_ok=True)
        with open(os.path.join(PLACE, ".gitignore"), "w", encoding="ascii") as file:
            file.write("*\n")
        self.bin = os.path.join(PLACE, "venv", "bin")
        self.python = os.path.join(self.bin, "python")
        self.cronwrap = os.path.join(self.bin, "cronwrap")
        stamp = os.path.join(PLACE, "installed")
        if not os.path.exists(stamp) or os.path.getmtime(stamp) < _newest():
            self._install()
            with open(stamp, "w", encoding="ascii"):
                pass

    def _install(self) -> None:
        print("installing cronwrap into .bench/venv …", file=sys.stderr)
        if not os.path.exists(self.python):
            subprocess.run([sys.executable, "-m", "venv", os.path.dirname(self.bin)], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PROJECT], check=True)
        # The version stays the same while the sources change, so pip would leave the old one in place.
        subprocess.run([*pip, "--force-reinstall", "--no-deps", PROJECT], check=True)
        time.sleep(SETTLED)  # until then no run writes its modules as one

    def add(self, extra: str) -> None:
        """Have an extra's libraries there too."""
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{PROJECT}[{extra}]"], check=True)


def _newest() -> float:
    times = []
    for source in SOURCES:
        path = os.path.join(PROJECT, source)
        names = [path] if os.path.isfile(path) else []
        names += [os.path.join(at, name) for at, _, files in os.walk(path) for name in files]
        times += [os.path.getmtime(name) for name in names if not name.endswith(".pyc")]
    return max(times)


@contextlib.contextmanager
def own_place(config: str = CONFIG) -> Iterator[tuple[str, dict[str, str]]]:
    """Give a temporary directory and an environment as cron's, with a configuration in force."""
    directory = tempfile.mkdtemp(prefix="cronwrap-bench-")
    path = os.path.join(directory, "config.toml")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write(config)
    # A file that has just been written may change again within its time stamp; it is older in real life.
    os.utime(path, (time.time() - 3600,) * 2)
    yield (
        directory,
        {
            "HOME": directory,
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
            "PATH": "/usr/bin:/bin",
            "CRONWRAP_CONFIG": path,
            "CRONWRAP_STATE_DIR": os.path.join(directory, "state"),
        },
    )
    shutil.rmtree(directory)


def spawn(words: list[str], env: dict[str, str], quiet: bool = True) -> int:
    """Start a program as crond does, by fork and exec; give its pid.

    Not by posix_spawn(3): glibc leaves signals ignored in what that starts, and cronwrap, which passes them
    on to its job as they were, cannot take the short way then.
    """
    other = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=other, stderr=other)
    process.returncode = 0  # it is waited for by its pid
    return process.pid


def whole(words: list[str], env: dict[str, str]) -> float:
    """Give the seconds from the start of a program to its end."""
    began = time.perf_counter()
    pid = spawn(words, env)
    os.waitpid(pid, 0)
    return time.perf_counter() - began


def alternate(candidates: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Give the median of each candidate over so many rounds in turn."""
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(WARM_UP + rounds):
        for name, measure in candidates.items():
            figure = measure()
            if turn >= WARM_UP:
                figures[name].append(figure)
    return {name: statistics.median(values) for name, values in figures.items()}


def adopt_orphans() -> None:
    """Become the parent of what outlives its own, so that its CPU time can be counted too."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def status_kib(pid: int, field: str) -> int:
    """Give a figure of /proc/PID/status in KiB (proc(5): VmRSS, VmHWM)."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1]) for line in file if line.startswith(field + ":")), 0)


def ms(seconds: float) -> str:
    """Give a duration as it stands in the table."""
    return f"{seconds * 1000:.1f} ms"


def show(rows: list[Row]) -> None:
    """Print the table."""
    head = ("what", "cronwrap", "against", "ratio", "must", "aim", "", "")
    sign = {False: "≤", True: "≥"}
    lines = [head]
    for row in rows:
        bound = sign[row.more_is_better]
        lines.append(
            (
                row.what,
                row.ours,
                row.theirs,
                "" if row.ratio is None else f"{row.ratio:.2f}",
                "" if row.must is None else f"{bound} {row.must:.3g}",
                "" if row.aim is None else f"{bound} {row.aim:.3g}",
                row.judgement,
                row.note,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def main(measure: Callable[[Installation], Iterator[Row]]) -> None:
    """Run one benchmark alone."""
    try:
        show(list(measure(Installation())))
    except Left as reason:
        print(f"left out: {reason}")
