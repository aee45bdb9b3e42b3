"""Who sends, and when: a run hands its report to a process that may outlive it.

The run stores its report and, unless somebody else is sending already, forks the process that sends.
It waits for that one, but no longer than ``delivery.inline``; the sender goes on, so that no attempt is
cut off half-way (which would make duplicates). When something is left it turns into the waiter
(``waiter``): small, asleep, gone with the last message.
"""

from __future__ import annotations

import os
import select
import time

from cronwrap.errors import StateError
from cronwrap.forked import detach
from cronwrap.model import Record
from cronwrap.outbox.message_file import lane_of
from cronwrap.outbox.sender import (
    drain_and_look_again,
    drainers,
    in_time,
    lane_drainers,
    lock_of,
    obedient,
    waits,
)
from cronwrap.outbox.store import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    from cronwrap.lock import Lock
    from cronwrap.outbox.store import Item
    from cronwrap.settings.load import Settings

    class Interrupts(Protocol):
        """What stops a wait: ``descriptor`` becomes readable when a signal has come."""

        descriptor: int

        def asked_to_end(self) -> int:
            """Give the signal that asks for an end, or 0."""
            ...
else:
    import _signal

CLAIM_PATIENCE = 60.0
"""Seconds a person's ``flush`` waits for another process to finish sending."""
CLAIM_INTERVAL = 0.1
FAREWELL = 1.0
"""Seconds in which a sender that must not stay writes down how far it got."""
WORDS_LIMIT = 4096
"""Octets of a sender's word that reach the run: a pipe takes them at once, whoever reads."""
BUSY = "left to the process that is sending"


class Patience:
    """The time that one run waits for deliveries, all of them together."""

    def __init__(self) -> None:
        self._end: float | None = None

    def left(self, seconds: float) -> float:
        """Give what is left of ``seconds``, which begin with the first call."""
        if self._end is None:
            self._end = time.monotonic() + seconds
        return max(0.0, self._end - time.monotonic())


PATIENCE = Patience()
"""This process's own: it is a run, or a ``sendmail``, and waits for ``delivery.inline`` once."""


def dispatch(settings: Settings, own: str, signals: Interrupts) -> str:
    """Have what is due sent; give what became of the message ``own``, or an empty text.

    Waits for ``delivery.inline`` seconds at most, and not at all without ``own``, unless nothing may
    stay behind (``delivery.background = false``, or PID 1, with which all others would be killed).
    What goes wrong here is told: ``kept: why``.
    """
    box = Outbox(settings.state_dir)
    stays = bool(settings["delivery.background"]) and os.getpid() != 1
    patience = PATIENCE.left(settings["delivery.inline"])
    if not patience and not stays:
        return ""
    try:
        claim = claim_if_needed(box)
        if claim is None:
            return BUSY if box.ids(lane="") else ""
        words = _with_sender(settings, box, claim, own, signals)
    except (StateError, OSError) as error:
        if not own:
            from cronwrap.log import log  # noqa: PLC0415

            log(f"nothing can be sent: {error}")
        return f"kept: {error}"
    return words or _unheard(box, own)


def claim_if_needed(box: Outbox, lane: str = "") -> Lock | None:
    """Take the claim of a lane if there is anything to send; None when there is not, or somebody else has it.

    Whoever stores a message while we have the claim leaves it to us: hence the look after letting go.
    """
    while True:
        claim = box.claim(lock_of(lane))
        if not claim.take():
            claim.release()
            return None
        if box.ids(lane=lane):
            return claim
        claim.release()
        if not box.ids(lane=lane):
            return None


def _with_sender(settings: Settings, box: Outbox, claim: Lock, own: str, signals: Interrupts) -> str:
    """Start the sender and give its word on the message ``own``, as far as there is time to wait."""
    stays = bool(settings["delivery.background"]) and os.getpid() != 1
    sender = begin(settings, box, claim, own)
    words, died = wait_for(settings, sender, signals)
    if died and stays and not words:
        _replace(settings, box)
    return words


class Sender(Record):
    """A process that sends, and where its word comes from."""

    pid: int
    descriptor: int
    own: str
    """The id of the message that somebody waits for; empty for none."""


