"""Who else is told of runs: one ``[[notify]]`` table, read and checked.

Read where files have changed and where something is sent, never by a run: that goes by what the cache has.
"""

from __future__ import annotations

import hashlib
import os
from urllib.parse import quote

from cronwrap.errors import ConfigError
from cronwrap.model import Record
from cronwrap.settings.relays import Endpoint
from cronwrap.settings.table_reader import DEFAULT_TIMEOUT, TableReader, loopback
from cronwrap.settings.values import events, globs, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WEB_PORTS = {"https": 443, "http": 80}
EXEC, APPRISE = "exec", "apprise"
WEB_KEYS = ("secret-file", "ca-file", "fingerprint", "proxy")
"""Of use with a webhook alone."""
KEYS = ("url", *WEB_KEYS, "timeout", "on", "jobs")
URL_FORMS = "https://HOST/PATH, http://HOST/PATH (loopback only), exec:/PATH, or an address of Apprise's"
KEY_LENGTH = 12
"""Hexadecimal digits that tell one target from another: of a few, with room for chance."""
PLAIN_LENGTH = 16
"""Characters; a longer part of a path may be a secret, whatever it is made of."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")
_IN_TARGET = "!$%&'()*+,-./:;=?@_~[]"
"""What may stand in the path and the query of a URL as it is (RFC 3986, 3.3 and 3.4)."""


class Target(Record):
    """One target; safe to print, it never shows a secret."""

    kind: str
    """``https``, ``http``, ``exec`` or ``apprise``."""
    display: str
    """The URL without what may be a secret: what the outbox and errors call it."""
    key: str
    """Tells it from the others; made from the URL."""
    address: str
    """Path and query of a webhook, path of a program, URL for Apprise: may hold a secret."""
    way: Endpoint
    """How a webhook is reached: host, port, trust, proxy, login."""
    secret_file: str = ""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for the whole of one attempt."""
    on: tuple[str, ...] | None = None
    """As ``--on``; None: the same as for mail."""
    jobs: tuple[str, ...] = ("*",)
    """Globs of names."""
    hides: bool = False
    """Whether the URL has a part that ``display`` does not show."""
    origin: str = ""
    fault: str = ""
    """Why it must not be used, or empty."""

    @property
    def names_secret(self) -> bool:
        """Tell whether the place it is written down in holds or names a secret."""
        return self.hides or bool(self.secret_file or self.way.proxy_password)

    def __repr__(self) -> str:
        return f"Target({self.display!r}, origin={self.origin!r}, fault={self.fault!r})"


def parse(table: Mapping[str, object], origin: str) -> Target:
    """Read a ``[[notify]]`` table; ConfigError names the origin, the key and what is allowed."""
    for key in table:
        if key not in KEYS:
            allowed = ", ".join(KEYS)
            raise ConfigError(f"{origin}: unknown key {key!r}{nearest(key, KEYS)}; allowed: {allowed}")
    return _Reader(table, origin, {}).target()


class _Reader(TableReader):
    """Reads one ``[[notify]]`` table."""

    def target(self) -> Target:
        url = self.text("url")
        if not url:
            raise self.wrong("url", f"is missing; write {URL_FORMS}")
        kind, colon, rest = url.partition(":")
        kind = kind.lower()
        if kind == EXEC and colon:
            found = self._program(rest)
        elif kind in WEB_PORTS and rest.startswith("//"):
            found = self._webhook(kind, rest[2:])
        elif colon and rest.startswith("//") and kind.isascii() and kind.replace("+", "").isalnum():
            self._no_use(f"{kind}://")
            found = self._made(APPRISE, f"{kind}://…", url, Endpoint(kind=APPRISE), hides=True)
        else:
            raise self.wrong("url", f"is none of {URL_FORMS}{nearest(kind, (*WEB_PORTS, EXEC))}")
        return found.replace(key=hashlib.sha256(url.encode()).hexdigest()[:KEY_LENGTH])

    def _program(self, path: str) -> Target:
        self._no_use("exec:")
        path = os.path.expanduser(path[2:] if path.startswith("///") else path)
        if not path.startswith("/") or path.startswith("//"):
            raise self.wrong("url", "needs an absolute path: exec:/PATH")
        return self._made(EXEC, f"exec:{path}", path, Endpoint(kind=EXEC, path=path))

    def _webhook(self, kind: str, rest: str) -> Target:
        cut = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
        userinfo, at, place = rest[:cut].rpartition("@")
        host, port = self.address(place, WEB_PORTS[kind])
        user, password = self.login(userinfo) if at else ("", None)
        if kind == "http" and not loopback(host):
            raise self.wrong("url", "leads off this host, http:// is not encrypted: use https://")
        if kind == "http":
            for key in ("ca-file", "fingerprint", "proxy"):
                if key in self.table:
                    raise self.wrong(key, "has no use here, http:// is not encrypted: use https://")
        behind, _, _fragment = rest[cut:].partition("#")
        path, mark, query = behind.partition("?")
        if " " in behind:
            raise self.wrong("url", "has a blank: write %20")
        path = quote(path, safe=_IN_TARGET) or "/"
        address = path + (f"?{quote(query, safe=_IN_TARGET)}" if mark else "")
        proxy, proxy_user, proxy_password = self.proxy()
        way = Endpoint(
            kind=kind,
            host=host,
            port=port,
            user=user,
            password=password,
            ca_file=self.path("ca-file"),
            fingerprint=self.fingerprint(),
            timeout=self.timeout(),
            origin=self.origin,
            proxy=proxy,
            proxy_user=proxy_user,
            proxy_password=proxy_password,
        )
        shown = "/".join(part if plain(part) else "…" for part in path.split("/"))
        shown += "?…" if mark else ""
        hides = shown != address or bool(at)
        return self._made(
            kind, way.display.removesuffix(f":{WEB_PORTS[kind]}") + shown, address, way, hides=hides
        )

    def _made(self, kind: str, display: str, address: str, way: Endpoint, *, hides: bool = False) -> Target:
        return Target(
            kind=kind,
            display=display,
            key="",
            address=address,
            way=way,
            secret_file=self.path("secret-file"),
            timeout=self.timeout(),
            on=self._list("on", events),
            jobs=self._list("jobs", globs) or ("*",),
            hides=hides,
            origin=self.origin,
        )

    def _list(self, key: str, read: Callable[[object], tuple[str, ...]]) -> tuple[str, ...] | None:
        if key not in self.table:
            return None
        try:
            return read(self.table[key])
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def _no_use(self, kind: str) -> None:
        for key in WEB_KEYS:
            if key in self.table:
                raise self.wrong(key, f"has no use with {kind}")


def plain(part: str) -> bool:
    """Tell whether a part of a path is a word that says nothing secret, as ``hooks`` or ``v1``."""
    if part in ("v1", "v2", "v3"):
        return True
    return len(part) <= PLAIN_LENGTH and _PLAIN.issuperset(part)


def find(targets: tuple[Target, ...], key: str, display: str) -> Target | None:
    """Give the target of a key; else the only one that is shown the same: its secret may be a new one."""
    for target in targets:
        if target.key == key:
            return target
    alike = [target for target in targets if target.display == display]
    return alike[0] if len({target.key for target in alike}) == 1 else None
