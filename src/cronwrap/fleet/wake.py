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
    from typing import Protocol

    from cronwrap.settings.load import Settings

    class Interrupts(Protocol):
        """What stops a wait: ``descriptor`` becomes readable when a signal has come."""

        descriptor: int

        def asked_to_end(self) -> int:
            """Give the signal that asks for an end, or 0."""
            ...


LOCK = ".fleet"
"""In ``locks/``: held by the shipper while it lives."""
COMMAND = ("-P", "-m", "cronwrap.fleet.shipper")
ATTEMPT = ("-P", "-m", "cronwrap.pipeline.shipping")
"""Sends all there is, once; its exit status is one of ``shipper``'s."""
STEP = 0.02
"""Seconds between two looks at an attempt that is waited for."""


def wake(settings: Settings, signals: Interrupts | None = None) -> None:
    """Start the shipper in a session of its own, unless it lives; OSError when there can be no process.

    Where none may outlive the run (``delivery.background``; process 1, with which all others die) there is
    one attempt; at the end of a run, which gives its ``signals``, it is waited for as long as for a mail.
    """
    lock = Lock(LOCK, state(settings.state_dir, "locks", make=True).fd)
    free = lock.take()
    lock.release()
    if not free:
        return
    if os.getpid() == 1 or not settings["delivery.background"]:
        _once(settings, signals)
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


def _once(settings: Settings, signals: Interrupts | None) -> None:
    import select  # noqa: PLC0415  # rare
    import subprocess  # noqa: PLC0415
    import time  # noqa: PLC0415

    attempt = subprocess.Popen(
        [sys.executable, *ATTEMPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(settings),
        start_new_session=True,
    )
    if signals is None:
        return
    end = time.monotonic() + settings["delivery.inline"]
    poll = select.poll()
    poll.register(signals.descriptor, select.POLLIN)
    while attempt.poll() is None and time.monotonic() < end and not signals.asked_to_end():
        poll.poll(STEP * 1000)
    if attempt.poll() is None:
        attempt.kill()


def environment(settings: Settings) -> dict[str, str]:
    """Give the shipper's environment: the same state and configuration, and our own modules."""
    found = dict(os.environ, CRONWRAP_STATE_DIR=settings.state_dir)
    if settings["config"] and settings.paths:
        found["CRONWRAP_CONFIG"] = settings.paths[0]
    found["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(cronwrap.__file__)))
    return found
