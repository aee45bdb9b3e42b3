"""Root's page of a machine with two users, looked at from all three; what was seen goes out as JSON.

unshare --mount sh two_users.sh PLACE      makes the users, in a mount namespace of its own
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import sys
import time

from cronwrap.paths import state_directory
from cronwrap.web.deeds.base import Refused
from cronwrap.web.visitor import Peer
from support.past import Was, remember
from support.web import Page

USERS = {"alice": 6001, "bob": 6002}
SETUP = r"""
set -e
cd "$1"
mkdir -p lib spool alice bob
chmod 755 . ; chmod 700 alice bob
chown 6001:6001 alice; chown 6002:6002 bob
{
  cat /etc/passwd
  echo "alice:x:6001:6001::$1/alice:/bin/sh"
  echo "bob:x:6002:6002::$1/bob:/bin/sh"
} >passwd
{ cat /etc/group; echo alice:x:6001:; echo bob:x:6002:; } >group
mount --bind passwd /etc/passwd; mount --bind group /etc/group
mount --bind lib /var/lib; mkdir -p /var/spool/cron; mount --bind spool /var/spool/cron
shift
exec "$@"
"""
"""The shell's part: users, and directories of their own for what is the machine's."""


def as_user(name, work):
    """Do something as a user, in a process of its own."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            user = pwd.getpwnam(name)
            os.initgroups(name, user.pw_gid)
            os.setresgid(*[user.pw_gid] * 3)
            os.setresuid(*[user.pw_uid] * 3)
            os.environ["HOME"] = user.pw_dir
            work(state_directory({"HOME": user.pw_dir}))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def seen(page):
    """Give the jobs on a page's list."""
    return re.findall(r'<td class="name"><a href="(/jobs/[^"]*)"', page.get("/").text)


def told(actor, user, deed, arguments):
    """Give the status of a deed that is refused, 200 of one that is done."""
    try:
        asyncio.run(actor.call(user, deed, arguments))
    except Refused as refused:
        return refused.status
    return 200


def main():
    """Look at the page as each of the three."""
    for name in USERS:
        as_user(name, lambda state, name=name: remember(state, [Was(f"of-{name}", time.time() - 60)]))
    root = Page(peer=Peer(uid=0, unix=True))
    pages = {name: Page(peer=Peer(uid=uid, unix=True)) for name, uid in USERS.items()}
    first = re.compile(r'href="/runs/([\w-]+)')
    runs = {name: first.search(page.get("/runs").text)[1] for name, page in pages.items()}
    found = {
        "root sees": seen(root),
        "alice sees": seen(pages["alice"]),
        "bob sees": seen(pages["bob"]),
        "alice of bob": [
            pages["alice"].get("/jobs/bob/of-bob").status,
            pages["alice"].get(f"/runs/{runs['bob']}?user=bob").status,
            pages["alice"].get(f"/runs/{runs['bob']}").status if runs["bob"] != runs["alice"] else 404,
            pages["alice"].post("/jobs/bob/of-bob/pause").status,
            pages["alice"].get("/settings?user=bob").status,
            pages["alice"].get("/api/v1/jobs?user=bob").status,
            pages["alice"].get("/crontab/user:bob").status,
            pages["alice"].get("/crontab/system").status,
        ],
        "root pauses": root.post("/jobs/bob/of-bob/pause", {"for": "1h"}).status,
        "root stops none": root.post(f"/runs/{runs['bob']}/stop", {"user": "bob"}).status,
    }
    state = os.path.join(pwd.getpwnam("bob").pw_dir, ".local/state/cronwrap")
    with open(os.path.join(state, "audit.log"), encoding="ascii") as file:
        line = json.loads(file.readline())
    found["audit"] = [line["who"], line["user"], line["what"]]
    found["owners"] = sorted(
        {os.lstat(os.path.join(top, name)).st_uid for top, _dirs, names in os.walk(state) for name in names}
    )
    # The child of alice, asked by the page itself, for what is bob's: it cannot even be asked as another.
    child = root.actor._children["alice"].process.pid
    with open(f"/proc/{child}/status", encoding="ascii") as file:
        words = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    found["child"] = [words["Uid"].split(), words["CapEff"].strip("0"), words["CapPrm"].strip("0")]
    found["as alice for bob"] = [
        told(root.actor, "alice", "crontabs.read", {"id": "user:bob"}),
        told(root.actor, "alice", "runs.one", {"run": "00000000T000000-00000000", "user": "bob"}),
        told(root.actor, "toor", "jobs.list", {}),
    ]
    json.dump(found, sys.stdout)
    for page in (root, *pages.values()):
        page.actor.close()


if __name__ == "__main__":
    main()
