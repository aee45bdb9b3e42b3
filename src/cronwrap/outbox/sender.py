"""What sending takes: the relays, a drainer for each round, and looking once more before letting go."""

from __future__ import annotations

import os
import sys

from cronwrap.outbox.store import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import TypeVar

    from cronwrap.lock import Lock
    from cronwrap.outbox.drain import Drainer
    from cronwrap.outbox.lane import LaneDrainer
    from cronwrap.outbox.message_file import Item
    from cronwrap.settings.load import Settings
    from cronwrap.settings.relays import Endpoint

    Drains = TypeVar("Drains", Drainer, LaneDrainer)
else:
    import _signal

WAITER = "waiter"
"""The name of the lock that the waiter holds."""
PUNCTUAL = 0.9
"""The part of a run's patience after which all relays have had their turn: what they said has to reach it."""
FOR_A_STEP, FOR_OPENING = 0.75, 0.8
"""Parts of a relay's share of it; the rest is for a look at what went wrong."""


def lock_of(lane: str) -> str:
    """Give the name of the lock whose holder alone sends in a lane."""
    return f"lock.{lane}" if lane else "lock"


def waits(box: Outbox) -> bool:
    """Say whether there is a waiter already (``waiter``)."""
    lock = box.claim(WAITER)
    free = lock.take()
    lock.release()
    return not free


def lane_drainers(
    settings: Settings, box: Outbox, lane: str, told: Callable[[Item, str], None], hurry: float = 0.0
) -> Callable[[], LaneDrainer]:
    """Give what makes drainers of one target's notifications; somebody waits for their word for ``hurry``."""
    from cronwrap.outbox.lane import LaneDrainer, to_targets  # noqa: PLC0415
    from cronwrap.settings.files import targets_in_force  # noqa: PLC0415  # imports `tomllib`

    found = targets_in_force(settings.paths)
    if hurry:  # a program has its whole time: what it has half done it may do twice
        longest = hurry * PUNCTUAL
        found = tuple(
            target if target.way.path else target.replace(timeout=min(target.timeout, longest))
            for target in found
        )
    send = to_targets(found, settings["redact.patterns"])
    return lambda: LaneDrainer(box, lane, send, settings["delivery.lifetime"], told=told)


def drainers(
    settings: Settings, box: Outbox, found: tuple[Endpoint, ...], told: Callable[[Item, str], None]
) -> Callable[[], Drainer]:
    """Give what makes drainers; it loads what sending needs."""
    from cronwrap.outbox.drain import Drainer  # noqa: PLC0415

    return lambda: Drainer(box, found, settings["delivery.lifetime"], told=told)


def in_time(relays: tuple[Endpoint, ...], seconds: float) -> tuple[Endpoint, ...]:
    """Give the relays bounded so that what is wrong with them is known to somebody who waits ``seconds``.

    They are asked one after the other, so each has its part of the time.
    """
    share = seconds * PUNCTUAL / max(1, sum(not relay.fault for relay in relays))
    if not share:
        return relays
    return tuple(
        relay.replace(timeout=min(relay.timeout, round(share * FOR_A_STEP, 2)), opening=share * FOR_OPENING)
        for relay in relays
    )


def obedient(new: Callable[[], Drains]) -> Callable[[], Drains]:
    """Have SIGTERM end each drainer after the message in hand, and break off a conversation that hangs."""

    def make() -> Drains:
        drainer = new()
        _signal.signal(_signal.SIGTERM, lambda _number, _frame: drainer.interrupt())
        return drainer

    return make


def drain_and_look_again(
    box: Outbox,
    claim: Lock,
    new: Callable[[], Drainer | LaneDrainer],
    *,
    lane: str = "",
    first: str = "",
    everything: bool = False,
) -> None:
    """Drain one lane, let go, and look once more.

    A report stored between the last look and the release is ours: its run saw the claim taken and left.
    """
    while True:
        drainer = new()
        before = set(box.ids(lane=lane))
        drainer.drain(first=first, everything=everything)
        claim.release()
        if drainer.interrupted:
            sys.exit()
        if not set(box.ids(lane=lane)) - before - drainer.tried:
            return
        claim = box.claim(lock_of(lane))
        if not claim.take():
            claim.release()
            return


def send_due(lane: str = "") -> bool:
    """Send what is due in a lane, unless somebody else does; False when there is no relay to send mail by."""
    from cronwrap.settings.files import relays_in_force  # noqa: PLC0415  # imports `tomllib`
    from cronwrap.settings.load import load  # noqa: PLC0415

    found = load({}, os.environ)  # as they are now: somebody may have mended them
    box = Outbox(found.state_dir)
    claim = box.claim(lock_of(lane))
    if not claim.take():
        claim.release()
        return True
    if lane:
        targets = obedient(lane_drainers(found, box, lane, lambda _item, _words: None))
        drain_and_look_again(box, claim, targets, lane=lane)
        return True
    relays = relays_in_force(found.paths)
    drain_and_look_again(box, claim, obedient(drainers(found, box, relays, lambda _item, _words: None)))
    return bool(relays)
