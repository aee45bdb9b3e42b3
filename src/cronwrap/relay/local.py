"""Messages handed over on this host: to a sendmail program, or into a maildir."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import time

from cronwrap.mail import Delivery, Envelope
from cronwrap.relay import program
from cronwrap.relay.replies import readable
from cronwrap.settings.relays import Endpoint
from cronwrap.state import sync_directory
from cronwrap.trust import untrusted

SENDMAIL_LIMIT = 300.0
"""Seconds; some sendmails deliver before they return, over a network of their own."""
EX_TEMPFAIL = 75
PERMANENT_STATUSES = {
    64: "usage error",
    65: "message not accepted",
    67: "no such user",
    68: "no such host",
}
"""Of sysexits(3), what the message or its recipients are to blame for."""
PROGRAM_STATUSES = {
    69: "service unavailable",
    72: "system file missing",
    77: "permission denied",
    78: "configuration error",
    126: "not executable",
    127: "not found",
}
"""What the program or its settings are to blame for: the next message would fare no better."""
WITHIN = "CRONWRAP_SENDMAIL_RELAY"
"""Set for the sendmail program: if that is cronwrap itself, it must not call itself for ever."""

FOLDERS = ("tmp", "new", "cur")

_LINE_END = re.compile(rb"\r\n|\r(?!\n)")


class SendmailSession:
    """A sendmail program, run once for each message."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def send(self, envelope: Envelope, content: bytes) -> Delivery:
        """Give what became of one message, by the program's exit status."""
        path, recipients = self.endpoint.path, tuple(dict.fromkeys(envelope.recipients))
        if WITHIN in os.environ:
            return _unusable(recipients, f"{path} is cronwrap itself: set another relay")
        words = [path, "-i", "-f", envelope.sender, "--", *recipients]
        if any("\0" in word for word in words):
            return Delivery(refused=tuple((address, "an address holds NUL") for address in recipients))
        try:
            ran = program.run(words, local_lines(content), SENDMAIL_LIMIT, {WITHIN: "1"})
        except OSError as error:
            return _unusable(recipients, f"{path} cannot be run: {error.strerror}")
        said = readable((ran.stderr or ran.stdout).decode("utf-8", "replace"))
        return self._judged(recipients, ran.status, f": {said}" if said else "")

    def close(self) -> None:
        """Do nothing: no program is left running."""

    def _judged(self, recipients: tuple[str, ...], status: int | None, said: str) -> Delivery:
        path = self.endpoint.path
        if status == 0:
            return Delivery(delivered=recipients)
        if status is None:
            why = f"{path} did not end within {SENDMAIL_LIMIT:g} s{said}"
            return Delivery(deferred=tuple((address, why) for address in recipients))
        if status in PERMANENT_STATUSES:
            why = f"{path} ended with status {status} ({PERMANENT_STATUSES[status]}){said}"
            return Delivery(refused=tuple((address, why) for address in recipients))
        if status in PROGRAM_STATUSES:
            return _unusable(
                recipients, f"{path} ended with status {status} ({PROGRAM_STATUSES[status]}){said}"
            )
        how = f"died of signal {-status}" if status < 0 else f"ended with status {status}"
        return Delivery(deferred=tuple((address, f"{path} {how}{said}") for address in recipients))


class MaildirSession:
    """A maildir on this host, whoever the recipients are."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def send(self, envelope: Envelope, content: bytes) -> Delivery:
        """Give what became of one message; it is on the disk when it counts as delivered."""
        recipients = tuple(dict.fromkeys(envelope.recipients))
        try:
            _deliver(self.endpoint.path, local_lines(content))
        except OSError as error:
            return _unusable(recipients, f"{self.endpoint.display} cannot be written: {error.strerror}")
        return Delivery(delivered=recipients)

    def close(self) -> None:
        """Do nothing: no file is left open."""


def local_lines(content: bytes) -> bytes:
    """Give a message with the line ends of this host."""
    return _LINE_END.sub(b"\n", content)


def unique_name() -> str:
    """Give a file name that no other delivery to a maildir has, on this host or another.

    ``time.MmicrosecondsPpidRrandom.host``: maildir(5), and https://cr.yp.to/proto/maildir.html.
    """
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    return f"{seconds}.M{microseconds:06d}P{os.getpid()}R{secrets.token_hex(8)}.{host or 'localhost'}"


def _deliver(maildir: str, content: bytes) -> None:
    if not all(os.path.isdir(os.path.join(maildir, folder)) for folder in FOLDERS):
        for folder in FOLDERS:
            os.makedirs(os.path.join(maildir, folder), mode=0o700, exist_ok=True)
        sync_directory(maildir)
    for folder in FOLDERS:
        if why := untrusted(os.path.join(maildir, folder)):
            raise PermissionError(errno.EPERM, f"it is not used: {why}")
    name = unique_name()
    written, wanted = os.path.join(maildir, "tmp", name), os.path.join(maildir, "new", name)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _publish(written, wanted)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(written)
    sync_directory(os.path.dirname(wanted))


def _publish(written: str, wanted: str) -> None:
    """Let the whole message appear at once, never over another one; ``rename`` where links are unknown."""
    try:
        os.link(written, wanted)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        os.rename(written, wanted)


def _unusable(recipients: tuple[str, ...], why: str) -> Delivery:
    return Delivery(deferred=tuple((address, why) for address in recipients), relay_fault=why)
