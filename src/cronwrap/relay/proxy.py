"""The way to a relay through a SOCKS or HTTP proxy; TLS is to the relay, and the proxy sees octets only."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import readable

if TYPE_CHECKING:
    from cronwrap.settings.relays import Endpoint

ADVICE = "check proxy in [[relay]], and whether the proxy lets this host through to the relay's port"
INSTALL = "install what it needs: pip install 'cronwrap[proxy]'"


async def connect(relay: Endpoint, limit: float) -> socket.socket:
    """Give a socket that leads to the relay, or RelayFault. The proxy resolves the relay's name."""
    try:
        from python_socks import ProxyError, ProxyType  # noqa: PLC0415  # an extra
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415
    except ImportError:
        text = f"{relay.display} is to be reached by a proxy, and python-socks is missing"
        raise RelayFault("connect", text, INSTALL) from None
    way = f"no connection to {relay.display} by {relay.proxy}"
    kind, _, place = relay.proxy.partition("://")
    host, _, port = place.rpartition(":")
    proxy = Proxy(
        ProxyType[kind.upper()],
        host.strip("[]"),
        int(port),
        relay.proxy_user or None,
        relay.proxy_password or None,
        rdns=True,
    )
    try:
        local = {"local_addr": (relay.source, 0)} if relay.source else {}
        sock = await proxy.connect(relay.host, relay.port, limit, **local)
    except ProxyError as error:
        raise RelayFault("connect", f"{way}: the proxy says {readable(str(error))}", ADVICE) from None
    except TimeoutError:
        raise RelayFault("connect", f"{way}: no answer within {limit:g} s", ADVICE) from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else readable(str(error))
        raise RelayFault("connect", f"{way}: {why}", ADVICE) from None
    except Exception as error:  # noqa: BLE001  # what a server that is no proxy makes of python-socks
        raise RelayFault("connect", f"{way}: {readable(str(error))}", ADVICE) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
