"""From a host name to a connected socket, within a time that is really kept."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from typing import Any

from cronwrap.domain import to_ascii
from cronwrap.errors import TemporaryError
from cronwrap.relay.replies import readable

HEAD_START = 0.25
"""Seconds an address has before the next one is tried beside it (RFC 8305, 5): a host whose IPv6 leads
nowhere must not cost a whole timeout."""
MOST_ADDRESSES = 8
"""Of one host; a name service that lists hundreds is not to be believed."""
OFTEN_BLOCKED = {25: "port 25 is blocked by many providers: use smtps:// (465) or submission:// (587)"}

NO_NETWORK = "check this host's network"
"""Said where there is no way to any port."""
SOURCE_ADVICE = "set source in [[relay]] to an address of this host, or leave it out"

Address = tuple[int, Any]
"""Address family and what ``connect`` takes."""


class RelayFault(TemporaryError):  # noqa: N818  # the word that `Delivery.relay_fault` has for it
    """A relay as a whole could not be used; says where and what to do about it.

    ``misplaced``: whether the port may be one of another kind, where TLS begins sooner or later.
    """

    def __init__(self, stage: str, text: str, advice: str = "", *, misplaced: bool = False) -> None:
        super().__init__(f"{text}; {advice}" if advice else text)
        self.stage, self.text, self.advice, self.misplaced = stage, text, advice, misplaced


def resolve(host: str, port: int, timeout: float) -> list[Address]:
    """Give the addresses of a host in the order of preference, or RelayFault.

    ``getaddrinfo`` cannot be interrupted and may outlast any timeout, so a daemon thread waits for it:
    unlike a thread of an executor, nobody joins that at exit.
    """
    found: list[list[Address] | OSError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(to_ascii(host), port, type=socket.SOCK_STREAM)
            found.append([(family, address) for family, _type, _proto, _name, address in answers])
        except ValueError:
            found.append(socket.gaierror(socket.EAI_NONAME, "not a valid name"))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        raise RelayFault(
            "resolve",
            f"the name service did not give the address of {host} within {timeout:g} s",
            "check this host's DNS",
        )
    answer = found[0]
    if not isinstance(answer, OSError):
        return answer[:MOST_ADDRESSES]
    why = readable(answer.strerror or str(answer))
    if answer.errno == socket.EAI_NONAME:
        raise RelayFault("resolve", f"there is no host {host} ({why})", "check the name in the url")
    raise RelayFault("resolve", f"the address of {host} is not to be had ({why})", "check this host's DNS")


def on_this_host(addresses: list[Address], display: str) -> list[Address]:
    """Give those of the addresses that are on the loopback; RelayFault when none is.

    What is not encrypted must not leave this host, whatever its name is said to be.
    """
    local = [(family, where) for family, where in addresses if _is_loopback(str(where[0]))]
    if addresses and not local:
        raise RelayFault(
            "connect",
            f"{display} leads off this host, to {addresses[0][1][0]}, and smtp:// is not encrypted",
            "use smtps:// or submission://",
        )
    return local


def _is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


async def connect(addresses: list[Address], display: str, limit: float, source: str = "") -> socket.socket:
    """Give a socket connected to the first address that answers, or RelayFault with the last reason.

    ``source`` is the local address to connect from, where one is wanted.
    """
    if source:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        addresses = [address for address in addresses if address[0] == family]
        if not addresses:
            raise RelayFault("connect", f"{display} has no address of the kind of {source}", SOURCE_ADVICE)
    connecting: set[asyncio.Task[socket.socket]] = set()
    reason: OSError = TimeoutError(f"no answer within {limit:g} s")
    try:
        async with asyncio.timeout(limit):
            for number, address in enumerate(addresses, 1):
                connecting.add(asyncio.create_task(_attempt(address, source)))
                more_to_come = number < len(addresses)
                while connecting:
                    done, connecting = await asyncio.wait(
                        connecting,
                        timeout=HEAD_START if more_to_come else None,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    for task in done:
                        if not isinstance(error := task.exception(), OSError):
                            connecting |= done - {task}
                            return task.result()
                        reason = error
                    if more_to_come:
                        break
    except TimeoutError:
        pass
    finally:
        await _abandon(connecting)
    if reason.errno == errno.EADDRNOTAVAIL and source:
        raise RelayFault("connect", f"no connection to {display}: {source} is not this host's", SOURCE_ADVICE)
    port = int(addresses[0][1][1]) if addresses else 0
    raise RelayFault("connect", f"no connection to {display}: {_why(reason)}", _advice(reason, port))


async def _attempt(address: Address, source: str) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # A message is written in one piece and then waited for: nothing to gain from Nagle's delay.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _abandon(connecting: set[asyncio.Task[socket.socket]]) -> None:
    """Take back attempts that are no longer wanted, also one that succeeded in this very moment."""
    for task in connecting:
        task.cancel()
    for outcome in await asyncio.gather(*connecting, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _why(error: OSError) -> str:
    # Not its text: asyncio puts the address into it.
    return os.strerror(error.errno).lower() if error.errno else readable(str(error))


def _advice(error: OSError, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: check host and port in the url"
    if error.errno in (errno.ENETUNREACH, errno.ENETDOWN):
        return NO_NETWORK
    if port in OFTEN_BLOCKED:
        return OFTEN_BLOCKED[port]
    if error.errno == errno.EHOSTUNREACH:
        return NO_NETWORK
    return "the relay is down or a firewall is in between; cronwrap doctor tries the other ports"
