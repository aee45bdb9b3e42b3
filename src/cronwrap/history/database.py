"""history.db as a file: made, opened, brought to the present schema, and set aside when it is broken.

``runs`` knows what is in it. Every fault leaves here as a ``StateError`` that names the file.
"""

from __future__ import annotations

import fcntl
import os
import time

from cronwrap.errors import StateError
from cronwrap.history.journal import DATABASE
from cronwrap.lock import bounded
from cronwrap.state import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, NoReturn

    from cronwrap.state import Directory
else:
    # What `sqlite3` is made of; that adds types for dates: a run that fails would pay more for those than for
    # all it asks of the history.
    import _sqlite3 as sqlite3

BUSY_SECONDS = 2.0
"""How long another writer is waited for; its transaction takes milliseconds, so who needs longer hangs."""
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "fuse.", "ncpfs", "lustre")
"""Their names begin so. Machines do not share the memory that WAL needs (sqlite.org/wal.html)."""
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database (sqlite.org/tempfiles.html)."""
FAULTS = (sqlite3.Error, OSError)
BROKEN_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NOT_WRITABLE_CODES = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)

SCHEMA = (
    """
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, job TEXT NOT NULL, command TEXT NOT NULL, host TEXT NOT NULL,
        user TEXT NOT NULL, started REAL NOT NULL, ended REAL NOT NULL, duration REAL,
        result TEXT NOT NULL,
        exit_code INTEGER, signal INTEGER, tries INTEGER NOT NULL, reasons TEXT NOT NULL,
        output_bytes INTEGER NOT NULL, stdout_bytes INTEGER NOT NULL, stderr_bytes INTEGER NOT NULL,
        cpu_seconds REAL, max_rss_bytes INTEGER, mailed INTEGER NOT NULL, quiet_reason TEXT NOT NULL,
        digest TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL);
    CREATE INDEX runs_by_time ON runs (started);
    CREATE INDEX runs_by_ending ON runs (substr(run, -8));
    CREATE INDEX runs_by_job ON runs (job, started);
    CREATE INDEX failures_by_time ON runs (started) WHERE result NOT IN ('ok', 'skipped');
    CREATE INDEX failures_by_job ON runs (job, started) WHERE result NOT IN ('ok', 'skipped');
    CREATE TABLE outputs (
        run TEXT PRIMARY KEY, head BLOB NOT NULL, tail BLOB NOT NULL,
        left_out_bytes INTEGER NOT NULL, left_out_lines INTEGER NOT NULL, stretches TEXT NOT NULL);
    CREATE TABLE jobs (
        job TEXT NOT NULL, user TEXT NOT NULL, run TEXT NOT NULL, result TEXT NOT NULL,
        exit_code INTEGER, signal INTEGER, started REAL NOT NULL, ended REAL NOT NULL, duration REAL,
        results TEXT NOT NULL, durations TEXT NOT NULL, failures INTEGER NOT NULL, failing_since REAL,
        last_success REAL, last_mailed REAL, unmailed INTEGER NOT NULL, digest TEXT NOT NULL,
        PRIMARY KEY (job, user));
    """,
    "ALTER TABLE runs ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE totals (
        job TEXT NOT NULL, user TEXT NOT NULL, result TEXT NOT NULL,
        runs INTEGER NOT NULL, ended REAL NOT NULL, PRIMARY KEY (job, user, result));
    INSERT INTO totals SELECT job, user, result, count(*), max(ended) FROM runs GROUP BY job, user, result;
    """,
    """
    ALTER TABLE runs ADD COLUMN fence INTEGER;
    ALTER TABLE runs ADD COLUMN arrival INTEGER;
    CREATE INDEX runs_by_arrival ON runs (arrival) WHERE arrival IS NOT NULL;
    CREATE TABLE shipping (
        only INTEGER PRIMARY KEY CHECK (only = 1), arrivals INTEGER NOT NULL, shipped INTEGER NOT NULL,
        lost INTEGER NOT NULL, failed_since REAL, error TEXT NOT NULL);
    INSERT INTO shipping (only, arrivals, shipped, lost, error) VALUES (1, 0, 0, 0, '');
    """,
    "ALTER TABLE runs ADD COLUMN earlier_bytes INTEGER",
)
"""What leads from one ``user_version`` to the next; the number of steps is the version we write."""
VERSION = len(SCHEMA)


class SetAsideError(StateError):
    """The database was broken: it has been set aside, and whoever looks next begins a new one."""


