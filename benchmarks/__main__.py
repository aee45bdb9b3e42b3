"""All benchmarks, one table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import (
    capture,
    fleet,
    history_queries,
    instructions,
    job_start,
    metrics,
    quiet_run,
    single_file,
    sleeping,
    storm,
    web,
)
from benchmarks.bench import Installation, Left, Row, show

if TYPE_CHECKING:
    from types import ModuleType

ALL: tuple[ModuleType, ...] = (
    instructions,
    quiet_run,
    single_file,
    metrics,
    job_start,
    sleeping,
    capture,
    storm,
    history_queries,
    fleet,
    web,
)


def run() -> None:
    """Measure, then print; what a benchmark is about to do goes to standard error."""
    installation = Installation()
    rows: list[Row] = []
    left: list[str] = []
    for module in ALL:
        print((module.__doc__ or "").splitlines()[0], file=sys.stderr)
        try:
            rows.extend(module.measure(installation))
        except Left as reason:
            left.append(f"left out: {module.__name__}: {reason}")
    show(rows)
    print("\n".join(left))


if __name__ == "__main__":
    run()
