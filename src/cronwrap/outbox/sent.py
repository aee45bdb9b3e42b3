"""Who has got a message that could not be taken off the queue (``chattr +a``, a quota, a dying disk).

One line for each recipient, ``ID<TAB>ADDRESS``, in ``outbox/sent``, appended and synced, so that nobody gets
a report once more with every run. Where even that cannot be written, this process remembers it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cronwrap.outbox.message_file import Item
    from cronwrap.outbox.store import Outbox

FILE = "sent"
"""Its name in the outbox."""
WORDS = "delivered to everybody; it cannot be removed from the queue, and is not sent again"
SIZE_LIMIT = 1 << 20
"""Octets; who has so many messages that cannot be removed has other troubles."""


class Sent:
    """Recipients that are not to get a message again; only the holder of the outbox's claim changes it."""

    def __init__(self, box: Outbox, lane: str = "") -> None:
        self._box = box
        self._file = f"{FILE}.{lane}" if lane else FILE
        self._got: set[tuple[str, str]] = set()
        try:
            with open(box.place().open(self._file), "rb") as stream:
                for line in stream.read(SIZE_LIMIT).decode(errors="surrogateescape").splitlines():
                    identity, tab, address = line.partition("\t")
                    if tab:
                        self._got.add((identity, address))
        except OSError:
            return  # there is none, as a rule

    def left(self, identity: str, recipients: Iterable[str]) -> tuple[str, ...]:
        """Give those who have not got a message yet."""
        if not self._got:
            return tuple(recipients)
        return tuple(address for address in recipients if (identity, address) not in self._got)

    def add(self, identity: str, recipients: Iterable[str]) -> None:
        """Remember who has got a message that stays in the queue."""
        new = [(identity, address) for address in recipients if (identity, address) not in self._got]
        self._got.update(new)
        lines = "".join(f"{identity}\t{address}\n" for identity, address in new)
        try:
            handle = self._box.place().open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                os.write(handle, lines.encode(errors="surrogateescape"))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            return

    def forget(self, present: Iterable[str]) -> None:
        """Forget all when none of the messages is there any more."""
        if self._got and not {identity for identity, _ in self._got} & set(present):
            self._got.clear()
            try:
                self._box.place().unlink(self._file)
            except OSError:
                return


class Delivered:
    """Tells which queued messages have reached everybody, and are there since they cannot be removed."""

    def __init__(self, box: Outbox) -> None:
        self._box = box
        self._lanes: dict[str, Sent] = {}

    def __call__(self, item: Item) -> bool:
        """Tell it of one message."""
        if item.lane not in self._lanes:
            self._lanes[item.lane] = Sent(self._box, item.lane)
        to = item.envelope.recipients
        return bool(to) and not self._lanes[item.lane].left(item.id, to)
