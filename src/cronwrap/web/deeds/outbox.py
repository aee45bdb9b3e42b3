"""The outbox of a user: listed, a message read, tried again, thrown away."""

from __future__ import annotations

import subprocess
import threading
from typing import Any

from cronwrap.errors import CronwrapError
from cronwrap.manage.launching import launch
from cronwrap.manage.outbox import as_object, queue_again, readable_item, whole_file
from cronwrap.outbox import dispatch
from cronwrap.outbox.message_file import DAMAGED, Damaged
from cronwrap.outbox.store import Item, Outbox
from cronwrap.web.deeds.base import Arguments, Refused, Surroundings, wanted
from cronwrap.web.deeds.jobs import limit_of, offset_of

SOON = 3.0
"""Seconds that a retry is waited for: most relays have answered by then."""


def listed(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give what waits and what was given up, as ``outbox --json``: ``items``, and ``next`` as a cursor."""
    box = Outbox(around.state_dir).look()
    items = [*box.items()[0], *box.failed()]
    first, limit = offset_of(arguments), limit_of(arguments)
    following = str(first + limit) if first + limit < len(items) else None
    found = [{**as_object(item), "lane": item.lane} for item in items[first : first + limit]]
    return {"items": found, "total": len(items), "next": following}


def show(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Give a message, and its ``text`` as its reader would see it."""
    box, item = _found(around, arguments)
    try:
        damaged = item.last_error.startswith(DAMAGED)
        content = whole_file(box, item) if damaged else box.content(item)
        text = content.decode("utf-8", "backslashreplace") if damaged else readable_item(item, content)
    except (Damaged, OSError) as error:
        raise Refused(404, "This message has gone", str(error)) from None
    return {**as_object(item), "lane": item.lane, "text": text}


def retry(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Queue a message again, addressed as settings have it now, and have it sent; ``said`` tells the rest."""
    box, item = _found(around, arguments)
    around.before = as_object(item)
    if not item.envelope.recipients:
        raise Refused(409, "This message cannot be sent", item.last_error)
    try:
        process = launch(["outbox", "retry", item.id])
    except CronwrapError:  # it is queued all the same, and the next run sends it
        queue_again(box, item, around.settings)
        dispatch.leave_waiter(around.settings)
        return {"id": item.id, "said": f"{item.subject}: queued"}
    try:
        status = process.wait(SOON)
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.wait, daemon=True).start()  # no zombie is left of it
        return {"id": item.id, "said": f"{item.subject}: it is being sent"}
    left = {one.id: one for one in (*box.items()[0], *box.failed())}.get(item.id)
    around.after = as_object(left) if left else None
    if left is None:
        return {"id": item.id, "said": f"{item.subject}: delivered"}
    return {"id": item.id, "said": f"{item.subject}: {left.last_error or f'not sent (status {status})'}"}


def drop(around: Surroundings, arguments: Arguments) -> dict[str, Any]:
    """Throw a message away, unsent."""
    box, item = _found(around, arguments)
    around.before = as_object(item)
    box.remove(item)
    return {"id": item.id, "said": f"{item.subject}: thrown away"}


def _found(around: Surroundings, arguments: Arguments) -> tuple[Outbox, Item]:
    identity = wanted(arguments, "id")
    box = Outbox(around.state_dir).look()
    for item in (*box.items()[0], *box.failed()):
        if item.id == identity:
            return box, item
    raise Refused(404, "This message is not in the outbox", "It may have been delivered")
