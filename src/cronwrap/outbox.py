"""The outbox: messages on disk from the moment they are due until a relay has taken them.

    STATE/outbox/tmp      being written
    STATE/outbox/queue    to be sent
    STATE/outbox/failed   given up, or damaged; never emptied by itself

A message is one file: a few lines of envelope and state, an empty line, the message. It enters the queue
as nullmailer's do: written, synced, renamed, the directory synced. After that it survives a power cut.
Nothing here knows how messages are sent or what they are about.
"""

from __future__ import annotations

import os
import time

from cronwrap.errors import StateError
from cronwrap.lock import Lock
from cronwrap.model import Envelope, Message, Record

MAGIC = "cronwrap-message 1"
QUEUE, FAILED, TMP = "queue", "failed", "tmp"
HEAD_LIMIT = 1 << 20
"""Octets of envelope lines; thousands of recipients fit, a foreign file does not fill the memory."""
STALE_TMP = 86400.0
"""Seconds after which a file in ``tmp`` is what a crash left: no message takes a day to write."""
FIRST_RETRY, LONGEST_RETRY = 60.0, 3600.0
"""Seconds from one attempt to the next: doubling from the first to the longest."""
DAMAGED = "damaged: "


class Damaged(Exception):  # noqa: N818  # it says what the file is
    """A file in the outbox is not a whole message of ours; the text says why."""


class Item(Record):
    """A message in the outbox, without its content."""

    id: str
    envelope: Envelope
    """The recipients that still wait for it."""
    job: str
    subject: str
    queued: float
    """Unix time."""
    attempts: int = 0
    next_attempt: float = 0.0
    """Unix time before which it is not tried again by itself; 0: at once."""
    last_error: str = ""
    relay_fault: bool = False
    """Whether the last attempt failed at the relay, not at this message: any sign of life makes it due."""
    refused: tuple[str, ...] = ()
    """Recipients that were refused for good, each with the relay's words."""
    size: int = 0
    """Octets of the content."""
    state: str = "queued"
    """``queued`` or ``failed``."""


class Summary(Record):
    """The outbox in a few numbers."""

    queued: int
    failed: int
    oldest_age: float
    """Seconds the oldest queued message has waited."""
    last_error: str
    """Why it waits."""


