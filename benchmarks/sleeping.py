"""Memory and CPU time of cronwrap while its job sleeps, against the bare interpreter."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.bench import Installation, Row, main, own_place, spawn, status_kib

if TYPE_CHECKING:
    from collections.abc import Iterator

COPIES = 3
SETTLED = 3.0
"""Seconds: what watches the job's use of memory begins after its first second."""
OBSERVED = 20.0
"""Seconds of which the CPU time is taken, and scaled to a minute."""
SLEEP = ["sleep", "3600"]


def resident(pid: int) -> int:
    """Give the resident KiB of a process and of what it has started, the job left out."""
    children = psutil.Process(pid).children(recursive=True)
    return status_kib(pid, "VmRSS") + sum(
        status_kib(child.pid, "VmRSS") for child in children if child.name() != SLEEP[0]
    )


def cpu_ms(pid: int) -> float:
    """Give the milliseconds a process has run (schedstat: nanoseconds, where stat has ticks of 10 ms)."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e6


def measure(installation: Installation) -> Iterator[Row]:
    """Give two rows: resident memory, and CPU time a minute."""
    bare = [installation.python, "-I", "-c", "import time; time.sleep(3600)"]
    with own_place() as (_directory, env):
        ours = [spawn([installation.cronwrap, "--", *SLEEP], env) for _ in range(COPIES)]
        theirs = [spawn(bare, env) for _ in range(COPIES)]
        time.sleep(SETTLED)
        memory = [statistics.median(map(resident, pids)) for pids in (ours, theirs)]
        before = {pid: cpu_ms(pid) for pid in ours}
        time.sleep(OBSERVED)
        spent = statistics.median(cpu_ms(pid) - before[pid] for pid in ours)
        for pid in ours + theirs:
            os.kill(pid, signal.SIGTERM)
        for pid in ours + theirs:
            os.waitpid(pid, 0)
    yield Row(
        what="resident while the job sleeps",
        ours=f"{memory[0] / 1024:.1f} MiB",
        theirs=f"python {memory[1] / 1024:.1f} MiB",
        ratio=memory[0] / memory[1],
        must=1.4,
        aim=1.2,
    )
    yield Row(
        what="CPU time of a minute's idle supervision",
        ours=f"{spent * 60 / OBSERVED:.1f} ms",
        note=f"{spent * 60 / OBSERVED / 600:.3f} % of a core",
    )


if __name__ == "__main__":
    main(measure)
