"""The outbox: messages on disk from the moment they are due until a relay has taken them.

    STATE/outbox/tmp      being written
    STATE/outbox/queue    to be sent
    STATE/outbox/failed   given up, or damaged; never emptied by itself

A message is one file (``message_file``). It enters the queue as nullmailer's do: written, synced, renamed,
the directory synced. After that it survives a power cut. Nothing here knows how messages are sent or what
they are about.
"""

from __future__ import annotations

import os

from cronwrap.errors import StateError
from cronwrap.lock import Lock
from cronwrap.mail import Message
from cronwrap.model import Record
from cronwrap.outbox.message_file import (
    HEAD_LIMIT,
    LANE_MARK,
    Damaged,
    Item,
    head,
    lane_of,
    open_file,
    read_content,
    read_item,
    unreadable,
)
from cronwrap.state import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from cronwrap.state import Directory

__all__ = ["Damaged", "Item", "Outbox"]

QUEUE, FAILED, TMP = PLACES = ("queue", "failed", "tmp")
LOUD_AFTER = 3600.0
"""Seconds; from then on a report that waits comes before everything else, and each run logs it."""
STALE_TMP = 86400.0
"""Seconds after which a file in ``tmp`` is what a crash left: no message takes a day to write."""
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Prepared(Record):
    """A message that is whole on disk, and has yet to enter the queue."""

    item: Item
    temporary: str
    """Its name below ``tmp``."""


