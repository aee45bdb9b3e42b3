"""Debian's cron daemon in mount and process namespaces of its own.

It finds the test's tables in place of the machine's, and a recorder in place of sendmail(8); the
machine's cron, its tables and its mail are not touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import Self

from support.debian import SEARCH_PATH, find

NEEDS = ("cron", "unshare", "namespaces")
SENDMAIL = "/usr/sbin/sendmail"

STAGE = """set -e
mount --make-rprivate /
mount --bind {root}/spool /var/spool/cron/crontabs
mount --bind {root}/crontab /etc/crontab
mount --bind {root}/cron.d /etc/cron.d
mount -t tmpfs tmpfs /run
[ ! -e {sendmail} ] || mount --bind {root}/sendmail $(readlink -f {sendmail})
exec {cron} -f
"""
"""/run is covered for the sake of the daemon's pid file, which allows one daemon only."""

RECORDER = """#!/bin/sh
exec cat >>{root}/mailed-by-cron
"""


class Crond:
    """A cron daemon that runs while it is entered as a context."""

    def __init__(self, directory: str) -> None:
        self.root = directory
        for name in ("spool", "cron.d"):
            os.mkdir(os.path.join(directory, name), 0o755)
        self._write("crontab", "", 0o644)
        self._write("sendmail", RECORDER.format(root=shlex.quote(directory)), 0o755)
        self._process: subprocess.Popen[bytes] | None = None

    def user_table(self, user: str, text: str) -> None:
        """Install a user's table, before the daemon starts."""
        path = self._write(f"spool/{user}", text, 0o600)
        shutil.chown(path, user)

    def system_table(self, name: str, text: str) -> None:
        """Install a table with a user column below /etc/cron.d; cron skips names with a dot (cron(8))."""
        self._write(f"cron.d/{name}", text, 0o644)

    def mailed(self) -> str:
        """Give what the daemon itself handed to sendmail."""
        path = os.path.join(self.root, "mailed-by-cron")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def __enter__(self) -> Self:
        stage = STAGE.format(root=shlex.quote(self.root), sendmail=SENDMAIL, cron=find("cron"))
        namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self._process = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", stage], env={"PATH": SEARCH_PATH}, stdin=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        # --kill-child: with unshare(1) the daemon goes, and with it, being process 1, all its jobs.
        self._process.kill()
        self._process.wait()

    def runs(self) -> bool:
        """Tell whether the daemon is still there."""
        return self._process.poll() is None

    def _write(self, name: str, text: str, mode: int) -> str:
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path
