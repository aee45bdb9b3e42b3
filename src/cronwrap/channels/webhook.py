"""A notification as one POST over HTTP, signed by the Standard Webhooks specification (version 1).

    webhook-id: the notification's id, the same over every attempt
    webhook-timestamp: Unix time of the attempt
    webhook-signature: v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))

A connection an attempt, and one deadline over name service, connection, TLS and answer together. No redirect
is followed; addresses that are this network's own business (link-local, cloud metadata) are not connected to.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import io
import ipaddress
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from cronwrap import __version__
from cronwrap.channels.answer import Answer, judge
from cronwrap.errors import TemporaryError
from cronwrap.relay import certificate, credentials, dial, proxy
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import readable

if TYPE_CHECKING:
    from cronwrap.settings.notify import Target

AGENT = f"cronwrap/{__version__}"
ANSWER_LIMIT = 64 * 1024
"""Octets of an answer that are read, headers included; only its beginning is ever shown."""
SHOWN = 2048
"""Octets of an answer's body that are looked at, for the words of an error."""
SECRET_PREFIX = "whsec_"  # noqa: S105  # what a secret begins with
METADATA = frozenset({"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"})
"""Where clouds tell a machine about itself, its credentials included, beside the link-local addresses."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address is the end of these."""
CHECK_ADVICE = "check host and port in the url, and this host's network"


class _TooMuchError(OSError):
    """An answer that does not end."""


def send(target: Target, identity: str, body: bytes) -> Answer:
    """Give what became of one attempt; nothing that the other side does is raised."""
    deadline = time.monotonic() + target.timeout
    try:
        headers = _headers(target, identity, body)
        context = certificate.context(target.way) if target.kind == "https" else None
    except TemporaryError as error:
        return Answer(words=f"{target.display}: {error}", target_fault=True)
    try:
        sock = _connected(target, deadline)
    except RelayFault as fault:
        return Answer(words=str(fault), target_fault=True)
    except (OSError, ValueError) as error:
        return _no_answer(target, error)
    try:
        if context:
            sock = _secured(target, context, sock, deadline)
        return _exchange(target, sock, headers, body, deadline)
    except RelayFault as fault:
        return Answer(words=str(fault), target_fault=True)
    except (OSError, HTTPException, ValueError) as error:
        return _no_answer(target, error)
    finally:
        sock.close()


# What is sent -----------------------------------------------------------------------------------


def _headers(target: Target, identity: str, body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    host = f"[{target.way.host}]" if ":" in target.way.host else target.way.host
    usual = {"https": 443, "http": 80}[target.kind]
    found = {
        "Host": host if target.way.port == usual else f"{host}:{target.way.port}",
        "User-Agent": AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "webhook-id": identity,
        "webhook-timestamp": moment,
    }
    if target.way.user:
        login = f"{target.way.user}:{target.way.password or ''}".encode()
        found["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    if target.secret_file:
        found["webhook-signature"] = signature(secret(target), identity, moment, body)
    return found


def signature(key: bytes, identity: str, moment: str, body: bytes) -> str:
    """Give the value of ``webhook-signature``."""
    signed = hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def secret(target: Target) -> bytes:
    """Give the key that ``secret-file`` holds; TemporaryError says why there is none."""
    text = credentials.from_file(target.secret_file, "secret-file").strip()
    wrong = TemporaryError(f"secret-file {target.secret_file} does not hold whsec_ and a key in base64")
    if not text.startswith(SECRET_PREFIX.encode()):
        raise wrong
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX.encode()), validate=True)
    except binascii.Error:
        raise wrong from None
    if not key:
        raise wrong
    return key


# The way ----------------------------------------------------------------------------------------


