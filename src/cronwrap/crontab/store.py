"""Where crontabs are kept: files, and the user's own behind crontab(1). Reads whole, replaces whole."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from cronwrap.crontab.lines import is_system_path
from cronwrap.errors import CronwrapError
from cronwrap.trust import HANDED, read_regular
from cronwrap.whole_file import LARGEST, WholeFile

SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
"""Where Debian's cron and cronie keep the crontabs of users."""

CRONTAB_TIMEOUT = 60.0
"""Seconds for crontab(1), which may sit on a name service that does not answer."""


WRITTEN_CR = b"\\r"
"""What the crontab(1) of Debian 12 and 13 lists for a CR, and for a backslash and an r as well."""


class Store(Protocol):
    """One crontab."""

    name: str
    """For people."""
    system: bool
    """Whether it is known to have a user column."""

    def read(self) -> bytes:
        """Give the whole crontab, or raise CronwrapError."""

    def replace(self, old: bytes, new: bytes) -> None:
        """Write the whole crontab, or raise CronwrapError, also when it is no longer ``old``."""

    def installed(self) -> float | None:
        """Give when cron got it as it is (Unix time), None when that is not known."""


class File:
    """A crontab in a file."""

    def __init__(self, path: str) -> None:
        self.name = path
        # A link in /etc/cron.d stays a link: what it leads to is written.
        self.path = os.path.realpath(path)
        self.system = is_system_path(os.path.abspath(path)) or is_system_path(self.path)

    def read(self) -> bytes:
        """Give the whole file."""
        try:
            content = read_regular(self.name if self.name.startswith(HANDED) else self.path, LARGEST + 1)
        except OSError as error:
            raise CronwrapError(f"{self.name}: {error.strerror}") from None
        if len(content) > LARGEST:
            raise CronwrapError(f"{self.name} is no crontab: more than {LARGEST >> 20} MiB")
        return content

    def replace(self, old: bytes, new: bytes) -> None:
        """Put a new file in the place of the old one, which remains as ``NAME~``.

        cron sees one or the other, never a part.
        """
        try:
            with WholeFile(self.name) as file:
                file.replace(new, old)
        except OSError as error:
            raise CronwrapError(f"{self.name} cannot be written: {error.strerror}") from None

    def installed(self) -> float | None:
        """Give the file's time of change, if it is where cron looks; elsewhere it may be a copy."""
        if not self.system and os.path.dirname(self.path) not in SPOOLS:
            return None
        return _changed(self.path)


class Standard:
    """A crontab on standard input."""

    name = "-"
    system = False

    def read(self) -> bytes:
        """Give all of standard input."""
        return sys.stdin.buffer.read(LARGEST)

    def replace(self, old: bytes, new: bytes) -> None:
        """Refuse."""
        del old, new
        raise CronwrapError("standard input cannot be written in place")

    def installed(self) -> float | None:
        """Give None."""


class Own:
    """The crontab of the user, or for root of another one, by crontab(1)."""

    name = "crontab"
    system = False

    def __init__(self, user: str = "", patience: float = CRONTAB_TIMEOUT) -> None:
        self._whose = ["-u", user] if user else []
        self._patience = patience

    def read(self) -> bytes:
        """Give the whole crontab; empty when the user has none."""
        done = _crontab([*self._whose, "-l"], patience=self._patience)
        if done.returncode == 0:
            return self._raw(done.stdout) if WRITTEN_CR in done.stdout else done.stdout
        said = done.stderr.decode(errors="replace").strip()
        if "no crontab for" in said:
            return b""
        raise CronwrapError(f"crontab -l: {said or f'exit status {done.returncode}'}")

    def _raw(self, listed: bytes) -> bytes:
        """Give a crontab to the octet that may have been listed with its CRs written out.

        ``crontab -e`` hands an editor the octets themselves; the one it gets here prints them.
        """
        editor = {"VISUAL": "cat", "EDITOR": "cat"}
        try:
            done = _crontab([*self._whose, "-e"], patience=self._patience, environment=editor)
        except CronwrapError:
            return listed
        same = done.stdout.replace(b"\r", WRITTEN_CR) == listed
        return done.stdout if done.returncode == 0 and same else listed

    def replace(self, old: bytes, new: bytes) -> None:
        """Install a new crontab, which crontab(1) checks once more."""
        if self.read() != old:
            raise CronwrapError("the crontab was changed in the meantime; nothing is written, try again")
        done = _crontab([*self._whose, "-"], new)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().replace("\n", "; ")
            raise CronwrapError(f"crontab does not take it: {said or f'exit status {done.returncode}'}")

    def installed(self) -> float | None:
        """Give the time of change of the spool file, which only root and members of its group may see."""
        user = user_name()
        times = (_changed(os.path.join(spool, user)) for spool in SPOOLS)
        return next((found for found in times if found is not None), None)


def open_store(path: str | None) -> Store:
    """Give the crontab at a path, on standard input for ``-``, or the user's own for None."""
    if path is None:
        return Own()
    return Standard() if path == "-" else File(path)


def own_spool() -> str:
    """Give the path of the user's crontab in BusyBox's spool, where crontab(1) is BusyBox's; else empty."""
    program = os.path.realpath(shutil.which("crontab") or "")
    return f"/etc/crontabs/{user_name()}" if os.path.basename(program).startswith("busybox") else ""


def user_name() -> str:
    """Give the login name of the user whose rights this process has; their number if they have none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def is_user(name: str) -> bool:
    """Give whether there is a user of that name."""
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError, UnicodeError):
        return False
    return True


def find_program(name: str, path: str) -> str | None:
    """Give where a program is, None when it is nowhere; as there counts what may not be looked at."""
    if "\0" in name or "\0" in path:
        return None
    for directory in path.split(":") if "/" not in name else ("",):
        candidate = os.path.join(directory, name)
        try:
            mode = os.stat(candidate).st_mode
        except PermissionError:
            return candidate
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & 0o111:
            return candidate
    return None


def this_program() -> str | None:
    """Give the absolute path of the cronwrap that is running, None when it cannot be told."""
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) == "cronwrap" and os.access(own, os.X_OK):
        return own
    return shutil.which("cronwrap")


def _crontab(
    arguments: list[str],
    content: bytes | None = None,
    patience: float = CRONTAB_TIMEOUT,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["crontab", *arguments],
            input=content,
            stdin=subprocess.DEVNULL if content is None else None,
            capture_output=True,
            check=False,
            timeout=patience,
            env={**os.environ, "LC_ALL": "C", **environment},
        )
    except FileNotFoundError:
        raise CronwrapError("there is no crontab program here; give a FILE") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CronwrapError(f"crontab: {error}") from None


def _changed(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
