"""From the start of cronwrap to the job's first instruction, against chronic and the bare interpreter."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.bench import (
    PLACE,
    Installation,
    Left,
    Row,
    alternate,
    main,
    ms,
    need,
    own_place,
    spawn,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 50
SYSTEM = "/usr/local/bin"
"""A program that lies there is started at once, others are read first (docs/decisions/0001-start-up.md).
Most crontab lines begin with one of the first kind, be it the shell."""


def until_first_instruction(words: list[str], env: dict[str, str], written: str) -> float:
    """Give the seconds from a program's start to what its job wrote down as its own."""
    began = time.monotonic_ns()
    os.waitpid(spawn(words, env), 0)
    with open(written, encoding="ascii") as file:
        return (int(file.read()) - began) / 1e9


@contextlib.contextmanager
def jobs() -> Iterator[tuple[str, str]]:
    """Give a job that is a program of the system, and the same elsewhere; the first is removed afterwards."""
    elsewhere = os.path.join(PLACE, "stamp")
    source = os.path.join(os.path.dirname(__file__), "stamp.c")
    subprocess.run([need("cc", "gcc"), "-O2", "-o", elsewhere, source], check=True)
    of_the_system = os.path.join(SYSTEM, f"cronwrap-bench-{os.getpid()}")
    try:
        shutil.copy(elsewhere, of_the_system)
    except OSError as error:
        raise Left(f"no program can be put into {SYSTEM}: {error.strerror}") from error
    try:
        yield of_the_system, elsewhere
    finally:
        os.unlink(of_the_system)


def measure(installation: Installation) -> Iterator[Row]:
    """Give the time to both kinds of job: against chronic, and against an interpreter that does nothing."""
    chronic = need("chronic", "moreutils")
    with own_place() as (directory, env), jobs() as (job, elsewhere):
        written = os.path.join(directory, "stamp")

        def timed(*words: str) -> Callable[[], float]:
            return lambda: until_first_instruction([*words, written], env, written)

        medians = alternate(
            {
                "cronwrap": timed(installation.cronwrap, "--", job),
                "elsewhere": timed(installation.cronwrap, "--", elsewhere),
                "chronic": timed(chronic, job),
                "python": lambda: whole([installation.python, "-I", "-c", "pass"], env),
                "nothing": timed(job),
            },
            ROUNDS,
        )
    ours = medians["cronwrap"]
    yield Row(
        what="until the job's first instruction",
        ours=ms(ours),
        theirs=f"chronic {ms(medians['chronic'])}",
        ratio=ours / medians["chronic"],
        must=0.75,
        note=f"the job alone: {ms(medians['nothing'])}",
    )
    for what, which in (("", "cronwrap"), ("until that of a job elsewhere", "elsewhere")):
        yield Row(
            what=what,
            ours=ms(medians[which]),
            theirs=f"python -I -c pass {ms(medians['python'])}",
            ratio=medians[which] / medians["python"],
            must=1.3,
        )


if __name__ == "__main__":
    main(measure)
