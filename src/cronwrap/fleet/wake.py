"""See to it that what has been run reaches the fleet: a shipper is started unless there is one.

On the way of every run of a host that is in a fleet, so it is small: no psycopg, no SQLite. A run does not
wait.
"""

from __future__ import annotations

import os
import sys

import cronwrap
from cronwrap.lock import Lock
from cronwrap.state import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.settings.load import Settings

LOCK = ".fleet"
"""In ``locks/``: held by the shipper while it lives."""
COMMAND = ("-P", "-m", "cronwrap.fleet.shipper")


def wake(settings: Settings) -> None:
    """Start the shipper in a session of its own, unless it lives; OSError when there can be no process."""
    lock = Lock(LOCK, state(settings.state_dir, "locks", make=True).fd)
    free = lock.take()
    lock.release()
    if not free or os.getpid() == 1:  # with process 1 all others die: the next run that is none ships
        return
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        if not os.fork():
            from cronwrap.forked import detach  # noqa: PLC0415  # what holds nothing of crond's

            detach()
            os.execve(sys.executable, [sys.executable, *COMMAND], environment(settings))
    finally:
        os._exit(0)


def environment(settings: Settings) -> dict[str, str]:
    """Give the shipper's environment: the same state and configuration, and our own modules."""
    found = dict(os.environ, CRONWRAP_STATE_DIR=settings.state_dir)
    if settings["config"] and settings.paths:
        found["CRONWRAP_CONFIG"] = settings.paths[0]
    found["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(cronwrap.__file__)))
    return found
