"""The shipper: sends what has been run to the fleet's database, and is gone when all is there.

One process a user, woken by runs. It is small and asleep between attempts; what talks to the database is a
fresh process each time (``pipeline.shipping``), so that an outage of a day costs no memory, and an upgrade
does no harm.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable

from cronwrap.fleet.wake import ATTEMPT, LOCK
from cronwrap.history import journal
from cronwrap.lock import Lock
from cronwrap.paths import state_directory
from cronwrap.state import state

ALL_THERE, TRY_AGAIN, NO_USE = 0, 1, 3
"""How an attempt ends."""
GATHER = 10.0
"""Seconds over which the hosts of a fleet spread what they start at second 0 of a minute."""
FIRST_RETRY, LONGEST_RETRY = 60.0, 3600.0
"""Seconds: the bound doubles from the first to the longest; the time is drawn by chance up to it (full
jitter), so that ten thousand hosts do not come back at once."""


def spread(host: str, over: float = GATHER) -> float:
    """Give the seconds that this host waits before it sends: the same each time."""
    return sum(host.encode(errors="surrogateescape")) * 0.618034 % 1.0 * over


def delay(attempts: int, chance: Callable[[float, float], float] = random.uniform) -> float:
    """Give the seconds until the next attempt, after that many have failed."""
    return chance(1.0, min(FIRST_RETRY * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY))


def main() -> int:
    """Be the shipper, unless there is one."""
    try:
        return stay(state_directory(os.environ))
    except Exception as error:  # noqa: BLE001  # the last boundary of this process
        from cronwrap.log import log  # noqa: PLC0415

        log(f"shipping to the fleet failed: {type(error).__name__}: {error}")
        return 1


def stay(
    directory: str, sleep: Callable[[float], None] = time.sleep, send: Callable[[], int] | None = None
) -> int:
    """Send until all is there."""
    lock = Lock(LOCK, state(directory, "locks", make=True).fd)
    if not lock.take():
        return 0
    attempts = 0
    sleep(spread(os.uname().nodename))
    while True:
        before = journal.names_of_ended(directory)
        status = (send or _send)()
        if status == ALL_THERE:
            attempts = 0
            # Who ended while it was sending found the lock taken, and left it to us.
            if not set(journal.names_of_ended(directory)) - set(before):
                break
            continue
        if status == NO_USE:
            break
        attempts += 1
        sleep(delay(attempts))
    lock.release()
    return 0


def _send() -> int:
    return subprocess.run([sys.executable, *ATTEMPT], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
