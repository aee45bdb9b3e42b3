"""The page with ten thousand jobs and a million runs, against crontab-ui (npm) with as many jobs.

crontab-ui keeps no history: its list has names, schedules and commands alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.bench import PLACE, Installation, Left, Row, main, ms, need, own_place, status_kib
from cronwrap.history import database
from cronwrap.history.folding import _insertion
from cronwrap.history.run import COLUMNS
from cronwrap.history.tally import Tally, after

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS, RUNS_EACH = 10_000, 100
TURNS = 9
PEER = "crontab-ui@0.3.16"
PORT = 8397
STARTED = 60.0
LIST_MS, PAGE_MS, WIRE_KB, RSS_MB, FIRST_MS = 100.0, 50.0, 150.0, 60.0, 1000.0
"""What issue and SPEC want of the list, a page of one job or run, the wire, memory, and the first byte."""


def lines(number: int) -> list[tuple[str, str]]:
    """Give schedule and command of so many jobs."""
    made = random.Random(1)  # the same each time
    kinds = ("{m} {h} * * *", "*/10 * * * *", "{m} * * * *", "{m} {h} * * 1-5")
    found = []
    for index in range(number):
        schedule = kinds[index % 4].format(m=made.randrange(60), h=made.randrange(24))
        found.append((schedule, f"cronwrap --name job-{index} -- /usr/local/bin/job{index} --all"))
    return found


def fill(state_dir: str, jobs: int, each: int) -> None:
    """Put runs of each job in, the last one as late as now."""
    now = time.time()
    with database.writing(state_dir) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for job in range(jobs):
            tally = Tally(job=f"job-{job}", user="root")
            rows = [_run(job, index, now - (each - index) * 60.0) for index in range(each)]
            connection.executemany(_insertion("INSERT INTO runs", COLUMNS), rows)
            for row in rows[-30:]:
                tally = after(tally, {**row, "notified": False})
            values = {name: getattr(tally, name) for name in Tally.fields()}
            connection.execute(_insertion("INSERT INTO jobs", Tally.fields()), values)
        connection.execute("COMMIT")


def _run(job: int, index: int, started: float) -> dict:
    result = "failed" if (job * 7 + index) % 50 == 0 else "ok"
    return {
        **dict.fromkeys(COLUMNS, 0),
        "run": f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(started))}-{job:04x}{index:04x}",
        "job": f"job-{job}",
        "command": f"/usr/local/bin/job{job} --all",
        "host": "web1",
        "user": "root",
        "started": started,
        "ended": started + 2.5,
        "duration": 2.5,
        "result": result,
        "signal": None,
        "reasons": "" if result == "ok" else "exit status 2",
        "quiet_reason": "",
        "digest": "",
        "boot_id": "",
    }


def fetch(address: str | tuple[str, int], path: str) -> tuple[float, float, int]:
    """Give the seconds to the first octet of an answer and to its last, and its octets on the wire."""
    began = time.perf_counter()
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        octets = len(data := connection.recv(1 << 16))
        first = time.perf_counter() - began
        if b" 200 " not in data[:16]:
            raise Left(f"{path} answers {data[:60]!r}")
        while data := connection.recv(1 << 16):
            octets += len(data)
    return first, time.perf_counter() - began, octets


def usual(address: str | tuple[str, int], path: str) -> tuple[float, int]:
    """Give the median of the seconds that a page takes once it has been asked for, and its octets."""
    fetch(address, path)
    found = [fetch(address, path) for _turn in range(TURNS)]
    return statistics.median(whole for _first, whole, _octets in found), found[-1][2]


def answers(address: str | tuple[str, int]) -> None:
    """Wait until a server takes a connection."""
    until = time.monotonic() + STARTED
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
            connection.connect(address)
            return
        if time.monotonic() > until:
            raise Left(f"{address} does not answer")
        time.sleep(0.05)


@contextlib.contextmanager
def page(installation: Installation, directory: str, env: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Serve the page; give its socket and its pid."""
    path = os.path.join(directory, "web.sock")
    process = subprocess.Popen(
        [installation.cronwrap, "web", "--socket", path], env=env, stdout=subprocess.DEVNULL
    )
    try:
        answers(path)
        yield path, process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def peer(directory: str) -> Iterator[int]:
    """Serve crontab-ui with as many jobs; give its pid."""
    node, npm = need("node", "nodejs"), need("npm", "npm")
    home = os.path.join(PLACE, "crontab-ui")
    if not os.path.isdir(os.path.join(home, "node_modules")):
        os.makedirs(home, exist_ok=True)
        words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", home, PEER]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            raise Left("crontab-ui cannot be installed from npm")
    data = os.path.join(directory, "crontabs")
    os.makedirs(os.path.join(data, "logs"))
    with open(os.path.join(data, "crontab.db"), "w", encoding="utf-8") as file:
        for number, (schedule, command) in enumerate(lines(JOBS)):
            job = {"name": f"job-{number}", "command": command, "schedule": schedule, "stopped": False}
            more = {"timestamp": "Wed Nov 25 2026", "logging": "false", "mailing": {}, "created": number}
            file.write(json.dumps({**job, **more, "_id": f"{number:016x}"}) + "\n")
    process = subprocess.Popen(
        [node, os.path.join(home, "node_modules", "crontab-ui", "app.js")],
        env={"PATH": os.environ["PATH"], "PORT": str(PORT), "CRON_DB_PATH": data, "HOME": directory},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(("127.0.0.1", PORT))
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def lay_out(directory: str, env: dict[str, str], jobs: int) -> dict[str, str]:
    """Give a crontab of so many jobs, by a crontab program of its own; give the environment for that."""
    programs = os.path.join(directory, "bin")
    os.makedirs(programs, exist_ok=True)
    with open(os.path.join(directory, "table"), "w", encoding="utf-8") as file:
        file.writelines(f"{schedule} {command}\n" for schedule, command in lines(jobs))
    crontab = os.path.join(programs, "crontab")
    with open(crontab, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec cat {directory}/table\n")
    os.chmod(crontab, 0o755)
    return {**env, "PATH": f"{programs}:{env['PATH']}"}


def first_byte(installation: Installation, directory: str, env: dict[str, str]) -> float:
    """Give the seconds from a first connection to the first octet, the page being begun by it."""
    path = os.path.join(directory, "activated.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        text = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{listening.fileno()}'
        words = ["/bin/sh", "-c", text, "sh", installation.cronwrap, "web"]
        with subprocess.Popen(
            words, env=env, pass_fds=[listening.fileno()], stdout=subprocess.DEVNULL
        ) as process:
            first, _whole, _octets = fetch(path, "/")
            process.terminate()
    os.unlink(path)
    return first


def bounded(what: str, value: float, limit: float, unit: str) -> Row:
    """Give the line of a figure that has a bound."""
    return Row(what, f"{value:.1f} {unit}", f"{limit:g} {unit}", ratio=value / limit, must=1.0)


def measure(installation: Installation) -> list[Row]:
    """Give the lines of the table."""
    installation.add("web")
    with own_place("") as (directory, bare):
        small = lay_out(directory, bare, 300)
        first = [first_byte(installation, directory, small) for _turn in range(3)]
        env = lay_out(directory, bare, JOBS)
        fill(env["CRONWRAP_STATE_DIR"], JOBS, RUNS_EACH)
        with page(installation, directory, env) as (path, pid):
            began = status_kib(pid, "VmRSS")
            listed, wire = usual(path, "/")
            one, _octets = usual(path, "/jobs/root/job-77")
            run, _octets = usual(path, "/runs")
            rss = status_kib(pid, "VmRSS")
        rows = [
            bounded("web: list of 10,000 jobs", listed * 1000, LIST_MS, "ms"),
            bounded("web: the same on the wire", wire / 1000, WIRE_KB, "kB"),
            bounded("web: a page of one job", one * 1000, PAGE_MS, "ms"),
            bounded("web: a page of runs, of 1,000,000", run * 1000, PAGE_MS, "ms"),
            bounded("web: resident after that", rss / 1024, RSS_MB, "MiB"),
            bounded("web: first octet, begun by it", statistics.median(first) * 1000, FIRST_MS, "ms"),
        ]
        with peer(directory) as pid:
            at_rest = status_kib(pid, "VmRSS")
            theirs, their_wire = usual(("127.0.0.1", PORT), "/")
        against = "crontab-ui {}"
        rows += [
            Row("web: list of 10,000 jobs", ms(listed), against.format(ms(theirs)), ratio=listed / theirs),
            Row(
                "web: the same on the wire",
                f"{wire / 1000:.0f} kB",
                against.format(f"{their_wire / 1000:.0f} kB"),
                ratio=wire / their_wire,
            ),
            Row(
                "web: resident at rest",
                f"{began / 1024:.0f} MiB; 0 when nobody looks",
                against.format(f"{at_rest / 1024:.0f} MiB"),
                ratio=began / at_rest,
            ),
        ]
    return rows


if __name__ == "__main__":
    main(measure)
