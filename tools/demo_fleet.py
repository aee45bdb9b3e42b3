"""Three hosts of a fleet on a throw-away PostgreSQL, one of them dying, with the page open beside it.

Nothing of it outlives the script: server, hosts and mails are in a temporary place. Needs PostgreSQL, and
root. At a terminal it waits for Enter between its steps, and at the end until Ctrl-C; elsewhere it does not.
"""

# ruff: noqa: INP001, S103, S311 -- a script beside the package; what it makes is thrown away

from __future__ import annotations

import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from support.cli import Cli
from support.past import Was, remember
from support.pki import Authority
from support.postgres import Postgres

HOSTS = ("web1", "web2", "db1")
DYING = "db1"
RULE = "─" * 78
PAST = 20
"""Runs of each job that each host has had."""
EVERYWHERE = (
    ("backup", "0 3 * * *", 86400, 620.0),
    ("certbot-renew", "17 */12 * * *", 43200, 3.0),
    ("logrotate", "25 6 * * *", 86400, 1.2),
    ("report", "0 7 * * *", 86400, 8.0),
)
"""Name, schedule, seconds from one to the next, and how long it usually takes."""
JOBS = {
    "web1": (*EVERYWHERE, ("thumbnails", "*/15 * * * *", 900, 40.0), ("sitemap", "50 * * * *", 3600, 4.0)),
    "web2": (*EVERYWHERE, ("thumbnails", "*/15 * * * *", 900, 44.0), ("sitemap", "50 * * * *", 3600, 4.2)),
    "db1": (
        *EVERYWHERE,
        ("vacuum-db", "15 2 * * *", 86400, 300.0),
        ("dump-orders", "*/30 * * * *", 1800, 25.0),
    ),
}
CRONTAB = """#!/bin/sh
# Stands in for crontab(1) on a host of the demonstration.
cat '{table}'
"""


def say(text: str) -> None:
    """Print what comes next."""
    print(f"\n{RULE}\n{text}\n{RULE}", flush=True)


def pause(words: str = "Look at the page, then press Enter.") -> None:
    """Wait for whoever watches."""
    if sys.stdin.isatty():
        input(f"\n{words} ")


def shown(host: Cli, *words: str) -> None:
    """Run cronwrap on a host, and print it with what it says."""
    print(f"{os.path.basename(host.directory)}$ cronwrap {' '.join(words)}")
    done = host(*words)
    print((done.stdout + done.stderr).rstrip(), flush=True)


def a_host(place: str, name: str, url: str) -> Cli:
    """Make a host with a crontab and a past."""
    directory = os.path.join(place, name)
    programs = os.path.join(directory, "bin")
    os.makedirs(programs)
    table = os.path.join(directory, "crontab")
    with open(table, "w", encoding="utf-8") as file:
        file.writelines(f"{schedule} cronwrap --name {job} -- {job}\n" for job, schedule, *_ in JOBS[name])
    with open(os.path.join(programs, "crontab"), "w", encoding="utf-8") as file:
        file.write(CRONTAB.format(table=table))
    os.chmod(os.path.join(programs, "crontab"), 0o755)
    host = Cli(directory, {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"})
    host.write_config(f'mailto = "you@example.test"\n[fleet]\nurl = "{url}"\nhost = "{name}"\n')
    now = time.time()
    past = [
        Was(job, begun, took=max(0.1, random.gauss(usual, usual / 8)))
        for job, _schedule, every, usual in JOBS[name]
        for begun in (now - 100 - every * (number + random.random() / 20) for number in range(1, PAST + 1))
    ]
    for was in past[:: 37 + len(name)]:
        vars(was).update(result="failed", exit_code=1, took=0.4, reasons=("exit status 1",))
    remember(host.state, past)
    return host


def demonstrate(server: Postgres, place: str) -> int:
    """Play it; give the exit status."""
    random.seed(7)
    hosts = {name: a_host(place, name, server.url()) for name in HOSTS}
    web1, web2, db1 = (hosts[name] for name in HOSTS)
    say("The schema is made, and a host let in")
    shown(web1, "fleet", "init", "--host", "web1")
    say("Each host runs its jobs, and sends what became of them")
    for name, host in hosts.items():
        words = f"echo saving /srv of {name}; " + "echo no space left on /mnt >&2; exit 2" * (name == "web2")
        host("-n", "backup", "--", "sh", "-c", words)
        host("-n", "logrotate", "--", "true")
    page = web1.start("web", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert page.stdout is not None  # noqa: S101  # it was asked for
    address = page.stdout.readline().decode().split()[-1]
    shown(web1, "fleet", "status")
    shown(web1, "status", "--fleet")
    print(f"\nThe page of web1, which may see the fleet: {address}\nIts part of it is /fleet.", flush=True)
    pause()
    say("One job stands in three crontabs: with --once one host runs it")
    words = ("--once", "-n", "report", "--", "sh", "-c", "echo the report")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [host.start(*words, **quiet) for host in hosts.values()]
    for name, process in zip(HOSTS, running, strict=True):
        print(f"{name}: exit status {process.wait(60)}")
    shown(web1, "history", "--fleet", "--job", "report", "-n", "3")
    pause()
    say(f"{DYING} dies, a minute before its next job (the clock of the database is turned for that)")
    server.sql(
        "UPDATE cronwrap.hosts SET seen = now() - interval '3 min', back = NULL WHERE host = 'db1';"
        "UPDATE cronwrap.senders SET next = now() - interval '80 s', grace = 75 WHERE host = 'db1';"
        "DELETE FROM cronwrap.ticks"
    )
    web1("-n", "logrotate", "--", "true")
    shown(web1, "fleet", "status")
    told(web1)
    pause("On the page db1 has gone silent. Look at it, then press Enter.")
    say(f"{DYING} is back, and web2 tells it: whoever comes first in a minute looks")
    db1("-n", "backup", "--", "true")
    server.sql("DELETE FROM cronwrap.ticks")
    web2("-n", "logrotate", "--", "true")
    told(web2)
    shown(web1, "status", "--fleet", "-n", "5")
    if sys.stdin.isatty():
        print(f"\nThe page is open still: {address}\nCtrl-C ends it, and nothing of it remains.", flush=True)
        wait_for_interrupt(page)
    page.terminate()
    page.wait()
    for host in hosts.values():
        host.close()
    return 0


def wait_for_interrupt(page: subprocess.Popen[bytes]) -> None:
    """Wait until whoever watches has seen enough."""
    try:
        page.wait()
    except KeyboardInterrupt:
        return


def told(host: Cli) -> None:
    """Print the mail about another host that this one has stored last."""
    mails = [json.loads(line) for line in host("outbox", "list", "--json").stdout.splitlines()]
    about = [mail for mail in mails if mail["id"].startswith(("silent-", "heard-"))]
    if about:
        shown(host, "outbox", "show", about[-1]["id"])


def main() -> int:
    """Show the fleet; 0 where there is no PostgreSQL to show it on."""
    if os.geteuid() or not glob.glob("/usr/lib/postgresql/*/bin/postgres"):
        print("This needs root, and PostgreSQL: apt-get install postgresql. Nothing was done.")
        return 0
    with tempfile.TemporaryDirectory(prefix="cronwrap-demo-") as place, Postgres(Authority(place)) as server:
        return demonstrate(server, place)


if __name__ == "__main__":
    sys.exit(main())
