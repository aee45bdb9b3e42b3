"""Connections to the fleet's database: who they are made to, and what is done with what goes wrong there.

psycopg is known here alone. Behind a pooler in transaction mode nothing may be left in a session: every call
is one transaction, statements are not prepared, and nothing is set.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, NoReturn, TypeVar

from cronwrap.errors import ConfigError, CronwrapError, TemporaryError
from cronwrap.relay.credentials import secret
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.relays import Endpoint

T = TypeVar("T")

CONNECT_SECONDS = 10
"""For one address of the database; libpq counts whole seconds."""
SERIALIZATION = ("40001", "40P01")
"""serialization_failure, deadlock_detected: the transaction is to be tried again (PostgreSQL, 13.5)."""
TRIES = 5
MISSING = ("3F000", "42883", "42P01")
"""invalid_schema_name, undefined_function, undefined_table: nobody has made the schema, or it is an older
one."""
NOT_ALLOWED = "42501"
READ_ONLY = "25006"
NOWHERE = os.path.join(os.devnull, "none")
"""A path where nothing can be: libpq would read ~/.pgpass."""
NO_PSYCOPG = "the fleet needs psycopg: pip install 'cronwrap[fleet]'"
NO_LIBPQ = "the fleet needs libpq: apt-get install libpq5, or dnf install libpq"


class UnreachableError(TemporaryError):
    """The database cannot be asked at present; asking later may help."""


class RefusedError(CronwrapError):
    """The database does not do what it was asked; asking again does not help."""


class RecordError(RefusedError):
    """It cannot store what it was given (SQLSTATE class 22 or 23)."""


class Database:
    """A connection; each call is one transaction, and has ``seconds``."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    def call(self, statement: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Give the rows of a statement, as names and values. UnreachableError, RefusedError, RecordError.

        It is a transaction by itself: over a slow network one way there and back, where BEGIN and COMMIT take
        two more.
        """
        return self._done(lambda cursor: cursor.execute(statement, values).fetchall(), contextlib.nullcontext)

    def transaction(self, work: Callable[[Any], T]) -> T:
        """Give what work gives, done with a cursor in one transaction; it may be done more than once."""
        return self._done(work, self._connection.transaction)

    def _done(self, work: Callable[[Any], T], around: Callable[[], AbstractContextManager[Any]]) -> T:
        for left in reversed(range(TRIES)):
            try:
                with (
                    bounded(self._seconds, self._connection),
                    _words(),
                    around(),
                    self._connection.cursor() as cursor,
                ):
                    return work(cursor)
            except _TryAgain:
                if not left:
                    raise UnreachableError(
                        "the fleet's database is too busy: serialization failures"
                    ) from None
        raise AssertionError


class _TryAgain(Exception):  # noqa: N818 - control flow inside the module
    """A transaction that gave way to another one."""


@contextlib.contextmanager
def connected(fleet: Fleet, *, writing: bool = True) -> Iterator[Database]:
    """Give a connection to the database; UnreachableError or ConfigError when there is none.

    ``writing``: a standby, which takes nothing, is passed over.
    """
    if fleet.fault:
        raise ConfigError(fleet.fault)
    try:
        import psycopg  # noqa: PLC0415  # an extra that may not be installed
        from psycopg.rows import dict_row  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError(NO_PSYCOPG) from None
    except ImportError:  # psycopg is there; the packages have it without a libpq of its own
        raise ConfigError(NO_LIBPQ) from None
    values = parameters(fleet, writing=writing)
    with bounded(fleet.timeout), _words():
        connection = psycopg.connect(**values, autocommit=True, prepare_threshold=None, row_factory=dict_row)
    try:
        yield Database(connection, fleet.timeout)
    finally:
        connection.close()


def parameters(fleet: Fleet, *, writing: bool) -> dict[str, Any]:
    """Give libpq's parameters. Off this host the certificate and the name are always verified.

    Nothing that stands in PG* variables counts for any of these, nor a service file or ``~/.pgpass``.
    """
    found: dict[str, Any] = {
        "host": ",".join(fleet.hosts),
        "port": ",".join(map(str, fleet.ports)) or "5432",
        "dbname": fleet.database,
        "user": fleet.user or _system_user(),
        "passfile": NOWHERE,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "cronwrap",
        "client_encoding": "UTF8",
        "gssencmode": "disable",
        "keepalives_idle": 30,
        "tcp_user_timeout": int(fleet.timeout * 1000),
        "target_session_attrs": "read-write" if writing else "any",
        "sslmode": "prefer" if fleet.local else "verify-full",
    }
    if not fleet.local or fleet.ca_file:
        found["sslrootcert"] = fleet.ca_file or system_authorities()
        found["sslmode"] = "verify-full"
    if fleet.local and fleet.hosts and fleet.hosts[0].startswith("/"):
        found["sslmode"] = "disable"
    if fleet.cert_file:
        found |= {"sslcert": fleet.cert_file, "sslkey": fleet.key_file}
    if (password := _password(fleet)) is not None:
        found["password"] = password
    return found


def system_authorities() -> str:
    """Give the file of certificates that this system trusts; ``system``: OpenSSL's own place for them."""
    paths = ssl.get_default_verify_paths()
    for path in (
        paths.cafile,
        paths.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/cert.pem",
    ):
        if path and os.path.isfile(path):
            return path
    return "system"


