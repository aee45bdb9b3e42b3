"""Root's page changes the crontabs of users: the real crontab(1), in processes that have become them."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import socket
import subprocess
from urllib.parse import urlencode

import pytest

from support.cli import CRONWRAP
from support.debian import SEARCH_PATH

USERS = {"cwalice": 4811, "cwbob": 4812}
STAGE = """set -e
mount --make-rprivate /
mount --bind {root}/passwd /etc/passwd
mount --bind {root}/spool /var/spool/cron/crontabs
mount -t tmpfs -o mode=755 tmpfs /var/lib
exec {cronwrap} web --socket {root}/web.sock
"""
TABLE = b"# Gr\xfc\xdfe\r\nMAILTO=x@b.example\n0 3 * * * tool\n"


class Host:
    """A host with two users of its own, seen by nobody else, and root's page on it."""

    def __init__(self, root: str) -> None:
        self.root = root
        group = int(
            subprocess.run(["stat", "-c", "%g", "/usr/bin/crontab"], capture_output=True, check=True).stdout
        )
        os.mkdir(f"{root}/spool")
        os.chown(f"{root}/spool", 0, group)
        os.chmod(f"{root}/spool", 0o1730)
        with open("/etc/passwd", encoding="utf-8") as file:
            known = file.read()
        for name, uid in USERS.items():
            os.mkdir(f"{root}/{name}", 0o700)
            os.chown(f"{root}/{name}", uid, uid)
            known += f"{name}:x:{uid}:{uid}::{root}/{name}:/bin/sh\n"
        with open(f"{root}/passwd", "w", encoding="utf-8") as file:
            file.write(known)

    def __enter__(self):
        stage = STAGE.format(root=shlex.quote(self.root), cronwrap=shlex.quote(CRONWRAP))
        self.page = subprocess.Popen(
            ["unshare", "--mount", "--kill-child", "--fork", "sh", "-c", stage],
            env={"PATH": SEARCH_PATH, "HOME": "/root", "LANG": "C.UTF-8"},
            stdout=subprocess.PIPE,
        )
        assert self.page.stdout.readline()
        return self

    def __exit__(self, *_exception):
        self.page.kill()
        self.page.wait()
        self.page.stdout.close()

    def run(self, *words, stdin=b""):
        """Run a program of root's on this host."""
        with open(f"/proc/{self.page.pid}/task/{self.page.pid}/children", encoding="ascii") as file:
            inside = file.read().split()[0]
        words = ["nsenter", "-t", inside, "-m", *words]
        return subprocess.run(words, input=stdin, capture_output=True, check=True).stdout

    def crontab(self, user):
        """Give a user's crontab as it lies in the spool, behind Debian's three lines."""
        with open(f"{self.root}/spool/{user}", "rb") as file:
            return file.read().split(b"\n", 3)[3]

    def ask(self, method, address, fields=None):
        """Ask the page; give status and text."""
        body = urlencode(fields).encode() if fields else b""
        kind = "Content-Type: application/x-www-form-urlencoded\r\n" if fields else ""
        head = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{self.root}/web.sock")
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while octets := connection.recv(65_536):
                answer += octets
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


@pytest.fixture
def host(needs, place):
    needs("root", "cron", "crontab", "unshare", "namespaces")
    with Host(place) as running:
        yield running


def hidden(text, name):
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', text)[1])


def field(text):
    return html.unescape(re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", text, re.DOTALL)[1]).replace(
        "\n", "\r\n"
    )


def test_root_changes_a_users_crontab_as_that_user_and_brings_it_back(host):
    for name in USERS:
        host.run("crontab", "-u", name, "-", stdin=TABLE)
    assert re.findall('href="/crontab/(user:cw[^"]+)"', host.ask("GET", "/crontab")[1]) == [
        "user:cwalice",
        "user:cwbob",
    ]
    address = "/crontab/user:cwalice"
    _, form = host.ask("GET", f"{address}/edit")
    fields = {name: hidden(form, name) for name in ("token", "etag")}
    status, text = host.ask(
        "POST", f"{address}/difference", {**fields, "form": field(form).replace("tool", "other")}
    )
    assert status == 200, text
    fields |= {name: hidden(text, name) for name in ("text", "what")}
    status, text = host.ask("POST", f"{address}/save", fields)
    assert status == 303, text
    assert host.crontab("cwalice") == TABLE.replace(b"tool", b"other")
    assert host.crontab("cwbob") == TABLE

    host.run("crontab", "-u", "cwalice", "-", stdin=b"# by hand\n")  # as crontab -e
    status, text = host.ask("POST", f"{address}/save", fields)
    assert status == 412, text
    assert host.crontab("cwalice") == b"# by hand\n"

    _, text = host.ask("GET", f"{address}/states")
    oldest = re.findall(r'href="(/crontab/[^"]*/states/[^"]+)"', text)[-1]
    _, text = host.ask("GET", oldest)
    fields = {name: hidden(text, name) for name in ("token", "etag", "state")}
    status, text = host.ask("POST", f"{address}/restore", fields)
    assert status == 303, text
    assert host.crontab("cwalice") == TABLE

    state = f"{host.root}/cwalice/.local/state/cronwrap"
    with open(f"{state}/audit.log", encoding="ascii") as file:
        lines = [json.loads(line) for line in file]
    assert [(line["who"], line["user"]) for line in lines] == [("root", "cwalice")] * 3
    assert {os.stat(f"{state}/{name}").st_uid for name in ("audit.log", "crontabs")} == {USERS["cwalice"]}
    assert not os.path.exists(f"{host.root}/cwbob/.local/state/cronwrap/audit.log")


def test_what_debians_crontab_refuses_is_said_and_leaves_the_old_one(host):
    host.run("crontab", "-u", "cwbob", "-", stdin=TABLE)
    address = "/crontab/user:cwbob"
    _, form = host.ask("GET", f"{address}/edit")
    fields = {name: hidden(form, name) for name in ("token", "etag")}
    _, text = host.ask("POST", f"{address}/difference", {**fields, "form": field(form) + "0 25 * * * x\r\n"})
    assert "hour 25 is out of range" in text
    status, text = host.ask("POST", f"{address}/save", {**fields, "text": hidden(text, "text")})
    assert status == 422, text
    assert "bad hour" in text
    assert host.crontab("cwbob") == TABLE


def test_a_job_of_a_user_is_tried_as_that_user(host):
    # The tests' own cronwrap may lie where nobody else can read it.
    os.mkdir(f"{host.root}/bin")
    with open(f"{host.root}/bin/cronwrap", "w", encoding="ascii") as file:
        file.write('#!/bin/sh\nexec sh -c "$2"\n')
        os.fchmod(file.fileno(), 0o755)
    host.run("crontab", "-u", "cwbob", "-", stdin=f"PATH={host.root}/bin:/usr/bin:/bin\n".encode())
    _, form = host.ask("GET", "/crontab/user:cwbob/add")
    fields = {"token": hidden(form, "token"), "when": "start", "wrapped": "yes", "do": "try"}
    command = "id -u; pwd; id -G; umask; cat; echo $LOGNAME"
    status, text = host.ask("POST", "/crontab/user:cwbob/add", {**fields, "command": command})
    assert status == 200, text
    uid = USERS["cwbob"]
    assert f"{uid}\n{host.root}/cwbob\n{uid}\n0022\ncwbob" in html.unescape(text), text
