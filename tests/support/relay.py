"""A well-behaved SMTP relay on the loopback that keeps what it is given (aiosmtpd, own thread)."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiosmtpd import smtp

if TYPE_CHECKING:
    import ssl
    from email.message import EmailMessage

    from support.pki import Authority, Certificate

IMPLICIT, STARTTLS, PLAIN_TEXT = "implicit", "starttls", "none"
SCHEMES = {IMPLICIT: "smtps", STARTTLS: "submission", PLAIN_TEXT: "smtp"}

USER, PASSWORD, TOKEN = "cron@example.test", 'correct "horse" #battery', "ya29.a-token"
"""The password has the characters that configuration files trip over."""

BUILT_IN_MECHANISMS = ("LOGIN", "PLAIN")
ALL_MECHANISMS = ("CRAM-MD5", "LOGIN", "PLAIN", "XOAUTH2")

SETTLING_TURNS = 10
"""Turns of the event loop from a socket to its transport, and from there to its end; three in practice."""
FAREWELL = 1.0
"""Seconds for TLS to say goodbye to a client that may be gone."""

TOO_MANY_CONNECTIONS = "421 4.7.0 Too many concurrent connections"
TOO_MANY_MESSAGES = "421 4.7.0 Too many messages in this connection"
LOGIN_FIRST = "530 5.7.0 Authentication required"

logging.getLogger("mail.log").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Mail:
    """One message as the relay took it."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    """Without the dots and the end mark of SMTP, line ends as they came."""
    user: str
    """Who was logged in; empty without a login."""
    mechanism: str
    connection: int
    """Which connection it came by, counted from 1."""
    tls: str
    """``TLSv1.3`` or the like; empty without TLS."""
    options: tuple[str, ...] = ()
    """Parameters of MAIL FROM (``SIZE=…``, ``BODY=8BITMIME``)."""

    @property
    def parsed(self) -> EmailMessage:
        """Give the message as the email package reads it."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def subject(self) -> str:
        """Give the decoded subject."""
        return str(self.parsed["Subject"])

    @property
    def reports(self) -> list[EmailMessage]:
        """Give the messages that it brings: those attached to a digest, else itself."""
        if not self.parsed["X-Cronwrap-Digest"]:
            return [self.parsed]
        parts = self.parsed.iter_attachments()
        return [part.get_content() for part in parts if part.get_content_type() == "message/rfc822"]

    @property
    def body(self) -> str:
        """Give the text part, decoded, with LF as line end."""
        part = self.parsed.get_body(("plain",))
        return "" if part is None else part.get_content().replace("\r\n", "\n")


@dataclass
class Rule:
    """A reply in place of the relay's own, for as many times as it says."""

    verb: str
    """``EHLO``, ``AUTH``, ``MAIL``, ``RCPT`` or ``DATA`` (the reply to the final dot)."""
    reply: str
    matching: str = ""
    """Must occur in the address or, for DATA, in the message."""
    times: int | None = None

    def take(self, verb: str, text: str) -> bool:
        """Tell whether the rule applies now, and count it."""
        if verb != self.verb or self.matching not in text or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True)
class Policy:
    """What a relay offers and allows."""

    tls: str = IMPLICIT
    user: str = USER
    """Empty: no login wanted."""
    password: str = PASSWORD
    token: str = TOKEN
    mechanisms: tuple[str, ...] = BUILT_IN_MECHANISMS
    max_connections: int | None = None
    max_messages: int | None = None
    """In one connection."""
    size_limit: int | None = 33_554_432
    hide: tuple[str, ...] = ()
    """Extensions that EHLO must not offer (``8BITMIME``, ``SIZE``, ``STARTTLS``)."""
    delay: float = 0.0
    """Seconds before the reply to the final dot, as a distant relay needs."""


@dataclass
class Counters:
    """What the relay has seen beside the messages."""

    connections: int = 0
    open_now: int = 0
    peak: int = 0
    """The most connections that were served at once (refused ones not counted)."""
    refused: int = 0
    logins: int = 0
    failed_logins: int = 0
    quits: int = 0


