"""One SMTP connection, step by step: every reply is known, every wait is bounded.

aiosmtplib does the protocol; its higher levels are not used, since they fall back (to HELO, to another
login mechanism) and fold several replies into one exception. ``RelayFault`` is raised for everything
that ends the conversation; a refusal of the message or of a recipient is a ``Reply``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from typing import NoReturn

import aiosmtplib

from cronwrap.relay import certificate, dial, proxy
from cronwrap.relay.asked import Asked
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.login import Login
from cronwrap.relay.repeated import Confidence
from cronwrap.relay.replies import Reply
from cronwrap.relay.wording import fault
from cronwrap.settings.relays import Endpoint

FINAL_REPLY_LIMIT = 600.0
"""Seconds for the message and the reply to its final dot (RFC 5321, 4.5.3.2.6). A relay that scans mail
takes its time, and hanging up earlier makes a duplicate of what it accepts a moment later."""
FAREWELL_LIMIT = 2.0
"""Seconds for QUIT: the mail is delivered, nobody has to wait for good manners."""
CLOSING_TURNS = 10
"""Turns of the event loop that a transport needs to let go of its socket; two or three in practice."""

LOCAL_SUFFIXES = tuple(
    f".{name}"
    for name in [
        "localdomain",
        "localhost",
        "local",
        "lan",
        "home",
        "home.arpa",
        "internal",
        "intranet",
        "private",
        "corp",
        "invalid",
    ]
)
"""Domains of no name server outside (RFC 6761, 6762, 8375; ICANN's ``internal``; habits)."""
FINAL_DOT = b".\r\n"
READING_TURNS = 3
"""Turns of the event loop in which what has come over the network is read, through TLS as well."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_HELLO_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Conversation:
    """A connection to one relay, from the first packet to QUIT."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None, secret: bytes = b"") -> None:
        """``secret`` is what is kept out of whatever the relay says, from its greeting on."""
        self.endpoint = endpoint
        self._confidence = Confidence(endpoint.user, secret)
        self._context = context
        self._socket: socket.socket | None = None
        self._client = aiosmtplib.SMTP(timeout=endpoint.timeout)
        self.stage = "connect"
        """How far it has come, by the names of ``MOMENTS``."""
        self._asked: Asked | None = None
        self.greeting = ""
        self.mechanism = ""
        """What it was logged in by."""

    # Steps, in this order

    async def connect(self, addresses: list[dial.Address]) -> None:
        """Connect to the first address that answers, or by the proxy, which needs none.

        Without encryption, to this host alone.
        """
        relay = self.endpoint
        if relay.proxy:
            self._socket = await proxy.connect(relay, relay.timeout)
            return
        if relay.kind == "smtp":
            addresses = dial.on_this_host(addresses, relay.display)
        self._socket = await dial.connect(addresses, relay.display, relay.timeout, relay.source)

    async def greet(self) -> None:
        """Wait for the greeting; with ``smtps`` after TLS and the judgement of the certificate."""
        implicit = self.endpoint.kind == "smtps"
        self.stage = stage = "tls" if implicit else "greeting"
        self._client = aiosmtplib.SMTP(
            hostname=self.endpoint.host,
            sock=self._socket,
            timeout=self.endpoint.timeout,
            local_hostname=hello_name(self._socket, self.endpoint.helo),
            use_tls=implicit,
            start_tls=False,
            tls_context=self._context,
        )
        try:
            reply = await self._client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # Whoever was answered in SMTP has come through TLS.
            answered = isinstance(error, aiosmtplib.SMTPResponseException)
            self._fail("greeting" if answered else stage, error)
        self.greeting = self._without_secrets(reply.message)
        if protocol := self._client.protocol:
            self._asked = Asked(protocol)
        if implicit:
            self._check_certificate()

    async def hello(self) -> None:
        """Say EHLO and learn what the relay offers."""
        self.stage = "hello"
        self._check_asked("hello")
        try:
            await self._client.ehlo()
        except (aiosmtplib.SMTPException, OSError) as error:
            self._fail("hello", error)
        self._check_asked("hello")

    async def secure(self) -> None:
        """Go from the connection to the point where a login or a message may be sent."""
        await self.reach_tls()
        await self.hello()

    async def reach_tls(self) -> None:
        """Go as far as TLS, without EHLO in it; ``smtp`` has none."""
        await self.greet()
        if self.endpoint.kind == "submission":
            await self.hello()
            await self.start_tls()

    async def start_tls(self) -> None:
        """Turn to TLS (RFC 3207); nothing but EHLO has been said before."""
        self.stage = "tls"
        if not self.offers("starttls"):
            raise RelayFault(
                "tls",
                f"{self.endpoint.display} does not offer STARTTLS, and nothing is sent in clear",
                "use smtps:// if the relay has it; somebody in between may have taken the offer out",
            )
        try:
            await self._client.starttls()
        except (aiosmtplib.SMTPException, OSError) as error:
            self._fail("tls", error)
        self._check_certificate()

    async def log_in(self, secret: bytes) -> None:
        """Log in; RelayFault when that does not succeed."""
        self.stage = "login"
        self._confidence = Confidence(self.endpoint.user, secret)

        async def say(line: bytes) -> Reply:
            try:
                said = await self._client.execute_command(line)
            except (aiosmtplib.SMTPException, OSError) as error:
                self._fail("login", error)
            return Reply(code=said.code, text=said.message)

        login = Login(self.endpoint, secret, self._client.server_auth_methods, say, self._without_secrets)
        self.mechanism = await login.run()
        self._check_asked("login")

    # One message

    def offers(self, extension: str) -> bool:
        """Tell whether the relay offers an extension."""
        return self._client.supports_extension(extension)

    @property
    def size_limit(self) -> int:
        """Give the largest message the relay takes, in octets (RFC 1870); 0 when it names no limit."""
        text = self._client.esmtp_extensions.get("size", "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    async def command(self, stage: str, line: bytes) -> Reply:
        """Give the reply to a command; RelayFault when there is none, or it is none."""
        self._check_asked(stage)
        try:
            reply = self._reply(await self._client.execute_command(line))
        except (aiosmtplib.SMTPException, OSError) as error:
            self._fail(stage, error)
        self._check_asked(stage)
        if not 200 <= reply.code <= 599:
            self._fail(stage, aiosmtplib.SMTPResponseException(reply.code, reply.text))
        return reply

    async def transfer(self, content: bytes) -> Reply:
        """Send a message after DATA was accepted, and give the reply to its final dot.

        A RelayFault here leaves open whether the relay has taken the message.
        """
        protocol = self._client.protocol
        try:
            if protocol is None:
                raise aiosmtplib.SMTPServerDisconnected("Connection lost")
            octets, asked = on_the_wire(content), self._asked
            if asked:
                asked.write_part(octets[: -len(FINAL_DOT)])
                for _ in range(READING_TURNS):  # an answer that is there already is none to the final dot
                    await asyncio.sleep(0)
            early = bool(asked and asked.unasked)
            protocol.write(octets[-len(FINAL_DOT) :] if asked else octets)
            reply = self._reply(
                await protocol.read_response(timeout=max(FINAL_REPLY_LIMIT, self.endpoint.timeout))
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            self._fail("message", error)
        if not 200 <= reply.code <= 599:
            self._fail("message", aiosmtplib.SMTPResponseException(reply.code, reply.text))
        if reply.ok or not early:  # a refusal in the middle of a message is one
            self._check_asked("message")
        return reply

    async def close(self, *, politely: bool) -> None:
        """Say QUIT if that makes sense, and let go of the connection."""
        if politely and self._client.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await asyncio.wait_for(self._client.quit(), FAREWELL_LIMIT)
        self._client.close()
        if self._socket is None:
            return
        # With TLS the transport would wait for the other side's farewell; it ends when its socket does.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for _ in range(CLOSING_TURNS):
            if self._socket.fileno() == -1:
                return
            await asyncio.sleep(0)
        self._socket.close()

    # TLS

    def peer(self) -> certificate.Certificate | None:
        """Give the relay's certificate, None without TLS."""
        der = self.peer_der()
        return certificate.describe(der) if der else None

    def tls_version(self) -> str:
        """Give ``TLSv1.3`` or the like; empty without TLS."""
        tls = self._tls()
        return (tls.version() or "") if tls else ""

    def _tls(self) -> ssl.SSLObject | None:
        try:
            found = self._client.get_transport_info("ssl_object")
        except aiosmtplib.SMTPServerDisconnected as error:
            self._fail("tls", error)
        return found if isinstance(found, ssl.SSLObject) else None

    def peer_der(self) -> bytes | None:
        """Give the same in DER form."""
        tls = self._tls()
        return tls.getpeercert(binary_form=True) if tls else None

    def _check_certificate(self) -> None:
        """Compare the certificate with the pinned one before another word is said."""
        if self.endpoint.fingerprint:
            text, advice = certificate.pin_fault(self.endpoint, self.peer_der() or b"")
            if text:
                raise RelayFault("certificate", text, advice)

    # Errors

    def _check_asked(self, stage: str) -> None:
        """Refuse to go on when the relay has answered what it was not asked."""
        if self._asked and self._asked.unasked:
            raise RelayFault(
                stage,
                f"{self.endpoint.display} sent an answer that was not asked for",
                "which of its answers belongs to what cannot be told: nothing more is said to it",
            )

    def _fail(self, stage: str, error: BaseException) -> NoReturn:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            said = aiosmtplib.SMTPResponseException(error.code, self._without_secrets(error.message))
            said.__cause__ = error.__cause__
            raise fault(self.endpoint, stage, said) from None
        raise fault(self.endpoint, stage, error) from error

    def _reply(self, response: aiosmtplib.SMTPResponse) -> Reply:
        return Reply(code=response.code, text=self._without_secrets(response.message))

    def _without_secrets(self, text: str) -> str:
        """Give a relay's words without the login, before anything is cut: it may repeat what it was told."""
        return self._confidence.without(text, digests=True)


def on_the_wire(content: bytes) -> bytes:
    """Give a message as it follows DATA: CRLF alone ends lines, leading dots doubled, the final dot.

    RFC 5321, 4.5.2; and 2.3.8: what a lone CR or LF means differs between servers, which lets a hidden
    "final dot" smuggle in a second message.
    """
    lines = b"\r\n" + _LINE_END.sub(b"\r\n", content)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return lines.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def hello_name(sock: socket.socket | None, wanted: str = "") -> str:
    """Give the name for EHLO: the one wanted, or this host's, if it is a full one; else its address.

    Never the name service's opinion: it may take longer than the delivery. RFC 5321, 4.1.4 allows the
    address where there is no name. Names that mean nothing elsewhere (RFC 6761, and what routers and
    distributions give) are refused by servers that look them up.
    """
    name = wanted or socket.gethostname()
    if name.startswith("[") or (
        _HELLO_NAME.fullmatch(name) and not f".{name.lower()}".endswith(LOCAL_SUFFIXES)
    ):
        return name
    address = str(sock.getsockname()[0]).partition("%")[0] if sock is not None else "127.0.0.1"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
