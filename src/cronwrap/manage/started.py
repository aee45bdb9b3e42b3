"""A job started by hand that nobody waits for: as ``cronwrap run`` does, by a process that goes on meanwhile.

No code of ours runs between fork and exec, since the process may have threads: a shell waits for its limits
and niceness to be set, then becomes the job.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import threading
import time

from cronwrap.crontab.by_hand import ByHand
from cronwrap.crontab.surroundings import SPOOL, Daemon
from cronwrap.errors import CronwrapError, StateError
from cronwrap.history.folding import fold
from cronwrap.history.run import Run
from cronwrap.history.runs import runs

SAID_LIMIT = 16 * 1024
"""Octets that are kept of what is said beside the run, such as that cronwrap is not there."""
LOOKED = 0.1
"""Seconds between two looks for a run."""
EARLY = 1.0
"""Seconds by which a run may seem to be older than its start: the clock may have been set."""
_WAITS = 'read -r _; exec "$@"'
"""Waits for a line, of which sh(1) takes no octet more: what follows is the job's input."""


class Started:
    """A job that was started, and what it said beside its run."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self._process, self._said = process, b""
        self._ended = threading.Event()
        threading.Thread(target=self._listen, args=(output,), daemon=True).start()

    def _listen(self, output: int) -> None:
        with contextlib.suppress(OSError):
            while octets := os.read(output, 65_536):
                self._said += octets[: SAID_LIMIT - len(self._said)]
        os.close(output)
        self._process.wait()
        self._ended.set()

    @property
    def said(self) -> bytes:
        """Give what came on its standard output and error: of a run under cronwrap next to nothing."""
        return self._said

    def wait(self, seconds: float) -> bool:
        """Wait for its end, so long at most; give whether it has come."""
        return self._ended.wait(seconds)


def start(what: ByHand) -> Started:
    """Start a job in cron's own surroundings; CronwrapError when that cannot be done."""
    become = os.geteuid() != what.account.uid
    if become and os.geteuid():
        raise CronwrapError(f"only root can run the jobs of {what.account.name}")
    output, theirs = os.pipe()
    try:
        process = _shell(what, theirs, become=become)
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # a NUL in a variable, say
        os.close(output)
        raise CronwrapError(f"{what.words[0]}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        os.close(theirs)
    _inherit(process.pid, what.daemon)
    threading.Thread(target=_feed, args=(process, b"\n" + what.stdin), daemon=True).start()
    return Started(process, output)


def _shell(what: ByHand, output: int, *, become: bool) -> subprocess.Popen[bytes]:
    account = what.account
    groups = os.getgrouplist(account.name, account.gid) if become else None
    return subprocess.Popen(
        ["/bin/sh", "-c", _WAITS, "sh", *what.words],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        cwd=_place(what.environment["HOME"]),
        env=what.environment,
        umask=what.daemon.umask,
        start_new_session=True,
        user=account.uid if become else None,
        group=account.gid if become else None,
        extra_groups=groups,
    )


def _feed(process: subprocess.Popen[bytes], octets: bytes) -> None:
    """Write what the job is to read; one that does not want it reads no further."""
    if process.stdin:
        with contextlib.suppress(OSError), process.stdin as stream:
            stream.write(octets)


def _place(home: str) -> str:
    """Give where cron goes: where the home cannot be entered, it stays where it was."""
    return next((place for place in (home, SPOOL) if os.access(place, os.X_OK) and os.path.isdir(place)), "/")


def _inherit(pid: int, daemon: Daemon) -> None:
    """Give a process the limits and the niceness of cron's daemon, as far as this user may."""
    for number, (soft, hard) in daemon.limits if hasattr(resource, "prlimit") else ():
        with contextlib.suppress(OSError, ValueError):
            most = resource.prlimit(pid, number)[1]
            try:
                resource.prlimit(pid, number, (soft, hard))
            except (OSError, ValueError):  # a user cannot raise it
                fits = most == resource.RLIM_INFINITY or 0 <= soft <= most
                resource.prlimit(pid, number, (soft if fits else most, most))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, daemon.nice)


def run_of(
    state_dir: str, names: tuple[str, ...], since: float, *, patience: float, ended: bool = False
) -> Run | None:
    """Give the run by hand that has begun since then under one of the names (any, where there are none).

    It is waited for; with ``ended`` for its end as well, and given as it is when the patience is over.
    """
    until = time.monotonic() + patience
    while True:
        found = _run(state_dir, names, since)
        if found and not (ended and found.result == "running"):
            return found
        if time.monotonic() > until:
            return found
        time.sleep(LOOKED)


def _run(state_dir: str, names: tuple[str, ...], since: float) -> Run | None:
    with contextlib.suppress(StateError):
        fold(state_dir)
    try:
        begun = list(runs(state_dir, since=since - EARLY, limit=None))
    except StateError:
        return None
    mine = [run for run in begun if run.by_hand and (not names or run.job in names)]
    return min(mine, key=lambda run: abs(run.started - since), default=None)
