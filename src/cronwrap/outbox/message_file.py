"""A message of the outbox as a file: a few lines of envelope and state, an empty line, the message.

Whatever lies in the outbox is read as if an enemy had put it there: a pipe, a directory, half a file.
"""

from __future__ import annotations

import os
from stat import S_IRUSR, S_ISREG

from cronwrap.mail import Envelope
from cronwrap.model import Record
from cronwrap.outbox.backoff import due

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.state import Directory

MAGIC = "cronwrap-message 1"
HEAD_LIMIT = 4 << 20
"""Octets of envelope lines; thousands of recipients fit, a foreign file does not fill the memory."""
HEAD_CHUNK = 8192
"""Octets read at first: more than the head of any usual message, so that one read is enough."""
LATEST = 1e11
"""Unix time of the year 5138; what is beyond was never written by a clock."""
MOST_ATTEMPTS = 10**9
DAMAGED = "damaged: "
LANE_MARK = "."
"""What an id has between the run and the target: ``RUN.KEY``; no mail's has it. So it takes no look into a
file to tell what is for whom."""


def lane_of(identity: str) -> str:
    """Give the lane of a message by its id: nothing for mail, else the key of a target."""
    return identity.partition(LANE_MARK)[2].rstrip("~")


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
    sender_from_settings: bool = False
    recipients_from_settings: bool = False
    recipients_written: str = ""
    """As in ``Message``: what a retry asks the settings for anew."""
    held_until: float = 0.0
    """Unix time before which its target asked not to be told anything (``Retry-After``); 0: it did not."""
    size: int = 0
    """Octets of the content."""
    state: str = "queued"
    """``queued`` or ``failed``."""

    @property
    def lane(self) -> str:
        """Give what it goes by: nothing for mail, else the key of the target it is for."""
        return lane_of(self.id)

    def due(self, now: float) -> bool:
        """Tell whether it is to be tried at this Unix time."""
        return due(self.next_attempt, self.queued, now)


def read_item(place: Directory, identity: str, state: str) -> Item:
    """Read a message's envelope and state; Damaged, or OSError when nothing can be said."""
    handle = open_file(place, identity)
    try:
        head = _read_head(handle)
        stored = os.fstat(handle).st_size - len(head) - 2
    finally:
        os.close(handle)
    item = _parse(identity, head)
    if item.size != stored:
        raise Damaged(f"{stored} octets instead of {item.size}")
    return item.replace(state=state)


def read_content(place: Directory, identity: str) -> bytes:
    """Read the message itself; Damaged or OSError as ``read_item``."""
    handle = open_file(place, identity)
    try:
        with open(handle, "rb", closefd=False) as stream:
            stream.seek(len(_read_head(handle)) + 2)
            return stream.read()
    finally:
        os.close(handle)


def open_file(place: Directory, identity: str) -> int:
    """Open a file of ours; Damaged for whatever else lies in its place."""
    try:
        return place.open(identity)
    except OSError as error:
        from errno import EACCES, EISDIR, ENXIO, EPERM  # noqa: PLC0415  # rare; to make its 130 names costs

        if error.errno == EPERM:
            raise Damaged(str(error.strerror)) from None
        # One closed to us, a directory, a socket. Other errors (EIO, EMFILE) may pass, and say nothing of it.
        if error.errno in (EACCES, EISDIR, ENXIO) and not _readable(place, identity):
            raise Damaged(f"cannot be read: {error.strerror}") from None
        raise


def _readable(place: Directory, identity: str) -> bool:
    """Tell whether a file is one of ours that we may read, after all: an error of the moment is no damage."""
    try:
        found = place.stat(identity)
    except OSError:
        return True  # nothing can be said
    return S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and bool(found.st_mode & S_IRUSR)


def _read_head(handle: int) -> bytes:
    """Read the lines before the first empty one."""
    head = b""
    while b"\n\n" not in head:
        chunk = os.read(handle, max(HEAD_CHUNK, len(head)))
        if not chunk or len(head) > HEAD_LIMIT:
            raise Damaged("no envelope")
        head += chunk
    return head.partition(b"\n\n")[0]


def head(item: Item) -> bytes:
    """Give the lines that stand before a message, the empty one included."""
    lines = [MAGIC, f"from: {item.envelope.sender}"]
    lines += [f"to: {recipient}" for recipient in item.envelope.recipients]
    lines += [f"refused: {words}" for words in item.refused]
    lines += [f"{key}: {getattr(item, key)}" for key in ("job", "subject", "last_error")]
    lines += [f"queued: {item.queued!r}", f"next_attempt: {item.next_attempt!r}"]
    lines += [f"from_settings: {word}" for word in _from_settings(item)]
    if item.recipients_written:
        lines.append(f"written: {item.recipients_written}")
    if item.held_until:
        lines.append(f"held_until: {item.held_until!r}")
    lines += [f"attempts: {item.attempts}", f"relay_fault: {int(item.relay_fault)}", f"size: {item.size}"]
    text = "\n".join(" ".join(line.splitlines()).replace("\0", " ") for line in lines)
    try:
        octets = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # no octet the system gave us becomes such a character, yet nothing is lost
        octets = text.encode(errors="replace")
    return octets + b"\n\n"


def _from_settings(item: Item) -> list[str]:
    words = {"sender": item.sender_from_settings, "recipients": item.recipients_from_settings}
    return [word for word, true in words.items() if true]


def _parse(identity: str, octets: bytes) -> Item:
    lines = octets.decode(errors="surrogateescape").split("\n")
    if lines[0] != MAGIC:
        raise Damaged("not a message of cronwrap's")
    single: dict[str, str] = {}
    several: dict[str, list[str]] = {"to": [], "refused": [], "from_settings": []}
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
            envelope=Envelope(sender=_filled(single["from"]), recipients=_recipients(several["to"])),
            job=single.get("job", ""),
            subject=single.get("subject", ""),
            queued=_moment(single["queued"]),
            attempts=_count(single["attempts"], MOST_ATTEMPTS),
            next_attempt=_moment(single["next_attempt"]),
            last_error=single.get("last_error", ""),
            relay_fault=single.get("relay_fault") == "1",
            refused=tuple(several["refused"]),
            sender_from_settings="sender" in several["from_settings"],
            recipients_from_settings="recipients" in several["from_settings"],
            recipients_written=single.get("written", ""),
            held_until=_moment(single.get("held_until", "0")),
            size=_count(single["size"], 1 << 62),
        )
    except (KeyError, ValueError) as error:
        raise Damaged(f"bad envelope: {error}") from None


def _recipients(values: list[str]) -> tuple[str, ...]:
    if not values:
        raise ValueError("no recipient")
    return tuple(map(_filled, values))


def _filled(value: str) -> str:
    """Give an address; whether a relay can be told it is the relay's business (a quoted one has spaces)."""
    if not value.strip() or any(char < " " or char == "\x7f" for char in value):
        raise ValueError(f"bad address {value!r}")
    return value


def _moment(value: str) -> float:
    moment = float(value)
    if not 0 <= moment < LATEST:  # NaN too
        raise ValueError(f"bad time {value!r}")
    return moment


def _count(value: str, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError(f"bad number {value!r}")
    return number


def unreadable(identity: str, why: str) -> Item:
    """Give what can be shown of a damaged file."""
    nobody = Envelope(sender="", recipients=())
    return Item(
        id=identity, envelope=nobody, job="", subject="", queued=0.0, last_error=DAMAGED + why, state="failed"
    )
