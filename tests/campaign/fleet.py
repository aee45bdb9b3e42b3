"""The fleet's promises under kills and restarts: what is sent is there once and in order, and one host runs.

    make campaign-fleet                          about 400 kills and 6,000 ticks, some minutes
    make campaign-fleet ARGS="--kills 1000 --ticks 10000"
    make campaign-fleet ARGS="--kills 0 --ticks 10000"      ticks alone

Each shipper and each host is a process of its own, killed wherever it is; the server is stopped, or killed as
a power cut would, and started again, in between. Nothing is drawn that the seed does not give.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from multiprocessing.managers import DictProxy
from types import SimpleNamespace
from typing import Any

from cronwrap.crontab import named
from cronwrap.errors import CronwrapError
from cronwrap.fleet.database import connected
from cronwrap.fleet.keeper import CLAIM
from cronwrap.fleet.migrations import upgrade
from cronwrap.fleet.ship import ship
from cronwrap.history.run import COLUMNS
from cronwrap.pipeline.shared import crontabs_minute
from cronwrap.settings import fleet
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import load
from support.cli import Cli
from support.pki import Authority
from support.postgres import Postgres, pooled

SEED = 4711
BETWEEN = 12
"""Runs that end between two kills."""
HOSTS = 16
SKEW = 25.0
"""Seconds by which a host's clock is ahead, or behind."""
SLOW = 55.0
"""Seconds after its time in which a host's cron may start a job."""
OF_A_JOB = 1000
"""Ticks of a job, a minute each: who claims one that is longer ago than a day is refused."""
FORK = multiprocessing.get_context("fork")


