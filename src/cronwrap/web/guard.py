"""What every request must pass before anything else sees it: ASGI around the application.

In this order: the Host is one of ours (421), somebody is there who may be, what a browser tells of where
the request comes from is the page itself, a change may be made, its body is bounded, of a known kind, and a
form's has its token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cronwrap.web.visitor import COOKIE, SESSION, Closed, Door, Peer, Visitor

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PEER = "cronwrap.peer"
"""Where the server puts who is at the other end; who has none is nobody."""
VISITOR, FORM, BODY = "cronwrap.visitor", "cronwrap.form", "cronwrap.body"
"""Where the rest finds who is there, the fields of a form, and the whole body."""
SAFE = ("GET", "HEAD")
METHODS = (*SAFE, "POST", "PUT", "DELETE")
BODY_LARGEST = 4 * 1024 * 1024
"""Octets of a body: a crontab of 1 MiB as a form's field, each octet as three."""
FIELDS = 20_000
"""Fields of a form: the lines of a crontab that are to be wrapped."""
LOCAL_HOSTS = frozenset(("localhost", "127.0.0.1", "::1"))
FORM_TYPE, JSON_TYPE, TEXT_TYPE = "application/x-www-form-urlencoded", "application/json", "text/plain"
API = "/api/"
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?", re.ASCII)
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
NOT_KEPT = "no-store"
"""``Cache-Control`` of whatever names no other."""


class Guard:
    """Lets through what may pass, with who is there in the scope; every answer gets the headers."""

    def __init__(
        self,
        application: Application,
        door: Door,
        *,
        hosts: Iterable[str] = (),
        greet: Callable[[], None] | None = None,
    ) -> None:
        self._application, self._door = application, door
        self._hosts = LOCAL_HOSTS | {host.lower() for host in hosts}
        self._greet = greet or (lambda: None)
        """Called when a key was used: whoever needs another is told one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._application(scope, receive, send)
            return
        send = _with_headers(send)
        try:
            headers = _by_name(scope["headers"])
            self._check_host(headers)
            if cookie := self._entered(scope, headers):
                await _redirect(send, cookie)
                return
            visitor = self._door.visitor(scope.get(PEER) or Peer(), headers)
            scope[VISITOR] = visitor
            if scope["method"] not in SAFE:
                receive = await self._change(scope, receive, headers, visitor)
        except Closed as closed:
            await _refuse(scope, send, closed)
            return
        await self._application(scope, receive, send)

    def _check_host(self, headers: dict[str, list[str]]) -> None:
        named = headers.get("host", [])
        match = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if match is None or (match["six"] or match["name"]).lower() not in self._hosts:
            raise Closed(421, "This host is not served here.")

    def _entered(self, scope: Scope, headers: dict[str, list[str]]) -> str:
        """Give the cookie of a session that begins by a key in the address, or an empty text."""
        peer = scope.get(PEER) or Peer()
        if peer.unix or scope["method"] != "GET" or scope["path"] != "/" or headers.get("sec-purpose"):
            return ""
        keys = parse_qs(scope["query_string"].decode("ascii", "replace"), max_num_fields=8).get("key", [])
        if len(keys) != 1 or peer.uid not in (None, self._door.uid, 0):
            return ""
        cookie = self._door.enter(keys[0])
        if cookie:
            self._greet()
        return cookie

    async def _change(
        self, scope: Scope, receive: Receive, headers: dict[str, list[str]], visitor: Visitor
    ) -> Receive:
        """Let a change pass; give what its body is received by, once more."""
        if scope["method"] not in METHODS:
            raise Closed(405, "There is no such method here.")
        self._check_origin(headers)
        if visitor.read_only:
            raise Closed(403, "This page is read-only.")
        kind = headers.get("content-type", [""])[0].partition(";")[0].strip().lower()
        api = scope["path"].startswith(API)
        allowed = (
            (JSON_TYPE, TEXT_TYPE) if api and scope["method"] == "PUT" else (JSON_TYPE if api else FORM_TYPE,)
        )
        if kind not in allowed:
            raise Closed(415, f"The body must be {' or '.join(allowed)}.")
        body = await _body(receive, headers)
        scope[BODY] = body
        if kind == FORM_TYPE:
            scope[FORM] = form = _fields(body)
            if not self._door.fits(visitor, form.get("token", [""])[0]):
                raise Closed(403, "This form is too old, or not of this page: load the page anew.")
        return _again(body, receive)

    def _check_origin(self, headers: dict[str, list[str]]) -> None:
        """Refuse what a browser says comes from elsewhere; a program tells nothing."""
        site = headers.get("sec-fetch-site", ["same-origin"])
        if site not in (["same-origin"], ["none"]):
            raise Closed(403, "This came from another page.")
        for origin in headers.get("origin", []):
            found = urlsplit(origin)
            same = found.netloc.lower() == headers["host"][0].lower()
            if found.scheme not in ("http", "https") or not same:
                raise Closed(403, "This came from another page.")


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def _body(receive: Receive, headers: dict[str, list[str]]) -> bytes:
    length = headers.get("content-length", ["0"])[0]
    if not length.isdigit() or int(length) > BODY_LARGEST:
        raise Closed(413, "That is too much.")
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Closed(400, "The body is not whole.")
        body += bytes(message.get("body", b""))
        if len(body) > BODY_LARGEST:
            raise Closed(413, "That is too much.")
        if not message.get("more_body"):
            return body


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        text = body.decode("ascii")
        return parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS, errors="surrogateescape")
    except ValueError:
        raise Closed(400, "The form cannot be understood.") from None


def _again(body: bytes, receive: Receive) -> Receive:
    """Give what hands out a body that was read, and then goes on as before."""
    handed = False

    async def once() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            known = {name.lower() for name, _value in headers}
            headers += [
                (name.encode(), value.encode()) for name, value in HEADERS if name.encode() not in known
            ]
            if b"cache-control" not in known:
                headers.append((b"cache-control", NOT_KEPT.encode()))
            message = {**message, "headers": headers}
        await send(message)

    return sent


async def _redirect(send: Send, cookie: str) -> None:
    value = f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION:.0f}"
    headers = [(b"location", b"/"), (b"set-cookie", value.encode())]
    await _answer(send, 303, headers, b"")


async def _refuse(scope: Scope, send: Send, closed: Closed) -> None:
    if scope["path"].startswith(API):
        problem = {"status": closed.status, "title": closed.words}
        await _answer(
            send,
            closed.status,
            [(b"content-type", b"application/problem+json")],
            json.dumps(problem).encode() + b"\n",
        )
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await _answer(send, closed.status, headers, f"{closed.words}\n".encode())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
