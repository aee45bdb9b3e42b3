"""A digest instead of a flood: what goes together, and what became of it, on disk before it is acted on.

    STATE/outbox/digests/ID    the reports that one digest has and, once a relay has answered, who still waits

The reports themselves stay in the queue, each a message of its own, until the answer is known. So a digest
that was begun is the same one after a crash, under the same Message-ID, and one that was taken takes all its
reports off, whenever that is completed.
"""

from __future__ import annotations

from cronwrap.errors import StateError
from cronwrap.model import Record
from cronwrap.outbox.message_file import Damaged, Item
from cronwrap.outbox.store import TMP
from cronwrap.spans import count

try:  # what hashlib itself would load
    from _blake2 import blake2b
except ImportError:  # a Python that was built otherwise
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cronwrap.outbox.store import Outbox

DIRECTORY = "digests"
MAGIC = "cronwrap-digest 1"
AT_ONCE = 20
"""Reports to the same recipients that go one by one: more of them at once nobody reads."""
MOST = 200
"""Reports in one digest: mail programs show a list of the attachments."""
LARGEST = 5 << 20
"""Octets of one digest's reports: half of what small relays take (Postfix: 10,240,000)."""
SIZE_LIMIT = 1 << 20
"""Octets of a file here; a full one has some ten thousand."""


class Digest(Record):
    """A digest that is about to be sent: what a relay is given, and whose reports it has."""

    item: Item
    """As if it were a message of the outbox."""
    members: tuple[Item, ...]
    content: bytes


