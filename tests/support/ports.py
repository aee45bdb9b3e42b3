"""Ports for servers that must be told a number before they start, and their start at another one if need be.

Between the moment in which a port is found free and the one in which a server listens there, somebody else
may take it: whoever asks for any port, and every client, gets one of the system's own range (ip(7),
ip_local_port_range), thousands of times while the tests run.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PORTS = range(20_000, 30_000)
"""Below the range from which Linux gives ports to clients and to whoever wants any (32768 to 60999)."""
ATTEMPTS = 3
"""Starts before a server is given up: what is wrong with it, and not with the moment, is so at each."""


class NotStartedError(AssertionError):
    """A server does not listen: it has ended, or took too long. Says what it has logged."""


def start_somewhere(start: Callable[[int], T], again_at: int = 0) -> T:
    """Give what ``start(port)`` gives: at a port of its own, and at others if that goes wrong.

    ``again_at``: the port that a server has had, and is to have again.
    """
    faults = []
    for _ in range(ATTEMPTS):
        port = again_at or free_port()
        try:
            if is_free(port):
                return start(port)
            faults.append(f"at port {port}: something else listens there")
        except NotStartedError as fault:
            faults.append(f"at port {port}: {fault}")
    raise NotStartedError("\n".join(faults))


def free_port() -> int:
    """Give a port at which nothing listens, and that this gives nobody else while this process lives."""
    # Each process begins elsewhere, so that few claims have to be tried.
    first = os.getpid() * 7 % len(PORTS)
    for port in (*PORTS[first:], *PORTS[:first]):
        if _claim(port) and is_free(port):
            return port
    raise AssertionError(f"no port of {PORTS.start} to {PORTS.stop} is free")


def is_free(port: int) -> bool:
    """Tell whether a server could listen at a port of this host now."""
    with socket.socket() as sock:
        # As servers do: what is left of old connections is not in their way.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(1)
        except OSError:
            return False
        return True


def listens(port: int) -> bool:
    """Tell whether something listens at a port of this host."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _claim(port: int) -> bool:
    """Take a port for this process, among all that run tests here; the claim ends with the process."""
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0cronwrap-tests-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True
