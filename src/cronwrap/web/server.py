"""Sockets, and the program that listens on them: it ends when it is told to, or when nobody looks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import os
import pwd
import signal
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cronwrap.errors import CronwrapError, UsageError
from cronwrap.model import Record
from cronwrap.settings.load import Settings
from cronwrap.state import state
from cronwrap.web.actor import Actor
from cronwrap.web.app import application
from cronwrap.web.guard import PEER, Guard, Receive, Scope, Send
from cronwrap.web.visitor import Door, Peer, Proxy

HOST, PORT = "127.0.0.1", 8377
FIRST_PASSED = 3
"""The first descriptor that systemd hands over (sd_listen_fds(3))."""
SECRET, SECRET_BYTES = "web.key", 32  # a file's name
BACKLOG = 128
GRACE = 2
"""Seconds for answers under way, live output among them, once the page is told to end."""
GARBAGE = (50_000, 20, 50)
"""Objects made before a look for garbage, and looks before a thorough one (gc.set_threshold)."""
LOOK_EVERY = 0.5
"""Seconds between two looks whether the page is still wanted."""
CONNECTIONS = 512
"""At a time; further ones are told 503."""


class Way(Record):
    """How the page is reached."""

    listen: str = ""
    """``HOST:PORT``, of the loopback."""
    path: str = ""
    """Of a Unix socket."""
    read_only: bool = False
    idle_exit: float | None = None
    """Seconds without a connection after which the page ends."""


class Listening:
    """Sockets that listen, and the page behind them."""

    def __init__(self, settings: Settings, way: Way, say: Callable[[str], None]) -> None:
        """``say`` gets what is worth telling whoever started it, a line at a time: addresses with keys."""
        self._way, self._say = way, say
        self.sockets = passed() or [
            of_path(way.path) if way.path else of_address(way.listen or f"{HOST}:{PORT}")
        ]
        self._door = Door(read_only=way.read_only, proxy=_proxy(settings), secret=_secret(settings.state_dir))
        self._actor = Actor(settings["config"] or "")
        self.loopback = next((one for one in self.sockets if one.family != socket.AF_UNIX), None)

    def address(self) -> str:
        """Give the address for a browser, with a key where one is needed; of a Unix socket its path."""
        if self.loopback is None:
            return str(self.sockets[0].getsockname())
        host, port = self.loopback.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/?key={self._door.new_key()}"

    def serve(self, hosts: tuple[str, ...] = ()) -> None:
        """Answer requests until it is told to end, or idle for as long as it may be."""

        def greet() -> None:
            self._say(f"for another browser: {self.address()}")

        page = Guard(application(self._actor, self._door), self._door, hosts=hosts, greet=greet)
        config = uvicorn.Config(
            page,
            http=Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
        )
        # Lists of ten thousand jobs are made and dropped: to go through all of them meanwhile costs as much
        # again.
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        asyncio.run(self._until_unwanted(Server(config)))

    async def _until_unwanted(self, server: uvicorn.Server) -> None:
        looking = asyncio.create_task(self._look(server))
        try:
            await server.serve(sockets=self.sockets)
        finally:
            looking.cancel()
            self._actor.close()

    async def _look(self, server: uvicorn.Server) -> None:
        """End the page once nobody has been connected for a while, and children that nobody needs."""
        idle = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._actor.tidy()
            idle = 0.0 if server.server_state.connections or self._actor.busy else idle + LOOK_EVERY
            if self._way.idle_exit is not None and idle >= self._way.idle_exit:
                server.should_exit = True

    def close(self) -> None:
        """Take the socket away that was made."""
        for one in self.sockets:
            one.close()
        if self._way.path:
            try:
                os.unlink(self._way.path)
            except OSError:
                return


class Server(uvicorn.Server):
    """A server that ends by SIGTERM and SIGINT as one that is done, and not of the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order when told to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.force_exit, self.should_exit = self.should_exit, True


class Protocol(H11Protocol):
    """HTTP whose requests say who is at the other end of the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who it is, once."""
        peer = peer_of(transport.get_extra_info("socket"))
        application = self.app

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            scope[PEER] = peer
            await application(scope, receive, send)

        self.app = told
        super().connection_made(transport)


def peer_of(connection: Any) -> Peer:
    """Give who is at the other end of a connection, as the kernel says."""
    if connection.family == socket.AF_UNIX:
        return Peer(uid=_uid_of(connection), unix=True)
    return Peer(uid=_uid_over_loopback(connection.getsockname(), connection.getpeername()))


