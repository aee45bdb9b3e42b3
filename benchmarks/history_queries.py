"""Look-ups over a million runs, against the time they may take."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.bench import Installation, Row, main
from cronwrap.history import journal
from cronwrap.history import runs as history
from cronwrap.history.finding import find
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.history.run import COLUMNS
from cronwrap.model import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 1_000_000
JOBS = 200
TURNS = 15
LIMIT_MS = 50.0
START = 1_700_000_000.0


def fill(state_dir: str, count: int) -> None:
    """Put ``count`` runs in, as a fold would have: one run in fifty failed, in rows of three."""
    first = journal.begin(state_dir, fields("first", 0))
    first.finish({"ended": START, "duration": 1.0, "result": "ok"})
    fold(state_dir)
    rows = (
        {
            **dict.fromkeys(COLUMNS),
            **fields(f"{number:012x}", number),
            "ended": START + number + 2.5,
            "duration": 2.5 + number % 7,
            "result": "failed" if number // JOBS % 150 < 3 else "ok",
            "exit_code": 0,
            "tries": 1,
            "reasons": "",
            "output_bytes": 0,
            "stdout_bytes": 0,
            "stderr_bytes": 0,
            "mailed": 0,
            "quiet_reason": "nothing to report",
            "digest": "",
            "boot_id": "7a0fd2b4-6f1f-4b4e-9d0e-5f2f5f1f0a01",
            "pid": number % 30000,
        }
        for number in range(count)
    )
    holes = ", ".join(":" + name for name in COLUMNS)
    with contextlib.closing(sqlite3.connect(os.path.join(state_dir, "history.db"))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({holes})", rows)
    # The row that each job has comes from a real run of it.
    for number in range(JOBS):
        entry = journal.begin(state_dir, fields(f"last-{number}", count + number))
        entry.finish({"ended": START + count + number, "duration": 3.0, "result": "ok"})
    fold(state_dir)


def fields(run: str, number: int) -> dict:
    job = f"job-{number % JOBS:03d}"
    return {
        "run": run,
        "job": job,
        "command": f"/usr/local/bin/{job} --all /srv/data",
        "host": "db1.example.com",
        "user": "root",
        "started": START + number,
    }


def fold_sixty_four(state_dir: str) -> None:
    for number in range(journal.FOLD_AT):
        entry = journal.begin(state_dir, fields(f"w{time.monotonic_ns()}", number))
        entry.finish({"ended": time.time(), "duration": 3.0, "result": "ok"}, Output(head=b"output\n" * 100))


def timed(call) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def measure(_installation: Installation) -> Iterator[Row]:
    """Give a row for each look-up over a million runs, as a part of the time it may take."""
    with tempfile.TemporaryDirectory(prefix="cronwrap-bench-") as state_dir:
        fill(state_dir, RUNS)
        end = START + RUNS
        questions = {
            "history -n 20": lambda: list(history.runs(state_dir)),
            "history -n 20 --job": lambda: list(history.runs(state_dir, job="job-007")),
            "history -n 20 --failed": lambda: list(history.runs(state_dir, failed=True)),
            "history -n 20 --failed --job": lambda: list(history.runs(state_dir, job="job-007", failed=True)),
            "history -n 20 --since 1h": lambda: list(history.runs(state_dir, since=end - 3600)),
            "show RUN": lambda: find(state_dir, f"{RUNS // 2:012x}"),
            "show END": lambda: find(state_dir, f"{RUNS // 2:012x}"[-8:]),
            "status": lambda: history.jobs(state_dir),
            "past of a job": lambda: past_of(state_dir, "job-007", "root"),
        }
        for name, ask in questions.items():
            took = statistics.median(timed(ask) for _ in range(TURNS))
            yield Row(
                what=f"10⁶ runs: {name}",
                ours=f"{took:.2f} ms",
                theirs=f"limit {LIMIT_MS:g} ms",
                ratio=took / LIMIT_MS,
                must=1.0,
            )
        folds = []
        for _ in range(5):
            fold_sixty_four(state_dir)
            folds.append(timed(lambda: fold(state_dir)))
        yield Row(what="10⁶ runs: fold of 64 more", ours=f"{statistics.median(folds):.1f} ms")


if __name__ == "__main__":
    main(measure)
