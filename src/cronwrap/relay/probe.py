"""A relay tried step by step without sending a message, for ``doctor`` and ``init``."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import TYPE_CHECKING

from cronwrap.errors import TemporaryError
from cronwrap.model import Record
from cronwrap.relay import certificate, credentials, dial
from cronwrap.relay.conversation import Conversation
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.look import explained
from cronwrap.relay.replies import readable, sender_advice
from cronwrap.relay.smtp import mailbox
from cronwrap.relay.wording import SOURCES, as_fault, with_advice
from cronwrap.settings.relays import Endpoint
from cronwrap.trust import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROBE_LIMIT = 180.0
"""Seconds for a whole probe: somebody sits in front of it."""
REACH_TIMEOUT = 5.0
"""Seconds to see whether a port can be reached."""
RENEWAL_DAYS = 14
"""Days before its end when a certificate should have been renewed."""
READ_ONLY = "have its file system mounted for writing"
STEP_NAMES = {"settings": "login", "hello": "greeting", "reset": "sender"}
"""Stages of a fault that a person sees as part of another step."""


class Step(Record):
    """One thing that was tried."""

    name: str
    """``resolve``, ``connect``, ``greeting``, ``tls``, ``certificate``, ``login``, ``sender``,
    ``recipient`` or ``size``."""
    ok: bool
    seconds: float = 0.0
    text: str = ""
    advice: str = ""
    about: tuple[str, str] = ("", "")
    """The sender that was asked about, and the recipient."""


def probe(
    endpoint: Endpoint,
    sender: str = "",
    recipients: Sequence[str] = (),
    more: Sequence[tuple[str, Sequence[str]]] = (),
) -> Iterator[Step]:
    """Give the steps, as they come, up to the first that failed for the whole relay; no message is sent.

    With a ``sender`` the relay is asked whether it takes mail from there, and for ``recipients``; then
    the same for each other sender of ``more``.
    """
    if endpoint.kind in ("sendmail", "maildir"):
        yield _local(endpoint)
        return
    with asyncio.Runner() as runner:
        steps: asyncio.Queue[Step | None] = asyncio.Queue()

        async def work() -> None:
            try:
                await _Probe(endpoint, steps.put_nowait).run(((sender, recipients), *more))
            finally:
                steps.put_nowait(None)

        task = runner.get_loop().create_task(work())
        while (step := runner.run(steps.get())) is not None:
            yield step
        task.result()


def reach(host: str, port: int, timeout: float = REACH_TIMEOUT) -> Step:
    """Tell whether a port can be connected to: a blocked one from a relay that is down."""

    async def attempt() -> None:
        addresses = dial.resolve(host, port, timeout)
        (await dial.connect(addresses, f"{host}:{port}", timeout)).close()

    started = time.monotonic()
    try:
        asyncio.run(attempt())
    except RelayFault as fault:
        passed = time.monotonic() - started
        return Step(name=fault.stage, ok=False, seconds=passed, text=fault.text, advice=fault.advice)
    return Step(name="connect", ok=True, seconds=time.monotonic() - started, text=f"{host}:{port} answers")


def _local(endpoint: Endpoint) -> Step:
    path = endpoint.path
    if endpoint.fault:
        text, advice = with_advice(endpoint.fault, SOURCES["settings"])
        return Step(name="settings", ok=False, text=text, advice=advice)
    if why := untrusted(path):
        text, advice = with_advice(f"{path} is not used: {why}", SOURCES["settings"])
        return Step(name="settings", ok=False, text=text, advice=advice)
    if endpoint.kind == "sendmail":
        good = os.path.isfile(path) and os.access(path, os.X_OK)
        text = f"{path} is {'a' if good else 'not a'} program that can be run"
        return Step(name="connect", ok=good, text=text, advice="" if good else "check the path in the url")
    parent = path
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    good = os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)
    return Step(
        name="connect",
        ok=good,
        text=f"{path} {'can' if good else 'cannot'} be written",
        advice="" if good else READ_ONLY if is_read_only(parent) else f"check the rights of {parent}",
    )


def is_read_only(path: str) -> bool:
    """Tell whether a path is on a file system that nobody may write to, whatever its rights are."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _sendable(address: str) -> bool:
    try:
        return mailbox(address).isascii()
    except ValueError:
        return False


