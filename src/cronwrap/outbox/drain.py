"""Delivery: the one loop that takes messages from the outbox to the relays.

One process of a user sends at a time, the one that holds the outbox's claim. It imports what sending
needs (``relay``); whoever only hands over its report does not.
"""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.mail import Delivery, Envelope
from cronwrap.model import Record
from cronwrap.outbox import too_large
from cronwrap.outbox.backoff import enough, retry_after
from cronwrap.outbox.digest import Digests
from cronwrap.outbox.loop import CutShort, Loop
from cronwrap.outbox.relay_pauses import Pauses
from cronwrap.outbox.store import Damaged, Item, Outbox
from cronwrap.spans import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cronwrap.outbox.digest import Digest
    from cronwrap.relay.connect import Session
    from cronwrap.settings.relays import Endpoint

DELAYED = 60.0
"""Seconds after which a report says that it had to wait, even if it was never tried."""
SLOW = 10.0
"""Seconds; a relay that takes so long to fail with one message ..."""
SLOW_IN_A_ROW = 2
"""... and with so many of them in a row is left alone, or a queue would stand for days behind it."""
NO_RELAY = "no relay is configured: run cronwrap init"
CUT_SHORT = "the sending process was told to end before the relay had answered"


class Result(Record):
    """What became of one message with all relays."""

    waiting: tuple[str, ...]
    refused: tuple[str, ...]
    error: str = ""
    """The most telling reason why some wait."""
    relay_fault: bool = True
    """Whether no relay got as far as the message."""
    asked: bool = False
    """Whether any relay was tried at all."""


