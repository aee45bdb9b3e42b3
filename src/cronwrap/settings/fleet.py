"""The database that the hosts of a fleet share: the ``[fleet]`` table, read and checked.

Read where files have changed and where the database is to be asked, never by a run: what a run must know of
it is among the cached values.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from cronwrap.errors import ConfigError
from cronwrap.model import Record
from cronwrap.settings.relays import PASSWORD_KEYS
from cronwrap.settings.table_reader import DEFAULT_TIMEOUT, TableReader, loopback
from cronwrap.settings.values import BAD_VALUE, boolean, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("postgresql", "postgres")
PORT = 5432
"""PostgreSQL's, registered with IANA."""
PASSWORD_KEYS_HERE = tuple(key for key in PASSWORD_KEYS if key != "token-command")
FILE_KEYS = ("ca-file", "cert-file", "key-file")
KEYS = ("url", *PASSWORD_KEYS_HERE, *FILE_KEYS, "timeout", "ship", "watch", "quiet", "host")
IN_QUERY = ("host", "port", "user", "dbname")
"""What the query of the URL may say; the rest of libpq's would open what is closed here, or has a key."""
SHIP = ("runs", "changes")
URL_FORM = "postgresql://[USER@]HOST[:5432]/DATABASE, or postgresql:///DATABASE?host=/run/postgresql"
NO_FLEET = "--once and --scope fleet need a fleet, and none is configured: [fleet] url"
LONGEST_NAME = 63
"""Octets of a name of PostgreSQL's; a host's is held to the same, since it may name a role."""


class Fleet(Record):
    """The database as configured; safe to print, it never shows a secret."""

    hosts: tuple[str, ...] = ()
    """Names or addresses in the order they are tried, or the directory of a socket; empty: libpq's own."""
    ports: tuple[int, ...] = ()
    database: str = ""
    user: str = ""
    password: str | None = None
    password_file: str = ""
    password_env: str = ""
    password_command: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for one step of a conversation in the background."""
    ship: str = "runs"
    watch: bool = True
    quiet: bool = False
    """Whether this host may go away without a word: a laptop."""
    host: str = ""
    """What the fleet calls this host; empty: its host name."""
    origin: str = ""
    fault: str = ""
    """Why it must not be used, or empty."""

    @property
    def local(self) -> bool:
        """Tell whether all of it stays on this host: sockets, and the loopback."""
        return all(host.startswith("/") or loopback(host) for host in self.hosts)

    @property
    def display(self) -> str:
        """Give the URL without user and password."""
        if not self.hosts or self.hosts[0].startswith("/"):
            return f"postgresql:///{self.database}" + (f"?host={self.hosts[0]}" if self.hosts else "")
        places = [
            f"[{host}]" if ":" in host else host if port == PORT else f"{host}:{port}"
            for host, port in zip(self.hosts, self.ports, strict=True)
        ]
        return f"postgresql://{','.join(places)}/{self.database}"

    @property
    def names_secret(self) -> bool:
        """Tell whether the place it is written down in holds or names a password."""
        return self.password is not None or bool(self.password_file or self.password_command or self.key_file)

    def __repr__(self) -> str:
        return f"Fleet({self.display!r}, user={self.user!r}, origin={self.origin!r}, fault={self.fault!r})"


def parse(table: Mapping[str, object], origin: str) -> Fleet:
    """Read a ``[fleet]`` table; ConfigError names the origin, the key and what is allowed."""
    for key in table:
        if key not in KEYS:
            raise ConfigError(
                f"{origin}: unknown key {key!r}{nearest(key, KEYS)}; allowed: {', '.join(KEYS)}"
            )
    return _Reader(table, origin, {}).fleet()


class _Reader(TableReader):
    """Reads the ``[fleet]`` table."""

    def fleet(self) -> Fleet:
        url = self.text("url")
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.lower() not in SCHEMES:
            raise self.wrong("url", f"is missing; write {URL_FORM}" if not url else f"is not {URL_FORM}")
        authority, _, behind = rest.partition("/") if "/" in rest else (rest.partition("?")[0], "", "")
        path, _, query = behind.partition("?")
        userinfo, at, places = authority.rpartition("@")
        user, password = self.login(userinfo) if at else ("", None)
        given = self._query(query if "/" in rest else rest.partition("?")[2])
        hosts, ports = self._places(places, given)
        database = given.get("dbname", "") or self._decoded(path)
        if not database:
            raise self.wrong("url", f"names no database: write {URL_FORM}")
        found = Fleet(
            hosts=hosts,
            ports=ports,
            database=database,
            user=given.get("user", "") or user,
            password=self.text("password") if "password" in self.table else password,
            password_file=self.path("password-file"),
            password_env=self.text("password-env"),
            password_command=self.text("password-command"),
            ca_file=self.path("ca-file"),
            cert_file=self.path("cert-file"),
            key_file=self.path("key-file"),
            timeout=self.timeout(),
            ship=self._ship(),
            watch=self._truth("watch", default=True),
            quiet=self._truth("quiet", default=False),
            host=self._host(),
            origin=self.origin,
        )
        self._check(found, password_in_url=password is not None)
        return found

    def _query(self, query: str) -> dict[str, str]:
        given = dict(parse_qsl(query, keep_blank_values=True))
        for key in given:
            if key not in IN_QUERY:
                instead = {"sslrootcert": "ca-file", "sslcert": "cert-file", "sslkey": "key-file"}.get(
                    key, ""
                )
                hint = f"; write {instead} = …" if instead else ""
                raise self.wrong("url", f"may not say {key!r} behind the question mark{hint}")
        return given

    def _places(self, places: str, given: dict[str, str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Give the hosts and their ports; ``HOST[:PORT],HOST[:PORT]`` as libpq has it."""
        named = [place for place in (places or given.get("host", "")).split(",") if place]
        hosts, ports = [], []
        for place in named:
            if place.startswith(("/", "%2F", "%2f")):
                hosts.append(self._decoded(place))
                ports.append(PORT)
                continue
            host, port = self.address(place, PORT)
            hosts.append(host)
            ports.append(port)
        if "port" in given:
            if not given["port"].isdigit() or not 0 < int(given["port"]) < 65536:
                raise self.wrong("url", "has a bad port: allowed are 1 to 65535")
            ports = [int(given["port"])] * len(hosts)
        return tuple(hosts), tuple(ports)

    def _check(self, found: Fleet, *, password_in_url: bool) -> None:
        sources = [key for key in PASSWORD_KEYS_HERE if key in self.table]
        sources += ["the password in the url"] * password_in_url
        if len(sources) > 1:
            raise ConfigError(f"{self.origin}: more than one password, keep one of: {', '.join(sources)}")
        if bool(found.cert_file) != bool(found.key_file):
            raise self.wrong("cert-file", "and key-file go together")

    def _ship(self) -> str:
        value = self.text("ship") or SHIP[0]
        if value not in SHIP:
            raise self.wrong("ship", f"must be {' or '.join(SHIP)}{nearest(value, SHIP)}")
        return value

    def _truth(self, key: str, *, default: bool) -> bool:
        if key not in self.table:
            return default
        try:
            return boolean(self.table[key])
        except BAD_VALUE as error:
            raise self.wrong(key, str(error)) from None

    def _host(self) -> str:
        name = self.text("host")
        if len(name.encode()) > LONGEST_NAME:
            raise self.wrong("host", f"is longer than {LONGEST_NAME} octets")
        return name