class _Use:
    """A connection for as long as a ``with`` lasts, closed after it; every fault becomes a ``StateError``.

    A class, since for ``contextlib`` a run that fails would pay more than for its whole question.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection | None]) -> None:
        self._path, self._connect = path, connect

    def __enter__(self) -> Any:
        self._inode = _inode(self._path)
        try:
            self._connection = self._connect()
        except FAULTS as error:
            _raise_in_words(self._path, self._inode, error)
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            if self._connection is not None:
                self._connection.close()
        except FAULTS as fault:
            _raise_in_words(self._path, self._inode, fault)
        if isinstance(error, FAULTS):
            _raise_in_words(self._path, self._inode, error)


def writing(state_dir: str) -> AbstractContextManager[sqlite3.Connection]:
    """Give a connection that may write, making the database on first use."""
    path = os.path.join(state_dir, DATABASE)

    def connect() -> sqlite3.Connection:
        directory = state(state_dir, make=True)
        if not _checked(directory):
            _create(directory, path)
        connection = _connect(path, "mode=rw")
        try:
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    return _Use(path, connect)


def reading(state_dir: str) -> AbstractContextManager[sqlite3.Connection | None]:
    """Give a connection for queries, or None while there is no database; a read-only disk will do."""
    path = os.path.join(state_dir, DATABASE)
    return _Use(path, lambda: _for_queries(path) if _exists(state_dir) else None)


def exists(state_dir: str) -> bool:
    """Tell whether there is a database; StateError for one that is not ours, or whose directory is not."""
    path = os.path.join(state_dir, DATABASE)
    inode = _inode(path)
    try:
        return _exists(state_dir)
    except FAULTS as error:
        _raise_in_words(path, inode, error)


def _exists(state_dir: str) -> bool:
    try:
        return _checked(state(state_dir))
    except FileNotFoundError:
        return False


def _checked(directory: Directory) -> bool:
    """Tell whether there is a database; OSError when it is not ours. SQLite itself goes by names alone.

    Nobody else can put another file in its place: the directory is closed to them. None is opened here: to
    close it again would let go of the locks that this process holds by another descriptor (fcntl(2)).
    """
    for suffix in BESIDE:
        _is_there(directory, DATABASE + suffix)
    return _is_there(directory, DATABASE)


def _is_there(directory: Directory, name: str) -> bool:
    try:
        directory.check(name)
    except FileNotFoundError:
        return False
    return True


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # After a fault; but a full disk has rolled back by itself already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def transaction(connection: sqlite3.Connection) -> AbstractContextManager[None]:
    """Hold the one writer's place from the start: who upgrades a read lock later may never get it."""
    return _Transaction(connection)


def _connect(path: str, query: str) -> sqlite3.Connection:
    # What has a meaning in a URI (RFC 3986); every other octet SQLite takes as it is.
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    uri = f"file:{quoted}?{query}"
    connection = sqlite3.connect(uri, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _for_queries(path: str) -> sqlite3.Connection:
    connection = _connect(path, "mode=rw")
    try:
        _migrate(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        if _code(error) not in NOT_WRITABLE_CODES:
            raise
        # The shared memory beside a WAL cannot be made on a read-only or full disk; there nobody else writes.
        connection = _connect(path, "immutable=1")
        _version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: str) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StateError(
            f"the history cannot be used: {path} was written by a newer cronwrap"
            f" (schema {version}, this one knows {VERSION}); it is left alone"
        )
    return version


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    if _version(connection, path) == VERSION:
        return
    with transaction(connection):
        # Asked again under the lock: another process may have been faster.
        for number, step in enumerate(SCHEMA[_version(connection, path) :], _version(connection, path) + 1):
            for statement in step.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def _create(directory: Directory, path: str) -> None:
    """Make the database under another name, so that nobody ever opens half of one."""
    name = f"{DATABASE}.new-{os.getpid()}-{time.monotonic_ns()}"
    new = os.path.join(os.path.dirname(path), name)
    # SQLite gives the files beside it the same mode as this one.
    os.close(directory.create(name))
    try:
        connection = _connect(new, "mode=rw")
        try:
            if not _on_network(directory):
                connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, new)
        finally:
            connection.close()
        try:
            os.link(name, DATABASE, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        except FileExistsError:
            return  # another process was faster, and its database is as good
        except OSError:
            directory.rename(name, DATABASE)  # no hard links here (vfat)
    finally:
        for suffix in ("", *BESIDE):
            try:
                directory.unlink(name + suffix)
            except OSError:
                continue


def _on_network(directory: Directory) -> bool:
    """Tell whether a directory's file system is another machine's (proc(5), mountinfo)."""
    device = os.fstat(directory.fd).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                before, _, after = line.partition(" - ")
                if before.split()[2] == number:
                    return after.startswith(NETWORK_FILE_SYSTEMS)
    except OSError:
        return False
    return False


def _raise_in_words(path: str, inode: int, error: sqlite3.Error | OSError) -> NoReturn:
    """Turn a fault of the database into one sentence; a broken one is set aside first."""
    if isinstance(error, OSError):
        place = error.filename if isinstance(error.filename, str) else path
        raise StateError(f"the history cannot be used: {place}: {error.strerror or error}") from error
    if _code(error) in BROKEN_CODES:
        raise _set_aside(path, inode, error) from error
    raise StateError(f"the history cannot be used: {path}: {error}") from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _set_aside(path: str, inode: int, error: sqlite3.Error) -> StateError:
    new = f"{DATABASE}.broken-{time.strftime('%Y%m%dT%H%M%S')}"
    target = os.path.join(os.path.dirname(path), new)
    try:
        directory = state(os.path.dirname(path))
        # One at a time, and only the file that was found broken: another process may have begun a new one.
        lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fd)
        try:
            _lock(lock)
            if _inode(path) != inode:
                words = f"{path} was broken and has just been set aside"
                return StateError(f"the history cannot be used: {words}")
            # The log goes first: SQLite would play what is left of it into the next database of that name.
            for suffix in (*BESIDE, ""):
                try:
                    directory.rename(DATABASE + suffix, new + suffix)
                except FileNotFoundError:
                    continue
        finally:
            os.close(lock)
    except OSError as fault:
        return StateError(f"the history is broken and cannot be set aside: {path}: {fault.strerror or fault}")
    return SetAsideError(
        f"the history was broken ({error}): it is set aside as {target}, and a new one begins"
    )


def _lock(handle: int) -> None:
    """Take the lock; BlockingIOError when somebody else has it; without locks the inode decides."""
    try:
        bounded(lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
