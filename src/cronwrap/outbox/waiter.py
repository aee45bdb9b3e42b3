"""The waiter: retries what is queued when it is due, while nothing else of cronwrap runs.

It is small and asleep, and gone with the last message. What sends is a fresh process each time, so that
a crash there costs one attempt, and an upgrade meanwhile does no harm.
"""

from __future__ import annotations

import os
import sys
import time

import cronwrap
from cronwrap.outbox.backoff import FIRST_RETRY
from cronwrap.outbox.store import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cronwrap.settings.load import Settings

LOOK_INTERVAL = 5.0
"""Seconds between two looks of the waiter, which is to go once the queue is empty."""
LAZINESS = 100.0
"""It sleeps at least so many times as long as a look took: thousands of messages cost it no more."""
SEND = "send"
COMMAND = (sys.executable, "-P", "-m", "cronwrap.outbox.waiter")


def become_waiter(settings: Settings) -> NoReturn:
    """Go on as the waiter: a fresh interpreter without all that sending has loaded."""
    os.execve(sys.executable, list(COMMAND), _environment(settings))


def waits(box: Outbox) -> bool:
    """Say whether there is a waiter already."""
    lock = box.claim("waiter")
    free = lock.take()
    lock.release()
    return not free


def _environment(settings: Settings) -> dict[str, str]:
    environ = dict(os.environ, CRONWRAP_STATE_DIR=settings.state_dir)
    if settings["config"] and settings.paths:
        environ["CRONWRAP_CONFIG"] = settings.paths[0]
    # A crontab's own PYTHONPATH may lead to modules of other names' sakes (an ssl.py): ours alone counts.
    environ["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(cronwrap.__file__)))
    return environ


def wait(
    send: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Retry what is queued when it is due, until nothing is."""
    from cronwrap.paths import state_directory  # noqa: PLC0415

    box = Outbox(state_directory(os.environ))
    if not box.ids():
        return
    lock = box.claim("waiter")
    if not lock.take():
        return
    # A disk on which no schedule can be written down must not make attempts without end.
    earliest = 0.0
    while box.ids():
        began = time.monotonic()
        due = _next(box, clock())
        if due <= clock() and earliest <= began:
            (send or _send)()
            earliest = time.monotonic() + FIRST_RETRY / 2
            continue
        looked = time.monotonic() - began
        left = max(due - clock(), earliest - time.monotonic())
        sleep(max(looked * LAZINESS, min(LOOK_INTERVAL, max(1.0, left))))


def _next(box: Outbox, now: float) -> float:
    """Give the Unix time of the next attempt; 0 when one is due."""
    items, _ = box.items()
    return min((0.0 if item.due(now) else item.next_attempt for item in items), default=0.0)


def _send() -> None:
    """Have what is due sent by a process of its own."""
    try:
        os.waitpid(os.posix_spawn(sys.executable, [*COMMAND, SEND], os.environ), 0)
    except OSError as error:
        from cronwrap.log import log  # noqa: PLC0415

        log(f"no process to send can be started: {error.strerror}")  # there may be room for one later


def main(words: list[str]) -> int:
    """Wait or, told so, send; what goes wrong goes to the system log, for nobody sees this process."""
    try:
        if words == [SEND]:
            from cronwrap.outbox.sender import send_due  # noqa: PLC0415  # all that sending loads

            send_due()
        else:
            wait()
    except Exception as error:  # noqa: BLE001  # the last boundary of this process
        from cronwrap.log import log  # noqa: PLC0415

        log(f"waiting to send failed: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
