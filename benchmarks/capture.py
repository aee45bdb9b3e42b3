"""The capture of much output: speed against a pipe into cat, and memory."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Row, alternate, main, own_place, spawn, status_kib

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 2
GIB = 1 << 30
LINE = b"2026-01-02 03:04:05 host job[1234]: copied /srv/data/%06d.jpg, 48213 octets, ok\n"
LINES = 400_000
REPEATS = 32
"""The file of lines, about 33 MB, is read so often: reading it must not cost what the pipe costs."""
MIB_MUST = 4.0
NEVER = ["--on", "never"]
"""No mail: the speed of a relay is another matter."""


def peak_kib(words: list[str], env: dict[str, str]) -> int:
    """Give the highest resident memory of a program, the programs it starts left out."""
    pid = spawn(words, env)
    peak = 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        peak = max(peak, status_kib(pid, "VmHWM"))
        time.sleep(0.01)
    return peak


def speed(words: list[str], env: dict[str, str], octets: int) -> float:
    """Give octets per second."""
    began = time.perf_counter()
    os.waitpid(spawn(words, env), 0)
    return octets / (time.perf_counter() - began)


def measure(installation: Installation) -> Iterator[Row]:
    """Give a row for zeros, a row for lines, and a row for memory."""
    with own_place() as (directory, env):
        text = os.path.join(directory, "lines")
        with open(text, "wb") as file:
            file.writelines(LINE % number for number in range(LINES))
        lines = f"cat {' '.join([text] * REPEATS)}"
        jobs = {
            "4 GiB of zeros": ("head -c 4G /dev/zero", 4 * GIB),
            "1 GB of lines": (lines, REPEATS * os.path.getsize(text)),
        }
        cronwrap = [installation.cronwrap, *NEVER, "--"]
        for name, (job, octets) in jobs.items():
            medians = alternate(
                {
                    "cronwrap": lambda job=job, octets=octets: speed([*cronwrap, *job.split()], env, octets),
                    "cat": lambda job=job, octets=octets: speed(
                        ["/bin/sh", "-c", f"{job} | cat >/dev/null"], env, octets
                    ),
                },
                ROUNDS,
            )
            yield Row(
                what=f"capture of {name}",
                ours=f"{medians['cronwrap'] / 1e9:.2f} GB/s",
                theirs=f"| cat {medians['cat'] / 1e9:.2f} GB/s",
                ratio=medians["cronwrap"] / medians["cat"],
                must=0.8,
                more_is_better=True,
            )
        much = peak_kib([*cronwrap, "head", "-c", "4G", "/dev/zero"], env)
        silent = peak_kib([*cronwrap, "sleep", "2.5"], env)
    growth = (much - silent) / 1024
    yield Row(
        what="memory over that capture",
        ours=f"{growth:+.1f} MiB",
        theirs="a silent job",
        ratio=growth,
        must=MIB_MUST,
        note="MiB, not a ratio",
    )


if __name__ == "__main__":
    main(measure)
