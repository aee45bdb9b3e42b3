"""Who is there: as the kernel says of a socket's peer, as a key that works once says, or a trusted proxy."""

from __future__ import annotations

import hashlib
import hmac
import os
import pwd
import secrets
import time
from collections.abc import Mapping

from cronwrap.model import Record

SESSION = 12 * 3600.0
"""Seconds that a session lasts after the last page."""
SESSIONS = 64
"""Sessions at a time; the oldest gives way."""
COOKIE = "cronwrap-session"
NONCE = 8
"""Octets that make each form's token another one: what is compressed with it tells nothing of it."""


class Peer(Record):
    """The other end of a connection."""

    uid: int | None = None
    """Of a Unix socket's peer, or of the process behind a connection over the loopback; None: not known."""
    unix: bool = False


class Visitor(Record):
    """Who is there."""

    uid: int
    user: str
    root: bool
    """Whether everybody's is theirs to see."""
    read_only: bool
    by: str
    """``socket``, ``key`` or ``proxy``."""
    session: str = ""
    """What forms are bound to besides."""

    def may_see(self, user: str) -> bool:
        """Tell whether what is a user's is theirs to see."""
        return self.root or user == self.user


class Closed(Exception):  # noqa: N818 - an answer, no fault
    """Nobody is let in: with a status, and words that tell nothing of what is inside."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.status, self.words = status, words


class Proxy(Record):
    """The one who may say who the visitor is."""

    uid: int
    header: str
    """In small letters."""
    root: bool = False
    """Whether it may say root."""


class Door:
    """Tells who is there, and lets nobody else in."""

    def __init__(self, *, read_only: bool = False, proxy: Proxy | None = None, secret: bytes = b"") -> None:
        self.uid = os.geteuid()
        self.read_only, self.proxy = read_only, proxy
        self._secret = secret or os.urandom(32)
        self._keys: set[bytes] = set()
        self._sessions: dict[bytes, float] = {}

    # Keys ------------------------------------------------------------------------------------------

    def new_key(self) -> str:
        """Give a key that works once."""
        key = secrets.token_urlsafe(24)
        self._keys.add(_digest(key))
        return key

    def enter(self, key: str, now: float | None = None) -> str:
        """Take a key; give the cookie of a new session, empty when the key is none (any more)."""
        found = _digest(key)
        if found not in self._keys:
            return ""
        self._keys.discard(found)
        cookie = secrets.token_urlsafe(32)
        while len(self._sessions) >= SESSIONS:
            del self._sessions[min(self._sessions, key=lambda one: self._sessions[one])]
        self._sessions[_digest(cookie)] = time.monotonic() if now is None else now
        return cookie

    # Visitors --------------------------------------------------------------------------------------

    def visitor(self, peer: Peer, headers: Mapping[str, list[str]], now: float | None = None) -> Visitor:
        """Give who is there; Closed when that is nobody to be let in. ``headers`` by small letters."""
        if not peer.unix:
            return self._by_key(peer, headers, time.monotonic() if now is None else now)
        if peer.uid is None:
            raise Closed(403, "This system does not say who is there.")
        if self.proxy and peer.uid == self.proxy.uid and peer.uid != self.uid:
            return self._by_proxy(self.proxy, headers)
        return self._known(peer.uid, "socket")

    def _by_key(self, peer: Peer, headers: Mapping[str, list[str]], now: float) -> Visitor:
        if peer.uid not in (None, self.uid, 0):
            raise Closed(403, "This page is another user's.")
        for cookie in _cookies(headers.get("cookie", [])):
            found = _digest(cookie)
            seen = self._sessions.get(found)
            if seen is not None and now - seen <= SESSION:
                self._sessions[found] = now
                return self._known(self.uid, "key").replace(session=found.hex())
        raise Closed(401, "Open the address that cronwrap web has printed; its key works once.")

    def _by_proxy(self, proxy: Proxy, headers: Mapping[str, list[str]]) -> Visitor:
        named = headers.get(proxy.header, [])
        if len(named) != 1 or not named[0]:
            raise Closed(403, "The proxy does not say who is there.")
        try:
            entry = pwd.getpwnam(named[0])
        except (KeyError, ValueError):
            raise Closed(403, "There is no such user here.") from None
        if not entry.pw_uid and not proxy.root:
            raise Closed(403, "Nobody is root by the word of the proxy.")
        return self._known(entry.pw_uid, "proxy")

    def _known(self, uid: int, by: str) -> Visitor:
        if uid != self.uid and self.uid and uid:
            raise Closed(403, "This page is another user's.")
        # Root at the page of a user sees what that user sees: there is nothing else there.
        whose = uid if not self.uid else self.uid
        try:
            user = pwd.getpwuid(whose).pw_name
        except KeyError:
            user = str(whose)
        return Visitor(uid=uid, user=user, root=not whose, read_only=self.read_only, by=by)

    # Forms -----------------------------------------------------------------------------------------

    def token(self, visitor: Visitor) -> str:
        """Give a token that shows that a form is from a page of ours, for this visitor; each time another."""
        nonce = os.urandom(NONCE).hex()
        return f"{nonce}.{self._sign(visitor, nonce)}"

    def fits(self, visitor: Visitor, token: str) -> bool:
        """Tell whether a token is one of this visitor's."""
        nonce, _, signature = token.partition(".")
        return hmac.compare_digest(self._sign(visitor, nonce), signature.encode(errors="replace").decode())

    def _sign(self, visitor: Visitor, nonce: str) -> str:
        text = f"{visitor.uid} {visitor.user} {visitor.by} {visitor.session} {nonce}"
        return hmac.new(self._secret, text.encode(errors="replace"), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    """Give what a secret is known by: to look it up takes as long whatever of it is right."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _cookies(headers: list[str]) -> list[str]:
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for name, _, value in pairs if name == COOKIE]
