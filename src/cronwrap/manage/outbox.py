"""The messages of the outbox: as objects, as their readers would see them, and queued once more."""

from __future__ import annotations

import json
import time
from typing import Any

from cronwrap.errors import StateError
from cronwrap.outbox.message_file import Damaged
from cronwrap.outbox.store import Item, Outbox
from cronwrap.pipeline.readdressing import anew, current
from cronwrap.report.preview import readable
from cronwrap.settings.load import Settings
from cronwrap.text import iso

SHOWN_OF_DAMAGED = 65536
"""Octets; enough to see what kind of file it is."""


def as_object(item: Item) -> dict[str, Any]:
    """Give a message as SPEC's JSON object; times are ISO 8601 with offset."""
    return {
        "id": item.id,
        "job": item.job,
        "to": list(item.envelope.recipients),
        "subject": item.subject,
        "queued": _iso(item.queued),
        "attempts": item.attempts,
        "next_attempt": _iso(item.next_attempt) if item.state == "queued" else None,
        "last_error": item.last_error or None,
        "state": item.state,
    }


def _iso(moment: float) -> str | None:
    return iso(moment, timespec="seconds") if moment else None


def readable_item(item: Item, content: bytes) -> str:
    """Give a message as its reader would see it, a notification with a line for each of its parts."""
    if not item.lane:
        return readable(content)
    try:
        return json.dumps(json.loads(content), indent=2, ensure_ascii=False)
    except ValueError:
        return content.decode(errors="replace")


def whole_file(box: Outbox, item: Item) -> bytes:
    """Give the beginning of a damaged file, as much as a person may want to look at."""
    try:
        with open(box.open(item), "rb") as stream:
            return stream.read(SHOWN_OF_DAMAGED)
    except (Damaged, OSError) as error:
        raise StateError(f"{item.id} cannot be shown: {getattr(error, 'strerror', error)}") from None


def queue_again(box: Outbox, item: Item, settings: Settings) -> bool:
    """Put a message into the queue, addressed as settings have it now.

    False when nobody is left to be told: it is gone, then.
    """
    if not item.envelope.recipients:
        raise StateError(f"{item.id} cannot be sent: {item.last_error}")
    if item.lane:  # its target is asked for when it is sent
        item_now, content = item.replace(held_until=0.0), box.content(item)
    else:
        item_now, content = anew(box, item, current(settings["config"], item.job))
    if not item_now.envelope.recipients:
        box.remove(item)
        return False
    again = item_now.replace(
        state="queued", attempts=0, next_attempt=0.0, queued=time.time(), relay_fault=False, refused=()
    )
    box.update(item, again, content)
    return True
