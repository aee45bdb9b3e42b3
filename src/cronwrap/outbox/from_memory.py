"""What could not be stored is sent from memory: once, while the run waits."""

from __future__ import annotations

import os

from cronwrap.forked import detach
from cronwrap.outbox import dispatch
from cronwrap.outbox.message_file import lane_of
from cronwrap.outbox.sender import in_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cronwrap.mail import Message
    from cronwrap.settings.load import Settings


def send_from_memory(settings: Settings, message: Message) -> str:
    """Send a message that could not be stored; give an empty text, or why that failed.

    Takes what is left of ``delivery.inline`` at most. Nothing is raised.
    """

    def send(hurry: float) -> str:
        from cronwrap.settings.files import relays_in_force  # noqa: PLC0415  # imports `tomllib`

        found = in_time(relays_in_force(settings.paths), hurry)
        detach()
        from cronwrap.outbox import drain  # noqa: PLC0415

        return drain.send_from_memory(found, message.envelope, message.content)

    return _beside(settings, send, "no relay has taken it")


def notify_from_memory(settings: Settings, identity: str, message: Message) -> str:
    """Tell a target what could not be stored; give an empty text, or why that failed. As above."""

    def send(_hurry: float) -> str:
        from cronwrap.channels.connect import send  # noqa: PLC0415
        from cronwrap.settings.files import targets_in_force  # noqa: PLC0415  # imports `tomllib`
        from cronwrap.settings.notify import find  # noqa: PLC0415

        found = find(targets_in_force(settings.paths), lane_of(identity), message.envelope.recipients[0])
        detach()
        if found is None:
            return "the configuration has changed"
        return send(found, identity, message.content, settings["redact.patterns"]).words

    return _beside(settings, send, "it did not take it")


def _beside(settings: Settings, send: Callable[[float], str], why_not: str) -> str:
    """Give the word of a process that sends, or why there is none, in what is left of ``delivery.inline``."""
    seconds = dispatch.PATIENCE.left(settings["delivery.inline"])
    try:
        ours, theirs = os.pipe()
        pid = os.fork()
    except OSError as error:
        return f"no process can be started: {error.strerror}"
    if not pid:
        _send_beside(lambda: send(seconds), theirs)
    os.close(theirs)
    words, _ = dispatch.await_word(ours, seconds, None, to_end=False)
    os.close(ours)
    dispatch.end_soon(pid)
    return "" if words == "delivered" else words or f"{why_not} within {seconds:.0f} s"


def _send_beside(send: Callable[[], str], report: int) -> NoReturn:
    try:
        why = send() or "delivered"
    except BaseException as error:  # noqa: BLE001  # the last boundary of this process
        why = f"{type(error).__name__}: {error}"
    try:
        os.write(report, " ".join(why.split()).encode(errors="replace")[: dispatch.WORDS_LIMIT - 1] + b"\n")
    finally:
        os._exit(0)