def forbidden(address: str) -> bool:
    """Tell whether an address may not be connected to: link-local, unspecified, a cloud's metadata."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner and forbidden(str(inner)):
            return True
    return found.is_link_local or found.is_multicast or found.is_unspecified or str(found) in METADATA


def _connected(target: Target, deadline: float) -> socket.socket:
    way = target.way
    if way.proxy:
        if _literal(way.host) and forbidden(way.host):
            raise _not_allowed(target, way.host)
        return _blocking(asyncio.run(proxy.connect(way, _left(deadline))), deadline)
    found = dial.resolve(way.host, way.port, _left(deadline))
    allowed = [(family, where) for family, where in found if not forbidden(str(where[0]))]
    if not allowed:
        raise _not_allowed(target, str(found[0][1][0]) if found else way.host)
    if target.kind == "http":
        allowed = dial.on_this_host(allowed, way.display)
    try:
        sock = asyncio.run(dial.connect(allowed, way.display, _left(deadline)))
    except RelayFault as fault:
        raise RelayFault(fault.stage, fault.text, CHECK_ADVICE) from None
    return _blocking(sock, deadline)


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _not_allowed(target: Target, address: str) -> RelayFault:
    why = f"{target.display} leads to {address}, where none is sent (link-local, or a cloud's metadata)"
    return RelayFault("connect", why, "check the url, and the name service")


def _blocking(sock: socket.socket, deadline: float) -> socket.socket:
    sock.settimeout(_left(deadline))
    return sock


def _left(deadline: float) -> float:
    """Give the seconds that are left; TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _secured(target: Target, context: ssl.SSLContext, sock: socket.socket, deadline: float) -> socket.socket:
    """Give the connection with TLS begun, which is the right one; RelayFault says why it is not."""
    sock.settimeout(_left(deadline))
    try:
        secured = context.wrap_socket(sock, server_hostname=target.way.host)
    except ssl.SSLCertVerificationError as error:
        der = _shown_certificate(target, deadline)
        raise RelayFault("tls", *certificate.untrusted(target.way, error, der)) from None
    except ssl.SSLError as error:
        why = readable((error.reason or "").replace("_", " ").lower() or str(error))
        raise RelayFault("tls", f"no TLS with {target.way.display}: {why}", "check the port") from None
    if target.way.fingerprint:
        text, advice = certificate.pin_fault(target.way, secured.getpeercert(binary_form=True) or b"")
        if text:
            secured.close()
            raise RelayFault("tls", text, advice)
    return secured


def _shown_certificate(target: Target, deadline: float) -> bytes | None:
    """Give the certificate that a server shows to anybody, for words; None when there is no time for it."""
    try:
        with _connected(target, deadline) as sock:
            sock.settimeout(_left(deadline))
            with certificate.lenient_context().wrap_socket(sock, server_hostname=target.way.host) as secured:
                return secured.getpeercert(binary_form=True)
    except (OSError, ValueError, RelayFault):
        return None


# The exchange -----------------------------------------------------------------------------------


class _Bounded(io.RawIOBase):
    """What comes over a connection, until the deadline and so much of it at most."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock, self._deadline, self._left = sock, deadline, ANSWER_LIMIT

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some octets."""
        if self._left <= 0:
            raise _TooMuchError(f"an answer of more than {ANSWER_LIMIT} octets")
        self._sock.settimeout(_left(self._deadline))
        number = self._sock.recv_into(memoryview(buffer)[: self._left])
        self._left -= number
        return number


class _Incoming:
    """What ``HTTPResponse`` wants of a socket."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._raw = _Bounded(sock, deadline)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the stream that the answer is read from."""
        return io.BufferedReader(self._raw)


def _exchange(
    target: Target, sock: socket.socket, headers: dict[str, str], body: bytes, deadline: float
) -> Answer:
    request = HTTPConnection(target.way.host, target.way.port)  # it writes the head; the connection is ours
    request.sock = sock
    sock.settimeout(_left(deadline))
    request.putrequest("POST", target.address, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        request.putheader(name, value)
    try:
        request.endheaders(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may have answered before it had read all
    incoming: Any = _Incoming(sock, deadline)
    answer = HTTPResponse(incoming, method="POST")
    answer.begin()
    if 200 <= answer.status <= 299:
        return Answer(taken=True)
    said = readable(answer.reason)
    words = f"{target.display} answered {answer.status}" + (f" {said}" if said else "") + _body(answer)
    if 300 <= answer.status <= 399:
        words += "; it leads elsewhere, and no redirect is followed: write the final address into url"
    return judge(answer.status, words, answer.getheader("Retry-After"), time.time())


def _body(answer: HTTPResponse) -> str:
    """Give the beginning of what an answer says, as far as it comes."""
    try:
        said = readable(answer.read(SHOWN).decode("utf-8", "replace"))
    except (OSError, HTTPException, ValueError):
        return ""
    return f": {said}" if said else ""


def _no_answer(target: Target, error: Exception) -> Answer:
    if isinstance(error, TimeoutError):
        why = f"no answer within {target.timeout:g} s"
    elif isinstance(error, ConnectionError):
        why = "it hung up without an answer"
    elif isinstance(error, HTTPException):
        why = f"its answer is no HTTP ({type(error).__name__})"
    else:
        why = readable(getattr(error, "strerror", None) or str(error)) or type(error).__name__
    return Answer(words=f"{target.display}: {why}", target_fault=True)
