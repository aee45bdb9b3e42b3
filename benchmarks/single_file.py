"""A quiet run of the one file that `make single-file` builds, in CPU time, against the installed one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.bench import PROJECT, WARM_UP, Installation, Row, alternate, main, ms, own_place

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 21
MUST = 1.5
SETTLED = 1.5
"""Seconds from which on what was unpacked is taken for settled, and loaded as one (``bundle_writer``)."""


def cpu(words: list[str], env: dict[str, str]) -> float:
    """Give the seconds of a core that a program takes, and all that it waits for."""
    process = subprocess.Popen(words, env=env)
    _pid, status, use = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return use.ru_utime + use.ru_stime


def measure(installation: Installation) -> Iterator[Row]:
    """Give a row; the file is run as crontabs run it, by the `python3` on the path."""
    with own_place() as (directory, env):
        builder = os.path.join(PROJECT, "packaging", "single_file.py")
        subprocess.run([sys.executable, builder, directory], check=True, stdout=subprocess.DEVNULL)
        words = ["--", "true"]
        single = [os.path.join(directory, "cronwrap"), *words]
        installed = [installation.cronwrap, *words]
        cpu(single, env)  # it unpacks itself
        time.sleep(SETTLED)
        for _ in range(WARM_UP):
            cpu(single, env)
            cpu(installed, env)
        found = alternate({"one": lambda: cpu(single, env), "two": lambda: cpu(installed, env)}, ROUNDS)
    yield Row(
        what="a quiet run of the single file, CPU time",
        ours=ms(found["one"]),
        theirs=f"installed {ms(found['two'])}",
        ratio=found["one"] / found["two"],
        must=MUST,
    )


if __name__ == "__main__":
    main(measure)
