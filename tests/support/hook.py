"""A webhook's server with TLS on the loopback, which keeps what it is told and answers as it is bidden."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from support.pki import Authority, Certificate

KEY = bytes(range(24))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
LONGEST_HANG = 30.0
"""Seconds; a test is over long before."""
HUGE = 8 << 20
"""Octets of an answer that nobody should read to its end."""


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Give what it says."""
        return json.loads(self.body)

    @property
    def data(self) -> dict[str, Any]:
        """Give what it says of a run."""
        return self.json["data"]

    @property
    def signed(self) -> bool:
        """Tell whether it is signed as the Standard Webhooks specification has it, by ``KEY``."""
        head = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = base64.b64encode(hmac.new(KEY, head + self.body, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{digest}"


class Hook:
    """Answers each request with the next of ``answers``, the last of them for ever; 204 without any.

    An answer is a status, ``(status, headers, body)``, or a fault: ``drop``, ``hang``, ``drip``, ``huge``,
    ``garbage``.
    """

    def __init__(
        self, authority: Authority, *answers: Any, certificate: Certificate | None = None, tls: bool = True
    ) -> None:
        self.calls: list[Call] = []
        self.answers = list(answers)
        self._authority = authority
        self._over = threading.Event()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                if len(body) < int(self.headers["Content-Length"] or 0):
                    return  # who told it has died
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook.calls.append(Call(path=self.path, headers=headers, body=body))
                hook._answer(self)

            do_GET = do_POST  # noqa: N815  # as the base class has it

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # clients hang up on purpose
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}/hooks/cron"
        if tls:
            context = (certificate or authority.certificate()).context()
            # In the thread of the request: a client that waits must not hold up the others.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else (self.answers or [204])[0]
        if isinstance(answer, str):
            self._misbehave(answer, request)
            return
        status, headers, body = answer if isinstance(answer, tuple) else (answer, {}, b"")
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def _misbehave(self, fault: str, request: http.server.BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        if fault == "hang":
            self._over.wait(LONGEST_HANG)
        elif fault == "garbage":
            request.wfile.write(os.urandom(64) + b"\r\n\r\n")
        elif fault == "drip":
            while not self._over.wait(0.05):
                request.wfile.write(b"H")
        elif fault == "huge":
            request.wfile.write(b"HTTP/1.1 500 Sorry\r\n\r\n" + b"x" * HUGE)
        elif fault == "endless":
            while not self._over.is_set():
                request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    @property
    def table(self) -> str:
        """Give the ``[[notify]]`` table of the configuration, to which keys may be added."""
        trust = f'ca-file = "{self._authority.ca_file}"\n' if self.url.startswith("https") else ""
        return f'[[notify]]\nurl = "{self.url}"\n{trust}'

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