class Outbox:
    """The outbox below a state directory."""

    def __init__(self, state_dir: str) -> None:
        self.directory = os.path.join(state_dir, "outbox")
        self._state_dir = state_dir

    # Storing ------------------------------------------------------------------------------------

    def store(self, identity: str, message: Message, now: float) -> Item:
        """Put a message into the queue, durably; StateError when that cannot be done."""
        item = Item(
            id=identity,
            envelope=message.envelope,
            job=message.job,
            subject=message.subject,
            queued=now,
            size=len(message.content),
        )
        try:
            self._make()
            self._write(item, message.content)
        except OSError as error:
            raise StateError(f"the outbox {self.directory} cannot be written: {error.strerror}") from error
        return item

    def _make(self) -> None:
        """Make the directories; 0700, since mails hold what jobs say."""
        if os.path.isdir(os.path.join(self.directory, FAILED)):  # the one that is made last
            return
        from cronwrap.settings import make_private  # noqa: PLC0415

        make_private(self._state_dir)
        for directory in (
            self.directory,
            *(os.path.join(self.directory, name) for name in (TMP, QUEUE, FAILED)),
        ):
            make_private(directory)
        _sync(self.directory)
        _sync(self._state_dir)

    def _write(self, item: Item, content: bytes) -> None:
        """Put a file in its place: the whole new one or, after a crash at any moment, the old one."""
        temporary = os.path.join(self.directory, TMP, f"{item.id}.{os.getpid()}")
        place = os.path.join(self.directory, FAILED if item.state == "failed" else QUEUE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o600)
        try:
            try:
                rest = memoryview(_head(item) + content)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            os.rename(temporary, os.path.join(place, item.id))
        except OSError:
            _remove(temporary)
            raise
        _sync(place)

    # Looking ------------------------------------------------------------------------------------

    def ids(self, place: str = QUEUE) -> list[str]:
        """Give the names of the files in the queue, the oldest first; none when there is no outbox."""
        try:
            names = os.listdir(os.path.join(self.directory, place))
        except OSError:
            return []
        return sorted(name for name in names if not name.startswith("."))

    def load(self, identity: str, place: str = QUEUE) -> Item:
        """Read a message's envelope and state; Damaged, or FileNotFoundError when it has gone."""
        with open(os.path.join(self.directory, place, identity), "rb") as stream:
            head, separator, rest = stream.read(HEAD_LIMIT).partition(b"\n\n")
            if not separator:
                raise Damaged("no envelope")
            stored = os.fstat(stream.fileno()).st_size - len(head) - 2
        del rest
        item = _parse(identity, head)
        if item.size != stored:
            raise Damaged(f"{stored} octets instead of {item.size}")
        return item.replace(state="failed" if place == FAILED else "queued")

    def content(self, item: Item) -> bytes:
        """Read the message itself."""
        place = FAILED if item.state == "failed" else QUEUE
        with open(os.path.join(self.directory, place, item.id), "rb") as stream:
            return stream.read().partition(b"\n\n")[2]

    def items(self) -> tuple[list[Item], list[str]]:
        """Give the queued messages, the oldest first, and what was damaged and now is in ``failed``."""
        found, damaged = [], []
        for identity in self.ids():
            try:
                found.append(self.load(identity))
            except FileNotFoundError:
                continue  # sent by somebody else since
            except (Damaged, OSError) as error:
                damaged.append(f"{identity}: {error}")
                self._set_aside(identity)
        found.sort(key=lambda item: item.queued)
        return found, damaged

    def failed(self) -> list[Item]:
        """Give what was given up, the oldest first; damaged files too, with what is known of them."""
        found = []
        for identity in self.ids(FAILED):
            try:
                found.append(self.load(identity, FAILED))
            except (Damaged, OSError) as error:
                found.append(_unreadable(identity, str(error)))
        return found

    def find(self, prefix: str) -> Item:
        """Give the one message whose id begins so; StateError when there is none, or more than one."""
        items = [*self.items()[0], *self.failed()]
        exact = [item for item in items if item.id == prefix]
        matching = exact or [item for item in items if item.id.startswith(prefix)]
        if len(matching) != 1:
            many = f"{len(matching)} messages begin" if matching else "no message begins"
            raise StateError(f"{many} with {prefix!r}: see cronwrap outbox list")
        return matching[0]

    # Marking ------------------------------------------------------------------------------------

    def remove(self, item: Item) -> None:
        """Take a message off, now that a relay has it (or its owner does not want it).

        Not synced: should power fail now, it is sent once more under the same Message-ID, which is
        better than to wait for the disk with every message.
        """
        place = FAILED if item.state == "failed" else QUEUE
        _remove(os.path.join(self.directory, place, item.id))

    def update(self, item: Item, changed: Item) -> None:
        """Write down the new state of a message; StateError when that cannot be done."""
        try:
            self._write(changed, self.content(item))
            if changed.state != item.state:
                self.remove(item)
        except OSError as error:
            raise StateError(f"the outbox {self.directory} cannot be written: {error.strerror}") from error

    def _set_aside(self, identity: str) -> None:
        """Move a damaged file out of the way of the others."""
        try:
            source = os.path.join(self.directory, QUEUE, identity)
            os.rename(source, os.path.join(self.directory, FAILED, identity))
        except OSError:
            return

    def sweep(self, now: float) -> None:
        """Remove what writers that died long ago have left in ``tmp``."""
        directory = os.path.join(self.directory, TMP)
        for name in self.ids(TMP):
            path = os.path.join(directory, name)
            try:
                if now - os.stat(path).st_mtime > STALE_TMP:
                    os.unlink(path)
            except OSError:
                continue

    def claim(self, name: str = "lock") -> Lock:
        """Give the lock whose holder alone sends; OSError when the outbox cannot be written."""
        self._make()
        return Lock(os.path.join(self.directory, name))


