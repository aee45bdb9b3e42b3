"""A real sshd on the loopback with keys of its own, and a client that forwards a port to a unix socket."""

from __future__ import annotations

import contextlib
import os
import subprocess

from support.cli import user_name
from support.debian import find
from support.ports import start_somewhere
from support.servers import ended, started

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
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where it shuts itself in
        self.port, self._process = start_somewhere(self._start)

    def _start(self, port: int):
        with open(f"{self._place}/config", "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=port, place=self._place))
        words = [find("sshd"), "-D", "-e", "-f", f"{self._place}/config"]
        return port, started(words, port, f"{self._place}/log")

    @contextlib.contextmanager
    def forward(self, path: str, port: int = 0):
        """Forward a port of this machine to a unix socket, as ``ssh -N -L PORT:PATH host``; give the port."""
        words = [
            *(find("ssh"), "-F", "none", "-N", "-p", str(self.port), "-i", f"{self._place}/user"),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self._place}/known"),
            *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
        ]
        host = f"{user_name()}@127.0.0.1"

        def start(port: int):
            forward = f"127.0.0.1:{port}:{path}"
            return port, started([*words, "-L", forward, host], port, f"{self._place}/log")

        port, client = start_somewhere(start, again_at=port)
        try:
            yield port
        finally:
            client.kill()
            client.wait()

    def close(self) -> None:
        """End it, and the sessions that it has."""
        ended(self._process)
