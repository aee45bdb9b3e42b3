"""A quiet run counted in instructions: the same twice on a busy machine, where times are not."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Left, Row, main, need, own_place

if TYPE_CHECKING:
    from collections.abc import Iterator

MUST, AIM = 46 / 37.9, 42 / 37.9
"""Against `python -I -c pass`: 46 and 42 million where that takes 37.9 (builds of CPython differ)."""
WARM_UP = 4
"""Runs before the count: byte code, settings and the modules as one are cached by them."""


def millions(valgrind: str, words: list[str], env: dict[str, str]) -> float:
    """Give how many million instructions a program takes itself, its children left out."""
    counter = [valgrind, "--tool=callgrind", "--trace-children=no", f"--callgrind-out-file={os.devnull}"]
    done = subprocess.run([*counter, *words], env=env, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise Left("valgrind says no count")
    return int(found[1]) / 1e6


def measure(installation: Installation) -> Iterator[Row]:
    """Give a row: ``cronwrap -- true`` against an interpreter that does nothing."""
    valgrind = need("valgrind", "valgrind")
    quiet = [installation.cronwrap, "--", "true"]
    with own_place() as (_directory, env):
        for _ in range(WARM_UP):
            subprocess.run(quiet, env=env, check=True)
        ours = millions(valgrind, quiet, env)
        bare = millions(valgrind, [installation.python, "-I", "-c", "pass"], env)
        barest = millions(valgrind, [installation.python, "-I", "-S", "-c", "pass"], env)
    yield Row(
        what="quiet run, million instructions",
        ours=f"{ours:.1f}",
        theirs=f"python -I -c pass {bare:.1f}",
        ratio=ours / bare,
        must=MUST,
        aim=AIM,
        note=f"python -I -S -c pass: {barest:.1f}",
    )


if __name__ == "__main__":
    main(measure)
