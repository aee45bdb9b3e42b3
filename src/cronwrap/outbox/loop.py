"""What the loops that send have in common: mail's (``drain``), and that of a target (``lane``)."""

from __future__ import annotations

import time

from cronwrap.outbox.sent import Sent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.outbox.message_file import Item
    from cronwrap.outbox.store import Outbox


class CutShort(SystemExit):
    """The process was told to end while it talked to a relay, or a target.

    A SystemExit, since that is what an event loop lets pass at any point.
    """


class Loop:
    """One lane of the outbox on its way; to be used by the holder of its claim alone."""

    def __init__(
        self,
        box: Outbox,
        lifetime: float,
        *,
        lane: str = "",
        clock: Callable[[], float] = time.time,
        told: Callable[[Item, str], None] = lambda _item, _words: None,
    ) -> None:
        """``lifetime`` is in seconds; ``told`` hears of each message what became of it."""
        self._box = box
        self._lifetime = lifetime
        self._lane = lane
        self._clock = clock
        self._told = told
        self._sent = Sent(box, lane)
        self._tried: set[str] = set()
        self._alive = False
        self._talking = self._ending = False

    def interrupt(self) -> None:
        """End soon; to be called by a signal handler. The message in hand is kept, and its schedule."""
        self._ending = True
        if self._talking:
            self._talking = False
            raise CutShort

    @property
    def tried(self) -> frozenset[str]:
        """Give the ids of the messages that were tried."""
        return frozenset(self._tried)

    @property
    def interrupted(self) -> bool:
        """Tell whether it was told to end."""
        return self._ending
