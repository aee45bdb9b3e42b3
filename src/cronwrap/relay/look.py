"""A second look at a relay that could not be used: whose certificate it is, or what its port speaks.

It trusts nobody and says nothing but EHLO.
"""

from __future__ import annotations

import asyncio
import ssl

from cronwrap.relay import certificate, dial
from cronwrap.relay.conversation import Conversation
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.wording import tls_error
from cronwrap.settings.relays import Endpoint

LOOK_LIMIT = 10.0
"""Seconds; it is made only to say more."""
LOOK_SHARE = 0.2
"""The same as a part of the time for the opening, where somebody waits."""


async def explained(endpoint: Endpoint, addresses: list[dial.Address], fault: RelayFault) -> RelayFault:
    """Give a fault with the certificate that caused it, or the kind that the port has; any other as it is."""
    error = tls_error(fault)
    if isinstance(error, ssl.SSLCertVerificationError):
        der = await _certificate(endpoint, addresses)
        return RelayFault("certificate", *certificate.untrusted(endpoint, error, der))
    if fault.misplaced and endpoint.kind in ("smtps", "submission"):
        return await _of_other_kind(endpoint, addresses) or fault
    return fault


async def _certificate(endpoint: Endpoint, addresses: list[dial.Address]) -> bytes | None:
    look = Conversation(endpoint, certificate.lenient_context())
    try:
        async with asyncio.timeout(_limit(endpoint)):
            await look.connect(addresses)
            await look.reach_tls()
            return look.peer_der()
    except (RelayFault, TimeoutError):
        return None
    finally:
        await look.close(politely=False)


async def _of_other_kind(endpoint: Endpoint, addresses: list[dial.Address]) -> RelayFault | None:
    """Give the fault of a URL whose port speaks TLS at once, or only later; None when that is not it."""
    implicit = endpoint.kind == "submission"
    other = endpoint.replace(kind="smtps" if implicit else "submission", fingerprint="")
    look = Conversation(other, certificate.lenient_context())
    try:
        async with asyncio.timeout(_limit(endpoint)):
            await look.connect(addresses)
            await look.greet()
            if not implicit:
                await look.hello()
                if not look.offers("starttls"):
                    return None
    except (RelayFault, TimeoutError):
        return None
    finally:
        await look.close(politely=False)
    when = "at once" if implicit else "only after STARTTLS"
    where = endpoint.display.partition("://")[2]
    return RelayFault(
        "tls",
        f"{where} speaks TLS {when}, and {endpoint.kind}:// is for the other kind of port",
        f'write url = "{other.display}"',
    )


def _limit(endpoint: Endpoint) -> float:
    return min(LOOK_LIMIT, endpoint.opening * LOOK_SHARE or LOOK_LIMIT)
