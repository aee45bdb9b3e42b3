"""Messages over SMTP: one connection for many of them, and a ``Delivery`` for each."""

from __future__ import annotations

import asyncio
import ssl
import time

from cronwrap.domain import to_ascii
from cronwrap.errors import TemporaryError
from cronwrap.mail import Delivery, Envelope
from cronwrap.relay import certificate, credentials, dial
from cronwrap.relay.conversation import Conversation
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.look import explained
from cronwrap.relay.replies import ACCOUNT, LARGE, PERMANENT, Reply, judge, judge_recipient, sender_advice
from cronwrap.relay.wording import (
    ASK_OWNER,
    MOMENTS,
    SOURCES,
    LoginRefused,
    account_fault,
    as_fault,
    too_slow,
    with_advice,
)
from cronwrap.settings.relays import Endpoint

ATTEMPT_LIMIT = 900.0
"""Seconds for one message whatever happens, opening the connection included: more than the longest
honest wait (``FINAL_REPLY_LIMIT`` and the steps before it), and an end for a server that drips."""
MESSAGES_PER_CONNECTION = 50
"""Common limits of relays are 100 and 30 to 50; a new connection costs less than a refusal."""
MOMENT = 0.05
"""Seconds for a step for which no time is left: its fault says more than none."""
UNKNOWN = (
    "it is not known whether the relay has taken the message; it will be sent again with the same Message-ID"
)
"""RFC 5321, 4.5.3.2.6 and RFC 1047: between the final dot and its reply both sides may hold the message."""


