"""For root: other users' crontabs, and what concerns a user, found out by a process that became them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NoReturn

from cronwrap import forked
from cronwrap.crontab.named import NamedJob, jobs_of, system_users
from cronwrap.crontab.store import SPOOLS
from cronwrap.crontab.surroundings import PATH, Account, pam_environment
from cronwrap.model import Record
from cronwrap.setup.check import Check
from cronwrap.state import forget

READ_LIMIT = 60.0
"""Seconds for reading all crontabs: crontab(1) may sit on a name service that does not answer."""
USER_LIMIT = 120.0
"""Seconds for one user: a relay that does not answer takes most of that."""
ALL_LIMIT = 600.0
"""Seconds for all: somebody sits in front of it."""
LINE_LIMIT = 1 << 16
"""Octets of one step that a child tells; steps have hundreds."""
MOST_TOLD = 1000
"""Steps that are taken from one child."""
DESCRIPTORS = 65_536
"""Above what is open here, and is not for a user's process."""


class Theirs(Record):
    """Another user's jobs."""

    name: str
    jobs: tuple[NamedJob, ...] = ()
    fault: str = ""
    """Why they cannot be told, or an empty text."""
    account: Account | None = None
    """None where there is no such user."""
    spool: bool = False
    """Whether the user has a crontab of their own."""

    @property
    def wrapped(self) -> bool:
        """Tell whether any of the jobs is wrapped."""
        return any(one.wrapped for one in self.jobs)


def others(own: str, secrets: Sequence[str]) -> list[Theirs]:
    """Give the jobs of every other user who has a crontab, or is named in one of the system's."""
    spools = _with_spool()
    deadline = time.monotonic() + READ_LIMIT
    names = sorted((spools | system_users()) - {own})
    return [_theirs(name, secrets, deadline).replace(spool=name in spools) for name in names]


def _with_spool() -> set[str]:
    found: set[str] = set()
    for spool in SPOOLS:
        try:
            with os.scandir(spool) as entries:
                found |= {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        except OSError:
            continue
    # What crontab(1) writes before it puts it in its place, and locks.
    return {name for name in found if not name.startswith((".", "tmp.", "cron."))}


def _theirs(name: str, secrets: Sequence[str], deadline: float) -> Theirs:
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return Theirs(name=name, fault="there is no such user, so cron runs none of these jobs")
    account = Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir)
    left = deadline - time.monotonic()
    if left <= 0:
        return Theirs(name=name, fault="not looked at: to read the crontabs took too long", account=account)
    found, fault = jobs_of(name, secrets, other=True, patience=left)
    return Theirs(name=name, jobs=tuple(found), fault=fault, account=account)


# A process that has become somebody ------------------------------------------------------------------


def as_user(
    account: Account, work: Callable[[], Iterator[Check]], limit: float = USER_LIMIT
) -> Iterator[Check]:
    """Give the steps that ``work`` gives in a process with a user's rights, as they come.

    It ends with what was got so far, and says so, when the time is over. For a process of one thread.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _child(account, work, writing)
    os.close(writing)
    try:
        if why := (yield from _told(reading, limit)):
            text = f"not everything was looked at: {why}"
            yield Check(name="lines", ok=False, text=text, advice=_what_tells_more(account))
    finally:
        os.close(reading)
        for end in (os.killpg, os.kill):  # what it started too; it may not have its group yet
            with contextlib.suppress(ProcessLookupError):
                end(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _what_tells_more(account: Account) -> str:
    return f"run cronwrap doctor as {account.name}"


def _told(reading: int, limit: float) -> Generator[Check, None, str]:
    """Give the steps that come from a child; return why these are not all, or an empty text."""
    deadline = time.monotonic() + limit
    rest, told = b"", 0
    while told < MOST_TOLD:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return f"it took more than {limit:g} s"
        chunk = os.read(reading, LINE_LIMIT)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            told += 1
            if line == b"end":
                return ""
            yield _check(line)
        if not chunk:
            return "the process that looked did not come to its end"
        if len(rest) > LINE_LIMIT:
            break
    return "there is too much to tell"


def _check(line: bytes) -> Check:
    given = json.loads(line)
    return Check(
        name=str(given["name"]),
        ok=bool(given["ok"]),
        text=str(given["text"]),
        advice=str(given["advice"]),
        seconds=float(given["seconds"]),
        relay=str(given["relay"]),
    )


def _child(account: Account, work: Callable[[], Iterator[Check]], writing: int) -> NoReturn:
    try:
        os.setsid()
        forget()
        _become(account)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        _close_but(writing)
        _tell(writing, account, work)
    finally:
        os._exit(0)


def _become(account: Account) -> None:
    if os.geteuid() != account.uid:
        forked.become(account.name, account.uid, account.gid)
    os.environ.clear()
    own = {"HOME": account.home, "LOGNAME": account.name, "USER": account.name, "SHELL": "/bin/sh"}
    os.environ.update({"PATH": PATH, **pam_environment(), **own})
    for place in (account.home, "/"):
        try:
            os.chdir(place)
        except OSError:
            continue
        return


def _close_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, DESCRIPTORS)


def _tell(writing: int, account: Account, work: Callable[[], Iterator[Check]]) -> None:
    with open(writing, "wb", buffering=0) as stream:
        try:
            stream.writelines(_line(check) for check in work())
        except Exception as error:  # noqa: BLE001  # whatever it is, the other users are still to be looked at
            words = f"not everything could be looked at: {type(error).__name__}: {error}"
            stream.write(_line(Check(name="lines", ok=False, text=words, advice=_what_tells_more(account))))
        stream.write(b"end\n")


def _line(check: Check) -> bytes:
    return json.dumps({name: getattr(check, name) for name in Check.fields()}).encode() + b"\n"
