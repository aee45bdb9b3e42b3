"""The page of ``cronwrap web`` without a server: requests go straight through the guard to the application.

page = Page()
page.get("/").status
page.post("/jobs/alice/backup/pause", {"for": "2h"}).location      # with the token of a form
page.json("POST", "/api/v1/runs/RUN/stop", {})
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

from cronwrap.web.actor import Actor
from cronwrap.web.app import application
from cronwrap.web.guard import PEER, Guard
from cronwrap.web.visitor import Closed, Door, Peer


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    started: list[dict] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where a browser is led."""
        return self.headers.get("location", "")

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def fields(self, name: str) -> list[str]:
        """The values of the page's fields of a name."""
        return re.findall(rf'name="{name}"[^>]*value="([^"]*)"', self.text)


class Page:
    """The page of the user that runs the tests; visitors come by a Unix socket unless told otherwise."""

    def __init__(self, *, peer: Peer | None = None, hosts: tuple[str, ...] = (), **door) -> None:
        self.door = Door(**door)
        self.actor = Actor()
        self.peer = peer or Peer(uid=os.geteuid(), unix=True)
        self.guard = Guard(application(self.actor, self.door), self.door, hosts=hosts)

    def token(self) -> str:
        """A token as the visitor's forms have it; empty for who is not let in."""
        try:
            return self.door.token(self.door.visitor(self.peer, {}))
        except Closed:
            return ""

    def get(self, path: str, **headers: str) -> Answer:
        """Fetch a page."""
        return self.ask("GET", path, headers=headers)

    def post(
        self, path: str, fields: dict | list | None = None, *, token: str | None = None, **headers
    ) -> Answer:
        """Send a form, with its token unless another is given."""
        pairs = list(fields.items()) if isinstance(fields, dict) else list(fields or [])
        body = urlencode([*pairs, ("token", self.token() if token is None else token)]).encode()
        return self.ask("POST", path, body, {"content-type": "application/x-www-form-urlencoded", **headers})

    def json(self, method: str, path: str, content=None, **headers: str) -> Answer:
        """Ask as a program does."""
        kind = {"content-type": "application/json"} if method not in ("GET", "HEAD") else {}
        return self.ask(
            method, path, b"" if content is None else json.dumps(content).encode(), {**kind, **headers}
        )

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send any request; names of headers may have ``_`` for ``-``."""
        return asyncio.run(self._ask(method, path, body, headers or {}))

    async def _ask(self, method, path, body, headers) -> Answer:
        path, _, query = path.partition("?")
        named = {
            "host": "localhost",
            **{name.replace("_", "-").lower(): value for name, value in headers.items()},
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
            "client": None,
            "server": ("localhost", 80),
            PEER: self.peer,
        }
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict] = []

        async def receive():
            if messages:
                return messages.pop(0)
            await asyncio.sleep(3600)
            return None

        async def send(message):
            sent.append(message)

        with contextlib.suppress(asyncio.CancelledError):
            await self.guard(scope, receive, send)
        start = sent[0]
        found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(
            start["status"], found, b"".join(message.get("body", b"") for message in sent[1:]), sent
        )
