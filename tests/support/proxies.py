"""Proxies on the loopback: SOCKS 4 and 5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110, 9.3.6)."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

CHUNK = 65_536
USER, PASSWORD = "proxy-user", "proxy pass@word"


@dataclass
class Proxy:
    """A proxy that listens while it is entered as a context."""

    kind: str
    """``socks4``, ``socks5`` or ``http``."""
    login: bool = False
    refuse: bool = False
    """Whether it lets nobody through."""
    together: bool = False
    """Whether the server's first words come in one packet with the proxy's own."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Hosts and ports that it was asked to connect to."""
    carried: bytearray = field(default_factory=bytearray)
    """All that went through it from clients."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            client.settimeout(10)
            with client, contextlib.suppress(OSError, EOFError):
                talk = {"socks4": self._socks4, "socks5": self._socks5, "http": self._http}[self.kind]
                host, port = talk(client)
                self._carry(client, host, port)

    def _carry(self, client: socket.socket, host: str, port: int) -> None:
        self.asked.append((host, port))
        if self.refuse:
            client.sendall(self._refusal)
            return
        with socket.create_connection((host, port)) as server:
            first = b""
            if self.together:  # what the server says first comes with the proxy's own words
                first = server.recv(CHUNK)
            client.sendall(self._success + first)
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    octets = ready.recv(CHUNK)
                    if not octets:
                        return
                    if ready is client:
                        self.carried += octets
                    (server if ready is client else client).sendall(octets)

    def _socks4(self, client: socket.socket) -> tuple[str, int]:
        _version, _command, port, address = struct.unpack("!BBH4s", exactly(client, 8))
        user = until(client, b"\0")
        host = socket.inet_ntoa(address)
        if address[:3] == b"\0\0\0":  # SOCKS 4a: the name follows
            host = until(client, b"\0").decode()
        self._success, self._refusal = b"\0\x5a" + b"\0" * 6, b"\0\x5b" + b"\0" * 6
        if self.login and user.decode() != USER:
            client.sendall(b"\0\x5d" + b"\0" * 6)
            raise EOFError
        return host, port

    def _socks5(self, client: socket.socket) -> tuple[str, int]:
        _version, count = exactly(client, 2)
        exactly(client, count)
        client.sendall(b"\5\2" if self.login else b"\5\0")
        if self.login:
            _version, length = exactly(client, 2)
            user = exactly(client, length).decode()
            password = exactly(client, exactly(client, 1)[0]).decode()
            right = (user, password) == (USER, PASSWORD)
            client.sendall(b"\1\0" if right else b"\1\1")
            if not right:
                raise EOFError
        _version, _command, _reserved, kind = exactly(client, 4)
        host = (
            exactly(client, exactly(client, 1)[0]).decode()
            if kind == 3
            else socket.inet_ntoa(exactly(client, 4))
        )
        (port,) = struct.unpack("!H", exactly(client, 2))
        self._success, self._refusal = b"\5\0\0\1" + b"\0" * 6, b"\5\2\0\1" + b"\0" * 6
        return host, port

    def _http(self, client: socket.socket) -> tuple[str, int]:
        lines = until(client, b"\r\n\r\n").decode().split("\r\n")
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        self._success = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self._refusal = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.login and not any(line.endswith(wanted) for line in lines):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            raise EOFError
        return host, int(port)


def exactly(sock: socket.socket, count: int) -> bytes:
    """Read so many octets; EOFError when there are fewer."""
    octets = b""
    while len(octets) < count:
        more = sock.recv(count - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def until(sock: socket.socket, end: bytes) -> bytes:
    """Read up to an end mark, and give what stands before it."""
    octets = b""
    while not octets.endswith(end):
        octets += exactly(sock, 1)
    return octets.removesuffix(end)
