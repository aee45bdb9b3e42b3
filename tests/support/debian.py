"""Programs that a system test needs, installed from Debian's packages where that is possible."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import subprocess

INSTALL_LIMIT = 600.0
"""Seconds for apt-get; a slow mirror is no reason to wait for ever."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCK = "/var/lock/cronwrap-tests-apt"
"""One for the machine: several workers must not run apt-get at once."""


def find(program: str) -> str | None:
    """Give the path of an installed program, those for administrators included, or of a file by a pattern."""
    if program.startswith("/"):
        return next(iter(glob.glob(program)), None)
    return shutil.which(program, path=SEARCH_PATH)


def missing(programs: dict[str, str]) -> dict[str, str]:
    """Give those of ``{program: package}`` that are not installed."""
    return {program: package for program, package in programs.items() if find(program) is None}


def install(programs: dict[str, str]) -> str:
    """Install what is missing; give the reason when that cannot be done, else an empty string."""
    if not missing(programs):
        return ""
    names = ", ".join(sorted(missing(programs)))
    if os.geteuid() != 0 or find("apt-get") is None:
        return f"{names} not installed, and only root can install with apt-get"
    with open(LOCK, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = sorted(set(missing(programs).values()))
        if packages and (fault := _apt_get("install", "--no-install-recommends", *packages)):
            fault = _apt_get("update") or _apt_get("install", "--no-install-recommends", *packages)
            if fault:
                return f"apt-get could not install {names}: {fault}"
    left = missing(programs)
    return f"{', '.join(sorted(left))} not found after their installation" if left else ""


def _apt_get(*words: str) -> str:
    environment = {"PATH": SEARCH_PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["apt-get", "-y", "-qq", *words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip().splitlines()[-1]


def cannot_unshare() -> str:
    """Give the reason why there are no private mount and process namespaces; empty when there are."""
    if os.geteuid() != 0 or find("unshare") is None:
        return "private namespaces need root and unshare(1)"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()
