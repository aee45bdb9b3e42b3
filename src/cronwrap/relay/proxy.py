"""The way to a relay through a SOCKS or HTTP proxy; TLS is to the relay, and the proxy sees octets only."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from typing import TYPE_CHECKING

from cronwrap.relay import dial
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import readable

if TYPE_CHECKING:
    from cronwrap.settings.relays import Endpoint

ADVICE = "check proxy in [[relay]], and whether the proxy lets this host through to the relay's port"
INSTALL = "install what it needs: pip install 'cronwrap[proxy]'"
HEAD_LIMIT = 16384
"""Octets of a proxy's answer before the empty line; real ones have some hundred."""
HEAD_END = b"\r\n\r\n"


class Refused(Exception):  # noqa: N818  # it says what the proxy did
    """A proxy does not let us through; the text says why."""


async def connect(relay: Endpoint, limit: float) -> socket.socket:
    """Give a socket that leads to the relay, or RelayFault. The proxy resolves the relay's name."""
    way = f"no connection to {relay.display} by {relay.proxy}"
    kind, _, place = relay.proxy.partition("://")
    host, _, port = place.rpartition(":")
    dialled = _by_http if kind == "http" else _by_socks
    try:
        async with asyncio.timeout(limit):
            sock = await dialled(relay, host.strip("[]"), int(port), limit)
    except RelayFault as fault:
        advice = INSTALL if fault.advice == INSTALL else ADVICE
        raise RelayFault("connect", f"{way}: {fault.text}", advice) from None
    except Refused as error:
        raise RelayFault("connect", f"{way}: the proxy says {readable(str(error))}", ADVICE) from None
    except TimeoutError:
        raise RelayFault("connect", f"{way}: no answer within {limit:g} s", ADVICE) from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else readable(str(error))
        raise RelayFault("connect", f"{way}: {why}", ADVICE) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _by_socks(relay: Endpoint, host: str, port: int, limit: float) -> socket.socket:
    try:
        from python_socks import ProxyError, ProxyType  # noqa: PLC0415  # an extra
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415
    except ImportError:
        raise RelayFault("connect", "python-socks is missing", INSTALL) from None
    kind = ProxyType[relay.proxy.partition("://")[0].upper()]
    user, password = relay.proxy_user or None, relay.proxy_password or None
    proxy = Proxy(kind, host, port, user, password, rdns=True)
    try:
        local = {"local_addr": (relay.source, 0)} if relay.source else {}
        return await proxy.connect(relay.host, relay.port, limit, **local)
    except ProxyError as error:
        raise Refused(str(error)) from None
    except (ValueError, KeyError, IndexError, AttributeError, UnicodeError) as error:
        raise Refused(f"what no proxy says ({error})") from None  # python-socks stumbles over it


async def _by_http(relay: Endpoint, host: str, port: int, limit: float) -> socket.socket:
    """Ask for a tunnel (RFC 9110, 9.3.6).

    Not by python-socks: it reads as much as there is, and a relay that greets first, as with STARTTLS, may
    have said its greeting in the same moment, which would be lost.
    """
    addresses = dial.resolve(host, port, limit)
    sock = await dial.connect(addresses, relay.proxy, limit, relay.source)
    try:
        await _open_tunnel(sock, _request(relay))
    except BaseException:
        sock.close()
        raise
    return sock


async def _open_tunnel(sock: socket.socket, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request)
    head = b""
    while not head.endswith(HEAD_END):
        octet = await loop.sock_recv(sock, 1)
        if not octet or len(head) > HEAD_LIMIT:
            raise Refused(f"what no proxy says ({readable(head.decode('latin-1')) or 'nothing'})")
        head += octet
    status = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, rest = status.partition(" ")
    if not version.startswith("HTTP/1.") or not rest.startswith("2"):
        raise Refused(rest if version.startswith("HTTP/") else status)


def _request(relay: Endpoint) -> bytes:
    host = f"[{relay.host}]" if ":" in relay.host else relay.host
    place = f"{host if host.isascii() else host.encode('idna').decode()}:{relay.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if relay.proxy_user:
        login = f"{relay.proxy_user}:{relay.proxy_password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(login).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()