class SmtpSession:
    """A connection to one relay, opened when the first message is sent and again when it was dropped."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._runner: asyncio.Runner | None = None
        self._context: ssl.SSLContext | None = None
        self._conversation: Conversation | None = None
        self._sent = 0
        self._fault: RelayFault | None = None

    def send(self, envelope: Envelope, content: bytes) -> Delivery:
        """Give what became of one message; nothing that a server does is raised.

        Once the relay could not be opened, this session does not try again: every attempt may count
        as a failed login.
        """
        if self._fault is not None:
            return self._given_up(envelope, self._fault)
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._bounded(_Transaction(self.endpoint, envelope, content)))

    def close(self) -> None:
        """Say goodbye, which takes ``FAREWELL_LIMIT`` at most."""
        if self._runner is not None:
            self._runner.run(self._hang_up(politely=True))
            self._runner.close()
            self._runner = None

    async def _bounded(self, transaction: _Transaction) -> Delivery:
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT):
                return await self._deliver(transaction)
        except TimeoutError:
            await self._hang_up(politely=False)
            why = f"{self.endpoint.display} took more than {ATTEMPT_LIMIT:g} s"
            fault = RelayFault(transaction.stage, why, ASK_OWNER)
            if transaction.begun:
                return transaction.broken_off(fault)
            return self._given_up(transaction.envelope, fault)
        except BaseException:
            await self._hang_up(politely=False)
            raise

    async def _deliver(self, transaction: _Transaction) -> Delivery:
        try:
            await self._begin(transaction)
        except RelayFault as fault:
            await self._hang_up(politely=False)
            return self._given_up(transaction.envelope, fault)
        transaction.begun = True
        if transaction.settled:
            return transaction.delivery()
        try:
            await transaction.complete()
        except AccountRefusal as fault:
            await self._hang_up(politely=True)
            return self._given_up(transaction.envelope, fault)
        except RelayFault as fault:
            # It must not hold up the other messages, see ``begun``.
            await self._hang_up(politely=False)
            return transaction.broken_off(fault)
        return transaction.delivery()

    def _given_up(self, envelope: Envelope, fault: RelayFault) -> Delivery:
        self._fault, why = fault, str(fault)
        return Delivery(
            deferred=tuple((address, why) for address in dict.fromkeys(envelope.recipients)),
            relay_fault=why,
            login_refused=isinstance(fault, LoginRefused),
        )

    async def _begin(self, transaction: _Transaction) -> None:
        """Bring the transaction to an accepted (or refused) MAIL; a dropped connection is opened again."""
        if self._conversation is not None and self._sent < MESSAGES_PER_CONNECTION:
            try:
                await transaction.begin(self._conversation, reset=True)
            except RelayFault:
                # Relays drop idle or well-used connections; nothing was promised yet.
                await self._hang_up(politely=False)
            else:
                self._sent += 1
                return
        await self._hang_up(politely=True)
        self._conversation = await self._open()
        self._sent = 1
        await transaction.begin(self._conversation, reset=False)

    async def _open(self) -> Conversation:
        relay = self.endpoint
        if relay.fault:
            raise RelayFault("settings", *with_advice(relay.fault, SOURCES["settings"]))
        began = time.monotonic()

        def left() -> float:
            return max(MOMENT, relay.opening - (time.monotonic() - began)) if relay.opening else relay.timeout

        stage = "login"
        try:
            # Before the connection: a command for the token may take longer than a relay waits.
            limit = min(credentials.COMMAND_LIMIT, left()) if relay.opening else 0.0
            secret = credentials.secret(relay, limit) if relay.user else b""
            stage = "certificate"
            if self._context is None and relay.kind != "smtp":
                self._context = certificate.context(relay)
        except TemporaryError as error:
            raise as_fault(stage, error) from None
        timeout = min(relay.timeout, left())
        addresses = [] if relay.proxy else dial.resolve(relay.host, relay.port, timeout)
        conversation = Conversation(relay, self._context, secret)
        try:
            async with asyncio.timeout(left() if relay.opening else None) as bound:
                await conversation.connect(addresses)
                await conversation.secure()
                if relay.user:
                    await conversation.log_in(secret)
        except TimeoutError:
            await conversation.close(politely=False)
            if not bound.expired():
                raise
            raise too_slow(relay, conversation.stage) from None
        except RelayFault as fault:
            await conversation.close(politely=fault.stage == "login")
            raise await explained(relay, addresses, fault) from None
        except BaseException:
            await conversation.close(politely=False)
            raise
        return conversation

    async def _hang_up(self, *, politely: bool) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            await conversation.close(politely=politely)


class AccountRefusal(RelayFault):
    """The relay will not serve us, whatever the message."""


class _Transaction:
    """One message on its way through one connection."""

    def __init__(self, endpoint: Endpoint, envelope: Envelope, content: bytes) -> None:
        self.endpoint, self.envelope, self.content = endpoint, envelope, content
        self.stage = "greeting"
        """How far it has come, by the names of ``MOMENTS``."""
        self.begun = False
        """Whether the relay has answered MAIL: what goes wrong later may be about this message alone."""
        self._in_doubt = False
        """Whether the relay may have taken the message without our knowing."""
        self._waiting = list(dict.fromkeys(envelope.recipients))
        """Recipients about whom nothing is known yet."""
        self._accepted: list[str] = []
        self._delivered: list[str] = []
        self._refused: dict[str, str] = {}
        self._deferred: dict[str, str] = {}
        self._too_large: dict[str, str] = {}
        self._size_limit = 0
        self._conversation: Conversation | None = None

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to be done."""
        return not self._waiting

    def delivery(self) -> Delivery:
        """Give what became of the message so far."""
        return Delivery(
            delivered=tuple(self._delivered),
            refused=tuple(self._refused.items()),
            deferred=tuple(self._deferred.items()),
            too_large=tuple(self._too_large.items()),
            size_limit=self._size_limit,
        )

    def broken_off(self, fault: RelayFault) -> Delivery:
        """Give what became of the message when the conversation ended early."""
        why = f"{fault}; {UNKNOWN}" if self._in_doubt else str(fault)
        self._settle(self._deferred, [*self._accepted, *self._waiting], why)
        return self.delivery()

    async def begin(self, conversation: Conversation, *, reset: bool) -> None:
        """Say MAIL; RelayFault when the connection is of no use. May be called again on another one."""
        self._conversation = conversation
        if reset and not (reply := await self._say("reset", b"RSET")).ok:
            text = f"{self.endpoint.display} is not ready {MOMENTS['reset']}: {reply}"
            raise RelayFault("reset", text, ASK_OWNER)
        options = self._prepare(conversation)
        if self.settled:
            return
        reply = await self._say(
            "sender", b" ".join((b"MAIL FROM:<" + mailbox(self.envelope.sender) + b">", *options))
        )
        if reply.ok:
            return
        sender, words = self.envelope.sender, str(reply)
        if judge(reply) == PERMANENT:
            words = f"{words} ({sender_advice(sender)})"
        self._refuse_all(reply, words)

    async def complete(self) -> None:
        """Name the recipients and hand the message over."""
        if self._conversation is None:
            raise RuntimeError("complete() comes after begin()")
        for address in tuple(self._waiting):
            reply = await self._say("recipient", b"RCPT TO:<" + mailbox(address) + b">")
            self._waiting.remove(address)
            if reply.ok:
                self._accepted.append(address)
            else:
                judged = judge_recipient(reply, others_accepted=bool(self._accepted))
                self._settle(self._kept_as(judged), [address], str(reply))
        if not self._accepted:
            return
        reply = await self._say("data", b"DATA")
        if reply.code == 354:
            self.stage = "message"
            self._in_doubt = True
            reply = await self._conversation.transfer(self.content)
            self._in_doubt = False
            self._heed(reply)
            if reply.ok:
                self._delivered, self._accepted = self._accepted, []
                return
        elif reply.ok:
            raise RelayFault("data", f"{self.endpoint.display} answered DATA with {reply}", ASK_OWNER)
        self._refuse_all(reply, str(reply))

    # Before MAIL

    def _prepare(self, conversation: Conversation) -> list[bytes]:
        """Refuse what this relay cannot carry; give the parameters of MAIL."""
        options = []
        international = self._check_addresses(utf8=conversation.offers("smtputf8"))
        if not self.content.isascii() and not conversation.offers("8bitmime"):
            from cronwrap.relay import seven_bit  # noqa: PLC0415  # 8 ms that our own messages never need

            converted = seven_bit.convert(self.content)
            if converted is None:
                why = f"{self.endpoint.display} takes 7-bit mail only, and this message cannot be converted"
                self._settle(self._refused, self._waiting, why)
            else:
                self.content = converted
        if conversation.offers("size"):
            limit, size = conversation.size_limit, len(self.content)
            self._size_limit = limit
            if 0 < limit < size:
                why = f"the message has {size} octets, {self.endpoint.display} takes {limit} at most"
                self._settle(self._too_large, self._waiting, why)
            options.append(b"SIZE=%d" % size)
        if not self.content.isascii():
            options.append(b"BODY=8BITMIME")
        if international:
            options.append(b"SMTPUTF8")
        return options

    def _check_addresses(self, *, utf8: bool) -> bool:
        """Refuse addresses that cannot be written into a command; tell whether SMTPUTF8 is needed."""
        international = False
        for address in (self.envelope.sender, *self._waiting):
            concerned = tuple(self._waiting) if address == self.envelope.sender else (address,)
            try:
                plain = mailbox(address).isascii()
            except ValueError:
                self._settle(self._refused, concerned, "this is no address that can be sent to a relay")
                continue
            if plain:
                continue
            international = international or utf8
            if not utf8:
                why = f"{self.endpoint.display} takes no addresses with letters outside ASCII (SMTPUTF8)"
                self._settle(self._refused, concerned, why)
        return international

    # Replies

    async def _say(self, stage: str, line: bytes) -> Reply:
        self.stage = stage
        if self._conversation is None:
            raise RuntimeError("no conversation")
        return self._heed(await self._conversation.command(stage, line))

    def _heed(self, reply: Reply) -> Reply:
        """Raise for a reply that is about us or the connection, not about the message."""
        if reply.code == 421:
            raise RelayFault(self.stage, f"{self.endpoint.display} ended the connection: {reply}", ASK_OWNER)
        if judge(reply) == ACCOUNT:
            fault = account_fault(self.endpoint, self.stage, reply)
            raise AccountRefusal(fault.stage, fault.text, fault.advice)
        return reply

    def _refuse_all(self, reply: Reply, words: str) -> None:
        """Settle all that are left by a reply to MAIL, DATA or the final dot."""
        self._settle(self._kept_as(judge(reply)), [*self._accepted, *self._waiting], words)

    def _kept_as(self, judged: str) -> dict[str, str]:
        return {PERMANENT: self._refused, LARGE: self._too_large}.get(judged, self._deferred)

    def _settle(self, into: dict[str, str], addresses: list[str] | tuple[str, ...], why: str) -> None:
        into.update(dict.fromkeys(addresses, why))
        self._waiting = [address for address in self._waiting if address not in into]
        self._accepted = [address for address in self._accepted if address not in into]


def mailbox(address: str) -> bytes:
    """Give an address as it stands between < and >, its domain in ASCII; ValueError when it cannot."""
    local, at, domain = address.rpartition("@")
    quoted = local.startswith('"') and local.endswith('"') and len(local) > 1
    unfit = any(char < " " or "\x7f" <= char <= "\x9f" for char in address)
    if unfit or any(char in " <>" for char in (domain if quoted else address)) or (at and not domain):
        raise ValueError(f"no address: {address!r}")
    if at and not domain.isascii():
        domain = to_ascii(domain)
    return f"{local}{at}{domain}".encode()