class _Protocol(smtp.SMTP):
    """aiosmtpd's protocol, with limits on connections and a login over implicit TLS."""

    def __init__(self, relay: Relay, handler: _Handler) -> None:
        self.relay = relay
        policy = relay.policy
        self.admitted = False
        self.number = 0
        self.end: asyncio.Future[None] | None = None
        super().__init__(
            handler,
            hostname="relay.example.test",
            ident="ESMTP",
            data_size_limit=policy.size_limit,
            loop=relay.loop,
            tls_context=relay.context if policy.tls == STARTTLS else None,
            require_starttls=policy.tls == STARTTLS,
            # With implicit TLS aiosmtpd does not know that there is any.
            auth_require_tls=policy.tls == STARTTLS,
            authenticator=handler.check_password,
            auth_exclude_mechanism=set(ALL_MECHANISMS) - set(policy.mechanisms),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        counters = self.relay.counters
        if not self.number:
            self.end = self.loop.create_future()
            counters.connections += 1
            self.number = counters.connections
            limit = self.relay.policy.max_connections
            self.admitted = limit is None or counters.open_now < limit
            if self.admitted:
                counters.open_now += 1
                counters.peak = max(counters.peak, counters.open_now)
            else:
                counters.refused += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.admitted:
            self.admitted = False
            self.relay.counters.open_now -= 1
        if self.end and not self.end.done():
            self.end.set_result(None)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        if not self.admitted:
            await self.push(TOO_MANY_CONNECTIONS)
            self.transport.close()
            return
        await super()._handle_client()


class _Handler:
    """The relay's answers; one for each connection."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.taken = 0
        self.mechanism = ""

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):  # noqa: N802 -- aiosmtpd's names
        session.host_name = hostname
        if reply := self.relay.ruled("EHLO", hostname):
            session.host_name = ""
            return [reply]
        hidden = self.relay.policy.hide + (() if self.relay.policy.mechanisms else ("AUTH",))
        return [line for line in responses if not line[4:].startswith(hidden)] if hidden else responses

    async def handle_AUTH(self, _server, _session, _envelope, arguments):  # noqa: N802
        self.mechanism = arguments[0]
        return self.relay.ruled("AUTH", arguments[0]) or smtp.MISSING

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        policy = self.relay.policy
        if policy.user and not session.authenticated:
            return LOGIN_FIRST
        if policy.max_messages is not None and self.taken >= policy.max_messages:
            self.relay.loop.call_soon(server.transport.close)
            return TOO_MANY_MESSAGES
        if reply := self.relay.ruled("MAIL", address):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if reply := self.relay.ruled("RCPT", address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.relay.policy.delay:
            await asyncio.sleep(self.relay.policy.delay)
        content = bytes(envelope.content)
        if reply := self.relay.ruled("DATA", content.decode("ascii", "replace")):
            return reply
        self.taken += 1
        tls = server.transport.get_extra_info("ssl_object")
        self.relay.keep(
            Mail(
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                content=content,
                user=session.auth_data.login.decode() if session.authenticated else "",
                mechanism=self.mechanism if session.authenticated else "",
                connection=server.number,
                tls=tls.version() if tls else "",
                options=tuple(envelope.mail_options),
            )
        )
        return f"250 2.0.0 OK queued as {len(self.relay.messages)}"

    async def handle_QUIT(self, _server, _session, _envelope):  # noqa: N802
        self.relay.counters.quits += 1
        return "221 2.0.0 Bye"

    def check_password(self, _server, _session, _envelope, _mechanism, login) -> smtp.AuthResult:
        policy = self.relay.policy
        right = login == (policy.user.encode(), policy.password.encode())
        return self._result(right, login.login)

    async def auth_XOAUTH2(self, server, arguments) -> smtp.AuthResult:  # noqa: N802
        """Google's and Microsoft's; a refusal is a challenge that the client answers with nothing."""
        policy = self.relay.policy
        blob = base64.b64decode(arguments[1]) if len(arguments) > 1 else await server.challenge_auth("")
        if blob == f"user={policy.user}\x01auth=Bearer {policy.token}\x01\x01".encode():
            return self._result(True, policy.user.encode())
        await server.challenge_auth('{"status":"401","schemes":"bearer"}')
        return self._result(False, b"")

    async def auth_CRAM__MD5(self, server, _arguments) -> smtp.AuthResult:  # noqa: N802
        """RFC 2195."""
        policy = self.relay.policy
        challenge = f"<{time.time_ns()}@relay.example.test>".encode()
        answer = await server.challenge_auth(challenge)
        digest = hmac.new(policy.password.encode(), challenge, hashlib.md5).hexdigest()
        return self._result(answer == f"{policy.user} {digest}".encode(), policy.user.encode())

    def _result(self, right: bool, login: bytes) -> smtp.AuthResult:
        counters = self.relay.counters
        counters.logins += right
        counters.failed_logins += not right
        login_data = smtp.LoginPassword(login, b"")
        return smtp.AuthResult(success=right, handled=False, auth_data=login_data)


@dataclass
class Relay:
    """A relay that listens while it is entered as a context."""

    authority: Authority
    policy: Policy = field(default_factory=Policy)
    certificate: Certificate | None = None
    context: ssl.SSLContext | None = None
    port: int = 0
    host: str = "localhost"

    def __post_init__(self) -> None:
        self.certificate = self.certificate or self.authority.certificate()
        self.context = self.context or self.certificate.context()
        self.loop = asyncio.new_event_loop()
        self.counters = Counters()
        self.messages: list[Mail] = []
        self._rules: list[Rule] = []
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)
        self._listening = threading.Event()
        self._protocols: list[_Protocol] = []

    # What the tests say

    def refuse(self, verb: str, reply: str, matching: str = "", times: int | None = None) -> Rule:
        """Answer a command so from now on; ``rule.times = 0`` ends it."""
        rule = Rule(verb, reply, matching, times)
        self._rules.append(rule)
        return rule

    def wait_for(self, count: int, timeout: float = 15.0) -> list[Mail]:
        """Give the messages once there are ``count`` of them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.messages) >= count, timeout):
                raise AssertionError(f"{len(self.messages)} of {count} messages within {timeout} s")
            return list(self.messages)

    @property
    def url(self) -> str:
        """The relay as ``[[relay]] url``."""
        return f"{SCHEMES[self.policy.tls]}://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make this the only relay."""
        variables = {"CRONWRAP_RELAY": self.url}
        if self.policy.user:
            variables |= {
                "CRONWRAP_RELAY_USER": self.policy.user,
                "CRONWRAP_RELAY_PASSWORD": self.policy.password,
            }
        if self.policy.tls != PLAIN_TEXT:
            variables["CRONWRAP_RELAY_CA_FILE"] = self.authority.ca_file
        return variables

    @property
    def table(self) -> str:
        """Give the ``[[relay]]`` table of a configuration file."""
        lines = ["[[relay]]", f'url = "{self.url}"']
        if self.policy.user:
            lines += [f'user = "{self.policy.user}"', f"password = '{self.policy.password}'"]
        if self.policy.tls != PLAIN_TEXT:
            lines.append(f'ca-file = "{self.authority.ca_file}"')
        return "\n".join(lines) + "\n"

    # What the protocol says

    def ruled(self, verb: str, text: str) -> str:
        """Give the reply of the first rule that applies, or nothing."""
        return next((rule.reply for rule in self._rules if rule.take(verb, text)), "")

    def keep(self, mail: Mail) -> None:
        """Store a message and wake who waits for it."""
        with self._arrived:
            self.messages.append(mail)
            self._arrived.notify_all()

    # The life of the thread

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10):
            raise AssertionError("the relay did not start to listen")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def _protocol(self) -> _Protocol:
        protocol = _Protocol(self, _Handler(self))
        self._protocols.append(protocol)
        return protocol

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        tls = self.context if self.policy.tls == IMPLICIT else None
        listening = self.loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=tls, backlog=512)
        server = self.loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self._wind_up(server))
        self.loop.close()

    async def _wind_up(self, server: asyncio.Server) -> None:
        """Close every connection, those included that are being accepted or in the middle of TLS."""
        # A connection that is accepted as the server closes is lost by asyncio, and never closed: let them
        # all come in first, and no more of them.
        self.loop.remove_reader(server.sockets[0].fileno())
        await self._settle()
        server.close()
        for protocol in self._protocols:
            # Python 3.11.2's transports of TLS cannot be aborted once they are closing.
            if protocol.transport is not None and not protocol.transport.is_closing():
                protocol.transport.abort()
        if ends := [protocol.end for protocol in self._protocols if protocol.end]:
            await asyncio.wait(ends, timeout=FAREWELL)
        # Whose client has not come through TLS has no protocol of ours yet.
        for transport in list(self.loop._transports.values()):
            transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)
