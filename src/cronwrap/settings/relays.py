"""Where reports go: one ``[[relay]]`` table or ``CRONWRAP_RELAY``, read and checked.

Every run may read its relays, so nothing is imported here that costs; what a relay needs to be talked
to (asyncio, TLS) is in ``relay``.
"""

from __future__ import annotations

import os

from cronwrap.errors import ConfigError
from cronwrap.model import Record
from cronwrap.paths import unquoted
from cronwrap.settings.table_reader import DEFAULT_TIMEOUT, TableReader, hostname, ipv4, ipv6, loopback
from cronwrap.settings.values import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS = {"smtps": 465, "submission": 587, "smtp": 25}
"""RFC 8314, 7.3 (submissions); RFC 6409, 3.1; RFC 5321, 4.5.4.2."""
LOCAL_KINDS = ("sendmail", "maildir")
TOKEN_MECHANISMS = ("oauthbearer", "xoauth2")
"""What a token logs in with: RFC 7628, and what Google and Microsoft had before."""
MECHANISMS = (*TOKEN_MECHANISMS, "cram-md5", "plain", "login")
"""What a relay can be logged in to with, the strongest first."""

PASSWORD_KEYS = ("password", "password-file", "password-env", "password-command", "token-command")
TLS_KEYS = ("ca-file", "fingerprint")
WAY_KEYS = ("helo", "source", "proxy")
KEYS = ("url", "user", *PASSWORD_KEYS, *TLS_KEYS, "timeout", "auth", *WAY_KEYS)
VARIABLES = {
    "url": "CRONWRAP_RELAY",
    "user": "CRONWRAP_RELAY_USER",
    "password": "CRONWRAP_RELAY_PASSWORD",
    "password-file": "CRONWRAP_RELAY_PASSWORD_FILE",
    "ca-file": "CRONWRAP_RELAY_CA_FILE",
    "fingerprint": "CRONWRAP_RELAY_FINGERPRINT",
}
MOUNTED_ADVICE = "mount it with mode 0400, or 0440 and a group of this user (defaultMode, fsGroup; mode, gid)"
URL_FORMS = (
    "smtps://HOST[:465], submission://HOST[:587], smtp://HOST[:25] (loopback only), "
    "sendmail:/PATH or maildir:/PATH"
)


class Endpoint(Record):
    """One relay; safe to print, it never shows a secret."""

    kind: str
    """``smtps``, ``submission``, ``smtp``, ``sendmail`` or ``maildir``."""
    host: str = ""
    port: int = 0
    path: str = ""
    """Of the sendmail program or the maildir."""
    user: str = ""
    password: str | None = None
    password_file: str = ""
    password_env: str = ""
    password_command: str = ""
    token_command: str = ""
    """Prints an OAuth 2 access token."""
    ca_file: str = ""
    fingerprint: str = ""
    """SHA-256 of the server's certificate, 64 lower-case hexadecimal digits."""
    auth: str = ""
    """The one mechanism to log in with; empty: the strongest that both sides have."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for each step of the conversation."""
    helo: str = ""
    """The name to give in EHLO; empty: this host's."""
    source: str = ""
    """The local address to connect from."""
    proxy: str = ""
    """``KIND://HOST:PORT``, without user and password."""
    proxy_user: str = ""
    proxy_password: str = ""
    opening: float = 0.0
    """Seconds from the beginning to the login; 0: as long as its steps take. Set for a run that waits."""
    origin: str = ""
    """The file or variable that it comes from."""
    fault: str = ""
    """Why it must not be used, or empty."""

    @property
    def display(self) -> str:
        """Give the URL without user and password."""
        if self.kind in LOCAL_KINDS:
            return f"{self.kind}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    @property
    def names_secret(self) -> bool:
        """Tell whether the place it is written down in holds or names a password."""
        return self.leads_to_secret or bool(self.password_env)

    @property
    def leads_to_secret(self) -> bool:
        """Tell the same, but for a variable's name: it says nothing to who cannot read the variable."""
        sources = (self.password_file, self.password_command, self.token_command)
        return self.password is not None or bool(self.proxy_password) or any(sources)

    def __repr__(self) -> str:
        return f"Endpoint({self.display!r}, user={self.user!r}, origin={self.origin!r}, fault={self.fault!r})"


def exposed(path: str, status: os.stat_result) -> str:
    """Say why a file may not hold a secret, and what to do; empty when it may."""
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user (uid {status.st_uid}): chown it, then chmod 600 {path}"
    if not status.st_mode & 0o077:
        return ""
    from cronwrap.trust import mounted_secret  # noqa: PLC0415  # for such files alone

    if mounted_secret(path, status):
        return ""
    if not on_read_only(path):
        return f"{path} is open to other users: chmod 600 {path}"
    return f"{path} is open to other users, and mounted read-only: {MOUNTED_ADVICE}"


