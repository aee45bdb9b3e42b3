"""The records that runs have left in the journal, read: of those that have ended, run, or died.

The form of a record, and where it lies, stand in ``journal``, which writes them. A quiet run reads none.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import time

from cronwrap.history import damaged
from cronwrap.history.damaged import BROKEN
from cronwrap.history.journal import (
    DATABASE,
    ENDED,
    HEADER_BYTES,
    MAGIC,
    REPORTED,
    STOP,
    Entry,
    fault_of,
    frame,
    names_in,
    runs_directory,
    unlink,
    write_at,
)
from cronwrap.lock import bounded
from cronwrap.paths import user_name
from cronwrap.state import NEW, RUNS, boot_id, checksum, process_started, state, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from cronwrap.history.journal import Fields
    from cronwrap.state import Directory

RECORD_MAX = 16 * 1024 * 1024
"""No record comes near; a larger file was not written by us and is not read into memory."""
STARTED = (
    *((name, (str,)) for name in ("run", "job", "command", "host", "user", "node", "boot_id")),
    ("started", (int, float)),
    ("pid", (int,)),
    ("pid_started", (int,)),
)
"""What each start has, and of which type; what has not was not written by ``begin``."""
LEFTOVERS = (f"{DATABASE}.new-", "settings.cache.", "init.answers.", ".doctor")
"""What the names in the state directory begin with of files that are to get another name, or to go."""
LEFTOVER_AGE = 86400
"""Seconds after which a file that was never put in place is taken away: its writer died long ago."""


MARK_AGE = 3600
"""Seconds after which a mark that cannot be read is none that is just being written."""


class Unreadable(Exception):  # noqa: N818 - control flow inside the package, never shown
    """A file is not what was written: cut short, torn or foreign."""


def ended(state_dir: str, job: str | None = None, seen: Container[str] = ()) -> Iterator[tuple[str, Fields]]:
    """Give name and record of ended runs, but for those ``seen``; an ``Unreadable`` one is empty."""
    suffix = ENDED if job is None else f".{tag(job)}{ENDED}"
    directory = runs_directory(state_dir)
    if directory is None:
        return
    for name in sorted(name for name in names_in(directory) if name.endswith(suffix) and name not in seen):
        try:
            start, end = _read(directory, name)
        except FileNotFoundError:
            continue  # folded by somebody else meanwhile
        except (OSError, Unreadable):
            start, end = {}, None
        yield name, {**start, **end} if end is not None else {}


def forget(state_dir: str, names: list[str]) -> None:
    """Take away records that the history has."""
    directory = state(state_dir, RUNS)
    for name in names:
        unlink(directory, name)


def running(state_dir: str, job: str | None = None) -> Iterator[Fields]:
    """Give what was written at the start of the runs that are under way."""
    directory = runs_directory(state_dir)
    if directory is None:
        return
    for name in _begun(directory, job):
        try:
            fd = directory.open(name)
        except OSError:
            continue
        try:
            start, _end = _parse(_content(fd))
            if _alive(fd, start, fcntl.LOCK_SH):  # it may have written its end, but not yet left
                yield start
        except (OSError, Unreadable):
            continue
        finally:
            os.close(fd)


def abandoned(
    state_dir: str,
    job: str | None = None,
    own: Entry | None = None,
    known: Callable[[], Iterable[str]] = tuple,
) -> list[Entry]:
    """Claim the runs whose cronwrap died, each for one caller only.

    The claim is the dead run's lock: ``finish`` the entry once its report is safe. A claimer that dies
    before leaves the run to the next one, so the report may come twice but is never lost. What cannot be
    read is claimed, too; ``known`` gives the names of jobs that it may be of, if ``job`` is not named.
    """
    skip = None if own is None else own.name
    _adopt_marks(runs_directory(state_dir), job)
    claims = []
    for name in _begun(runs_directory(state_dir), job):
        if name != skip:
            entry = _claim(state_dir, name, known if job is None else lambda: (job,))
            if entry is not None:
                claims.append(entry)
    return claims


def why_abandoned(start: Fields) -> str:
    """Give in words what must have become of a run that was claimed as abandoned."""
    if (copy := start.get(damaged.DAMAGED)) is not None:
        kept = f"; what is left of it is in {copy}" if copy else ""
        return f"neither its end nor anything else of it can be read from its record{kept}"
    if start.get("node") == os.uname().nodename and start.get("boot_id") != boot_id():
        return "the machine went down while it ran"
    return "cronwrap was killed while it ran"


def set_aside(state_dir: str, name: str) -> str:
    """Move a file that cannot be read out of the way; gives its new path."""
    path = os.path.join(state_dir, RUNS)
    try:
        target = state(state_dir, RUNS, BROKEN, make=True)
        state(state_dir, RUNS).rename(name, name, target)
    except FileNotFoundError:
        pass  # somebody else was faster
    except OSError as error:
        raise fault_of(error, path) from error
    return os.path.join(path, BROKEN, name)


def unreadable(state_dir: str) -> list[str]:
    """Give the names of what is among the begun runs, cannot be read, and is none of ours."""
    found: list[str] = []
    directory = runs_directory(state_dir)
    if directory is None:
        return found
    for name in _begun(directory, None):
        try:
            fd = directory.open(name)
        except OSError as error:
            import errno  # noqa: PLC0415  # rare

            if error.errno == errno.EPERM:  # a link, a pipe, somebody else's: it was never a run of ours
                found.append(name)
            continue
        try:
            _parse(_content(fd))
        except Unreadable:
            # What may be a run's is for ``abandoned``: whoever finds it reports it.
            if not damaged.named_as_run(name) and _try_lock(fd, fcntl.LOCK_SH) is not False:
                found.append(name)
        except OSError:
            continue
        finally:
            os.close(fd)
    return found


def sweep(state_dir: str, now: float | None = None) -> None:
    """Take away what writers left behind that died before their file had its name."""
    limit = (time.time() if now is None else now) - LEFTOVER_AGE
    _sweep(runs_directory(state_dir), (NEW, STOP), limit)
    try:
        _sweep(state(state_dir), LEFTOVERS, limit)
    except OSError:
        return
    from cronwrap.history import live_output  # noqa: PLC0415  # not for a run that only looks

    live_output.sweep(state_dir)


def _sweep(directory: Directory | None, beginnings: tuple[str, ...], limit: float) -> None:
    for name in names_in(directory):
        try:
            if directory and name.startswith(beginnings) and directory.stat(name).st_mtime < limit:
                unlink(directory, name)
        except OSError:
            continue


def _begun(directory: Directory | None, job: str | None) -> list[str]:
    suffix = None if job is None else "." + tag(job)
    return [
        name
        for name in sorted(names_in(directory))
        if not name.endswith(ENDED) and name[0] != "." and name != BROKEN
        if suffix is None or name.endswith(suffix)
    ]


def _claim(state_dir: str, name: str, known: Callable[[], Iterable[str]]) -> Entry | None:
    try:
        directory = state(state_dir, RUNS)
        fd = directory.open(name, os.O_RDWR)
    except OSError:
        return None
    try:
        try:
            start, end = _parse(_content(fd))
        except Unreadable:
            # Whoever runs holds the lock; where there are no locks nobody can tell.
            if _try_lock(fd, fcntl.LOCK_EX) is not True or not damaged.named_as_run(name):
                return None
            start, end = damaged.mend(state_dir, name, fd, known()), None
        if not _alive(fd, start, fcntl.LOCK_EX) and directory.stat(name).st_ino == os.fstat(fd).st_ino:
            if end is None or end.get(REPORTED):
                entry = Entry(directory, name, fd, start)
                entry.end, fd = end, -1
                return entry
            # It died between its last write and the rename: nothing is missing but its name.
            directory.rename(name, name + ENDED)
    except (OSError, Unreadable):
        return None
    finally:
        if fd >= 0:
            os.close(fd)
    return None


def _adopt_marks(directory: Directory | None, job: str | None) -> None:
    """Put on record the runs whose cronwrap died before it could, by the mark it left before the job ran."""
    suffix = "" if job is None else "." + tag(job)
    for name in names_in(directory):
        if directory and name.startswith(NEW) and name.endswith(suffix):
            try:
                _adopt(directory, name)
            except (OSError, ValueError, Unreadable):
                continue  # it has just been put on record, or is no mark


def _adopt(directory: Directory, name: str) -> None:
    fd = directory.open(name, os.O_RDWR)
    try:
        content = os.pread(fd, RECORD_MAX, 0)
        try:
            fields = _parse(content)[0]
        except Unreadable:
            if time.time() - os.fstat(fd).st_mtime > MARK_AGE and not _is_mark(content):
                directory.rename(name, name[len(NEW) :])  # damaged: to be claimed as such
                return
            words = content.decode("utf-8", "surrogateescape").split("\n", 6)
            pid, born, node, user, started, job = words[:6]
            fields = {"run": name[len(NEW) :].rpartition(".")[0], "job": job, "command": words[-1]}
            fields |= {"user": user or user_name(), "host": node, "node": node, "boot_id": boot_id()}
            fields |= {"started": float(started), "pid": int(pid), "pid_started": int(born)}
        lives = process_started(fields["pid"]) == fields["pid_started"]
        if fields["node"] != os.uname().nodename or not fields["pid_started"] or lives:
            return
        write_at(fd, frame(fields), 0)
        directory.rename(name, name[len(NEW) :])
    finally:
        os.close(fd)


def _is_mark(content: bytes) -> bool:
    words = content.split(b"\n")
    return len(words) >= 6 and words[0].isdigit() and words[1].isdigit()


def _alive(fd: int, start: Fields, lock: int) -> bool:
    """Tell whether the cronwrap that began a run lives; takes the lock of one that does not.

    The lock says it best, whatever pids were given out again since. Where there are no locks, or one was
    lost (a file server's restart), the process itself is looked for. Of another machine nothing is known.
    """
    got = _try_lock(fd, lock)
    if got is False:
        return True
    if start.get("node") != os.uname().nodename or not start.get("pid_started"):
        return not (got and start.get("locked"))
    if start.get("boot_id") != boot_id():
        return False
    return process_started(int(start["pid"])) == int(start["pid_started"])


def _try_lock(fd: int, lock: int) -> bool | None:
    """Take a lock at once: False when somebody else holds it, None where there are no locks."""
    try:
        bounded(lambda: fcntl.flock(fd, lock | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _read(directory: Directory, name: str) -> tuple[Fields, Fields | None]:
    fd = directory.open(name)
    try:
        return _parse(_content(fd))
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    if size > RECORD_MAX:
        raise Unreadable
    return os.pread(fd, size, 0)


def _parse(content: bytes) -> tuple[Fields, Fields | None]:
    """Give both frames; the second is None when it is missing or was not written whole."""
    start, size = _unframe(content)
    if not all(type(start.get(name)) in types for name, types in STARTED):
        raise Unreadable
    try:
        return start, _unframe(content[size:])[0]
    except Unreadable:
        return start, None


def _unframe(content: bytes) -> tuple[Fields, int]:
    header = content[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC) or header[-1:] != b"\n":
        raise Unreadable
    try:
        length, check = (int(word, 16) for word in header[len(MAGIC) :].split())
    except ValueError:
        raise Unreadable from None
    payload = content[HEADER_BYTES : HEADER_BYTES + length]
    # marshal trusts its input, so it sees nothing but what was written whole.
    if len(payload) != length or checksum(payload) != check:
        raise Unreadable
    try:
        fields = marshal.loads(payload)  # noqa: S302 - our own file, closed to others, checked above
    except Exception:  # noqa: BLE001 - it trusts its input, and fails in many ways on what it did not write
        raise Unreadable from None
    if type(fields) is not dict or not all(type(name) is str for name in fields):
        raise Unreadable
    return fields, HEADER_BYTES + length
