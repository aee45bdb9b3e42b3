"""Relays that did not work, and when they may be tried again: kept on disk for the next process."""

from __future__ import annotations

import os
from binascii import crc32

from cronwrap.mail import Delivery
from cronwrap.model import Record
from cronwrap.outbox.backoff import LONGEST_RETRY, retry_after
from cronwrap.outbox.store import TMP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.outbox.store import Outbox
    from cronwrap.settings.relays import Endpoint

FILE = "relays"
"""Its name in the outbox."""
SIZE_LIMIT = 1 << 20
"""Octets; a line a relay is all there is in it."""
MOST_FAILURES = 1000
"""More are not counted: the pause has long been the longest."""


class Pause(Record):
    """A relay that did not work, and when it may be tried again."""

    until: float
    """Unix time."""
    failures: int
    login: bool
    """The login was refused: nothing is tried meanwhile, since repeated failures lock accounts."""
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Tell whether it is not over; one that seems longer than any was made by a wrong clock."""
        return now < self.until <= now + LONGEST_RETRY


class Pauses:
    """The pauses of all relays; only the holder of the outbox's claim changes them.

    They cannot always be read or written. The worst that comes of it is an attempt too early.
    """

    def __init__(self, box: Outbox) -> None:
        self._box = box
        self._pauses: dict[str, Pause] = {}
        try:
            handle = box.place().open(FILE)
            with open(handle, encoding="utf-8", errors="replace") as stream:
                self._read(stream.read(SIZE_LIMIT))
        except (OSError, ValueError, OverflowError):
            self._pauses = {}

    def _read(self, text: str) -> None:
        for line in text.splitlines():
            key, until, failures, login, reason = line.split("\t", 4)
            self._pauses[key] = Pause(
                until=float(until),
                failures=min(int(failures), MOST_FAILURES),
                login=login == "1",
                reason=reason,
            )

    def get(self, relay: Endpoint) -> Pause | None:
        """Give the pause of a relay as it is configured now; a change of its settings ends it."""
        return self._pauses.get(_key(relay))

    def note(self, relay: Endpoint, delivery: Delivery, now: float) -> None:
        """Note that a relay did not work."""
        key, before = _key(relay), self.get(relay)
        failures = min(before.failures + 1, MOST_FAILURES) if before else 1
        self._pauses[key] = Pause(
            until=now + retry_after(failures, key),
            failures=failures,
            login=delivery.login_refused,
            reason=" ".join(delivery.relay_fault.split()),
        )
        self._write()

    def clear(self, relay: Endpoint) -> None:
        """Note that a relay works."""
        if self._pauses.pop(_key(relay), None):
            self._write()

    def _write(self) -> None:
        try:
            name, handle = self._box.temporary(FILE)
            with open(handle, "w", encoding="utf-8", errors="replace") as stream:
                for key, pause in self._pauses.items():
                    login = int(pause.login)
                    stream.write(f"{key}\t{pause.until}\t{pause.failures}\t{login}\t{pause.reason}\n")
            self._box.place(TMP).rename(name, FILE, self._box.place())
        except OSError:
            return


def _key(relay: Endpoint) -> str:
    """Give a key that changes with anything in a relay's settings, where its password lies included."""
    try:
        changed = os.stat(relay.password_file).st_mtime_ns if relay.password_file else 0
    except OSError:
        changed = 0
    variable = os.environ.get(relay.password_env, "") if relay.password_env else ""
    told = (relay.display, relay.user, relay.password or "", relay.password_file, changed, variable)
    more = (relay.password_command, relay.token_command, relay.ca_file, relay.fingerprint, relay.auth)
    way = (relay.helo, relay.source, relay.proxy, relay.proxy_user, relay.proxy_password)
    return f"{crc32(repr((told, more, way)).encode(errors='backslashreplace')):08x}"
