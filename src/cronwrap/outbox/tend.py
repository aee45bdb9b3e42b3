"""Looking after the outbox, as each run does when something waits in it."""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.outbox import dispatch, lanes, order
from cronwrap.outbox.sender import waits
from cronwrap.outbox.sent import Delivered
from cronwrap.outbox.store import LOUD_AFTER, Outbox
from cronwrap.spans import count, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.outbox.dispatch import Interrupts
    from cronwrap.outbox.message_file import Item
    from cronwrap.settings.load import Settings


def tend_outbox(settings: Settings, signals: Interrupts, *, sent: bool = False) -> None:
    """See to it that what waits is sent, unless this run has ``sent`` already; be loud about a long wait.

    Where a waiter looks after the queue, only its oldest message is looked at.
    """
    box = Outbox(settings.state_dir)
    if words := box.given_up():
        log(words)
    oldest = _oldest(box)
    if oldest is None:
        return
    now = time.time()
    if now - oldest.queued > LOUD_AFTER:
        nothing = "it was not tried" if oldest.lane else "no relay is configured"
        log(
            f"the outbox {box.directory} holds {count(len(box.ids()), 'report')}, the oldest for "
            f"{duration(now - oldest.queued)}: {oldest.last_error or nothing}"
        )
    if waits(box):
        return
    # With it no schedule is looked at: each run of a storm would read what all others have stored.
    background = settings["delivery.background"]
    concerned = [
        lane
        for lane in box.lanes()
        if lane and (background or order.next_attempt(box.items(lane)[0], now) <= now)
    ]
    # A target that the run has told itself has its process already: the claim tells.
    senders = lanes.begin(settings, concerned)
    if not sent and settings.relays and (background or any(item.due(now) for item in box.items("")[0])):
        dispatch.dispatch(settings, "", signals)
    lanes.wait_for(settings, senders, signals)


def _oldest(box: Outbox) -> Item | None:
    """Give the oldest message that waits, and take off what only could not be removed before."""
    delivered = Delivered(box)
    for item in box.each():
        if not delivered(item):
            return item
        try:
            box.remove(item)
        except StateError as error:
            log(f"report {item.id} was delivered, is not sent again, and cannot be removed: {error}")
    return None
