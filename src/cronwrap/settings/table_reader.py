"""Reads a table of the configuration that says where something goes: a relay, a target of ``[[notify]]``.

Each method reads one key, or a part of a URL, and raises the ConfigError that names origin and key. Every
run may read its relays, so nothing is imported here that costs.
"""

from __future__ import annotations

import os

from cronwrap.errors import ConfigError
from cronwrap.settings.values import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT = 30.0
"""Seconds for one step of a conversation; a report has to be given up on before the next run is due."""
LONGEST_TIMEOUT = 3600.0
"""Seconds; beyond that a timeout bounds nothing."""
LONGEST_HOST = 253
"""Octets of a domain name (RFC 1035, 2.3.4)."""
PROXY_PORTS = {"socks5": 1080, "socks4": 1080, "http": 8080}
"""Kinds of proxies, and where they listen as a rule."""


class TableReader:
    """Reads one table; ``names`` gives what a key is called where the table comes from."""

    def __init__(self, table: Mapping[str, object], origin: str, names: Mapping[str, str]) -> None:
        self.table, self.origin, self.names = table, origin, names

    def text(self, key: str) -> str:
        """Give a key's text, empty when it is absent; CR, LF, NUL and the like end here."""
        value = self.table.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(key, "must be a text")
        if key in self.table and not value:
            raise self.wrong(key, "is empty")
        if any(char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in value):
            raise self.wrong(key, "contains a line break, a control character or invalid UTF-8")
        return value

    def path(self, key: str) -> str:
        """Give the absolute path of a file, ``~`` put in full; empty when it is absent."""
        path = os.path.expanduser(self.text(key))
        if path and not path.startswith("/"):
            raise self.wrong(key, "must be an absolute path: a job may start anywhere")
        return path

    def timeout(self) -> float:
        """Give the seconds of ``timeout``."""
        if "timeout" not in self.table:
            return DEFAULT_TIMEOUT
        try:
            seconds = duration(self.table["timeout"])
        except ValueError as error:
            raise self.wrong("timeout", str(error)) from None
        if not 0 < seconds <= LONGEST_TIMEOUT:
            raise self.wrong("timeout", "must be more than 0 and at most 1h")
        return seconds

    def proxy(self) -> tuple[str, str, str]:
        """Give a proxy's URL without its login, user and password; empty without one."""
        text = self.text("proxy")
        if not text:
            return "", "", ""
        kind, separator, rest = text.replace("socks5h://", "socks5://", 1).partition("://")
        kind = kind.lower()
        if not separator or kind not in PROXY_PORTS:
            raise self.wrong("proxy", "must be socks5://HOST[:1080], socks4://… or http://HOST[:8080]")
        userinfo, at, place = rest.rpartition("@")
        host, port = self.address(place, PROXY_PORTS[kind], "proxy")
        user, password = self.login(userinfo, "proxy") if at else ("", None)
        shown = f"[{host}]" if ":" in host else host
        return f"{kind}://{shown}:{port}", user, password or ""

    def fingerprint(self) -> str:
        """Give the 64 hexadecimal digits of ``fingerprint``; empty when it is absent."""
        text = self.text("fingerprint").lower()
        digits = text.removeprefix("sha256:").replace(":", "")
        if text and (len(digits) != 64 or not set(digits) <= set("0123456789abcdef")):
            raise self.wrong("fingerprint", "must be a SHA-256 digest: sha256: and 64 hexadecimal digits")
        return digits

    # The parts of a URL

    def login(self, userinfo: str, key: str = "url") -> tuple[str, str | None]:
        """Give user and password of what stands before the ``@``, percent-encoding undone."""
        user, colon, password = userinfo.partition(":")
        if not user or (colon and not password):
            raise self.wrong(key, "has an empty user or password before the @")
        return self._decoded(user), self._decoded(password) if colon else None

    def _decoded(self, text: str) -> str:
        """Undo percent-encoding (RFC 3986, 2.1)."""
        head, *parts = text.split("%")
        try:
            octets = head.encode()
            for part in parts:
                octets += bytes((int(part[0], 16) * 16 + int(part[1], 16),)) + part[2:].encode()
            decoded = octets.decode()
        except (ValueError, IndexError):
            raise self.wrong(
                "url", "has a % that is no percent-encoding: write %25 for %, %40 for @"
            ) from None
        if any(char < " " or "\x7f" <= char <= "\x9f" for char in decoded):
            raise self.wrong("url", "has a control character in user or password")
        return decoded

    def address(self, text: str, port: int, key: str = "url") -> tuple[str, int]:
        """Give host and port of ``HOST[:PORT]``, the host in lower case and as IDNA 2008 has it."""
        text = text.removesuffix("/")
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or not ipv6(host) or rest[:1] not in ("", ":"):
                raise self.wrong(key, "has a bad IPv6 address: write [2001:db8::1] or [2001:db8::1]:465")
            colon, digits = rest[:1], rest[1:]
        else:
            host, colon, digits = text.partition(":")
            if ":" in digits:
                raise self.wrong(key, "has more than one port: an IPv6 address is written in brackets, [::1]")
        if colon:
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
                raise self.wrong(key, "has a bad port: allowed are 1 to 65535")
            port = int(digits)
        host = host.lower().removesuffix(".")
        if not host.isascii():
            from cronwrap.domain import to_ascii  # noqa: PLC0415  # for such names alone

            try:
                host = to_ascii(host)
            except ValueError:
                raise self.wrong("url", "has a host name after :// that IDNA 2008 does not know") from None
        if not text.startswith("[") and not hostname(host):
            raise self.wrong(key, "has no valid host name after ://")
        return host, port

    # Errors

    def name(self, key: str) -> str:
        """Give what a key is called where the table comes from."""
        return self.names.get(key, key)

    def wrong(self, key: str, what: str) -> ConfigError:
        """Give the error for a key. It never quotes the value: that may be, or contain, a secret."""
        return ConfigError(f"{self.origin}: {self.name(key)} {what}")


def loopback(host: str) -> bool:
    """Tell whether a host of a URL is this one: 127.0.0.0/8, ::1 or localhost."""
    return host in ("localhost", "::1") or (host.startswith("127.") and ipv4(host))


def ipv4(host: str) -> bool:
    """Tell whether it is an IPv4 address in four decimal parts."""
    octets = host.split(".")
    return len(octets) == 4 and all(
        octet.isascii() and octet.isdigit() and len(octet) <= 3 and int(octet) < 256 for octet in octets
    )


def ipv6(host: str) -> bool:
    """Tell whether it can be an IPv6 address; the resolver has the last word."""
    return host.count(":") >= 2 and set(host) <= set("0123456789abcdefABCDEF:.") and len(host) <= 45


def hostname(host: str) -> bool:
    """Tell whether it can be a name or an IPv4 address; letters outside ASCII are in IDNA's form by now."""
    return (
        0 < len(host) <= LONGEST_HOST
        and all(0 < len(label) <= 63 and label[0] != "-" for label in host.split("."))
        and all(char.isalnum() or char in "-_." for char in host)
    )