def on_read_only(path: str) -> bool:
    """Tell whether a file lies where nobody can change it, as what Kubernetes mounts."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def from_environment(env: Mapping[str, str]) -> Endpoint | None:
    """Give the relay that ``CRONWRAP_RELAY`` and its companions describe, or None; ConfigError if bad."""
    env = unquoted(env)
    if not env.get(VARIABLES["url"]):
        return None
    table = {key: env[variable] for key, variable in VARIABLES.items() if env.get(variable)}
    return _Reader(table, "environment", VARIABLES).endpoint()


def parse(table: Mapping[str, object], origin: str) -> Endpoint:
    """Read a ``[[relay]]`` table; ConfigError names the origin, the key and what is allowed."""
    for key in table:
        if key not in KEYS:
            raise ConfigError(
                f"{origin}: unknown key {key!r}{nearest(key, KEYS)}; allowed: {', '.join(KEYS)}"
            )
    return _Reader(table, origin, {}).endpoint()


class _Reader(TableReader):
    """Reads one ``[[relay]]`` table."""

    def endpoint(self) -> Endpoint:
        url = self.text("url").strip()
        if not url:
            raise self.wrong("url", f"is missing; write {URL_FORMS}")
        kind, _, rest = url.partition(":")
        kind = kind.lower()
        if kind in LOCAL_KINDS:
            return self._local(kind, rest)
        if kind not in DEFAULT_PORTS or not rest.startswith("//"):
            known = (*DEFAULT_PORTS, *LOCAL_KINDS)
            raise self.wrong("url", f"is none of {URL_FORMS}{nearest(kind, known)}")
        userinfo, at, address = rest[2:].rpartition("@")
        host, port = self.address(address, DEFAULT_PORTS[kind])
        user, password = self.login(userinfo) if at else ("", None)
        proxy, proxy_user, proxy_password = self.proxy()
        found = Endpoint(
            kind=kind,
            host=host,
            port=port,
            user=self._user(user),
            password=self._password(password),
            password_file=self.path("password-file"),
            password_env=self.text("password-env"),
            password_command=self.text("password-command"),
            token_command=self.text("token-command"),
            ca_file=self.path("ca-file"),
            fingerprint=self.fingerprint(),
            auth=self._auth(),
            timeout=self.timeout(),
            helo=self._helo(),
            source=self._source(),
            origin=self.origin,
            proxy=proxy,
            proxy_user=proxy_user,
            proxy_password=proxy_password,
        )
        self._check(found, password_in_url=password is not None)
        return found

    def _local(self, kind: str, path: str) -> Endpoint:
        # A variable may stand for many lines of a crontab, of which one names a relay of another kind.
        for key in KEYS[1:] if not self.names else ():
            if key in self.table and key != "timeout":
                raise self.wrong(key, f"has no use with {kind}:")
        # An URL may spell the empty authority out: maildir:///home/me/Maildir.
        path = os.path.expanduser(path[2:] if path.startswith("///") else path)
        if not path.startswith("/") or path.startswith("//"):
            raise self.wrong("url", f"needs an absolute path: {kind}:/PATH")
        return Endpoint(kind=kind, path=path, timeout=self.timeout(), origin=self.origin)

    def _check(self, found: Endpoint, *, password_in_url: bool) -> None:
        """Refuse what would send a secret in clear or leave open which secret is meant."""
        given = [key for key in PASSWORD_KEYS if key in self.table]
        sources = [self.name(key) for key in given] + ["the password in the url"] * password_in_url
        if found.kind == "smtp":
            self._check_plain(found, sources)
        if len(sources) > 1:
            raise ConfigError(f"{self.origin}: more than one password, keep one of: {', '.join(sources)}")
        if not found.user and (sources or found.auth):
            raise self.wrong("user", f"is missing, and {(sources or ['auth'])[0]} is given")
        if found.user and not sources:
            wanted = ", ".join(self.name(key) for key in PASSWORD_KEYS if key in (self.names or KEYS))
            raise self.wrong("user", f"is given without a password; set one of {wanted}")
        if found.auth and (found.auth in TOKEN_MECHANISMS) != bool(found.token_command):
            tokens = " and ".join(TOKEN_MECHANISMS)
            raise self.wrong("auth", f"{tokens} go with token-command, the other mechanisms with a password")

    def _check_plain(self, found: Endpoint, sources: list[str]) -> None:
        instead = "smtp:// is not encrypted: use smtps:// or submission://"
        if found.user or sources:
            raise self.wrong("url", f"takes no login, {instead}")
        if not loopback(found.host):
            raise self.wrong("url", f"leads off this host, {instead}")
        for key in (*TLS_KEYS, "auth", "proxy"):
            if key in self.table:
                raise self.wrong(key, f"has no use here, {instead}")

    # One key each

    def _user(self, from_url: str) -> str:
        user = self.text("user")
        if from_url and user and user != from_url:
            raise self.wrong("user", "differs from the user in the url; keep one of them")
        return user or from_url

    def _password(self, from_url: str | None) -> str | None:
        return self.text("password") if "password" in self.table else from_url

    def _auth(self) -> str:
        auth = self.text("auth").lower()
        if auth and auth not in MECHANISMS:
            raise self.wrong(
                "auth", f"is unknown{nearest(auth, MECHANISMS)}; allowed: {', '.join(MECHANISMS)}"
            )
        return auth

    def _helo(self) -> str:
        name = self.text("helo")
        literal = name.startswith("[") and name.endswith("]") and len(name) > 2
        if name and not literal and not (name.isascii() and hostname(name)):
            raise self.wrong("helo", "must be a host name, or an address in brackets, [192.0.2.1]")
        return name

    def _source(self) -> str:
        address = self.text("source")
        if address and not ipv6(address) and not ipv4(address):
            raise self.wrong("source", "must be an address of this host, as 192.0.2.7 or 2001:db8::7")
        return address