def _system_user() -> str:
    from cronwrap.paths import user_name  # noqa: PLC0415

    return user_name()


def _password(fleet: Fleet) -> str | None:
    """Give the password as a relay's is read; None without one (a certificate, a peer's id)."""
    sources = (fleet.password, fleet.password_file, fleet.password_env, fleet.password_command)
    if not any(sources):
        return None
    way = Endpoint(
        kind="postgresql",
        password=fleet.password,
        password_file=fleet.password_file,
        password_env=fleet.password_env,
        password_command=fleet.password_command,
    )
    return secret(way).decode(errors="surrogateescape")


@contextlib.contextmanager
def _words() -> Iterator[None]:
    """Turn what psycopg raises into one sentence, and tell what may help from what will not."""
    import psycopg  # noqa: PLC0415

    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        words = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
        words = words.removeprefix("connection failed: ").removeprefix("connection is bad: ")
        if state in SERIALIZATION:
            raise _TryAgain from None
        if state in MISSING:
            raise UnreachableError(
                f"the fleet's database has no schema of this version ({words}): cronwrap fleet init"
            ) from error
        if state == NOT_ALLOWED:
            raise RefusedError(f"the fleet's database does not allow this: {words}") from error
        if state[:2] in ("22", "23"):
            raise RecordError(f"the fleet's database cannot store this: {words}") from error
        raise UnreachableError(f"the fleet's database cannot be asked: {words}") from error


@contextlib.contextmanager
def bounded(seconds: float, connection: Any = None) -> Iterator[None]:
    """Bound what is done: UnreachableError when it takes longer.

    In the main thread by SIGALRM: psycopg waits in steps of a tenth of a second, and a handler runs between
    two of them. Another thread gets no signals: there a connection is cut off. Making one has a limit
    of its own.
    """
    words = f"the fleet's database has not answered for {seconds:g} s"
    if threading.current_thread() is not threading.main_thread():
        with _cut_off_after(seconds, connection, words) if connection else contextlib.nullcontext():
            yield
        return

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise UnreachableError(words)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _cut_off_after(seconds: float, connection: Any, words: str) -> Iterator[None]:
    """Have whoever waits for a connection find it closed once it has taken too long."""
    late = threading.Event()

    def cut_off() -> None:
        late.set()
        try:
            with socket.socket(fileno=os.dup(connection.fileno())) as shared:
                shared.shutdown(socket.SHUT_RDWR)
        except Exception:  # noqa: BLE001  # it is closed by now
            return

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    except CronwrapError:
        if late.is_set():
            raise UnreachableError(words) from None
        raise
    finally:
        timer.cancel()


def host_name(fleet: Fleet) -> str:
    """Give what the fleet calls this host."""
    return fleet.host or os.uname().nodename
