"""Who sends, and when: a run hands its report to a process that may outlive it.

The run stores its report and, unless somebody else is sending already, forks the process that sends.
It waits for that one, but no longer than ``delivery.inline``; the sender goes on, so that no attempt is
cut off half-way (which would make duplicates). When something is left it turns into the waiter: small,
asleep, gone with the last message.
"""

from __future__ import annotations

import os
import select
import sys
import time

from cronwrap.background import detach
from cronwrap.errors import ConfigError
from cronwrap.outbox import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cronwrap.endpoint import Endpoint
    from cronwrap.lock import Lock
    from cronwrap.model import Message
    from cronwrap.outbox import Item
    from cronwrap.settings import Settings
    from cronwrap.signals import Signals

LOOK_INTERVAL = 10.0
"""Seconds between two looks of the waiter, which is to go once the queue is empty."""
CLAIM_PATIENCE = 60.0
"""Seconds a person's ``flush`` waits for another process to finish sending."""


def relays(settings: Settings) -> tuple[Endpoint, ...]:
    """Read the relays, with the sources of their secrets."""
    from cronwrap import config  # noqa: PLC0415  # imports `tomllib`
    from cronwrap.endpoint import from_environment  # noqa: PLC0415

    environment = from_environment(os.environ)
    return (environment,) if environment else config.relays(settings.paths)


def environment_login() -> str:
    """Give the user that ``CRONWRAP_RELAY`` logs in as, or an empty text."""
    from cronwrap.endpoint import from_environment  # noqa: PLC0415

    try:
        relay = from_environment(os.environ)
    except ConfigError:
        return ""
    return relay.user if relay else ""


def dispatch(settings: Settings, own: str, signals: Signals) -> str:
    """Have what is due sent; give what became of the message ``own``, or an empty text.

    Waits for ``delivery.inline`` seconds at most, and not at all without ``own``, unless nothing may
    stay behind (``delivery.background = false``, or PID 1, with which all others would be killed).
    """
    box = Outbox(settings.state_dir)
    claim = box.claim()
    if not claim.take():
        claim.release()
        return "left to the process that is sending"
    stays = bool(settings["delivery.background"]) and os.getpid() != 1
    inline = settings["delivery.inline"]
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _sender(settings, box, claim, own, theirs, stays=stays)
    os.close(theirs)
    claim.release()  # the child holds it on: the lock belongs to the open file, not to a process
    words = _await(ours, inline if own or not stays else 0.0, signals, to_end=not stays)
    os.close(ours)
    if not stays:
        _reap(pid)
    return words


def _await(descriptor: int, seconds: float, signals: Signals, *, to_end: bool) -> str:
    """Wait for the sender's word, or for its end; a signal that asks for an end stops the waiting."""
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(signals.descriptor, select.POLLIN)
    words = b""
    while (left := end - time.monotonic()) > 0 and (ready := poll.poll(left * 1000 + 1)):
        if (signals.descriptor, select.POLLIN) in ready and signals.asked_to_end():
            break
        if descriptor in dict(ready):
            chunk = os.read(descriptor, 4096)
            words += chunk
            if not chunk or (words.endswith(b"\n") and not to_end):
                break
    return words.decode(errors="replace").strip()


def _reap(pid: int) -> None:
    """End a sender that must not stay; what it had in hand stays queued."""
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except OSError:
        return


