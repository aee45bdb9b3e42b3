"""What waits in the outbox, what was given up, and the outbox as files."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from cronwrap.errors import StateError
from cronwrap.outbox.store import LOUD_AFTER, Outbox
from cronwrap.outbox.summary import Summary, summary
from cronwrap.relay.probe import READ_ONLY, is_read_only
from cronwrap.setup.check import Check
from cronwrap.spans import count, duration
from cronwrap.state import state
from cronwrap.text import moment, shorten

OF_THE_DISK = {
    errno.ENOSPC: "make room on its file system",
    errno.EDQUOT: "make room, or have this user's quota raised",
    errno.EROFS: READ_ONLY,
    errno.EIO: "the disk is failing: see the system log",
}
"""What to do where the file system is at fault, and nobody's rights."""
GIVEN_UP_SHOWN = 5
"""Of what was given up; ``cronwrap outbox list`` names all."""
ERROR_SHOWN = 200
"""Characters of why."""


def look(state_dir: str) -> tuple[Check | None, Summary | None]:
    """Give what is wrong with the outbox as files, and what waits in it."""
    box = Outbox(state_dir)
    advice = f"let this user read and write {box.directory} and what is in it"
    try:
        waiting = summary(state_dir)
    except StateError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in OF_THE_DISK:
            advice = what_helps(error.__cause__, box.directory)
        try:
            state(state_dir)
        except OSError:
            return None, None  # told of the state directory
        return Check(name="outbox", ok=False, text=str(error), advice=advice), None
    if waiting and not box.writable():
        text = f"the outbox {box.directory} cannot be written: nothing is sent from it"
        if is_read_only(box.directory):
            advice = OF_THE_DISK[errno.EROFS]
        return Check(name="outbox", ok=False, text=text, advice=advice), waiting
    return None, waiting


def queued(waiting: Summary) -> Check:
    """Give what waits and why; a fault where it has waited for long."""
    loud = waiting.oldest_age > LOUD_AFTER
    why = f": {waiting.last_error}" if waiting.last_error else ""
    text = f"{count(waiting.queued, 'report')} not delivered for {duration(waiting.oldest_age)}{why}"
    advice = "what is wrong with the relay is told below; then: cronwrap outbox flush" if loud else ""
    return Check(name="outbox", ok=not loud, text=text, advice=advice)


def stuck(waiting: Summary, box: Outbox) -> Check:
    """Name what has reached everybody, and cannot be taken off."""
    return Check(
        name="outbox",
        ok=False,
        text=f"{count(waiting.delivered, 'delivered report')} cannot be removed from the queue",
        advice=f"nobody gets it again; see why {box.directory}/queue cannot be changed",
    )


def given_up(box: Outbox) -> Iterator[Check]:
    """Name what nobody will try again, the newest first."""
    found = sorted(box.failed(), key=lambda item: item.queued, reverse=True)
    for item in found[:GIVEN_UP_SHOWN]:
        what = f"a report of {item.job}"
        if item.lane:
            what = f"a notification of {item.job} to {', '.join(item.envelope.recipients)}"
        if not item.job:
            what = "what is no whole report"
        when = f" from {moment(item.queued)}" if item.queued else ""
        why = f": {shorten(item.last_error, ERROR_SHOWN)}" if item.last_error else ""
        again = "" if not item.envelope.recipients else f"cronwrap outbox retry {item.id} sends it again; "
        yield Check(
            name="outbox",
            ok=False,
            text=f"{what}{when} ({item.id}) was given up{why}",
            advice=f"{again}cronwrap outbox drop {item.id} throws it away",
        )
    if len(found) > GIVEN_UP_SHOWN:
        text = f"{len(found) - GIVEN_UP_SHOWN} more were given up"
        yield Check(name="outbox", ok=False, text=text, advice="cronwrap outbox list names them all")


def what_helps(error: OSError, directory: str) -> str:
    """Say what to do about a directory that cannot be written: its rights are not at fault on a full disk."""
    return OF_THE_DISK.get(error.errno or 0, f"let this user write to {directory}")