def summary(state_dir: str, now: float | None = None) -> Summary | None:
    """Give the numbers of an outbox, or None when nothing is in it."""
    box = Outbox(state_dir)
    if not box.ids() and not box.ids(FAILED):
        return None
    items, _ = box.items()
    moment = time.time() if now is None else now
    return Summary(
        queued=len(items),
        failed=len(box.ids(FAILED)),
        oldest_age=max(0.0, moment - items[0].queued) if items else 0.0,
        last_error=items[0].last_error if items else "",
    )


def retry_after(attempts: int, identity: str) -> float:
    """Give the seconds to wait after that many attempts; spread by the id, so that not all come at once."""
    whole = min(FIRST_RETRY * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY)
    spread = sum(identity.encode()) % 32 / 32  # a stable part: the schedule is the same whoever computes it
    return whole * (1 - 0.1 * spread)


# The file ---------------------------------------------------------------------------------------


def _head(item: Item) -> bytes:
    lines = [MAGIC, f"from: {item.envelope.sender}"]
    lines += [f"to: {recipient}" for recipient in item.envelope.recipients]
    lines += [f"refused: {words}" for words in item.refused]
    for key in ("job", "subject", "last_error"):
        lines.append(f"{key}: {getattr(item, key)}")
    lines += [f"queued: {item.queued!r}", f"next_attempt: {item.next_attempt!r}"]
    lines += [f"attempts: {item.attempts}", f"relay_fault: {int(item.relay_fault)}", f"size: {item.size}"]
    text = "\n".join(" ".join(line.splitlines()).replace("\0", " ") for line in lines)
    return text.encode(errors="surrogateescape") + b"\n\n"


def _parse(identity: str, head: bytes) -> Item:
    lines = head.decode(errors="surrogateescape").split("\n")
    if lines[0] != MAGIC:
        raise Damaged("not a message of cronwrap's")
    single: dict[str, str] = {}
    several: dict[str, list[str]] = {"to": [], "refused": []}
    for line in lines[1:]:
        key, colon, value = line.partition(": ")
        if not colon and not line.endswith(":"):
            raise Damaged(f"a line without a colon: {line[:40]!r}")
        if key in several:
            several[key].append(value)
        else:
            single[key.removesuffix(":")] = value
    try:
        return Item(
            id=identity,
            envelope=Envelope(sender=_filled(single["from"]), recipients=tuple(map(_filled, several["to"]))),
            job=single.get("job", ""),
            subject=single.get("subject", ""),
            queued=_moment(single["queued"]),
            attempts=int(single["attempts"]),
            next_attempt=_moment(single["next_attempt"]),
            last_error=single.get("last_error", ""),
            relay_fault=single.get("relay_fault") == "1",
            refused=tuple(several["refused"]),
            size=int(single["size"]),
        )
    except (KeyError, ValueError) as error:
        raise Damaged(f"bad envelope: {error}") from None


def _filled(value: str) -> str:
    if not value.strip() or any(ord(char) < 33 for char in value):
        raise ValueError(f"bad address {value!r}")
    return value


def _moment(value: str) -> float:
    moment = float(value)
    if not 0 <= moment < 1e11:  # NaN too
        raise ValueError(f"bad time {value!r}")
    return moment


def _unreadable(identity: str, why: str) -> Item:
    nobody = Envelope(sender="", recipients=())
    return Item(
        id=identity, envelope=nobody, job="", subject="", queued=0.0, last_error=DAMAGED + why, state="failed"
    )


def _sync(directory: str) -> None:
    """Have the names in a directory survive a power cut (fsync(2))."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
