"""How long the look-ups take over a million runs, and what a fold costs.

    python benchmarks/history_queries.py [RUNS]

Prints one line a look-up: the median of several, in milliseconds, and the limit it has to keep.
"""

import contextlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time

from cronwrap import history, journal
from cronwrap.model import Output

JOBS = 200
TURNS = 15
LIMIT_MS = 50.0
START = 1_700_000_000.0


def fill(state_dir: str, count: int) -> None:
    """Put ``count`` runs in, as a fold would have: one run in fifty failed, in rows of three."""
    first = journal.begin(state_dir, fields("first", 0))
    first.finish({"ended": START, "duration": 1.0, "result": "ok"})
    history.fold(state_dir)
    rows = (
        {
            **dict.fromkeys(history.COLUMNS),
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
    holes = ", ".join(":" + name for name in history.COLUMNS)
    with contextlib.closing(sqlite3.connect(os.path.join(state_dir, "history.db"))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(f"INSERT INTO runs ({', '.join(history.COLUMNS)}) VALUES ({holes})", rows)
    # The row that each job has comes from a real run of it.
    for number in range(JOBS):
        entry = journal.begin(state_dir, fields(f"last-{number}", count + number))
        entry.finish({"ended": START + count + number, "duration": 3.0, "result": "ok"})
    history.fold(state_dir)


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


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="cronwrap-bench-") as state_dir:
        fill(state_dir, count)
        end = START + count
        questions = {
            "history -n 20": lambda: list(history.runs(state_dir)),
            "history -n 20 --job": lambda: list(history.runs(state_dir, job="job-007")),
            "history -n 20 --failed": lambda: list(history.runs(state_dir, failed=True)),
            "history -n 20 --failed --job": lambda: list(history.runs(state_dir, job="job-007", failed=True)),
            "history -n 20 --since 1h": lambda: list(history.runs(state_dir, since=end - 3600)),
            "show RUN": lambda: history.run(state_dir, f"{count // 2:012x}"),
            "status": lambda: history.jobs(state_dir),
            "past of a job": lambda: history.past(state_dir, "job-007", "root"),
            "starts of a day": lambda: history.starts(state_dir, end - 86400),
        }
        found = {name: statistics.median(timed(ask) for _ in range(TURNS)) for name, ask in questions.items()}
        folds = []
        for _ in range(5):
            fold_sixty_four(state_dir)
            folds.append(timed(lambda: history.fold(state_dir)))
        found["fold of 64 runs"] = statistics.median(folds)
        for name, milliseconds in found.items():
            print(
                json.dumps({"what": name, "runs": count, "ms": round(milliseconds, 2), "limit_ms": LIMIT_MS})
            )
        asked = [name for name in questions if name != "starts of a day"]
        return int(any(found[name] > LIMIT_MS for name in asked))


if __name__ == "__main__":
    sys.exit(main())