def _uid_of(connection: Any) -> int | None:
    """Give the user id of a Unix socket's peer (unix(7); getpeereid(3) on the BSDs and macOS)."""
    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("3i")
        uid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
        return int(uid)
    if hasattr(socket, "LOCAL_PEERCRED"):  # struct xucred: version, uid, …
        return int(struct.unpack_from("2I", connection.getsockopt(0, socket.LOCAL_PEERCRED, 76))[1])
    return None


def _uid_over_loopback(own: tuple[Any, ...], other: tuple[Any, ...]) -> int | None:
    """Give the user id of the process behind a connection here (proc(5), net/tcp); None if not known."""
    wanted = _in_hex(other), _in_hex(own)
    try:
        with open("/proc/net/tcp6" if ":" in own[0] else "/proc/net/tcp", encoding="ascii") as table:
            for line in table:
                words = line.split()
                if (words[1], words[2]) == wanted:
                    return int(words[7])
    except (OSError, ValueError, IndexError):
        return None
    return None


def _in_hex(address: tuple[Any, ...]) -> str:
    """Give an address as the table has it: words of 32 bits in the machine's order."""
    octets = socket.inet_pton(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address[0])
    words = struct.unpack(f"={len(octets) // 4}I", octets)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def passed() -> list[socket.socket]:
    """Give the sockets that systemd has handed over, if it has. CronwrapError for what may not be."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    try:
        count = int(os.environ.get("LISTEN_FDS", "0"))
        found = [socket.socket(fileno=FIRST_PASSED + number) for number in range(count)]
    except (OSError, ValueError) as error:
        raise CronwrapError(f"what systemd hands over is no socket: {error}") from None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    for one in found:
        os.set_inheritable(one.fileno(), False)
        if one.type != socket.SOCK_STREAM or not (
            one.family == socket.AF_UNIX or _is_loopback(one.getsockname()[0])
        ):
            raise CronwrapError(
                "systemd hands over a socket that others could reach: use ListenStream=/a/path"
            )
        one.setblocking(False)
    return found


def of_path(path: str) -> socket.socket:
    """Give a Unix socket that listens, 0600 from the first moment; UsageError when it cannot be made."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        _clear(path)
        one.bind(path)
    except OSError as error:
        one.close()
        raise CronwrapError(f"--socket {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    one.listen(BACKLOG)
    one.setblocking(False)
    return one


def _clear(path: str) -> None:
    """Take away a socket that nobody listens on any more; OSError for whatever else is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise OSError(errno.EEXIST, "there is something else already")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "a page listens there already")


def of_address(text: str) -> socket.socket:
    """Give a socket that listens on an address of the loopback; UsageError for any other."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"--listen {text}: write HOST:PORT, as {HOST}:{PORT}")
    host = HOST if host == "localhost" else host
    if not _is_loopback(host):
        raise UsageError(
            f"--listen {text}: only addresses of the loopback, as {HOST}; from elsewhere come by SSH or"
            " by a proxy: see the manual, The web page"
        )
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, int(port)))
    except OSError as error:
        one.close()
        hint = "; --listen 127.0.0.1:0 takes a free port" if error.errno == errno.EADDRINUSE else ""
        raise CronwrapError(f"--listen {text}: {error.strerror}{hint}") from None
    one.listen(BACKLOG)
    one.setblocking(False)
    return one


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy(settings: Settings) -> Proxy | None:
    """Give the proxy that is trusted; CronwrapError when its user is none here."""
    name = settings["web.proxy-user"]
    if not name:
        return None
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise CronwrapError(f"[web] proxy-user: there is no user {name} here") from None
    return Proxy(uid=uid, header=settings["web.proxy-header"].lower(), root=settings["web.proxy-root"])


def _secret(state_dir: str) -> bytes:
    """Give what forms are signed with: kept, so that a form outlives the page; else one for this time."""
    try:
        directory = state(state_dir, make=True)
        try:
            fd = directory.open(SECRET)
        except FileNotFoundError:
            fd = directory.create(SECRET)
            os.write(fd, os.urandom(SECRET_BYTES))
        try:
            found = os.pread(fd, SECRET_BYTES, 0)
        finally:
            os.close(fd)
    except OSError:
        found = b""
    return found if len(found) == SECRET_BYTES else os.urandom(SECRET_BYTES)