class _Plan(Record):
    """What stands on disk of a digest."""

    members: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Who waited for it; empty until a relay has answered."""
    waiting: tuple[str, ...] = ()
    """Who waits still."""


class Digests:
    """The digests of an outbox; only the holder of the outbox's claim uses them."""

    def __init__(self, box: Outbox) -> None:
        self._box = box

    # What goes together -------------------------------------------------------------------------

    def batches(self, due: Sequence[Item], first: str) -> Iterator[tuple[Item, ...]]:
        """Give what is due: most of it one by one, then what belongs into one digest together.

        ``first`` is the id of the one that somebody waits for; it goes alone.
        """
        begun = {identity: name for name, plan in self._plans() for identity in plan.members}
        counts: dict[object, int] = {}
        together: dict[object, list[Item]] = {}
        for item in due:
            alike = (item.envelope, item.refused)
            if item.id != first and item.id in begun:
                together.setdefault((begun[item.id], alike), []).append(item)
            elif item.id == first or item.size > LARGEST or counts.get(alike, 0) < AT_ONCE:
                counts[alike] = counts.get(alike, 0) + 1
                yield (item,)
            else:
                together.setdefault(("", alike), []).append(item)
        for members in together.values():
            here = {item.id for item in members}
            name = begun.get(members[0].id)
            rest = [identity for identity, its in begun.items() if its == name and identity not in here]
            # Each message has a schedule of its own; those of one digest keep to the first that is due.
            members += [
                item
                for item in self._members(rest)
                if item.id != first
                and (item.envelope, item.refused) == (members[0].envelope, members[0].refused)
            ]
            yield from _parted(members)

    def begin(self, members: Sequence[Item], content: Callable[[Item], bytes], now: float) -> Digest | None:
        """Put a digest on disk and give it; None where its reports have to go one by one."""
        from cronwrap.report.digest import Part, compose, is_report  # noqa: PLC0415  # imports `email`

        found = []
        for item in members:
            try:
                octets = content(item)
            except (Damaged, OSError):
                continue  # by itself it tells what is wrong with it
            if is_report(octets):
                found.append((item, Part(run=item.id, content=octets, queued=item.queued)))
        if len(found) < 2:
            return None
        held = tuple(item for item, _part in found)
        try:
            name = self._remember(held)
        except OSError:
            return None
        subject = f"a digest of {count(len(held), 'report')}"
        attempts = max(item.attempts for item in held)
        together = held[0].replace(id=name, subject=subject, attempts=attempts)
        octets = compose(name, together.envelope, [part for _item, part in found], now)
        return Digest(item=together, members=held, content=octets)

    def _remember(self, members: Sequence[Item]) -> str:
        """Give the name of the digest that has these reports: the one it has already, or a new one."""
        wanted = {item.id for item in members}
        for name, plan in self._plans():
            if wanted <= set(plan.members) and not plan.before:
                return name
        ids = tuple(item.id for item in members)
        name = blake2b("\0".join(ids).encode(errors="surrogateescape"), digest_size=10).hexdigest()
        self._box.place(DIRECTORY, make=True)
        self._write(name, _Plan(members=ids))
        return name

    # What became of it --------------------------------------------------------------------------

    def answered(self, digest: Digest, waiting: tuple[str, ...]) -> tuple[Item, ...]:
        """Note who still waits for a digest's reports, have each of them say the same, give those left.

        StateError when that cannot be written down.
        """
        name, before = digest.item.id, digest.item.envelope.recipients
        ids = tuple(item.id for item in digest.members)
        plan = _Plan(members=ids, before=before, waiting=waiting)
        try:
            self._write(name, plan)
        except OSError:
            pass  # no room: a crash in the next moment would make duplicates, that is all
        left = self._complete(plan)
        self._forget(name) if not waiting else self._again(name, ids)
        return left

    def dissolve(self, digest: Digest) -> None:
        """Have a digest's reports go one by one."""
        self._forget(digest.item.id)

    def recover(self) -> None:
        """Complete what a process that died had begun, and forget what is over."""
        for name, plan in self._plans():
            try:
                left = self._complete(plan) if plan.before else tuple(self._members(plan.members))
                if len(left) < 2:
                    self._forget(name)
                elif plan.before:
                    self._again(name, plan.members)
            except StateError:
                continue  # the disk: the next one tries again

    def _complete(self, plan: _Plan) -> tuple[Item, ...]:
        """Have each report of an answered digest say who still waits for it; give those left."""
        left = []
        for item in self._members(plan.members):
            if item.envelope.recipients != plan.before:
                left.append(item)  # done already, or its owner has changed it
            elif plan.waiting:
                changed = item.replace(envelope=item.envelope.replace(recipients=plan.waiting))
                self._box.update(item, changed)
                left.append(changed)
            else:
                self._box.remove(item)
        return tuple(left)

    def _members(self, ids: Iterable[str]) -> Iterator[Item]:
        for identity in ids:
            try:
                yield self._box.load(identity)
            except (Damaged, OSError):
                continue  # sent, dropped, or not to be read

    # On disk ------------------------------------------------------------------------------------

    def _plans(self) -> list[tuple[str, _Plan]]:
        """Give what stands on disk, by name; what cannot be read is no digest."""
        found = []
        for name in self._box.ids(DIRECTORY):
            try:
                handle = self._box.place(DIRECTORY).open(name)
                with open(handle, encoding="utf-8", errors="surrogateescape") as file:
                    found.append((name, _parsed(file.read(SIZE_LIMIT))))
            except (OSError, ValueError):
                self._forget(name)
        return found

    def _write(self, name: str, plan: _Plan) -> None:
        """Put a file in its place whole. It is not synced: after a power cut a report rather comes twice."""
        lines = [MAGIC, *(f"holds: {identity}" for identity in plan.members)]
        lines += [f"before: {address}" for address in plan.before]
        lines += [f"waiting: {address}" for address in plan.waiting]
        octets = "\n".join([*lines, "end", ""]).encode(errors="surrogateescape")
        temporary, handle = self._box.temporary(name)
        with open(handle, "wb") as file:
            file.write(octets)
        self._box.place(TMP).rename(temporary, name, self._box.place(DIRECTORY))

    def _again(self, name: str, members: tuple[str, ...]) -> None:
        try:
            self._write(name, _Plan(members=members))
        except OSError:
            self._forget(name)

    def _forget(self, name: str) -> None:
        try:
            self._box.place(DIRECTORY).unlink(name)
        except OSError:
            return


def _parsed(text: str) -> _Plan:
    magic, *lines, end, empty = text.split("\n")
    if magic != MAGIC or end != "end" or empty:
        raise ValueError("not a whole digest of ours")
    values: dict[str, list[str]] = {"holds": [], "before": [], "waiting": []}
    for line in lines:
        key, _colon, value = line.partition(": ")
        if key not in values or not value or ("/" in value and key == "holds"):
            raise ValueError(f"a line of another kind: {line[:40]!r}")
        values[key].append(value)
    return _Plan(
        members=tuple(values["holds"]), before=tuple(values["before"]), waiting=tuple(values["waiting"])
    )


def _parted(members: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """Give reports in as many parts as the limits of one digest ask for."""
    part: list[Item] = []
    size = 0
    for item in members:
        if part and (len(part) == MOST or size + item.size > LARGEST):
            yield tuple(part)
            part, size = [], 0
        part.append(item)
        size += item.size
    if part:
        yield tuple(part)