def begin(settings: Settings, box: Outbox, claim: Lock, own: str, lane: str = "") -> Sender:
    """Start the process that sends what is in a lane, and hand it the claim; OSError when there is none."""
    stays = bool(settings["delivery.background"]) and os.getpid() != 1
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
        if not pid:
            _sender(_Work(settings=settings, box=box, claim=claim, lane=lane, own=own, stays=stays), theirs)
        claim.hand_over(pid)
    except OSError:
        os.close(ours)
        raise
    finally:
        claim.release()  # the child holds it on: the lock belongs to the open file, not to a process
        os.close(theirs)
    return Sender(pid=pid, descriptor=ours, own=own)


def wait_for(settings: Settings, sender: Sender, signals: Interrupts) -> tuple[str, bool]:
    """Give a sender's word as far as there is time to wait, and whether it has died."""
    stays = bool(settings["delivery.background"]) and os.getpid() != 1
    seconds = PATIENCE.left(settings["delivery.inline"]) if sender.own or not stays else 0.0
    words, died = await_word(sender.descriptor, seconds, signals, to_end=not stays)
    os.close(sender.descriptor)
    if not stays:
        end_soon(sender.pid)
    return words, died


def _replace(settings: Settings, box: Outbox) -> None:
    """See to it that somebody waits for the queue when the sender has died (killed, out of memory)."""
    if not box.ids():
        return
    from cronwrap.log import log  # noqa: PLC0415

    log("the process that was to send has died; another one will try again")
    leave_waiter(settings)


def await_word(
    descriptor: int, seconds: float, signals: Interrupts | None, *, to_end: bool
) -> tuple[str, bool]:
    """Wait for the sender's word, or for its end; a signal that asks for an end stops the waiting.

    Gives the word, and whether the sender has let go of the pipe, which it does when it has nothing to say.
    """
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if signals:
        poll.register(signals.descriptor, select.POLLIN)
    words = b""
    while (left := end - time.monotonic()) > 0 and (ready := poll.poll(left * 1000 + 1)):
        if signals and (signals.descriptor, select.POLLIN) in ready and signals.asked_to_end():
            break
        if descriptor in dict(ready):
            chunk = os.read(descriptor, WORDS_LIMIT)
            words += chunk
            if not chunk:
                return words.decode(errors="replace").strip(), True
            if words.endswith(b"\n") and not to_end:
                break
    return words.decode(errors="replace").strip(), False


def end_soon(pid: int) -> None:
    """End a sender that must not stay; it writes down how far it got, if it can do so in a moment."""
    try:
        os.kill(pid, _signal.SIGTERM)
        end = time.monotonic() + FAREWELL
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(pid, _signal.SIGKILL)
        os.waitpid(pid, 0)
    except OSError:
        return


def _unheard(box: Outbox, own: str) -> str:
    """Say what can be said of a message about which no word has come in time."""
    if not own or own not in box.ids():
        return ""  # another process has sent it since it was stored
    try:
        why = box.load(own).last_error
    except Exception:  # noqa: BLE001  # it is a remark, no more
        why = ""
    return f"kept: {why or 'no relay has taken it yet'}"


# The sender -------------------------------------------------------------------------------------


class _Work(Record):
    """What a sender is to do."""

    settings: Settings
    box: Outbox
    claim: Lock
    lane: str
    own: str
    stays: bool


