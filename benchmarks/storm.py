"""200 jobs that fail at the same instant, against the shell line that people use (chronic and msmtp)."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.bench import WARM_UP, Installation, Row, adopt_orphans, main, need, own_place, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS = 200
PASSWORD = "secret"
PATIENCE = 90.0
"""Seconds; a storm that is not over by then has failed."""
FREE: dict[str, int] = {}
LIMITED = {"max_connections": 2, "max_messages": 30}
"""As small providers have it."""

CRONWRAP_CONFIG = """
mailto = "ops@example.test"
mailfrom = "cron@example.test"
[[relay]]
url = "smtps://localhost:{port}"
user = "cron@example.test"
password = "secret"
ca-file = "{ca_file}"
"""
MSMTP_CONFIG = """
account default
host localhost
port {port}
from cron@example.test
auth plain
user cron@example.test
password secret
tls on
tls_starttls off
tls_trust_file {ca_file}
"""
SHELL_LINE = """o=$(chronic sh -c '{job}' 2>&1) || printf '%s\\n' 'To: ops@example.test' \
'Subject: job {number}' '' "$o" | msmtp -C {config} -t"""
JOB = "echo job {number} has something to say; exit 1"


@dataclass(frozen=True)
class Storm:
    """What one storm took, and what came of it."""

    wall: float
    cpu: float
    counters: dict[str, int]


class Server:
    """The relay's process."""

    def __init__(self, limits: dict[str, int]) -> None:
        policy = json.dumps({"password": PASSWORD, **limits})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", policy],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.place = json.loads(self.process.stdout.readline())

    def counters(self) -> dict[str, int]:
        """Ask what has arrived."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def storm(server: Server, command: Callable[[int], list[str]], env: dict[str, str]) -> Storm:
    """Start all jobs, and wait for all that comes of them, what outlives them included."""
    began = time.perf_counter()
    left = {spawn(command(number), env) for number in range(JOBS)}
    cpu = 0.0
    while time.perf_counter() - began < PATIENCE:
        pid, _status, usage = os.wait4(-1, os.WNOHANG)
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
            left.discard(pid)
        elif not left and not children_but(server.process.pid):
            break
        else:
            time.sleep(0.002)
    return Storm(time.perf_counter() - began, cpu, server.counters())


def children_but(known: int) -> bool:
    """Tell whether there is a child of this process beside the known one (adopted ones count)."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return any(int(pid) != known for pid in file.read().split())


def ours(installation: Installation, limits: dict[str, int]) -> Storm:
    """Give a storm under cronwrap, on a host where it has run before."""
    with (
        contextlib.closing(Server(limits)) as server,
        own_place(CRONWRAP_CONFIG.format_map(server.place)) as (_directory, env),
    ):
        for _ in range(WARM_UP):  # settings are cached, and there is a history
            os.waitpid(spawn([installation.cronwrap, "--", "true"], env), 0)
        return storm(
            server,
            lambda number: [
                installation.cronwrap, "--name", f"job-{number}", "-c", JOB.format(number=number)
            ],
            env,
        )  # fmt: skip


def theirs(limits: dict[str, int]) -> Storm:
    """Give a storm under the shell line."""
    with contextlib.closing(Server(limits)) as server, own_place() as (directory, env):
        config = os.path.join(directory, "msmtprc")
        with open(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(MSMTP_CONFIG.format_map(server.place))

        def command(number: int) -> list[str]:
            job = JOB.format(number=number)
            return ["/bin/sh", "-c", SHELL_LINE.format(job=job, number=number, config=config)]

        return storm(server, command, env)


def measure(installation: Installation) -> Iterator[Row]:
    """Give two rows (wall and CPU time) for a patient server, and two for one with limits."""
    need("chronic", "moreutils")
    need("msmtp", "msmtp")
    adopt_orphans()
    for name, limits, rounds in (("", FREE, 3), (", 2 connections allowed", LIMITED, 2)):
        storms = [(ours(installation, limits), theirs(limits)) for _ in range(rounds)]
        for what, figure in (("wall time", lambda one: one.wall), ("CPU time", lambda one: one.cpu)):
            our, their = (statistics.median(map(figure, side)) for side in zip(*storms, strict=True))
            yield Row(
                what=f"{JOBS} failures at once{name}: {what}",
                ours=f"{our:.2f} s",
                theirs=f"chronic | msmtp {their:.2f} s",
                ratio=our / their,
                must=0.8,
                note=outcome(storms) if what == "wall time" else "",
            )


def outcome(storms: list[tuple[Storm, Storm]]) -> str:
    """Tell how many mails arrived, and over how many connections at once."""
    words = []
    for side in zip(*storms, strict=True):
        fewest = min(one.counters["delivered"] for one in side)
        copies = max(one.counters["copies"] - one.counters["delivered"] for one in side)
        peak = max(one.counters["peak"] for one in side)
        twice = f", {copies} twice" if copies else ""
        words.append(f"{fewest} arrived{twice}, {peak} connections at once")
    return " / ".join(words)


if __name__ == "__main__":
    main(measure)