class _Probe:
    """Steps of one probe, handed to ``told`` as they come."""

    def __init__(self, endpoint: Endpoint, told: Callable[[Step], None]) -> None:
        self.endpoint = endpoint
        self._told = told
        self._addresses: list[dial.Address] = []
        self._since = time.monotonic()

    async def run(self, envelopes: Sequence[tuple[str, Sequence[str]]]) -> None:
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                await self._try(envelopes)
        except RelayFault as fault:
            seen = await explained(self.endpoint, self._addresses, fault)
            self._add(STEP_NAMES.get(seen.stage, seen.stage), seen.text, ok=False, advice=seen.advice)
        except TimeoutError:
            text = f"{self.endpoint.display} took more than {PROBE_LIMIT:g} s"
            self._add("greeting", text, ok=False, advice="it is too slow to be of use: ask its owner why")

    async def _try(self, envelopes: Sequence[tuple[str, Sequence[str]]]) -> None:
        relay = self.endpoint
        if relay.fault:
            raise RelayFault("settings", *with_advice(relay.fault, SOURCES["settings"]))
        if relay.proxy:
            self._add("resolve", f"{relay.host} is looked up by {relay.proxy}")
        else:
            self._addresses = dial.resolve(relay.host, relay.port, relay.timeout)
            shown = ", ".join(str(where[0]) for _family, where in self._addresses)
            self._add("resolve", f"{relay.host} is {shown}")
        # Known from the start on: a relay may repeat in its greeting what it was told the last time.
        secret = self._secret() if relay.user else b""
        known = b"" if isinstance(secret, RelayFault) else secret
        conversation = Conversation(relay, None if relay.kind == "smtp" else self._context(), known)
        try:
            await conversation.connect(self._addresses)
            self._add("connect", f"{relay.display} answers")
            await conversation.secure()
            self._report_security(conversation)
            if relay.user:
                if isinstance(secret, RelayFault):
                    raise secret
                await conversation.log_in(secret)
                self._add("login", f"{relay.user} is logged in by {conversation.mechanism.upper()}")
            limit = conversation.size_limit
            self._add(
                "size", f"takes messages of up to {limit >> 20} MiB" if limit else "names no size limit"
            )
            for sender, recipients in envelopes:
                if sender:
                    await self._ask(conversation, sender, recipients)
        finally:
            await conversation.close(politely=True)

    def _context(self) -> ssl.SSLContext:
        try:
            return certificate.context(self.endpoint)
        except TemporaryError as error:
            raise as_fault("certificate", error) from None

    def _secret(self) -> bytes | RelayFault:
        """Give the secret, or why there is none: a fault of the login, which comes later."""
        try:
            return credentials.secret(self.endpoint)
        except TemporaryError as error:
            return as_fault("login", error)

    def _report_security(self, conversation: Conversation) -> None:
        peer = conversation.peer()
        if peer is not None:
            self._add("tls", conversation.tls_version())
            how = "is the pinned one" if self.endpoint.fingerprint else "is trusted"
            soon = peer.expires and peer.days_left < RENEWAL_DAYS and not self.endpoint.fingerprint
            self._add(
                "certificate",
                f"{how}: {peer}" + (f" ({peer.days_left} days left)" if peer.expires else ""),
                advice="have it renewed in time" if soon else "",
            )
        self._add("greeting", readable(conversation.greeting))

    async def _ask(self, conversation: Conversation, sender: str, recipients: Sequence[str]) -> None:
        bad = [address for address in (sender, *recipients) if not _sendable(address)]
        if bad:
            name, key = ("sender", "mailfrom") if sender in bad else ("recipient", "mailto")
            about = (sender, "" if sender in bad else bad[0])
            self._add(name, f"{bad[0]!r} is no address", ok=False, advice=f"correct {key}", about=about)
            return
        reply = await conversation.command("sender", b"MAIL FROM:<" + mailbox(sender) + b">")
        advice = "" if reply.ok else sender_advice(sender)
        self._add("sender", f"{sender}: {reply}", ok=reply.ok, advice=advice, about=(sender, ""))
        if not reply.ok:
            return
        for recipient in recipients:
            reply = await conversation.command("recipient", b"RCPT TO:<" + mailbox(recipient) + b">")
            advice = "" if reply.ok else f"correct mailto, or have the relay let {sender} write there"
            about = (sender, recipient)
            self._add("recipient", f"{recipient}: {reply}", ok=reply.ok, advice=advice, about=about)
        await conversation.command("reset", b"RSET")

    def _add(
        self, name: str, text: str, *, ok: bool = True, advice: str = "", about: tuple[str, str] = ("", "")
    ) -> None:
        now = time.monotonic()
        spent = now - self._since
        self._told(Step(name=name, ok=ok, seconds=spent, text=text, advice=advice, about=about))
        self._since = now
