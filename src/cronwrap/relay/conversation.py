"""One SMTP connection, step by step: every reply is known, every wait is bounded.

aiosmtplib does the protocol; its higher levels are not used, since they fall back (to HELO, to another
login mechanism) and fold several replies into one exception. ``RelayFault`` is raised for everything
that ends the conversation; a refusal of the message or of a recipient is a ``Reply``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from typing import NoReturn

import aiosmtplib

from cronwrap.relay import certificate, dial
from cronwrap.relay.asked import Asked
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import Reply, login_advice, readable
from cronwrap.relay.wording import LoginRefused, fault, without_secrets
from cronwrap.settings.relays import MECHANISMS, Endpoint

FINAL_REPLY_LIMIT = 600.0
"""Seconds for the message and the reply to its final dot (RFC 5321, 4.5.3.2.6). A relay that scans mail
takes its time, and hanging up earlier makes a duplicate of what it accepts a moment later."""
FAREWELL_LIMIT = 2.0
"""Seconds for QUIT: the mail is delivered, nobody has to wait for good manners."""
CLOSING_TURNS = 10
"""Turns of the event loop that a transport needs to let go of its socket; two or three in practice."""

FINAL_DOT = b".\r\n"
READING_TURNS = 3
"""Turns of the event loop in which what has come over the network is read, through TLS as well."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_HELLO_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Conversation:
    """A connection to one relay, from the first packet to QUIT."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        self.endpoint = endpoint
        self._context = context
        self._socket: socket.socket | None = None
        self._client = aiosmtplib.SMTP(timeout=endpoint.timeout)
        self._asked: Asked | None = None
        self.greeting = ""

    # Steps, in this order

    async def connect(self, addresses: list[dial.Address]) -> None:
        """Connect to the first address that answers; without encryption, to this host alone."""
        if self.endpoint.kind == "smtp":
            addresses = dial.on_this_host(addresses, self.endpoint.display)
        self._socket = await dial.connect(addresses, self.endpoint.display, self.endpoint.timeout)

    async def greet(self) -> None:
        """Wait for the greeting; with ``smtps`` after TLS and the judgement of the certificate."""
        implicit = self.endpoint.kind == "smtps"
        stage = "tls" if implicit else "greeting"
        self._client = aiosmtplib.SMTP(
            hostname=self.endpoint.host,
            sock=self._socket,
            timeout=self.endpoint.timeout,
            local_hostname=hello_name(self._socket),
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
        self.greeting = reply.message
        if protocol := self._client.protocol:
            self._asked = Asked(protocol)
        if implicit:
            self._check_certificate()

    async def hello(self) -> None:
        """Say EHLO and learn what the relay offers."""
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
        """Log in with one mechanism, once: a second try would double the failed logins."""
        mechanism = self.mechanism()
        user, client = self.endpoint.user, self._client
        try:
            if mechanism == "xoauth2":
                reply = await self._xoauth2(user.encode(), secret)
            elif mechanism == "cram-md5":
                reply = _reply(await client.auth_crammd5(user, secret))
            elif mechanism == "plain":
                reply = _reply(await client.auth_plain(user, secret))
            else:
                reply = _reply(await client.auth_login(user, secret))
        except aiosmtplib.SMTPAuthenticationError as error:
            reply = Reply(code=error.code, text=error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._fail("login", error)
        except ValueError:
            # MD5 is missing from a Python that is restricted to approved digests.
            raise RelayFault(
                "login", f"{mechanism.upper()} cannot be computed here", 'set auth = "plain" for this relay'
            ) from None
        self._check_asked("login")
        if reply.code != 235:
            said = without_secrets(str(reply), user, secret)
            kind = LoginRefused if reply.code >= 500 else RelayFault
            raise kind(
                "login",
                f"{self.endpoint.display} refused the login of {user} by {mechanism.upper()}: {said}",
                login_advice(reply, mechanism),
            )

    def mechanism(self) -> str:
        """Give the strongest mechanism that both sides have, or the one that is asked for; or RelayFault."""
        relay, offered = self.endpoint, self._client.server_auth_methods
        if not offered:
            raise RelayFault(
                "login",
                f"{relay.display} offers no login",
                "take user and password out if it needs none, or use the port it has for submission",
            )
        fitting = [name for name in MECHANISMS if (name == "xoauth2") == bool(relay.token_command)]
        wanted = [relay.auth] if relay.auth else fitting
        for name in wanted:
            if name in offered:
                return name
        raise RelayFault(
            "login",
            f"{relay.display} offers {readable(', '.join(offered).upper())} to log in with, "
            f"and not {' or '.join(wanted).upper()}",
            "see auth and token-command in the manual",
        )

    async def _xoauth2(self, user: bytes, token: bytes) -> Reply:
        """Log in with a token; the reason of a refusal comes as a challenge that wants an empty answer.

        Source: Google's "XOAUTH2 Mechanism", "Error response".
        """
        blob = base64.b64encode(b"user=" + user + b"\x01auth=Bearer " + token + b"\x01\x01")
        reply = _reply(await self._client.execute_command(b"AUTH", b"XOAUTH2", blob))
        if reply.code != 334:
            return reply
        with contextlib.suppress(ValueError):
            reason = base64.b64decode(reply.text, validate=True).decode("utf-8", "replace")
            final = _reply(await self._client.execute_command(b""))
            return Reply(code=final.code, text=f"{final.text} {reason}")
        return _reply(await self._client.execute_command(b""))

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
            reply = _reply(await self._client.execute_command(line))
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
            reply = _reply(
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
        raise fault(self.endpoint, stage, error) from error


def _reply(response: aiosmtplib.SMTPResponse) -> Reply:
    return Reply(code=response.code, text=response.message)


def on_the_wire(content: bytes) -> bytes:
    """Give a message as it follows DATA: CRLF alone ends lines, leading dots doubled, the final dot.

    RFC 5321, 4.5.2; and 2.3.8: what a lone CR or LF means differs between servers, which lets a hidden
    "final dot" smuggle in a second message.
    """
    lines = b"\r\n" + _LINE_END.sub(b"\r\n", content)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return lines.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def hello_name(sock: socket.socket | None) -> str:
    """Give the name for EHLO: this host's if it is a full one, else the address it speaks from.

    Never the name service's opinion: it may take longer than the delivery. RFC 5321, 4.1.4 allows the
    address where there is no name.
    """
    name = socket.gethostname()
    if _HELLO_NAME.fullmatch(name):
        return name
    address = str(sock.getsockname()[0]).partition("%")[0] if sock is not None else "127.0.0.1"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
