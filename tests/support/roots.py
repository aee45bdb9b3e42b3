"""Bare Debian systems in folders of their own, and what is run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from support.debian import INSTALL_LIMIT, MACHINE, SEARCH_PATH
from support.documents import PROJECT

sys.path.insert(0, os.path.join(PROJECT, "tools"))
import fresh_root  # what it knows of this machine's mirror and proxies

NEEDS = ("root", "namespaces", "mmdebstrap")
BARE = ("python3", "cron", "ca-certificates")
"""What a server has that runs jobs; everything else is what Debian cannot be without."""
ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
STAGE = """set -e
mount --make-rprivate /
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
exec chroot "$ROOT" sh -c "$SCRIPT"
"""
KEPT = "TEST_ROOTS"
"""The variable that names a directory in which bare roots are kept from one run of the tests to the next."""
RUN_LIMIT = 120.0
"""Seconds for what is run in a root."""


class Root:
    """A Debian in a folder."""

    def __init__(self, path: str, suite: str) -> None:
        self.path, self.suite = path, suite

    @classmethod
    def made(cls, path: str, suite: str, packages: tuple[str, ...] = BARE) -> Root:
        """Make one from this machine's mirror, or by a copy of one that was kept."""
        if (kept := MACHINE.get(KEPT)) and os.path.exists(bare := f"{kept}/{suite}-{'-'.join(packages)}"):
            return cls(bare, suite).copy(path)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
        done = subprocess.run(
            [*command, suite, path, fresh_root.mirror()],
            env={**MACHINE, **fresh_root.proxies(), "PATH": SEARCH_PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        root = cls(path, suite)
        root.write("/etc/hosts", "127.0.0.1 localhost\n")
        if kept:
            root.copy(bare)
        return root

    def copy(self, path: str) -> Root:
        """Give a copy of its own."""
        subprocess.run(["cp", "-a", "--reflink=auto", self.path, path], check=True)
        return Root(path, self.suite)

    def put(self, source: str, place: str, mode: int = 0o644) -> str:
        """Copy a file of this machine into it; give its path there."""
        os.makedirs(os.path.dirname(self.at(place)), exist_ok=True)
        shutil.copyfile(source, self.at(place))
        os.chmod(self.at(place), mode)
        return place

    def write(self, place: str, text: str, mode: int = 0o644) -> str:
        """Write a file in it; give its path there."""
        with open(self.at(place), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.at(place), mode)
        return place

    def at(self, place: str) -> str:
        """Give the path on this machine of what has a path in it."""
        return self.path + place

    def start(self, script: str, *, network: bool = True, **variables: str) -> subprocess.Popen[str]:
        """Start a script in it, as root, with processes of its own; they end with it."""
        namespaces = ["--mount", "--pid", "--ipc", "--fork", "--kill-child", *([] if network else ["--net"])]
        return subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", STAGE],
            env={**ENVIRONMENT, **variables, "ROOT": self.path, "SCRIPT": script},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str, *, network: bool = True, status: int = 0, **variables: str) -> str:
        """Run a script in it; give what it said. Its exit status has to be the one expected."""
        process = self.start(script, network=network, **variables)
        try:
            said, _ = process.communicate(timeout=RUN_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == status, f"{script}\n{process.returncode}\n{said[-4000:]}"
        return said

    def files(self) -> set[str]:
        """Give the paths of all that is in it, but for what dpkg and the system keep of their own work."""
        own = ("/var/lib/dpkg", "/var/log", "/var/cache", "/tmp", "/proc", "/run", "/dev")
        found = set()
        for directory, names, files in os.walk(self.path):
            here = directory.removeprefix(self.path)
            names[:] = [name for name in names if f"{here}/{name}" not in own]
            found |= {f"{here}/{name}" for name in (*names, *files)}
        return found
