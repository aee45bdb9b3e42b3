"""The processes that hand over notifications: one for each target that has something waiting."""

from __future__ import annotations

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.outbox import dispatch
from cronwrap.outbox.message_file import lane_of
from cronwrap.outbox.store import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cronwrap.outbox.dispatch import Interrupts, Sender
    from cronwrap.settings.load import Settings


def begin(settings: Settings, concerned: Iterable[str]) -> list[Sender]:
    """Start a sender for each lane, by its key or by the id of a notification that is to be heard of.

    A lane whose claim somebody has is left to them. What goes wrong is logged: the next run tries again.
    """
    box = Outbox(settings.state_dir)
    found = []
    for name in concerned:
        lane, own = (lane_of(name), name) if lane_of(name) else (name, "")
        try:
            if claim := dispatch.claim_if_needed(box, lane):
                found.append(dispatch.begin(settings, box, claim, own, lane))
        except (StateError, OSError) as error:
            log(f"nobody can be notified for now: {error}")
    return found


def wait_for(settings: Settings, senders: Iterable[Sender], signals: Interrupts) -> list[str]:
    """Give what became of the notifications that are to be heard of, as far as there is time to wait."""
    return [words for words, _died in [dispatch.wait_for(settings, one, signals) for one in senders] if words]