class Drainer(Loop):
    """Sends the mail that is due; to be used by the holder of the outbox's claim alone."""

    def __init__(
        self,
        box: Outbox,
        relays: Sequence[Endpoint],
        lifetime: float,
        *,
        clock: Callable[[], float] = time.time,
        told: Callable[[Item, str], None] = lambda _item, _words: None,
    ) -> None:
        super().__init__(box, lifetime, clock=clock, told=told)
        self._relays = relays
        self._pauses = Pauses(box)
        self._digests = Digests(box)
        self._sessions: dict[int, Session] = {}
        self._down: dict[int, str] = {}
        self._slow: dict[int, int] = {}

    def drain(self, *, first: str = "", everything: bool = False) -> None:
        """Send each message that is due once; ``everything``: whatever its schedule says.

        ``first`` is the id of the one that somebody waits for. Messages that come meanwhile are sent too.
        """
        if not self._box.writable():
            log(f"nothing is sent from {self._box.directory}: what is sent could not be taken off")
            return
        self._box.sweep(self._clock())
        self._sent.forget(self._box.ids())
        self._digests.recover()
        try:
            while due := self._due(everything=everything):
                # New ones before those that failed already: they may be about something else.
                due.sort(key=lambda item: (item.id != first, item.attempts > 0))
                for batch in self._digests.batches(due, first):
                    if self._ending:
                        return
                    if len(batch) > 1:
                        self._attempt_together(batch, patient=not everything)
                    else:
                        self._attempt(batch[0], patient=not everything)
        finally:
            for session in () if self._ending else self._sessions.values():
                session.close()
            self._sessions.clear()

    def _due(self, *, everything: bool) -> list[Item]:
        items, _ = self._box.items(lane="")
        now = self._clock()
        return [
            item
            for item in items
            if item.id not in self._tried
            and (everything or item.due(now) or (item.relay_fault and self._alive))
        ]

    def _attempt(self, item: Item, *, patient: bool) -> None:
        """Try one message, and mark what became of it."""
        self._tried.add(item.id)
        left = self._sent.left(item.id, item.envelope.recipients)
        if not left:
            self._take_off(item)
            return
        item = item.replace(envelope=item.envelope.replace(recipients=left))
        try:
            content = self._content(item)
        except FileNotFoundError:
            return  # its owner dropped it
        except (Damaged, OSError) as error:
            log(f"report {item.id} cannot be read: {error}")
            return
        result = self._with_relays(item, content, patient=patient)
        attempted = item.replace(
            envelope=item.envelope.replace(recipients=result.waiting),
            attempts=item.attempts + result.asked,
            last_error=result.error or NO_RELAY,
            relay_fault=result.relay_fault,
            refused=result.refused,
        )
        words = self._mark(item, attempted)
        self._told(item, words)

    def _attempt_together(self, batch: tuple[Item, ...], *, patient: bool) -> None:
        """Try some reports as one mail, and mark what became of each; one by one where that is refused."""
        closed = [
            self._closed(number, relay, batch[0], patient=patient)
            for number, relay in enumerate(self._relays)
        ]
        # With no relay to ask each is marked as ever, which costs less than to put a digest together.
        digest = None if all(closed) else self._digests.begin(batch, self._content, self._clock())
        held = {item.id for item in digest.members} if digest else set()
        left = tuple(item for item in batch if item.id not in held)
        if digest:
            left += self._together(digest, patient=patient)
        for item in left:
            if self._ending:
                return
            self._attempt(item, patient=patient)

    def _together(self, digest: Digest, *, patient: bool) -> tuple[Item, ...]:
        """Try a digest, mark what became of its reports, and give those that are to go by themselves."""
        self._tried |= {item.id for item in digest.members}
        result = self._with_relays(digest.item, digest.content, patient=patient)
        refused = result.refused[len(digest.item.refused) :]
        # What was refused as one may be taken by itself: a filter, or a size, may be the reason.
        waiting = (*result.waiting, *(words.partition(": ")[0] for words in refused))
        left = digest.members
        if set(waiting) != set(digest.item.envelope.recipients):
            try:
                left = self._digests.answered(digest, waiting)
            except StateError as fault:
                log(f"{digest.item.subject}: {fault}")
            for item in digest.members if not waiting else ():
                self._told(item, "delivered")
        if refused:
            self._digests.dissolve(digest)
            return left
        for item in left if waiting else ():
            attempted = item.replace(
                attempts=item.attempts + result.asked,
                last_error=result.error or NO_RELAY,
                relay_fault=result.relay_fault,
            )
            self._told(item, self._mark(item, attempted))
        return ()

    def _take_off(self, item: Item) -> None:
        """Remove a message that everybody has got, if it can be removed by now."""
        try:
            self._box.remove(item)
        except StateError as fault:
            log(f"report {item.id} was delivered, is not sent again, and cannot be removed: {fault}")

    def _with_relays(self, item: Item, content: bytes, *, patient: bool) -> Result:
        """Try one message with one relay after the other, until nobody waits for it."""
        result = Result(waiting=item.envelope.recipients, refused=item.refused)
        for number in self._order():
            relay = self._relays[number]
            if self._ending:
                return result.replace(error=result.error or CUT_SHORT)
            if why_not := self._closed(number, relay, item, patient=patient):
                result = result.replace(error=result.error or why_not)
                continue
            envelope = Envelope(sender=item.envelope.sender, recipients=result.waiting)
            delivery = too_large.send(self._hand_over(number, relay), envelope, content, item.id)
            result = result.replace(asked=True)
            if delivery.relay_fault:
                self._pauses.note(relay, delivery, self._clock())
                self._down[number] = delivery.relay_fault
                if result.relay_fault:
                    result = result.replace(error=delivery.relay_fault)
                continue
            if not self._down.get(number):
                self._pauses.clear(relay)
                self._alive = True
            result = result.replace(
                relay_fault=False,
                refused=(
                    *result.refused,
                    *(f"{address}: {words}" for address, words in delivery.refused),
                ),
                waiting=tuple(address for address, _ in delivery.deferred),
                error=delivery.deferred[0][1] if delivery.deferred else "",
            )
            if not result.waiting:
                break
        return result

    def _order(self) -> list[int]:
        """Give the relays' numbers as configured, those that failed a moment ago behind the others."""
        now = self._clock()
        pauses = [self._pauses.get(relay) for relay in self._relays]
        paused = [pause is not None and pause.holds(now) for pause in pauses]
        return sorted(range(len(self._relays)), key=lambda number: paused[number])

    def _closed(self, number: int, relay: Endpoint, item: Item, *, patient: bool) -> str:
        """Say why a relay is not tried now, or give an empty text.

        A pause holds for retries; a new message is tried at once, unless a login was refused.
        """
        if relay.fault:
            return relay.fault
        if number in self._down:
            return self._down[number]
        pause = self._pauses.get(relay)
        if pause and patient and pause.holds(self._clock()) and (pause.login or item.attempts):
            return pause.reason
        return ""

    def _hand_over(self, number: int, relay: Endpoint) -> Callable[[Envelope, bytes], Delivery]:
        return lambda envelope, content: self._send(number, relay, envelope, content)

    def _send(self, number: int, relay: Endpoint, envelope: Envelope, content: bytes) -> Delivery:
        """Hand one message to one relay; nothing it may come upon stops the other messages."""
        began = time.monotonic()
        try:
            self._talking = True
            delivery = self._session(number, relay).send(envelope, content)
            self._talking = False
        except CutShort:
            self._down[number] = CUT_SHORT
            return _all_deferred(envelope, CUT_SHORT)
        except Exception as error:  # noqa: BLE001  # a bug, or no memory: this message waits, the others go
            self._sessions.pop(number, None)
            log(f"sending failed: {type(error).__name__}: {error}")
            return _all_deferred(envelope, f"{type(error).__name__}: {error}")
        finally:
            self._talking = False
        slow = bool(delivery.deferred) and time.monotonic() - began > SLOW
        self._slow[number] = self._slow.get(number, 0) + 1 if slow else 0
        if self._slow[number] >= SLOW_IN_A_ROW and not delivery.relay_fault:
            self._down[number] = f"{relay.display} takes too long: {delivery.deferred[0][1]}"
            self._pauses.note(relay, Delivery(relay_fault=self._down[number]), self._clock())
        return delivery

    def _session(self, number: int, relay: Endpoint) -> Session:
        if number not in self._sessions:
            from cronwrap.relay.connect import connect  # noqa: PLC0415  # asyncio, ssl and aiosmtplib

            self._sessions[number] = connect(relay)
        return self._sessions[number]

    def _content(self, item: Item) -> bytes:
        content = self._box.content(item)
        waited = self._clock() - item.queued
        if not item.attempts and waited < DELAYED:
            return content
        from cronwrap.report.compose import annotate_delay  # noqa: PLC0415  # not needed by a run whose relay works

        try:
            return annotate_delay(content, waited, item.last_error or "no relay could be asked before")
        except Exception as error:  # noqa: BLE001  # it is in the words of strangers; better late than never
            log(f"report {item.id} goes without a word on its delay: {type(error).__name__}: {error}")
            return content

    def _mark(self, item: Item, attempted: Item) -> str:
        """Write down what became of a message, and say it; ``attempted`` has what is left of it to do."""
        now = self._clock()
        waiting, error = attempted.envelope.recipients, attempted.last_error
        try:
            if not waiting and not attempted.refused:
                self._box.remove(item)
                return "delivered"
            old = now - item.queued >= self._lifetime and enough(attempted.attempts, self._lifetime)
            if waiting and not old:
                self._box.update(item, attempted.replace(next_attempt=now + self._wait(attempted, now)))
                return f"kept: {error}"
            return self._give_up(item, attempted)
        except StateError as fault:
            # It stays as it was: who has got it is remembered elsewhere.
            refused = [words.partition(": ")[0] for words in attempted.refused]
            gone = [address for address in item.envelope.recipients if address not in waiting]
            self._sent.add(item.id, [address for address in gone if address not in refused])
            log(f"report {item.id}: {fault}")
            return f"kept: {fault}" if waiting else f"delivered, but {fault}"

    def _wait(self, attempted: Item, now: float) -> float:
        """Give the seconds to the next attempt: its own schedule's, or longer if no relay is open before."""
        wait = retry_after(attempted.attempts, attempted.id)
        pauses = [self._pauses.get(relay) for relay in self._relays]
        if attempted.relay_fault and pauses and all(pauses):
            wait = max(wait, min(pause.until for pause in pauses if pause) - now)
        return wait

    def _give_up(self, item: Item, attempted: Item) -> str:
        """Put a message into ``failed``, for its owner to look at. No report is made about a report."""
        waiting = attempted.envelope.recipients
        reasons = list(attempted.refused)
        if waiting:
            tries = count(attempted.attempts, "attempt")
            reasons.append(f"given up after {tries}: {attempted.last_error}")
        lost = (*waiting, *(words.partition(": ")[0] for words in attempted.refused))
        reason = "; ".join(reasons)
        failed = attempted.replace(
            envelope=item.envelope.replace(recipients=lost), last_error=reason, refused=(), state="failed"
        )
        self._box.update(item, failed)
        log(f"report {item.id} ({item.subject}) failed for good: {reason}")
        return f"failed: {reason}"


def _all_deferred(envelope: Envelope, why: str) -> Delivery:
    return Delivery(deferred=tuple((address, why) for address in envelope.recipients))


def send_from_memory(relays: Sequence[Endpoint], envelope: Envelope, content: bytes) -> str:
    """Send a message that could not be stored; give an empty text, or why somebody did not get it."""
    from cronwrap.relay.connect import connect  # noqa: PLC0415  # asyncio, ssl and aiosmtplib

    error = NO_RELAY
    refused: list[str] = []
    for relay in relays:
        if relay.fault:
            error = relay.fault
            continue
        with connect(relay) as session:
            delivery = too_large.send(session.send, envelope, content, "")
        refused += [f"{address}: {words}" for address, words in delivery.refused]
        envelope = envelope.replace(recipients=tuple(address for address, _ in delivery.deferred))
        if not delivery.deferred:
            return "; ".join(refused)
        error = delivery.deferred[0][1]
    return "; ".join([*refused, error])
