"""An SMTP server over TLS whose login, and what it offers, a test writes as a small function."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pki import Authority

BACKLOG = 16


class Talk:
    """One connection, as the functions of a test see it."""

    def __init__(self, connection: socket.socket, lines: list[str]) -> None:
        self._connection, self._lines = connection, lines
        self._file = connection.makefile("rb")

    def say(self, text: str) -> None:
        """Send a reply."""
        self._connection.sendall(text.encode() + b"\r\n")

    def read(self) -> str:
        """Give the next line, and remember it; EOFError at the end."""
        line = self._file.readline()
        if not line:
            raise EOFError
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        self._lines.append(text)
        return text

    def ask(self, challenge: str) -> str:
        """Send a challenge in clear words, and give the decoded answer (``*`` as it is)."""
        self.say(f"334 {base64.b64encode(challenge.encode()).decode()}")
        answer = self.read()
        return answer if answer == "*" else base64.b64decode(answer).decode()


@dataclass
class Scripted:
    """A server that listens while it is entered as a context."""

    authority: Authority
    log_in: Callable[[Talk, list[str]], str]
    """Gets what stands after AUTH, and gives the last reply; empty: it hangs up."""
    mechanisms: str = "PLAIN LOGIN"
    lines: list[str] = field(default_factory=list)
    """What clients said, in order."""
    messages: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The server as ``[[relay]] url``."""
        return f"smtps://localhost:{self.port}"

    @property
    def verbs(self) -> list[str]:
        """Give what clients said, without what stands behind ``AUTH MECHANISM`` and other commands."""
        return [" ".join(line.split()[: 2 if line.startswith("AUTH") else 1]) for line in self.lines]

    def __enter__(self) -> Self:
        self._context = self.authority.certificate().context()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
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
                plain, _address = self._listener.accept()
            except OSError:
                return
            plain.settimeout(10)
            with contextlib.suppress(OSError, EOFError), self._context.wrap_socket(plain, True) as connection:
                self._talk(Talk(connection, self.lines))

    def _talk(self, talk: Talk) -> None:
        talk.say("220 relay.example.test ESMTP")
        logged_in = False
        while True:
            verb, *words = talk.read().split(" ")
            if verb == "EHLO":
                talk.say(f"250-relay.example.test\r\n250 AUTH {self.mechanisms}")
            elif verb == "AUTH":
                reply = self.log_in(talk, words)
                if not reply:
                    return
                logged_in = reply.startswith("235")
                talk.say(reply)
            elif verb == "QUIT":
                talk.say("221 2.0.0 Bye")
                return
            elif not logged_in:
                talk.say("530 5.7.0 Authentication required")
            elif verb == "DATA":
                talk.say("354 Go on")
                message = []
                while (line := talk.read()) != ".":
                    message.append(line)
                self.messages.append("\r\n".join(message).encode())
                talk.say("250 2.0.0 OK")
            else:
                talk.say("250 2.0.0 OK")
