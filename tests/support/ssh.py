"""A real sshd on the loopback with keys of its own, and a client that forwards a port to a unix socket."""

from __future__ import annotations

import contextlib
import os
import subprocess

from support.cli import user_name
from support.debian import find
from support.postfix import _free_port as free_port
from support.servers import listens
from support.waiting import wait_until

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {place}/host
AuthorizedKeysFile {place}/user.pub
PidFile {place}/pid
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
"""


class Sshd:
    """A server; ``forward`` gives connections to it, one process each."""

    def __init__(self, place: str) -> None:
        self._place = place
        os.makedirs(place, mode=0o700)
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/{name}"], check=True
            )
        self.port = free_port()
        with open(f"{place}/config", "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port, place=place))
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where it shuts itself in
        self._log = open(f"{place}/log", "wb")
        self._process = subprocess.Popen(
            [find("sshd"), "-D", "-e", "-f", f"{place}/config"], stdout=self._log, stderr=self._log
        )
        wait_until(lambda: self._process.poll() is not None or listens(self.port))
        assert self._process.poll() is None, self.log()

    def log(self) -> str:
        with open(f"{self._place}/log", encoding="utf-8", errors="replace") as file:
            return file.read()

    @contextlib.contextmanager
    def forward(self, path: str, port: int = 0):
        """Forward a port of this machine to a unix socket, as ``ssh -N -L PORT:PATH host``; give the port."""
        port = port or free_port()
        client = subprocess.Popen(
            [
                *("ssh", "-F", "none", "-N", "-p", str(self.port), "-i", f"{self._place}/user"),
                *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self._place}/known"),
                *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:{path}"),
                f"{user_name()}@127.0.0.1",
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: client.poll() is not None or listens(port), timeout=20)
            assert client.poll() is None, self.log()
            yield port
        finally:
            client.kill()
            client.wait()

    def close(self) -> None:
        """End it, and the sessions that it has."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
