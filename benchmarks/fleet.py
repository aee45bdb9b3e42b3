"""The fleet's database: what ten thousand hosts write a day (`ship = "changes"`), and how fast it is seen."""

from __future__ import annotations

import glob
import json
import os
import random
import statistics
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Installation, Left, Row, main
from cronwrap.fleet import batch, view
from cronwrap.fleet.database import Database, connected
from cronwrap.fleet.migrations import upgrade
from cronwrap.fleet.ship import SHIP_CALL
from cronwrap.fleet.view import Asked
from cronwrap.settings import fleet
from support.pki import Authority
from support.postgres import Postgres
from support.web import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOSTS, JOBS, MINUTES = 10_000, 100, 60
"""Of the fleet that is reckoned with: each job once a minute, for an hour."""
SAMPLE = 400
"""Hosts that are really played; the rest is multiplied, and so is what any table takes, however empty.
Measured with 100, 250, 400 and 1,000: 6.37, 5.65, 5.84 and 5.64 GB a day."""
FAILING = 0.01
GIGABYTES_A_DAY = 6.0
CALLS_A_SECOND = HOSTS / 60
SEEN_HOSTS, SEEN_JOBS, SEEN_RUNS = 1000, 1000, 200_000
VIEW_MS = 300.0
PAGE_KB = 256.0
"""Of HTML before it is packed."""
TURNS = 5
GROWING = ("runs", "hours", "outputs")
SIZE = """
SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint AS size FROM pg_inherits AS i
WHERE i.inhparent = ANY (ARRAY['cronwrap.runs', 'cronwrap.hours', 'cronwrap.outputs']::regclass[])
"""


def measure(_installation: Installation) -> Iterator[Row]:
    """Give what a day weighs, how many calls are taken, and what the views take."""
    if not glob.glob("/usr/lib/postgresql/*/bin/postgres") or os.geteuid():
        raise Left("needs PostgreSQL, and root")
    with tempfile.TemporaryDirectory() as place, Postgres(Authority(place), fsync=True) as server:
        there = fleet.parse({"url": server.url(), "host": "h0", "timeout": "10m"}, "benchmark")
        with connected(there) as database:
            upgrade(database)
            yield from _growth(database)
            server.sql("TRUNCATE cronwrap.runs, cronwrap.hours, cronwrap.hosts CASCADE")
            _fill(database)
            yield from _views(database)
            yield from _pages(place, server.url())


def _growth(database: Database) -> Iterator[Row]:
    chance = random.Random(16)
    before = database.call(SIZE)[0]["size"]
    hour = time.time() // 3600 * 3600 - 3600
    states = [[True] * JOBS for _ in range(SAMPLE)]
    took = 0.0
    for minute in range(MINUTES):
        for host in range(SAMPLE):
            values = _contact(chance, states[host], host, hour, minute)
            began = time.perf_counter()
            database.call(SHIP_CALL, values)
            took += time.perf_counter() - began
    grown = database.call(SIZE)[0]["size"] - before
    gigabytes = grown * (HOSTS / SAMPLE) * 24 / 1e9
    yield Row(
        what="a fleet's day: 10,000 hosts, 100 jobs a minute, 1 % fail",
        ours=f"{gigabytes:.2f} GB",
        theirs=f"may be {GIGABYTES_A_DAY:g} GB",
        ratio=gigabytes / GIGABYTES_A_DAY,
        must=1.0,
    )
    rate = SAMPLE * MINUTES / took
    yield Row(
        what="",
        ours=f"{rate:.0f} contacts a second, one connection",
        theirs=f"{CALLS_A_SECOND:.0f} are needed",
        ratio=CALLS_A_SECOND / rate,
        must=1.0,
    )


