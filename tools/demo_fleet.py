"""Three hosts of a fleet on a throw-away PostgreSQL, one of them dying, and what the others make of it.

Nothing of it outlives the script: server, hosts and mails are in a temporary place. Needs PostgreSQL.
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import tempfile

from support.cli import Cli
from support.pki import Authority
from support.postgres import Postgres

HOSTS = ("web1", "web2", "db1")
DYING = "db1"
RULE = "─" * 78


def say(text: str) -> None:
    """Print what comes next."""
    print(f"\n{RULE}\n{text}\n{RULE}", flush=True)


def shown(host: Cli, *words: str) -> None:
    """Run cronwrap on a host, and print it with what it says."""
    print(f"{os.path.basename(host.directory)}$ cronwrap {' '.join(words)}")
    done = host(*words)
    print((done.stdout + done.stderr).rstrip(), flush=True)


def demonstrate(server: Postgres, place: str) -> int:
    """Play it; give the exit status."""
    hosts = {}
    for name in HOSTS:
        os.mkdir(os.path.join(place, name))
        hosts[name] = Cli(os.path.join(place, name))
        hosts[name].write_config(
            f'mailto = "you@example.test"\n[fleet]\nurl = "{server.url()}"\nhost = "{name}"\n'
        )
    web1, web2, db1 = (hosts[name] for name in HOSTS)
    say("The schema is made, and a host let in")
    shown(web1, "fleet", "init", "--host", "web1")
    say("Each host runs its jobs, and sends what became of them")
    for name, host in hosts.items():
        host("-n", "backup", "--", "sh", "-c", f"echo saving {name}; exit {int(name == 'web2')}")
        host("-n", "cleanup", "--", "true")
    shown(web1, "fleet", "status")
    shown(web1, "status", "--fleet")
    say("One job stands in three crontabs: with --once one host runs it")
    words = ("--once", "-n", "report", "--", "sh", "-c", "echo the report")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [host.start(*words, **quiet) for host in hosts.values()]
    for name, process in zip(HOSTS, running, strict=True):
        print(f"{name}: exit status {process.wait(60)}")
    shown(web1, "history", "--fleet", "--job", "report")
    say(f"{DYING} dies, a minute before its next job (the clock of the database is turned for that)")
    server.sql(
        "UPDATE cronwrap.hosts SET seen = now() - interval '3 min', back = NULL WHERE host = 'db1';"
        "UPDATE cronwrap.senders SET next = now() - interval '80 s', grace = 75 WHERE host = 'db1';"
        "DELETE FROM cronwrap.ticks"
    )
    web1("-n", "cleanup", "--", "true")
    shown(web1, "fleet", "status")
    told(web1)
    say(f"{DYING} is back, and web2 tells it: whoever comes first in a minute looks")
    db1("-n", "backup", "--", "true")
    server.sql("DELETE FROM cronwrap.ticks")
    web2("-n", "cleanup", "--", "true")
    told(web2)
    shown(web1, "status", "--fleet")
    for host in hosts.values():
        host.close()
    return 0


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
