"""Delivery: the one loop that takes messages from the outbox to the relays.

One process of a user sends at a time, the one that holds the outbox's claim. It imports what sending
needs (``relay``); whoever only hands over its report does not.
"""

from __future__ import annotations

import os
import time
from binascii import crc32

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.model import Delivery, Envelope, Record
from cronwrap.outbox import Item, Outbox, retry_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cronwrap.endpoint import Endpoint
    from cronwrap.relay import Session

DELAYED = 60.0
"""Seconds after which a report says that it had to wait, even if it was never tried."""
PAUSES = "relays"
"""The file in the outbox that remembers which relays are not to be tried before when."""


class Pause(Record):
    """A relay that did not work, and when it may be tried again."""

    until: float
    """Unix time."""
    failures: int
    login: bool
    """The login was refused: nothing is tried meanwhile, since repeated failures lock accounts."""
    reason: str = ""


class Pauses:
    """The pauses of all relays, kept on disk so that each process knows what the last one learned."""

    def __init__(self, box: Outbox) -> None:
        self._path = os.path.join(box.directory, PAUSES)
        self._pauses: dict[str, Pause] = {}
        try:
            with open(self._path, encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    key, until, failures, login, reason = line.rstrip("\n").split("\t", 4)
                    self._pauses[key] = Pause(
                        until=float(until), failures=int(failures), login=login == "1", reason=reason
                    )
        except (OSError, ValueError):
            self._pauses = {}  # the worst that comes of it is an attempt too early

    def get(self, relay: Endpoint) -> Pause | None:
        """Give the pause of a relay as it is configured now; a change of its settings ends it."""
        return self._pauses.get(_key(relay))

    def note(self, relay: Endpoint, delivery: Delivery, now: float) -> None:
        """Note that a relay did not work."""
        before = self.get(relay)
        failures = before.failures + 1 if before else 1
        pause = Pause(
            until=now + retry_after(failures, _key(relay)),
            failures=failures,
            login=delivery.login_refused,
            reason=" ".join(delivery.relay_fault.split()),
        )
        self._pauses[_key(relay)] = pause
        self._write()

    def clear(self, relay: Endpoint) -> None:
        """Note that a relay works."""
        if self._pauses.pop(_key(relay), None):
            self._write()

    def _write(self) -> None:
        temporary = f"{self._path}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="utf-8", errors="replace") as stream:
                for key, pause in self._pauses.items():
                    login = int(pause.login)
                    stream.write(f"{key}\t{pause.until}\t{pause.failures}\t{login}\t{pause.reason}\n")
            os.rename(temporary, self._path)
        except OSError:
            return


def _key(relay: Endpoint) -> str:
    """Give a key that changes with anything in a relay's settings, its password file included."""
    try:
        changed = os.stat(relay.password_file).st_mtime_ns if relay.password_file else 0
    except OSError:
        changed = 0
    told = (relay.display, relay.user, relay.password or "", relay.password_file, changed, relay.password_env)
    more = (relay.password_command, relay.token_command, relay.ca_file, relay.fingerprint, relay.auth)
    return f"{crc32(repr((told, more)).encode(errors='surrogateescape')):08x}"


class Drainer:
    """Sends what is due; to be used by the holder of the outbox's claim alone."""

    def __init__(
        self,
        box: Outbox,
        relays: Sequence[Endpoint],
        lifetime: float,
        *,
        clock: Callable[[], float] = time.time,
        told: Callable[[Item, str], None] = lambda _item, _words: None,
    ) -> None:
        """``lifetime`` is in seconds; ``told`` hears of each message what became of it."""
        self._box = box
        self._relays = relays
        self._lifetime = lifetime
        self._clock = clock
        self._told = told
        self._pauses = Pauses(box)
        self._sessions: dict[int, Session] = {}
        self._down: dict[int, str] = {}
        self._tried: set[str] = set()
        self._alive = False

    def drain(self, *, first: str = "", everything: bool = False) -> None:
        """Send each message that is due once; ``everything``: whatever its schedule says.

        ``first`` is the id of the one that somebody waits for. Messages that come meanwhile are sent too.
        """
        self._box.sweep(self._clock())
        try:
            while due := self._due(everything=everything):
                due.sort(key=lambda item: item.id != first)
                for item in due:
                    self._attempt(item, patient=not everything)
        finally:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

    def _due(self, *, everything: bool) -> list[Item]:
        items, _ = self._box.items()
        now = self._clock()
        return [
            item
            for item in items
            if item.id not in self._tried
            and (
                everything
                or item.next_attempt <= now
                or item.queued > now  # the clock was set back: its schedule means nothing any more
                or (item.relay_fault and self._alive)
            )
        ]

    def _attempt(self, item: Item, *, patient: bool) -> None:
        """Try one message with one relay after the other; mark what became of it."""
        self._tried.add(item.id)
        try:
            content = self._content(item)
        except OSError:
            return  # gone: its owner dropped it
        waiting = item.envelope.recipients
        refused = list(item.refused)
        error, at_relay, asked = "", True, False
        for number, relay in enumerate(self._relays):
            if why_not := self._closed(number, relay, item, patient=patient):
                error = error or why_not
                continue
            asked = True
            envelope = Envelope(sender=item.envelope.sender, recipients=waiting)
            delivery = self._session(number, relay).send(envelope, content)
            if delivery.relay_fault:
                self._pauses.note(relay, delivery, self._clock())
                self._down[number] = delivery.relay_fault
                error = delivery.relay_fault if at_relay else error
                continue
            self._pauses.clear(relay)
            self._alive = True
            at_relay = False
            refused += [f"{address}: {words}" for address, words in delivery.refused]
            waiting = tuple(address for address, _ in delivery.deferred)
            if not waiting:
                break
            error = delivery.deferred[0][1]
        attempted = item.replace(
            envelope=item.envelope.replace(recipients=waiting),
            attempts=item.attempts + asked,
            last_error=error or "no relay is configured: run cronwrap init",
            relay_fault=at_relay,
            refused=tuple(refused),
        )
        self._mark(item, attempted)

    def _closed(self, number: int, relay: Endpoint, item: Item, *, patient: bool) -> str:
        """Say why a relay is not tried now, or give an empty text.

        A pause holds for retries; a new message is tried at once, unless a login was refused.
        """
        if relay.fault:
            return relay.fault
        if number in self._down:
            return self._down[number]
        pause = self._pauses.get(relay)
        if pause and patient and self._clock() < pause.until and (pause.login or item.attempts):
            return pause.reason
        return ""

    def _session(self, number: int, relay: Endpoint) -> Session:
        if number not in self._sessions:
            from cronwrap.relay import connect  # noqa: PLC0415  # asyncio, ssl and aiosmtplib

            self._sessions[number] = connect(relay)
        return self._sessions[number]

    def _content(self, item: Item) -> bytes:
        content = self._box.content(item)
        waited = self._clock() - item.queued
        if not item.attempts and waited < DELAYED:
            return content
        from cronwrap.message import annotate_delay  # noqa: PLC0415  # imports `email`

        return annotate_delay(content, waited, item.last_error or "no relay could be asked before")

    def _mark(self, item: Item, attempted: Item) -> None:
        """Write down what became of a message; ``attempted`` has what is left of it to do."""
        now = self._clock()
        waiting, error = attempted.envelope.recipients, attempted.last_error
        try:
            if not waiting and not attempted.refused:
                self._box.remove(item)
                words = "delivered"
            elif waiting and now - item.queued < self._lifetime:
                wait = retry_after(max(1, attempted.attempts), item.id)
                pauses = [self._pauses.get(relay) for relay in self._relays]
                if attempted.relay_fault and all(pauses):
                    wait = max(wait, min(pause.until for pause in pauses if pause) - now)
                self._box.update(item, attempted.replace(next_attempt=now + wait))
                words = f"kept: {error}"
            else:
                why = list(attempted.refused)
                if waiting:
                    why.append(f"given up after {attempted.attempts} attempts: {error}")
                lost = (*waiting, *(words.partition(": ")[0] for words in attempted.refused))
                envelope = item.envelope.replace(recipients=lost)
                reason = "; ".join(why)
                changes = {"envelope": envelope, "last_error": reason, "refused": (), "state": "failed"}
                self._box.update(item, attempted.replace(**changes))
                log(f"report {item.id} ({item.subject}) failed for good: {reason}")
                words = f"failed: {reason}"
        except StateError as fault:
            # Not written down, so it will be tried again: rather twice than never.
            log(f"report {item.id}: {fault}")
            words = f"kept: {fault}"
        self._told(item, words)


def send_from_memory(relays: Sequence[Endpoint], envelope: Envelope, content: bytes) -> str:
    """Send a message that could not be stored; give an empty text, or why that failed."""
    from cronwrap.relay import connect  # noqa: PLC0415  # asyncio, ssl and aiosmtplib

    error = "no relay is configured"
    for relay in relays:
        if relay.fault:
            error = relay.fault
            continue
        session = connect(relay)
        delivery = session.send(envelope, content)
        session.close()
        if not delivery.deferred:
            return "; ".join(f"{address}: {words}" for address, words in delivery.refused)
        envelope = envelope.replace(recipients=tuple(address for address, _ in delivery.deferred))
        error = delivery.deferred[0][1]
    return error