def _contact(chance: random.Random, well: list[bool], host: int, hour: float, minute: int) -> dict[str, Any]:
    """Give what a host sends in a minute: what failed, what has changed, and once the hour that is over."""
    runs, rows = [], []
    for number in range(JOBS):
        good = chance.random() >= FAILING
        if not good:
            runs.append(_run(chance, host, number, hour + 60 * minute))
        if good != well[number] or minute == 0:
            rows.append(_job(number, hour + 60 * minute, good=good))
        well[number] = good
    hours = []
    if minute == host % MINUTES:
        ended = [
            {"job": f"job-{number:03}", "duration": chance.uniform(0.1, 9), "result": _result(chance)}
            for number in range(JOBS)
            for _ in range(MINUTES)
        ]
        hours = [batch.hour("root", hour, ended)]
    about = {
        "user_name": "root",
        "version": "0",
        "ship": "changes",
        "quiet": False,
        "waiting": 0,
        "oldest": None,
        "failed_since": None,
        "now": time.time(),
        "epoch": "e",
        "acknowledged": minute,
        "number": minute + 1,
        "jobs": JOBS,
        "failing": well.count(False),
        "running": 0,
        "next": hour + 60 * minute + 60,
        "grace": 75.0,
    }
    tables = {"about": about, "runs": runs, "outputs": [], "hours": hours, "jobs": rows}
    return {**{name: json.dumps(table) for name, table in tables.items()}, "host": f"host-{host:05}"}


def _result(chance: random.Random) -> str:
    return "ok" if chance.random() >= FAILING else "failed"


def _run(chance: random.Random, _host: int, number: int, started: float) -> dict[str, Any]:
    return {
        "run": f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(started))}-{chance.getrandbits(32):08x}",
        "user_name": "root",
        "job": f"job-{number:03}",
        "command": f"/usr/local/bin/job-{number:03} --all",
        "started": started,
        "ended": started + 3.1,
        "duration": 3.1,
        "result": "failed",
        "exit_code": 2,
        "tries": 1,
        "reasons": "exit status 2",
        "output_bytes": 1200,
        "cpu_seconds": 0.4,
        "max_rss_bytes": 20 << 20,
        "mailed": False,
        "quiet_reason": "",
        "by_hand": False,
        "fence": None,
    }


def _job(number: int, started: float, *, good: bool) -> dict[str, Any]:
    return {
        "user_name": "root",
        "job": f"job-{number:03}",
        "run": f"r{started:.0f}",
        "result": "ok" if good else "failed",
        "exit_code": 0 if good else 2,
        "signal": None,
        "started": started,
        "ended": started + 3,
        "duration": 3.1,
        "usual": 3.0,
        "results": "ok " * 10,
        "failures": int(not good),
        "failing_since": None if good else started,
        "last_success": started,
        "running": "",
        "running_since": None,
        "paused": False,
        "paused_until": None,
        "muted": False,
        "schedule": "* * * * *",
        "next": None,
        "grace": 75.0,
        "every": 60,
    }


FILL = f"""
INSERT INTO cronwrap.hosts (host, seen)
SELECT format('host-%s', h), now() FROM generate_series(1, {SEEN_HOSTS}) AS h;
INSERT INTO cronwrap.senders (host, user_name, seen, jobs, failing)
SELECT format('host-%s', h), 'root', now(), {SEEN_JOBS}, 10 FROM generate_series(1, {SEEN_HOSTS}) AS h;
INSERT INTO cronwrap.jobs (host, user_name, job, run, result, started, ended, duration, usual, failures,
    failing_since, schedule, next, grace)
SELECT format('host-%s', h), 'root', format('job-%s', j), 'r',
    CASE WHEN j % 100 = 0 THEN 'failed' ELSE 'ok' END, now() - interval '5 min', now() - interval '4 min',
    60, 60, CASE WHEN j % 100 = 0 THEN 3 ELSE 0 END,
    CASE WHEN j % 100 = 0 THEN now() - make_interval(mins => h) END,
    '*/10 * * * *', now() + make_interval(secs => CASE WHEN j % 499 = 0 THEN -500 ELSE 300 END), 75
FROM generate_series(1, {SEEN_HOSTS}) AS h, generate_series(1, {SEEN_JOBS}) AS j;
INSERT INTO cronwrap.runs (day, host, run, user_name, job, command, started, ended, duration, result, tries,
    reasons, output_bytes, mailed, by_hand, quiet_reason)
SELECT (now() AT TIME ZONE 'UTC')::date, format('host-%s', n % {SEEN_HOSTS} + 1), format('r%s', n), 'root',
    format('job-%s', n % {SEEN_JOBS} + 1), 'true', now() - make_interval(secs => n), now(), 1,
    CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'ok' END, 1, '', 0, false, false, ''
FROM generate_series(1, {SEEN_RUNS}) AS n;
ANALYZE cronwrap.jobs; ANALYZE cronwrap.runs; ANALYZE cronwrap.senders; ANALYZE cronwrap.hosts
"""


