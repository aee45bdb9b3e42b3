"""From the start of cronwrap to the job's first instruction, against chronic and the bare interpreter."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.bench import PLACE, Installation, Row, alternate, main, ms, need, own_place, spawn, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 50


def until_first_instruction(words: list[str], env: dict[str, str], written: str) -> float:
    """Give the seconds from a program's start to what its job wrote down as its own."""
    began = time.monotonic_ns()
    os.waitpid(spawn(words, env), 0)
    with open(written, encoding="ascii") as file:
        return (int(file.read()) - began) / 1e9


def measure(installation: Installation) -> Iterator[Row]:
    """Give two rows: against chronic, and against an interpreter that does nothing."""
    chronic = need("chronic", "moreutils")
    stamp = os.path.join(PLACE, "stamp")
    source = os.path.join(os.path.dirname(__file__), "stamp.c")
    subprocess.run([need("cc", "gcc"), "-O2", "-o", stamp, source], check=True)
    with own_place() as (directory, env):
        written = os.path.join(directory, "stamp")
        job = [stamp, written]
        medians = alternate(
            {
                "cronwrap": lambda: until_first_instruction(
                    [installation.cronwrap, "--", *job], env, written
                ),
                "chronic": lambda: until_first_instruction([chronic, *job], env, written),
                "python": lambda: whole([installation.python, "-I", "-c", "pass"], env),
                "nothing": lambda: until_first_instruction(job, env, written),
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
    yield Row(
        what="",
        ours=ms(ours),
        theirs=f"python -I -c pass {ms(medians['python'])}",
        ratio=ours / medians["python"],
        must=1.3,
    )


if __name__ == "__main__":
    main(measure)
