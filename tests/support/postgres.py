"""Debian's PostgreSQL, a cluster of its own on a socket and a port of the loopback, with TLS."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Self

from support import ports
from support.debian import SEARCH_PATH
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from support.pki import Authority

NEEDS = ("root", "/usr/lib/postgresql/*/bin/postgres")
START_LIMIT = 60.0
UNIX = socket.AF_UNIX
SUPERUSER, PASSWORD = "postgres", "correct horse battery"
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{root}'
ssl = on
ssl_cert_file = '{root}/cert.pem'
ssl_key_file = '{root}/key.pem'
fsync = {fsync}
timezone = 'UTC'
max_connections = 60
"""
ACCESS = """
local all postgres trust
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class Postgres:
    """A cluster that runs while it is entered as a context; ``start``, ``stop`` and ``kill`` in between."""

    def __init__(self, authority: Authority, *, fsync: bool = False) -> None:
        self.authority, self._fsync = authority, fsync
        self.root = tempfile.mkdtemp(prefix="cronwrap-pg-", dir="/tmp")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self._binaries = os.path.dirname(max(glob.glob("/usr/lib/postgresql/*/bin/postgres")))
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, user: str = SUPERUSER, database: str = "fleet") -> str:
        """Give the database over the socket."""
        return f"postgresql://{user}@/{database}?host={self.root}&port={self.port}"

    def tcp_url(self, user: str, database: str = "fleet") -> str:
        """Give the database over the loopback."""
        return f"postgresql://{user}@localhost:{self.port}/{database}"

    def certify(self, not_after: datetime | None = None) -> None:
        """Have it show a new certificate, which may have expired."""
        self.authority.certificate(not_after=not_after).write(self.root)
        for name in ("cert.pem", "key.pem"):
            own(os.path.join(self.root, name))
        os.chmod(os.path.join(self.root, "key.pem"), 0o600)
        if self._server:
            self.sql("SELECT pg_reload_conf()")

    def __enter__(self) -> Self:
        own(self.root)
        self.certify()
        os.chmod(self.root, 0o755)
        self._run("initdb", "-D", self._data, "-A", "trust", "--no-sync", "-U", SUPERUSER, "-E", "UTF8")
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(SETTINGS.format(port=self.port, root=self.root, fsync="on" if self._fsync else "off"))
        with open(os.path.join(self._data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(ACCESS)
        self.start()
        self.sql("CREATE DATABASE fleet", database="postgres")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        shutil.rmtree(self.root)

    def start(self) -> None:
        """Start, and wait until it answers."""
        with open(os.path.join(self.root, "log"), "ab") as log:
            self._server = subprocess.Popen(
                [os.path.join(self._binaries, "postgres"), "-D", self._data],
                stdout=log,
                stderr=subprocess.STDOUT,
                user="postgres",
                group="postgres",
                extra_groups=[],
                cwd="/",
                env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"},
            )
        wait_until(self._answers, START_LIMIT, f"PostgreSQL's answer; see {self.root}/log")

    @property
    def runs(self) -> bool:
        """Tell whether there is a server."""
        return self._server is not None and self._server.poll() is None

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it fast (SIGINT) or at once (SIGQUIT); harmless when it does not run."""
        if self._server and self._server.poll() is None:
            self._server.send_signal(signal.SIGCONT)
            self._server.send_signal(number)
            self._server.wait(START_LIMIT)

    def kill(self) -> None:
        """Kill the postmaster and all its processes, as a power cut would."""
        if self._server:
            children = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(self._server.pid)],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split()
            for pid in (self._server.pid, *map(int, children)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._server.wait(START_LIMIT)

    def suspend(self) -> None:
        """Have the postmaster, and so every new connection, hang."""
        if self._server:
            self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        if self._server:
            self._server.send_signal(signal.SIGCONT)

    def sql(self, statement: str, *, user: str = SUPERUSER, database: str = "fleet") -> list[tuple[str, ...]]:
        """Give the rows of a statement."""
        done = subprocess.run(
            [
                *("psql", "-h", self.root, "-p", str(self.port), "-U", user, "-d", database, "-X", "-q"),
                *("-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement),
            ],
            env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr.strip())
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    @property
    def _data(self) -> str:
        return os.path.join(self.root, "data")

    def _answers(self) -> bool:
        try:
            return bool(self.sql("SELECT 1", database="postgres"))
        except AssertionError:
            if self._server and self._server.poll() is not None:
                with open(os.path.join(self.root, "log"), encoding="utf-8", errors="replace") as file:
                    raise AssertionError(file.read()) from None
            return False

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [os.path.join(self._binaries, program), *words],
            user="postgres",
            group="postgres",
            extra_groups=[],
            cwd="/",
            env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")


def own(path: str) -> None:
    """Give a file or directory to the server's user."""
    user = pwd.getpwnam("postgres")
    os.chown(path, user.pw_uid, user.pw_gid)


@contextlib.contextmanager
def pooled(server: Postgres) -> Iterator[str]:
    """Give the URL of a PgBouncer in transaction mode before a server."""
    with tempfile.TemporaryDirectory(prefix="cronwrap-pgbouncer-", dir="/tmp") as place:
        os.chmod(place, 0o777)
        port = ports.free_port()
        settings = os.path.join(place, "pgbouncer.ini")
        with open(settings, "w", encoding="ascii") as file:
            file.write(
                f"[databases]\nfleet = host={server.root} port={server.port} user=postgres\n"
                f"[pgbouncer]\npool_mode = transaction\nlisten_addr =\nlisten_port = {port}\n"
                f"unix_socket_dir = {place}\nauth_type = any\ndefault_pool_size = 2\nlogfile = {place}/log\n"
            )
        process = subprocess.Popen(
            ["pgbouncer", "-q", settings], user="postgres", group="postgres", env={"PATH": SEARCH_PATH}
        )
        try:
            wait_until(lambda: os.path.exists(os.path.join(place, f".s.PGSQL.{port}")))
            yield f"postgresql://postgres@/fleet?host={place}&port={port}"
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def slowed(server: Postgres, seconds: float) -> Iterator[str]:
    """Give the URL of a server as over a network on which each way takes some seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="cronwrap-slow-", dir="/tmp") as place,
        socket.socket(UNIX) as listener,
    ):
        listener.bind(os.path.join(place, f".s.PGSQL.{server.port}"))
        listener.listen()
        threading.Thread(target=_carry_all, args=(listener, server, seconds), daemon=True).start()
        yield f"postgresql://{SUPERUSER}@/fleet?host={place}&port={server.port}"
        listener.shutdown(socket.SHUT_RDWR)


def _carry_all(listener: socket.socket, server: Postgres, seconds: float) -> None:
    while True:
        try:
            near, _address = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry_both, args=(near, server, seconds), daemon=True).start()


def _carry_both(near: socket.socket, server: Postgres, seconds: float) -> None:
    with near, socket.socket(UNIX) as far:
        far.connect(os.path.join(server.root, f".s.PGSQL.{server.port}"))
        ways = [threading.Thread(target=_carry, args=(*way, seconds)) for way in ((near, far), (far, near))]
        for way in ways:
            way.start()
        for way in ways:
            way.join()


def _carry(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Hand on what comes, each piece as late as the others."""
    try:
        while piece := source.recv(1 << 16):
            time.sleep(seconds)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