def _sender(settings: Settings, box: Outbox, claim: Lock, own: str, report: int, *, stays: bool) -> NoReturn:
    """Be the process that sends."""
    from cronwrap.log import log  # noqa: PLC0415

    try:
        detach()

        def told(item: Item, words: str) -> None:
            if item.id == own:
                os.write(report, f"{' '.join(words.split())}\n".encode(errors="replace"))

        _drain_and_look_again(settings, box, claim, told, own)
        os.close(report)
        if stays and box.ids():
            wait_in_background(settings)
    except BaseException as error:  # noqa: BLE001  # the last boundary of this process
        log(f"sending failed: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _drain_and_look_again(
    settings: Settings, box: Outbox, claim: Lock, told: Callable[[Item, str], None], first: str
) -> None:
    """Drain, let go, and look once more.

    A report stored between the last look and the release is ours: its run saw the claim taken and left.
    """
    from cronwrap.deliver import Drainer  # noqa: PLC0415

    seen: set[str] = set()
    while True:
        before = set(box.ids())
        Drainer(box, relays(settings), settings["delivery.lifetime"], told=told).drain(first=first)
        claim.release()
        seen |= before
        if not set(box.ids()) - seen:
            return
        claim = box.claim()
        if not claim.take():
            claim.release()
            return


def send_from_memory(settings: Settings, message: Message) -> str:
    """Send a message that could not be stored; give an empty text, or why that failed.

    Takes ``delivery.inline`` at most.
    """
    from cronwrap import deliver  # noqa: PLC0415

    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            detach()
            why = deliver.send_from_memory(relays(settings), message.envelope, message.content)
            os.write(theirs, f"{' '.join(why.split()) or 'delivered'}\n".encode(errors="replace"))
        except BaseException as error:  # noqa: BLE001  # the last boundary of this process
            os.write(theirs, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(theirs)
    seconds = settings["delivery.inline"]
    ready = select.select([ours], [], [], seconds)[0]
    words = (
        os.read(ours, 4096).decode(errors="replace").strip() if ready else f"no answer within {seconds:g} s"
    )
    os.close(ours)
    _reap(pid)
    return "" if words == "delivered" else words


def flush(settings: Settings, told: Callable[[Item, str], None]) -> bool:
    """Send everything now, in this process; False when another one keeps sending for too long."""
    from cronwrap.deliver import Drainer  # noqa: PLC0415

    box = Outbox(settings.state_dir)
    claim = box.claim()
    end = time.monotonic() + CLAIM_PATIENCE
    while not claim.take():
        if time.monotonic() > end:
            claim.release()
            return False
        time.sleep(0.1)
    try:
        Drainer(box, relays(settings), settings["delivery.lifetime"], told=told).drain(everything=True)
    finally:
        claim.release()
    return True


# The waiter -------------------------------------------------------------------------------------


def wait_in_background(settings: Settings) -> NoReturn:
    """Become the waiter: a fresh interpreter without all that sending has loaded."""
    environ = dict(os.environ, CRONWRAP_STATE_DIR=settings.state_dir)
    if settings["config"]:
        environ["CRONWRAP_CONFIG"] = os.path.abspath(settings["config"])
    os.execve(sys.executable, [sys.executable, "-m", "cronwrap.dispatch"], environ)


def wait() -> None:
    """Retry what is queued when it is due, until nothing is."""
    from cronwrap.settings import state_directory  # noqa: PLC0415

    box = Outbox(state_directory(os.environ))
    lock = box.claim("waiter")
    if not lock.take():
        return
    while box.ids():
        if time.time() >= _next(box):
            pid = os.fork()  # what sending loads goes with the child
            if not pid:
                _attempt_now(box)
            os.waitpid(pid, 0)
        if box.ids():
            time.sleep(min(LOOK_INTERVAL, max(1.0, _next(box) - time.time())))


def _next(box: Outbox) -> float:
    """Give the Unix time of the next attempt; a clock that was set back makes all of them due."""
    now = time.time()
    return min((item.next_attempt for item in box.items()[0] if item.queued <= now), default=0.0)


def _attempt_now(box: Outbox) -> NoReturn:
    from cronwrap.log import log  # noqa: PLC0415
    from cronwrap.settings import load  # noqa: PLC0415

    try:
        settings = load({}, os.environ)  # as they are now: somebody may have mended them
        claim = box.claim()
        if claim.take():
            _drain_and_look_again(settings, box, claim, lambda _item, _words: None, "")
    except BaseException as error:  # noqa: BLE001  # the last boundary of this process
        log(f"sending failed: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


if __name__ == "__main__":
    wait()