def main() -> int:
    """Do both, and print a table; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--ticks", type=int, default=3000, help="of each way to the server")
    asked = parser.parse_args()
    broken = 0
    with tempfile.TemporaryDirectory() as place, Postgres(Authority(place), fsync=True) as server:
        broken += _shipping(server, os.path.join(place, "host"), asked.kills)
        broken += _once("direct", server, server.url(), asked.ticks)
        with pooled(server) as url:
            broken += _once("PgBouncer", server, url, asked.ticks)
    return int(broken > 0)


def _there(url: str, host: str) -> Fleet:
    return fleet.parse({"url": url, "host": host, "timeout": "20s", "watch": False}, "campaign")


# Shipping ---------------------------------------------------------------------------------------


def _shipping(server: Postgres, place: str, kills: int) -> int:
    chance = random.Random(SEED)
    os.mkdir(place)
    host = Cli(place)
    there = _there(server.url(), "web1")
    with connected(there) as database:
        upgrade(database)
    host("--quiet", "-n", "first", "--", "true")
    host("history")
    settings = load({}, {**os.environ, **host.env})
    patience, number, gaps, attempts, found = 0.5, 0, 0, 0, Counter[str]()
    while found["killed"] < kills:
        number = _more(host.state, number)
        attempts += 1
        if attempts % 25 == 0:
            how = ("killed", "stopped")[attempts % 50 == 0]
            server.kill() if how == "killed" else server.stop()
            server.start()
            found[f"servers {how}"] += 1
        child = FORK.Process(target=_ship, args=(settings, there))
        began = time.monotonic()
        child.start()
        child.join(chance.uniform(0, patience))
        if child.is_alive() and child.pid:
            os.kill(child.pid, signal.SIGKILL)
            found["killed"] += 1
        else:
            patience = max(0.03, 0.9 * patience + 0.1 * 2 * (time.monotonic() - began))
            found["came to its end"] += 1
        child.join()
        gaps += not _in_order(server, host.state)
    ship(settings, there)
    known = _arrivals(host.state)
    rows = [run for (run,) in server.sql("SELECT run FROM cronwrap.runs")]
    found["lost"], found["doubled"] = len(set(known) - set(rows)), len(rows) - len(set(rows))
    found["out of order"] = gaps
    print(f"shipping: {len(known)} runs; " + ", ".join(f"{name} {count}" for name, count in found.items()))
    host.close()
    return found["lost"] + found["doubled"] + found["out of order"]


def _ship(settings: Any, there: Fleet) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    ship(settings, there)


def _more(state: str, number: int) -> int:
    """Have some more runs arrive in the history, as a fold would."""
    with sqlite3.connect(os.path.join(state, "history.db"), timeout=30) as database:
        columns = ", ".join(f'"{name}"' for name in COLUMNS if name != "run")
        for _ in range(BETWEEN):
            number += 1
            database.execute(
                f"INSERT INTO runs (run, arrival, {columns}) SELECT ?, (SELECT arrivals + 1 FROM shipping),"
                f" {columns} FROM runs LIMIT 1",
                (f"run-{number:06}",),
            )
            database.execute("UPDATE shipping SET arrivals = arrivals + 1")
    database.close()
    return number


def _arrivals(state: str) -> list[str]:
    database = sqlite3.connect(os.path.join(state, "history.db"), timeout=30)
    found = [run for (run,) in database.execute("SELECT run FROM runs WHERE arrival > 0 ORDER BY arrival")]
    database.close()
    return found


def _in_order(server: Postgres, state: str) -> bool:
    """Tell whether what is there is the beginning of what has arrived, without a gap."""
    there = {run for (run,) in server.sql("SELECT run FROM cronwrap.runs")}
    return there == set(_arrivals(state)[: len(there)])


# Once -------------------------------------------------------------------------------------------


def _once(way: str, server: Postgres, url: str, ticks: int) -> int:
    server.sql("DELETE FROM cronwrap.ticks")
    begin = time.time() // 60 * 60 - OF_A_JOB * 60.0
    with FORK.Manager() as manager:
        results = manager.dict()
        hosts = [
            FORK.Process(target=_claim_all, args=(_there(url, f"web{number}"), number, begin, ticks, results))
            for number in range(HOSTS)
        ]
        began = time.monotonic()
        for host in hosts:
            host.start()
        restarts = 0
        while any(host.is_alive() for host in hosts):
            hosts[0].join(4)
            if restarts < 4 and hosts[0].is_alive():
                if restarts % 2:
                    server.kill()
                else:
                    server.stop()
                time.sleep(1)
                server.start()
                restarts += 1
        took = time.monotonic() - began
        won = Counter(tick for one in results.values() for tick in one["won"])
        unanswered = sum(one["failed"] for one in results.values())
        gone = {tick for one in results.values() for tick in one["lost"]}
        dead = HOSTS - len(results)
    doubles = sum(count > 1 for count in won.values())
    nobody = ticks - len(won)
    print(
        f"once, {way}: {HOSTS} hosts, {ticks} ticks, {restarts} restarts, {took:.0f} s: {doubles} doubles;"
        f" {unanswered} claims without an answer (--unreachable decides them);"
        f" {nobody} ticks that no host was told to have won, {len(gone)} whose answer a restart took"
    )
    return doubles + dead


def _claim_all(
    there: Fleet, number: int, begin: float, ticks: int, results: DictProxy[int, dict[str, Any]]
) -> None:
    """Claim each minute as a host whose clock is off by some seconds, and whose cron is slow now and then.

    By its own clock it starts the job at the crontab's time or somewhat later; by the others' it is early, or
    late. A second of the faked clock is a fraction of a millisecond here.
    """
    chance = random.Random(number)
    skew = chance.uniform(-SKEW, SKEW)
    job = named.jobs_at(named.OWN, "* * * * * cronwrap --once -n report -- true\n")[0]
    named.jobs_of = lambda _user: ([SimpleNamespace(job=job, names=("report",))], "")
    won, lost, failed = [], [], 0
    opened = None
    for tick in range(ticks):
        slow = chance.choice((0.0, 1.0, chance.uniform(0, SLOW)))
        time.sleep(max(0.0, (SKEW - skew + slow) / 25000))
        starts = SimpleNamespace(user="root", job="report", started=begin + tick % OF_A_JOB * 60 + slow)
        values = {"host": there.host, "job": f"report-{tick // OF_A_JOB}", "user": "root"}
        values |= {"minute": crontabs_minute(starts), "run": f"{there.host}-{tick}"}
        try:
            if opened is None:
                opened = connected(there)
                database = opened.__enter__()
            answer = database.call(CLAIM, values)[0]
        except CronwrapError:
            failed += 1
            lost.append(tick)
            opened = None
            time.sleep(0.2)
            continue
        if (answer["host"], answer["run"]) == (there.host, values["run"]):
            won.append(tick)
    results[number] = {"won": won, "failed": failed, "lost": lost}


if __name__ == "__main__":
    print(json.dumps({"seed": SEED}))
    raise SystemExit(main())
