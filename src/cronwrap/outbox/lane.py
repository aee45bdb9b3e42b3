"""Notifications of one target on their way: the loop that hands them over, in order.

Each target has a lane of the outbox of its own, with a claim and a process of its own: whatever one target
does, mail and the other targets hear nothing of it. What a target is told of one job comes in the order it
happened in, so that nothing is opened again by a failure that comes behind its recovery.
"""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.outbox import order
from cronwrap.outbox.backoff import enough, retry_after
from cronwrap.outbox.loop import CutShort, Loop
from cronwrap.outbox.store import Damaged, Item, Outbox
from cronwrap.spans import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.channels.answer import Answer
    from cronwrap.settings.notify import Target

NO_TARGET = "no [[notify]] of the configuration has this address any more; put it back, or drop this"
CUT_SHORT = "the sending process was told to end before the target had answered"
FAILURES_IN_A_ROW = 3
"""Notifications that a target does not take for now, one after the other: the rest is spared the time."""


def to_targets(targets: tuple[Target, ...], patterns: tuple[str, ...]) -> Callable[[Item, bytes], Answer]:
    """Give what makes one attempt with the target of a notification, as it is configured now."""
    from cronwrap.channels.answer import Answer  # noqa: PLC0415  # imports `email`
    from cronwrap.channels.connect import send  # noqa: PLC0415
    from cronwrap.settings.notify import find  # noqa: PLC0415

    def attempt(item: Item, content: bytes) -> Answer:
        target = find(targets, item.lane, item.envelope.recipients[0])
        if target is None:
            return Answer(words=NO_TARGET, target_fault=True)
        return send(target, item.id, content, patterns)

    return attempt


class LaneDrainer(Loop):
    """Hands over what is due for one target; to be used by the holder of its claim alone.

    What was tried, or waits for one that was, is in ``tried``.
    """

    def __init__(
        self,
        box: Outbox,
        lane: str,
        send: Callable[[Item, bytes], Answer],
        lifetime: float,
        *,
        clock: Callable[[], float] = time.time,
        told: Callable[[Item, str], None] = lambda _item, _words: None,
    ) -> None:
        """``send`` makes one attempt."""
        super().__init__(box, lifetime, lane=lane, clock=clock, told=told)
        self._send = send
        self._down = ""
        """Why the target as a whole is not asked any more."""
        self._hold = 0.0
        """Unix time before which it asked not to be."""
        self._failures = 0

    def drain(self, *, first: str = "", everything: bool = False) -> None:
        """Hand over each that is due, the oldest first; ``everything``: whatever its schedule says.

        ``first`` is the id of one that a person asks for: it is tried whatever is before it.
        """
        if not self._box.writable():
            log(f"nothing is sent from {self._box.directory}: what is sent could not be taken off")
            return
        self._sent.forget(self._box.ids())
        for item in self._box.items(self._lane)[0] if first else ():
            if item.id == first:
                self._attempt(item)
        while self._round(everything=everything):
            pass  # what came meanwhile goes, too

    def _round(self, *, everything: bool) -> bool:
        """Try what is due, nothing of a job before what that had to say earlier; False when nothing was."""
        items, _ = self._box.items(self._lane)
        now = self._clock()
        quiet = not everything and bool(order.held(items, now))
        waiting: set[str] = set()
        tried = False
        for item in items:
            if self._ending:
                return False
            due = everything or (not quiet and item.due(now)) or (item.relay_fault and self._alive)
            if item.job in waiting or item.id in self._tried or not due:
                waiting.add(item.job)
                continue
            tried = True
            if not self._attempt(item):
                waiting.add(item.job)
        return tried

    def _attempt(self, item: Item) -> bool:
        """Try one notification, and mark what became of it; tell whether it has left the queue."""
        self._tried.add(item.id)
        if not self._sent.left(item.id, item.envelope.recipients):
            self._take_off(item)
            return True
        try:
            content = self._box.content(item)
        except FileNotFoundError:
            return True  # its owner dropped it
        except (Damaged, OSError) as error:
            log(f"notification {item.id} cannot be read: {error}")
            return False
        if self._down:
            words = self._keep(item, self._down, asked=False, target_fault=True)
        else:
            try:
                words = self._mark(item, self._hand_over(item, content))
            except CutShort:
                self._down = CUT_SHORT
                words = self._keep(item, CUT_SHORT, asked=True, target_fault=True)
        self._told(item, words)
        return not words.startswith("kept")

    def _hand_over(self, item: Item, content: bytes) -> Answer:
        """Make one attempt; nothing it may come upon stops the others."""
        try:
            self._talking = True
            answer = self._send(item, content)
            self._talking = False
        except CutShort:
            raise
        except Exception as error:  # noqa: BLE001  # a bug, or no memory: this one waits, the others go
            log(f"notifying failed: {type(error).__name__}: {error}")
            from cronwrap.channels.answer import Answer  # noqa: PLC0415  # imports `email`

            answer = Answer(words=f"{type(error).__name__}: {error}")
        finally:
            self._talking = False
        return answer

    # What became of it --------------------------------------------------------------------------

    def _mark(self, item: Item, answer: Answer) -> str:
        """Write down what an answer means for a notification, and say it."""
        if answer.taken or answer.final:
            self._alive, self._failures = True, 0
        if answer.taken:
            return self._take_off(item)
        if answer.final:
            return self._give_up(item, item.attempts + 1, answer.words)
        self._failures += 1
        if answer.wait:
            self._hold = self._clock() + answer.wait
        if answer.target_fault or self._failures >= FAILURES_IN_A_ROW:
            self._down = answer.words
        return self._keep(item, answer.words, asked=True, target_fault=answer.target_fault)

    def _take_off(self, item: Item) -> str:
        try:
            self._box.remove(item)
        except StateError as fault:
            # It stays where it is: that it was taken is remembered elsewhere.
            self._sent.add(item.id, item.envelope.recipients)
            log(f"notification {item.id}: {fault}")
            return f"delivered, but {fault}"
        return "delivered"

    def _keep(self, item: Item, why: str, *, asked: bool, target_fault: bool) -> str:
        """Keep a notification for a later attempt, or give it up when it has had its time."""
        now, attempts = self._clock(), item.attempts + asked
        if now - item.queued >= self._lifetime and enough(attempts, self._lifetime):
            return self._give_up(item, attempts, f"given up after {count(attempts, 'attempt')}: {why}")
        again = max(now + retry_after(attempts, item.id), self._hold)
        kept = item.replace(
            attempts=attempts,
            next_attempt=again,
            last_error=why,
            relay_fault=target_fault,
            held_until=self._hold,
        )
        try:
            self._box.update(item, kept)
        except StateError as fault:
            log(f"notification {item.id}: {fault}")
            return f"kept: {fault}"
        return f"kept: {why}"

    def _give_up(self, item: Item, attempts: int, why: str) -> str:
        """Put a notification into ``failed``, for its owner to look at."""
        try:
            self._box.update(item, item.replace(attempts=attempts, last_error=why, state="failed"))
        except StateError as fault:
            log(f"notification {item.id}: {fault}")
            return f"kept: {fault}"
        log(f"notification {item.id} ({item.subject}) failed for good: {why}")
        return f"failed: {why}"
