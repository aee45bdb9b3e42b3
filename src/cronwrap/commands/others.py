"""Runs of other users, for root: found and handled by a process that has become the user they belong to."""

from __future__ import annotations

import marshal
import os
import pwd
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from cronwrap import forked
from cronwrap.errors import StateError
from cronwrap.history.finding import CANDIDATES, find, under_way
from cronwrap.paths import state_directory, state_variable

PATIENCE = 3.0
"""Seconds for what is asked of one user's directory: a home on a file server may not answer."""
READ_SIZE = 1 << 16

Found = list[tuple[str, str]]
"""Runs: id and job of each."""


def become_owner(look: Callable[[str], Found], word: str | None) -> str:
    """Become the user whose run is meant, and give their state directory; an empty text when there is none.

    ``look`` gives what fits in a state directory; it is called as each user who has one. ``StateError`` when
    it fits runs of several.
    """
    if os.geteuid() or state_variable(os.environ):  # a directory that was named is the only one
        return ""
    found = []
    for user in _users():
        found += [(user, run, job) for run, job in _as(user, look)]
    if len(found) > 1:
        names = ", ".join(f"{run} ({job}, of {user.pw_name})" for user, run, job in found[:CANDIDATES])
        raise StateError(f"{word or 'it'} may mean more than one run: {names}; say which")
    if not found:
        return ""
    user = found[0][0]
    _become(user)
    return _directory(user)


def _users() -> list[pwd.struct_passwd]:
    """Give the other users of this machine, each once."""
    every = {user.pw_uid: user for user in reversed(pwd.getpwall()) if user.pw_uid}
    return [every[uid] for uid in sorted(every)]


def _directory(user: pwd.struct_passwd) -> str:
    return state_directory({"HOME": user.pw_dir})


def _become(user: pwd.struct_passwd) -> None:
    forked.become(user.pw_name, user.pw_uid, user.pw_gid)


def _as(user: pwd.struct_passwd, look: Callable[[str], Found]) -> Found:
    """Give what fits in a user's state directory, looked for as that user; nothing when it takes long."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(ours)
            _become(user)
            directory = _directory(user)
            if os.path.isdir(directory):
                os.write(theirs, marshal.dumps(look(directory)[: CANDIDATES + 1]))
        finally:
            os._exit(0)
    os.close(theirs)
    content = _read(ours)
    os.close(ours)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        value: Any = marshal.loads(content) if content else []  # noqa: S302  # our own child's
    except (ValueError, EOFError, TypeError):
        return []
    return [(str(run), str(job)) for run, job in value]


def _read(descriptor: int) -> bytes:
    content = b""
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        data = os.read(descriptor, READ_SIZE)
        if not data:
            return content
        content += data
    return b""


def known(state_dir: str, word: str | None) -> bool:
    """Say whether a word, or none, means a run of ours, even if more than one."""
    try:
        return bool(find(state_dir, word))
    except StateError as error:
        return "more than one" in str(error)


def named(state_dir: str, word: str | None) -> list[tuple[str, str]]:
    """Give the runs that a word may mean in another's state directory: those under way, else the latest."""
    found = under_way(state_dir, word)
    if not found:
        try:
            found = [find(state_dir, word)] if word else []
        except StateError:
            return []
    return [(run.run, run.job) for run in found]
