"""What a test needs beyond python3, venv and make: programs of Debian's packages, and what root may do."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import subprocess

INSTALL_LIMIT = 600.0
"""Seconds for apt-get; a slow mirror is no reason to wait for ever."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCK = "/run/lock/cronwrap-tests-apt"
"""One for the machine: several workers must not run apt-get at once."""
PACKAGES = {
    "/usr/lib/*/sasl2/libplain.so": "libsasl2-modules",  # Postfix only recommends it
    "/usr/lib/dovecot/imap": "dovecot-imapd",
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "/usr/lib/systemd/systemd-journald": "systemd",
    "/usr/share/perl5/MIME/Parser.pm": "libmime-tools-perl",
    "apache2": "apache2",
    "bash": "bash",
    "chromium": "chromium",
    "cron": "cron",
    "crontab": "cron",
    "debootstrap": "debootstrap",
    "dovecot": "dovecot-core",
    "dpkg-deb": "dpkg",
    "curl": "curl",
    "fish": "fish",
    "haproxy": "haproxy",
    "lintian": "lintian",
    "lynx": "lynx",
    "man": "man-db",
    "mmdebstrap": "mmdebstrap",
    "munpack": "mpack",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "perl": "perl",
    "pgbouncer": "pgbouncer",
    "piuparts": "piuparts",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "promtool": "prometheus",
    "msmtp": "msmtp",
    "postfix": "postfix",
    "reformime": "maildrop",
    "rpm": "rpm",
    "s-nail": "s-nail",
    "saslpasswd2": "sasl2-bin",
    "setpriv": "util-linux",
    "spamassassin": "spamassassin",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
    "strace": "strace",
    "unshare": "util-linux",
    "tmux": "tmux",
    "w3m": "w3m",
    "zsh": "zsh",
}
"""The package of each program that some test needs, or of each file, by a pattern."""


MINUTES = "minutes"
"""A need, too: what is no part of `make test`."""
MACHINE = dict(os.environ)
"""The environment that the tests were started with, for what needs the network: proxies, pip's settings."""


def find(program: str) -> str | None:
    """Give the path of an installed program, those for administrators included, or of a file by a pattern."""
    if program.startswith("/"):
        return next(iter(glob.glob(program)), None)
    return shutil.which(program, path=SEARCH_PATH)


def lacking(needs: tuple[str, ...], *, install: bool) -> str:
    """Give the reason why a test cannot have what it needs, or an empty text.

    Needs are programs of PACKAGES, conditions of CONDITIONS, and MINUTES. With ``install`` what is missing is
    installed.
    """
    if unknown := {*needs} - {*PACKAGES, *CONDITIONS, MINUTES}:
        raise KeyError(*unknown)
    if MINUTES in needs and not install:
        return "this takes minutes, or a mirror: make test-system does it"
    programs = {need: PACKAGES[need] for need in needs if need in PACKAGES}
    if reason := installed(programs) if install else _not_installed(programs):
        return reason
    return next(filter(None, (CONDITIONS[need]() for need in needs if need in CONDITIONS)), "")


def _missing(programs: dict[str, str]) -> dict[str, str]:
    return {program: package for program, package in programs.items() if find(program) is None}


def _not_installed(programs: dict[str, str]) -> str:
    left = _missing(programs)
    packages = ", ".join(sorted(set(left.values())))
    return f"{', '.join(sorted(left))} not installed (Debian: {packages})" if left else ""


def installed(programs: dict[str, str]) -> str:
    """Install what is missing of programs, each with its package; give what stands in the way, or nothing."""
    if not _missing(programs):
        return ""
    names = ", ".join(sorted(_missing(programs)))
    if os.geteuid() != 0 or find("apt-get") is None:
        return f"{names} not installed, and only root can install with apt-get"
    with open(LOCK, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = sorted(set(_missing(programs).values()))
        if packages and (fault := _apt_get("install", "--no-install-recommends", *packages)):
            fault = _apt_get("update") or _apt_get("install", "--no-install-recommends", *packages)
            if fault:
                return f"apt-get could not install {names}: {fault}"
    left = _missing(programs)
    return f"{', '.join(sorted(left))} not found after their installation" if left else ""


def _apt_get(*words: str) -> str:
    environment = {"PATH": SEARCH_PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["apt-get", "-y", "-qq", *words],
        env={**MACHINE, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip().splitlines()[-1]


def _not_root() -> str:
    return "" if os.geteuid() == 0 else "only root can do this"


def _no_namespaces() -> str:
    """Tell about mount and process namespaces of one's own."""
    return _not_root() or _fault_of("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true")


def _no_user_namespaces() -> str:
    """Tell about namespaces in which an ordinary user is root."""
    return _fault_of("unshare", "--user", "--map-root-user", "--mount", "true")


def _no_tracing() -> str:
    return _fault_of("strace", "-f", "-e", "trace=mkdir", "-o", "/dev/null", "true")


def _no_crontab_that_checks() -> str:
    """Tell about ``crontab -n``, which checks a file and does not install it: cronie's, and Debian's."""
    try:
        done = subprocess.run(["crontab", "-h"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "crontab not installed (Debian: cron)"
    return "" if "-n" in done.stderr else "the crontab(1) of this machine cannot check a file"


def _fault_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{command[0]} not installed (Debian: {PACKAGES[command[0]]})"
    return done.stderr.strip() if done.returncode else ""


CONDITIONS = {
    "root": _not_root,
    "crontab -n": _no_crontab_that_checks,
    "namespaces": _no_namespaces,
    "user namespaces": _no_user_namespaces,
    "tracing": _no_tracing,
}
"""What a test may need of the machine: each gives the reason why it is not to be had."""