class Outbox:
    """The outbox below a state directory; its directories are checked where they are opened (``state``)."""

    def __init__(self, state_dir: str) -> None:
        self.directory = os.path.join(state_dir, "outbox")
        self._state_dir = state_dir

    def place(self, name: str = "", *, make: bool = False) -> Directory:
        """Give a directory of the outbox, or the outbox itself; OSError when it is missing or not ours."""
        return state(self._state_dir, "outbox", *([name] if name else ()), make=make)

    # Storing ------------------------------------------------------------------------------------

    def store(
        self, identity: str, message: Message, now: float, before: Callable[[], None] = lambda: None
    ) -> Item:
        """Put a message into the queue, durably; StateError when that cannot be done.

        A message that is there under the same id is replaced. ``before`` is called when the message is whole
        on disk, and the rename alone is missing that puts it into the queue: ``complete`` makes up for that.
        """
        prepared = self.prepare(identity, message, now)
        before()
        return self.enter(prepared)

    def prepare(self, identity: str, message: Message, now: float) -> Prepared:
        """Write a message whole to disk beside the queue; StateError when that cannot be done."""
        item = Item(
            id=identity,
            envelope=message.envelope,
            job=message.job,
            subject=message.subject,
            queued=now,
            sender_from_settings=message.sender_from_settings,
            recipients_from_settings=message.recipients_from_settings,
            recipients_written=message.recipients_written,
            size=len(message.content),
        )
        if not _NAME.issuperset(identity) or identity.startswith(".") or not identity:
            raise StateError(f"{identity!r} cannot be the name of a message")
        try:
            self._make()
            return Prepared(item=item, temporary=self._prepare(item, message.content))
        except OSError as error:
            raise self._unwritable(error) from error

    def enter(self, prepared: Prepared) -> Item:
        """Put a message that was prepared into the queue, durably; StateError when that cannot be done."""
        item = prepared.item
        try:
            self._put(prepared.temporary, item)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            os.fsync(self.place(_place(item.state)).fd)
        except OSError as error:
            # The message is in the queue for everybody to see: to send it from memory as well would
            # make two. What is in doubt is whether it outlives a power cut.
            self._log(f"the outbox {self.directory} cannot be synced: {error.strerror}")
        return item

    def _make(self) -> None:
        """Make the directories; 0700, since mails hold what jobs say."""
        try:
            for name in PLACES:
                self.place(name)
        except FileNotFoundError:
            for name in PLACES:
                self.place(name, make=True)
            os.fsync(self.place().fd)
            os.fsync(state(self._state_dir).fd)

    def _write(self, item: Item, content: bytes) -> None:
        """Put a file in its place: the whole new one or, after a crash at any moment, the old one."""
        self._put(self._prepare(item, content), item)

    def _put(self, temporary: str, item: Item) -> None:
        try:
            self.place(TMP).rename(temporary, item.id, self.place(_place(item.state)))
        except OSError:
            self._discard(temporary)
            raise

    def _discard(self, temporary: str) -> None:
        try:
            self.place(TMP).unlink(temporary)
        except OSError:
            return  # the sweep takes it

    def complete(self, identity: str) -> bool:
        """Put the messages of a run into the queue whose writer died before it could.

        False when there are none to be put there: they are in the queue, or have been.
        """
        found = False
        for name in self.ids(TMP):
            whole = name.rpartition(".")[0]
            if whole == identity or whole.startswith(f"{identity}{LANE_MARK}"):
                try:
                    self.place(TMP).rename(name, whole, self.place(QUEUE))
                    os.fsync(self.place(QUEUE).fd)
                except OSError as error:
                    raise self._unwritable(error) from error
                found = True
        return found

    def _prepare(self, item: Item, content: bytes) -> str:
        """Write a file whole, and durably, below ``tmp``; give its name."""
        first = head(item)
        if len(first) > HEAD_LIMIT:
            raise OSError(0, "the envelope is too large")
        temporary, handle = self.temporary(item.id)
        try:
            try:
                for part in (first, content):
                    rest = memoryview(part)
                    while rest:
                        rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            self._discard(temporary)
            raise
        return temporary

    def temporary(self, name: str) -> tuple[str, int]:
        """Give name and descriptor of a new file in ``tmp``; the sweep takes what a crash leaves."""
        tmp, name = self.place(TMP), f"{name}.{os.getpid()}"
        try:
            return name, tmp.create(name)
        except FileExistsError:  # of an earlier process with this one's number, which died over it
            tmp.unlink(name)
            return name, tmp.create(name)

    # Looking ------------------------------------------------------------------------------------

    def ids(self, place: str = QUEUE, *, lane: str | None = None) -> list[str]:
        """Give the names of the files in the queue, the oldest first; none when there is no outbox.

        Of one ``lane`` alone, where one is named: mail's is the empty one.
        """
        try:
            names = self.place(place).names()
        except OSError:
            return []
        return sorted(
            name for name in names if not name.startswith(".") and (lane is None or lane_of(name) == lane)
        )

    def lanes(self) -> list[str]:
        """Give the lanes in which something waits; mail's is the empty one."""
        return sorted({lane_of(name) for name in self.ids()})

    def load(self, identity: str, place: str = QUEUE) -> Item:
        """Read a message's envelope and state; Damaged, or FileNotFoundError when it has gone."""
        marked = "failed" if place == FAILED else "queued"
        return read_item(self.place(place), identity, marked)

    def content(self, item: Item) -> bytes:
        """Read the message itself; Damaged or OSError as ``load``."""
        return read_content(self.place(_place(item.state)), item.id)

    def open(self, item: Item) -> int:
        """Open the file of a message, whatever is in it; Damaged or OSError as ``load``."""
        return open_file(self.place(_place(item.state)), item.id)

    def items(self, lane: str | None = None) -> tuple[list[Item], list[str]]:
        """Give the queued messages, the oldest first, and what was damaged and now is in ``failed``."""
        damaged: list[str] = []
        found = sorted(self.each(damaged, lane=lane), key=lambda item: item.queued)
        return found, damaged

    def each(self, damaged: list[str] | None = None, *, lane: str | None = None) -> Iterator[Item]:
        """Give the queued messages one by one, by their names, which begin with the time as a rule."""
        for identity in self.ids(lane=lane):
            try:
                yield self.load(identity)
            except FileNotFoundError:
                continue  # sent by somebody else since
            except Damaged as error:
                if damaged is not None:
                    damaged.append(f"{identity}: {error}")
                self._set_aside(identity, str(error))
            except OSError as error:
                self._log(f"report {identity} cannot be read: {error.strerror}")

    def given_up(self) -> str:
        """Say in words what was given up and nobody has dealt with; an empty text when nothing was."""
        number = len(self.ids(FAILED))
        if not number:
            return ""
        were = "report was" if number == 1 else "reports were"
        words = "see cronwrap outbox list; then: cronwrap outbox retry ID, or drop ID"
        return f"{number} earlier {were} given up{self.refusing()}: {words}"

    def refusing(self) -> str:
        """Name in words the targets of the notifications among what was given up; empty without any."""
        one_each = {lane_of(identity): identity for identity in self.ids(FAILED) if lane_of(identity)}
        names: list[str] = []
        for identity in one_each.values():
            try:
                names += self.load(identity, FAILED).envelope.recipients
            except (Damaged, OSError):
                continue
        return f" ({', '.join(sorted(names))} did not take what it was told)" if names else ""

    def failed(self) -> list[Item]:
        """Give what was given up, the oldest first; damaged files too, with what is known of them."""
        found = []
        for identity in self.ids(FAILED):
            try:
                found.append(self.load(identity, FAILED))
            except (Damaged, OSError) as error:
                found.append(unreadable(identity, str(error)))
        return found

    def find(self, prefix: str) -> Item:
        """Give the one message whose id begins so; StateError when there is none, or more than one."""
        items = [*self.items()[0], *self.failed()]
        exact = [item for item in items if item.id == prefix]
        matching = exact[:1] or [item for item in items if item.id.startswith(prefix)]
        if len(matching) != 1:
            many = f"{len(matching)} messages begin" if matching else "no message begins"
            raise StateError(f"{many} with {prefix!r}: see cronwrap outbox list")
        return matching[0]

    # Marking ------------------------------------------------------------------------------------

    def remove(self, item: Item) -> None:
        """Take a message off; StateError when that cannot be done.

        Not synced: should power fail now, it is sent once more under the same Message-ID, which is
        better than to wait for the disk with every message.
        """
        try:
            self.place(_place(item.state)).unlink(item.id)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unwritable(error) from error

    def update(self, item: Item, changed: Item, content: bytes | None = None) -> None:
        """Write down the new state of a message, or new content; StateError when that cannot be done.

        A message that its owner has dropped meanwhile stays dropped.
        """
        try:
            before = self.content(item)
        except FileNotFoundError:
            return
        except (Damaged, OSError) as error:
            raise StateError(f"report {item.id} cannot be read: {error}") from error
        content = before if content is None else content
        changed = changed.replace(size=len(content))
        try:
            self._write(changed, content)
            if changed.state != item.state:
                os.fsync(self.place(_place(changed.state)).fd)  # before it goes from where it was
        except OSError as error:
            raise self._unwritable(error) from error
        if changed.state != item.state:
            self.remove(item)

    def look(self) -> Self:
        """Give the outbox; StateError when there is one that cannot be read, for it may hold anything."""
        for name in ("", *PLACES):
            try:
                self.place(name).names()
            except FileNotFoundError:
                continue  # nothing was ever stored
            except OSError as error:
                text = f"the outbox {self.directory} cannot be read: {self._words(error)}"
                raise StateError(text) from error
        return self

    def writable(self) -> bool:
        """Tell whether what is sent can be taken off; if not, sending would never end."""
        try:
            return all(os.access(".", os.W_OK | os.X_OK, dir_fd=self.place(name).fd) for name in PLACES)
        except OSError:
            return False

    def _set_aside(self, identity: str, why: str) -> None:
        """Move a damaged file out of the way of the others, over none that is there."""
        name = identity
        try:
            self._make()
            failed = self.place(FAILED)
            taken = failed.names()
            while name in taken:
                name += "~"
            self.place(QUEUE).rename(identity, name, failed)
        except OSError:
            return
        self._log(f"report {identity} is damaged and was moved to {self.directory}/{FAILED}: {why}")

    def sweep(self, now: float) -> None:
        """Remove what writers that died long ago have left in ``tmp``."""
        for name in self.ids(TMP):
            try:
                if now - self.place(TMP).stat(name).st_mtime > STALE_TMP:
                    self.place(TMP).unlink(name)
            except OSError:
                continue

    def claim(self, name: str = "lock") -> Lock:
        """Give the lock whose holder alone sends; StateError when the outbox cannot be written."""
        try:
            self._make()
            return Lock(name, self.place().fd)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StateError:
        return StateError(f"the outbox {self.directory} cannot be written: {self._words(error)}")

    def _words(self, error: OSError) -> str:
        """Give what is wrong, with the place where that is not the outbox itself."""
        place = error.filename if isinstance(error.filename, str) else ""
        elsewhere = place.startswith("/") and place != self.directory
        return f"{place}: {error.strerror}" if elsewhere else f"{error.strerror}"

    def _log(self, text: str) -> None:
        from cronwrap.log import log  # noqa: PLC0415  # all is well, as a rule

        log(text)


def _place(state: str) -> str:
    return FAILED if state == "failed" else QUEUE