def _sender(work: _Work, report: int) -> NoReturn:
    """Be the process that sends."""
    from cronwrap.log import log  # noqa: PLC0415

    def tell(words: str) -> None:
        try:
            os.write(report, " ".join(words.split()).encode(errors="replace")[: WORDS_LIMIT - 1] + b"\n")
        except OSError:
            return  # the run has waited long enough, and is gone

    def told(item: Item, words: str) -> None:
        if item.id == work.own:
            tell(words)

    try:
        _send(work, told)
        os.close(report)
        if work.stays and work.box.ids(lane=work.lane):
            from cronwrap.outbox.waiter import become_waiter  # noqa: PLC0415

            become_waiter(work.settings)
    except SystemExit:
        pass  # told to end
    except BaseException as error:  # noqa: BLE001  # the last boundary of this process
        log(f"sending failed: {type(error).__name__}: {error}")
        tell(f"kept: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def send_here(settings: Settings) -> None:
    """Be the process that sends what is due, unless another one does; for a child of a run. Never returns."""
    box = Outbox(settings.state_dir)
    try:
        claim = claim_if_needed(box) if settings.relays else None
    except (StateError, OSError):
        os._exit(0)
    if claim is None:
        os._exit(0)
    stays = bool(settings["delivery.background"]) and os.getppid() != 1  # all others die with process 1
    work = _Work(settings=settings, box=box, claim=claim, lane="", own="", stays=stays)
    _sender(work, os.open(os.devnull, os.O_WRONLY))


def _send(work: _Work, told: Callable[[Item, str], None]) -> None:
    settings, box = work.settings, work.box
    # Names of files in settings and environment are relative to where the run is.
    hurry = PATIENCE.left(settings["delivery.inline"]) if work.own or not work.stays else 0.0
    if work.lane:
        targets = lane_drainers(settings, box, work.lane, told, hurry)
        detach()
        drain_and_look_again(box, work.claim, obedient(targets), lane=work.lane)
        return
    from cronwrap.settings.files import relays_in_force  # noqa: PLC0415  # imports `tomllib`

    found = in_time(relays_in_force(settings.paths), hurry)
    detach()
    drain_and_look_again(box, work.claim, obedient(drainers(settings, box, found, told)), first=work.own)


def leave_waiter(settings: Settings) -> None:
    """See to it that what is queued is retried, once this process, which is no run, has gone."""
    from cronwrap.outbox.waiter import become_waiter  # noqa: PLC0415

    box = Outbox(settings.state_dir)
    stays = settings["delivery.background"] and _to_send(settings, box) and os.getpid() != 1
    try:
        if not stays or waits(box) or os.fork():
            return
    except (StateError, OSError) as error:
        from cronwrap.log import log  # noqa: PLC0415

        log(f"nobody waits to send what is queued: {error}")  # the next run sees to it
        return
    try:
        detach()
        become_waiter(settings)
    finally:
        os._exit(0)


def _to_send(settings: Settings, box: Outbox) -> bool:
    """Tell whether something is queued that there is a way for."""
    return any(lane or settings.relays for lane in box.lanes())


# By hand ----------------------------------------------------------------------------------------


def flush(
    settings: Settings,
    told: Callable[[Item, str], None],
    *,
    first: str = "",
    patience: float = CLAIM_PATIENCE,
    waiting: Callable[[], None] = lambda: None,
) -> bool:
    """Send everything now, or what is due with the message ``first``: mail, then notifications.

    False when another process keeps sending for ``patience`` seconds; ``waiting`` hears of it at once.
    """
    box = Outbox(settings.state_dir)
    lanes = [lane_of(first)] if first else ["", *(lane for lane in box.lanes() if lane)]
    end = time.monotonic() + patience
    taken = [_flush_lane(settings, box, lane, told, (first, end, waiting)) for lane in lanes]
    return all(taken)


def _flush_lane(
    settings: Settings,
    box: Outbox,
    lane: str,
    told: Callable[[Item, str], None],
    how: tuple[str, float, Callable[[], None]],
) -> bool:
    first, end, waiting = how
    claim = box.claim(lock_of(lane))
    if not (taken := claim.take()):
        waiting()
    while not taken and time.monotonic() < end:
        time.sleep(CLAIM_INTERVAL)
        taken = claim.take()
    try:
        if taken and lane:
            targets = lane_drainers(settings, box, lane, told)
            drain_and_look_again(box, claim, targets, lane=lane, first=first, everything=not first)
        elif taken:
            from cronwrap.settings.files import relays_in_force  # noqa: PLC0415  # imports `tomllib`

            new = drainers(settings, box, relays_in_force(settings.paths), told)
            drain_and_look_again(box, claim, new, first=first, everything=not first)
    finally:
        claim.release()
    return taken
