"""Keeps tests away from the real home and state directories, and on the loopback.

An audit hook (PEP 578) sees what a test's own process does. What its child processes do to the
directories shows in the directories themselves.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import sys

SYSTEM_DIRECTORIES = ("/etc/cronwrap", "/var/lib/cronwrap")
HOME_DIRECTORIES = (".config/cronwrap", ".local/state/cronwrap")
PATH_EVENTS = frozenset(
    {"open", "os.mkdir", "os.remove", "os.rename", "os.listdir", "os.scandir", "sqlite3.connect"}
)
ADDRESS_EVENTS = frozenset({"socket.connect", "socket.sendto"})


def real_directories() -> tuple[str, ...]:
    """Give the directories that an installed cronwrap of this user would use."""
    homes = {os.environ.get("HOME", "/")}
    with contextlib.suppress(KeyError):  # a container's user may have no name and no home
        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    at_home = [os.path.join(home, name) for home in sorted(homes) for name in HOME_DIRECTORIES]
    return (*SYSTEM_DIRECTORIES, *at_home)


class TrespassError(AssertionError):
    """A test left its ground."""


class Guard:
    """Collects what a test does that it must not; raises at once as well."""

    def __init__(self, directories: tuple[str, ...]) -> None:
        self.directories = directories
        self.absent = [path for path in directories if not os.path.lexists(path)]
        """Those that are there already belong to somebody who uses cronwrap on this machine."""
        self.trespasses: list[str] = []
        self.active = False

    def install(self) -> None:
        """Watch from now on; an audit hook cannot be taken away again."""
        self.active = True
        sys.addaudithook(self._hook)

    def settle(self) -> list[str]:
        """Give what was seen since the last call."""
        made = [f"made {path}" for path in self.absent if os.path.lexists(path)]
        self.absent = [path for path in self.absent if not os.path.lexists(path)]
        seen, self.trespasses = self.trespasses + made, []
        return seen

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in PATH_EVENTS:
            self._check_path(event, arguments[0])
        elif event in ADDRESS_EVENTS:
            self._check_address(event, arguments[1])

    def _check_path(self, event: str, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if self.active and name.startswith(self.directories):
            self._report(f"{event} {name}")

    def _check_address(self, event: str, address: object) -> None:
        if not self.active or not isinstance(address, tuple):
            return
        host = address[0]
        try:
            inside = ipaddress.ip_address(host).is_loopback
        except ValueError:
            inside = host in {"localhost", ""}
        if not inside:
            self._report(f"{event} {address}")

    def _report(self, what: str) -> None:
        self.trespasses.append(what)
        raise TrespassError(what)