def _fill(database: Database) -> None:
    for statement in FILL.split(";\n"):
        database.transaction(lambda cursor, text=statement: cursor.execute(text))


def _views(database: Database) -> Iterator[Row]:
    asked = {
        "status --fleet, 1,000 hosts, a million jobs": lambda: (
            view.jobs(database, limit=201),
            view.counts(database),
        ),
        "status --fleet --job": lambda: view.jobs(database, job="job-7", limit=1001),
        "status --fleet --host": lambda: view.jobs(database, host="host-7", limit=1001),
        "fleet status": lambda: view.hosts(database),
        "history --fleet": lambda: view.runs(database, Asked(), limit=20),
        "history --fleet --failed": lambda: view.runs(database, Asked(failed=True), limit=20),
        "history --fleet --job": lambda: view.runs(database, Asked(job="job-7"), limit=20),
        "show --fleet RUN": lambda: view.find(database, "r777"),
    }
    yield from _timed(asked)


def _pages(place: str, url: str) -> Iterator[Row]:
    """Give what the pages take, connection, queries and HTML together, and how large the largest is."""
    config = os.path.join(place, "config.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[fleet]\nurl = "{url}"\nhost = "h0"\n')
    os.chmod(config, 0o600)
    os.environ |= {"CRONWRAP_CONFIG": config, "CRONWRAP_STATE_DIR": os.path.join(place, "state")}
    page, sizes = Page(), list[int]()

    def ask(path: str) -> None:
        answer = page.get(path)
        if answer.status != 200:
            raise Left(f"{path}: {answer.status}")
        sizes.append(len(answer.body))

    following = page.json("GET", "/api/v1/fleet/jobs?limit=1000").json()["next"]
    paths = (
        *("/fleet", "/fleet?cursor=975&column=960", "/fleet/jobs", "/fleet/jobs?state=late", "/fleet/hosts"),
        *(
            "/fleet/jobs?job=job-7",
            "/fleet/jobs?host=host-7",
            "/fleet/jobs?host=host-7&job=job-7",
            "/fleet/runs",
        ),
        following.replace("/api/v1", "").replace("limit=1000&", ""),
    )
    yield from _timed({f"page {path[:40]}": partial(ask, path) for path in paths})
    yield Row(
        what="the largest of these pages",
        ours=f"{max(sizes) / 1024:.0f} KB",
        theirs=f"may be {PAGE_KB:g} KB",
        ratio=max(sizes) / 1024 / PAGE_KB,
        must=1.0,
    )
    page.actor.close()


def _timed(asked: dict[str, Callable[[], Any]]) -> Iterator[Row]:
    for what, ask in asked.items():
        ask()  # what is loaded late is loaded once
        times = []
        for _ in range(TURNS):
            began = time.perf_counter()
            ask()
            times.append((time.perf_counter() - began) * 1000)
        median = statistics.median(times)
        yield Row(
            what=what,
            ours=f"{median:.0f} ms",
            theirs=f"may be {VIEW_MS:g} ms",
            ratio=median / VIEW_MS,
            must=1.0,
        )


if __name__ == "__main__":
    main(measure)
