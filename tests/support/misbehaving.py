"""An SMTP server that goes wrong at one stage in one way, on a real socket, and keeps a record.

Up to that stage it behaves: implicit TLS or STARTTLS, any login taken, any recipient taken.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.pki import Authority

STAGES = ("connect", "tls", "banner", "ehlo", "auth", "mail", "rcpt", "data", "dot", "quit")
"""In the order of implicit TLS; with STARTTLS there is also ``starttls``, the reply to the command."""

FAULTS = ("refuse", "hang", "drop", "4xx", "5xx", "garbage", "drip", "endless")
"""
refuse   connect: nothing listens; tls: a fatal alert; later: 421 and the connection is closed
hang     no answer, the connection stays open (connect: the handshake of TCP is not completed)
drop     the connection is reset without an answer
4xx 5xx  a refusal of that class, the connection stays open (tls: as text, without TLS)
garbage  octets that are no reply
drip     the lines of a reply that never ends, an octet each ``drip_interval``
endless  one line that never ends, as fast as the client reads
"""

CELLS = tuple(
    (stage, fault) for stage in STAGES for fault in FAULTS if stage != "connect" or fault in FAULTS[:3]
)
"""Every stage with every fault that it can have."""

REPLIES = {
    "banner": "220 relay.example.test ESMTP",
    "ehlo": "250-relay.example.test\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
    "plain ehlo": "250-relay.example.test\r\n250-SIZE 33554432\r\n250 STARTTLS",
    "starttls": "220 2.0.0 Ready to start TLS",
    "auth": "235 2.7.0 Authentication successful",
    "mail": "250 2.1.0 OK",
    "rcpt": "250 2.1.5 OK",
    "data": "354 End data with <CR><LF>.<CR><LF>",
    "dot": "250 2.0.0 OK queued",
    "quit": "221 2.0.0 Bye",
}
REFUSALS = {
    "4xx": {
        "": "451 4.3.0 Try again later",
        "banner": "421 4.3.2 Try again later",
        "starttls": "454 4.7.0 TLS not available due to temporary reason",
        "auth": "454 4.7.0 Temporary authentication failure",
    },
    "5xx": {
        "": "554 5.0.0 Transaction failed",
        "banner": "554 5.3.2 No SMTP service here",
        "auth": "535 5.7.8 Authentication credentials invalid",
        "rcpt": "550 5.1.1 No such user",
    },
}
NO_SERVICE = "503 5.5.1 No SMTP service here"
END_OF_DATA = b"\r\n.\r\n"
GARBAGE = b"\x00\xff\x16\x03garbage\x80 that is no reply\r\n"
FATAL_ALERT = bytes.fromhex("15030300020228")
"""TLS record: alert, fatal, handshake_failure (RFC 8446, 6)."""
DRIPPING = b"250-still going\r\n"
FLOOD = b"x" * 65_536
FLOOD_LIMIT = 1 << 30
"""Octets; who has read that much of one line has no bound."""


@dataclass
class Conversation:
    """One connection as the server saw it."""

    lines: list[str] = field(default_factory=list)
    """Commands (and answers to challenges) in order, without line ends."""
    message: bytes = b""
    """What came after DATA, up to the final dot or the end of the connection."""
    accepted: bool = False
    """The reply that takes the message was sent whole."""
    sent: int = 0
    """Octets of a fault sent."""
    over: bool = False

    @property
    def verbs(self) -> list[str]:
        """Give the first words of the lines, in capitals."""
        return [line.split(" ")[0].split(":")[0].upper() for line in self.lines]


class Gone(Exception):  # noqa: N818 -- no error: the conversation ends here
    """The connection is over, whoever ended it."""


@dataclass
class Misbehaving:
    """A server that listens while it is entered as a context."""

    authority: Authority
    stage: str = ""
    """Empty: behaves throughout."""
    fault: str = ""
    mode: str = "implicit"
    """``implicit`` or ``starttls``."""
    times: int | None = None
    """How many connections go wrong before the server recovers; None: all."""
    drip_interval: float = 1.0
    port: int = 0

    def __post_init__(self) -> None:
        cell = (self.stage.replace("starttls", "ehlo"), self.fault)
        if self.stage and cell not in CELLS:
            raise ValueError(f"no such cell: {self.stage} at {self.fault}")
        self.context = self.authority.certificate().context()
        self.conversations: list[Conversation] = []
        self.stopped = threading.Event()
        self._sockets: list[socket.socket] = []
        self._ending = threading.Lock()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The server as ``[[relay]] url``."""
        return f"{'smtps' if self.mode == 'implicit' else 'submission'}://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make this the only relay."""
        return {
            "CRONWRAP_RELAY": self.url,
            "CRONWRAP_RELAY_USER": "cron@example.test",
            "CRONWRAP_RELAY_PASSWORD": "secret",
            "CRONWRAP_RELAY_CA_FILE": self.authority.ca_file,
        }

    @property
    def accepted(self) -> list[bytes]:
        """Give the messages whose acceptance was said to the client."""
        return [talk.message for talk in list(self.conversations) if talk.accepted]

    def attend(self, connection: socket.socket) -> None:
        """Remember a socket, to be closed at the end; who comes after it is sent away."""
        with self._ending:
            self._sockets.append(connection)
            if self.stopped.is_set():
                _close(connection)

    def recover(self) -> None:
        """Behave from the next connection on (not after connect at refuse or hang)."""
        self.times = 0

    def __enter__(self) -> Self:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._sockets.append(listener)
        if self.stage == "connect" and self.fault == "hang":
            self._fill_backlog(listener)
        elif (self.stage, self.fault) != ("connect", "refuse"):
            listener.listen(256)
            self._start(self._accept, listener)
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._ending:
            self.stopped.set()
            for sock in self._sockets:
                _close(sock)
        for thread in self._threads:
            thread.join(10)

    def _fill_backlog(self, listener: socket.socket) -> None:
        """Fill the queue of connections; Linux then ignores every further SYN (listen(2), tcp(7))."""
        listener.listen(0)
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            self._sockets.append(client)
            if not select.select([], [client], [], 0.2)[1]:
                break

    def _start(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self.stopped.is_set():
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            self.attend(connection)
            faulty = self.times is None or self.times > 0
            if self.times:
                self.times -= 1
            talk = Conversation()
            self.conversations.append(talk)
            self._start(_Session(self, talk, connection, self.stage if faulty else "").run)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
    sock.close()


class _Session:
    """One connection from greeting to farewell."""

    def __init__(
        self, server: Misbehaving, talk: Conversation, connection: socket.socket, stage: str
    ) -> None:
        self.server, self.talk, self.socket, self.faulty_stage = server, talk, connection, stage
        self.buffer = b""
        self.logged_in = False
        self.recipients = 0

    def run(self) -> None:
        """Talk until one side ends it."""
        try:
            welcome = self._greet()
            while True:
                self._answer(self._read_line(), welcome)
        except (Gone, OSError):
            pass
        finally:
            self.talk.over = True
            self.socket.close()

    def _greet(self) -> bool:
        self._fails("connect")
        if self.server.mode == "implicit":
            self._start_tls()
            return self._reply("banner")
        welcome = self._reply("banner")
        while True:
            verb = self._read_line().split(" ")[0].upper()
            if verb == "QUIT":
                raise Gone
            if verb != "STARTTLS":
                self._say(REPLIES["plain ehlo"] if welcome else NO_SERVICE)
            elif self._reply("starttls"):
                self._start_tls()
                return welcome

    def _start_tls(self) -> None:
        if self.faulty_stage == "tls":
            self.socket.recv(65_536)
            self._fails("tls")
            raise Gone
        # Attended to before the handshake, in which a client may leave us waiting.
        self.socket = self.server.context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self.server.attend(self.socket)
        self.socket.do_handshake()

    def _answer(self, line: str, welcome: bool) -> None:
        verb = line.split(" ", maxsplit=1)[0].upper()
        if verb == "QUIT":
            self._reply("quit")
            raise Gone
        if not welcome:
            self._say(NO_SERVICE)
        elif verb in {"EHLO", "HELO"}:
            self._reply("ehlo")
        elif verb == "AUTH":
            self._log_in(line.split(" "))
        elif not self.logged_in:
            self._say("530 5.7.0 Authentication required")
        elif verb == "MAIL":
            self.recipients = 0
            self._reply("mail")
        elif verb == "RCPT":
            self.recipients += self._reply("rcpt")
        elif verb == "DATA":
            self._take_message()
        else:
            self._say("250 2.0.0 OK")

    def _log_in(self, words: list[str]) -> None:
        if self.faulty_stage != "auth":
            questions = {"LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"], "PLAIN": [""]}[words[1].upper()]
            for question in questions[len(words) - 2 :]:
                self._say(f"334 {question}")
                self._read_line()
        self.logged_in = self._reply("auth")

    def _take_message(self) -> None:
        if not self.recipients:
            self._say("554 5.5.1 No valid recipients")
        elif self._reply("data"):
            self.buffer = b"\r\n" + self.buffer
            while END_OF_DATA not in self.buffer:
                self.talk.message = self.buffer[2:]
                self.buffer += self._receive()
            message, self.buffer = self.buffer.split(END_OF_DATA, 1)
            self.talk.message = message[2:] + b"\r\n"
            self.talk.accepted = self._reply("dot")

    def _read_line(self) -> str:
        while b"\n" not in self.buffer:
            self.buffer += self._receive()
        line, self.buffer = self.buffer.split(b"\n", 1)
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        self.talk.lines.append(text)
        return text

    def _receive(self) -> bytes:
        octets = self.socket.recv(65_536)
        if not octets:
            raise Gone
        return octets

    def _say(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\r\n")

    def _reply(self, stage: str) -> bool:
        """Give the stage's good reply, unless it is this one's turn to fail; tell whether it was good."""
        if self._fails(stage):
            return False
        self._say(REPLIES[stage])
        return True

    def _fails(self, stage: str) -> bool:
        """Do what the fault says when it is this stage's turn; only a refusal lets the talk go on."""
        if stage != self.faulty_stage:
            return False
        fault = self.server.fault
        if fault in REFUSALS:
            replies = REFUSALS[fault]
            self._say(replies.get(stage, replies[""]))
            return True
        if fault == "drop":
            # A linger time of zero makes close() send RST (socket(7)).
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault == "refuse":
            self.socket.sendall(FATAL_ALERT if stage == "tls" else b"421 4.3.2 Service not available\r\n")
        else:
            for octets in self._nuisance(fault):
                self.socket.sendall(octets)
                self.talk.sent += len(octets)
        raise Gone

    def _nuisance(self, fault: str) -> Iterator[bytes]:
        if fault == "garbage":
            yield GARBAGE
        while fault == "drip":
            for octet in DRIPPING:
                if self.server.stopped.wait(self.server.drip_interval):
                    return
                yield bytes([octet])
        while fault == "endless" and self.talk.sent < FLOOD_LIMIT:
            yield FLOOD
        # What is left of the fault is silence, for as long as the client bears it.
        while True:
            self._receive()
