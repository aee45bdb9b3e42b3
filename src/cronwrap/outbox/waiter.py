"""The waiter: retries what is queued when it is due, while nothing else of cronwrap runs.

It is small and asleep, and gone with the last message. What sends is a fresh process each time, so that
a crash there costs one attempt, and an upgrade meanwhile does no harm.
"""

from __future__ import annotations

import os
import sys
import time

import cronwrap
from cronwrap.outbox import order
from cronwrap.outbox.backoff import FIRST_RETRY
from cronwrap.outbox.sender import WAITER
from cronwrap.outbox.sent import Delivered
from cronwrap.outbox.store import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cronwrap.outbox.message_file import Item
    from cronwrap.settings.load import Settings

LOOK_INTERVAL = 5.0
"""Seconds between two looks of the waiter, which is to go once the queue is empty."""
LAZINESS = 100.0
"""It sleeps at least so many times as long as a look took: thousands of messages cost it no more."""
SEND = "send"
NO_WAY = 3
"""The exit status of a sender that has nothing to send by: mail waits for whoever sets a relay up."""
COMMAND = (sys.executable, "-P", "-m", "cronwrap.outbox.waiter")


def become_waiter(settings: Settings) -> NoReturn:
    """Go on as the waiter: a fresh interpreter without all that sending has loaded."""
    os.execve(sys.executable, list(COMMAND), _environment(settings))


def _environment(settings: Settings) -> dict[str, str]:
    environ = dict(os.environ, CRONWRAP_STATE_DIR=settings.state_dir)
    if settings["config"] and settings.paths:
        environ["CRONWRAP_CONFIG"] = settings.paths[0]
    # A crontab's own PYTHONPATH may lead to modules of other names' sakes (an ssl.py): ours alone counts.
    environ["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(cronwrap.__file__)))
    return environ


def wait(
    send: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Retry what is queued when it is due, until nothing is.

    Mail and each target have a sender of their own, and are not waited for: one that hangs holds up no other.
    """
    from cronwrap.paths import state_directory  # noqa: PLC0415

    box = Outbox(state_directory(os.environ))
    if not box.ids():
        return
    lock = box.claim(WAITER)
    if not lock.take():
        return
    senders = Senders(send)
    while True:
        began = time.monotonic()
        delivered = Delivered(box)
        items = [item for item in box.items()[0] if not delivered(item)]
        if not senders.have_work(lanes := sorted({item.lane for item in items})):
            break
        now = clock()
        left = [
            senders.begin_if_due(lane, [item for item in items if item.lane == lane], now) for lane in lanes
        ]
        looked = time.monotonic() - began
        sleep(max(looked * LAZINESS, min(LOOK_INTERVAL, max(1.0, min(left)))))


class Senders:
    """The processes that send, one a lane at a time."""

    def __init__(self, send: Callable[[str], None] | None) -> None:
        self._send = send
        self._running: dict[str, int] = {}
        self._earliest: dict[str, float] = {}
        """By lane: a disk on which no schedule can be written down must not make attempts without end."""
        self._hopeless: set[str] = set()

    def have_work(self, lanes: list[str]) -> bool:
        """Tell whether there is anything that can be sent; for what has no way to go nobody waits."""
        for lane, pid in list(self._running.items()):
            ended, status = _ended(pid)
            if ended:
                del self._running[lane]
                self._hopeless = self._hopeless - {lane} | ({lane} if status == NO_WAY else set())
        return any(lane not in self._hopeless for lane in lanes)

    def begin_if_due(self, lane: str, items: list[Item], now: float) -> float:
        """Have what is due in a lane sent; give the seconds until the next look is worth it."""
        if lane in self._running:
            return 1.0
        due, moment = _next(lane, items, now), time.monotonic()
        earliest = self._earliest.get(lane, 0.0)
        if due > now or earliest > moment:
            return max(due - now, earliest - moment)
        self._earliest[lane] = moment + FIRST_RETRY / 2
        if self._send:
            self._send(lane)
        elif pid := _start(lane):
            self._running[lane] = pid
        return 1.0


def _next(lane: str, items: list[Item], now: float) -> float:
    """Give the Unix time of a lane's next attempt; 0 when one is due."""
    if lane:
        return order.next_attempt(items, now)
    return min((0.0 if item.due(now) else item.next_attempt for item in items), default=0.0)


def _ended(pid: int) -> tuple[bool, int]:
    """Tell whether a process of ours has ended, and its exit status."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True, 0
    return bool(found), os.waitstatus_to_exitcode(status) if found else 0


def _start(lane: str) -> int:
    """Have what is due in a lane sent by a process of its own; give its pid, or 0."""
    try:
        return os.posix_spawn(sys.executable, [*COMMAND, SEND, lane], os.environ)
    except OSError as error:
        from cronwrap.log import log  # noqa: PLC0415

        log(f"no process to send can be started: {error.strerror}")  # there may be room for one later
        return 0


def main(words: list[str]) -> int:
    """Wait or, told so, send; what goes wrong goes to the system log, for nobody sees this process."""
    try:
        if words[:1] == [SEND]:
            from cronwrap.outbox.sender import send_due  # noqa: PLC0415  # all that sending loads

            if not send_due("".join(words[1:2])):
                return NO_WAY
        else:
            wait()
    except Exception as error:  # noqa: BLE001  # the last boundary of this process
        from cronwrap.log import log  # noqa: PLC0415

        log(f"waiting to send failed: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
