"""One small file a run: what is known of it before it reaches the history.

The way of every run leads through here, so nothing is imported that costs: ``sqlite3`` alone would be
more than a quiet run may spend. ``runs`` folds the files of ended runs into its database later.

    STATE/runs/RUN.TAG        a run that has begun; its cronwrap holds a flock(2) on it while it lives
    STATE/runs/RUN.TAG.end    a run that has ended and waits for the history
    STATE/runs/.new-RUN.TAG   left before the job may run; the run is not on record yet
    STATE/runs/broken/        what could not be read

TAG is a digest of the job's name, so that the files of one job are found without opening the others.
A file holds one frame, written at the start, and a second one, appended at the end. The rename to ``.end``
is the point of no return: until then the run counts as begun, from then on as ended.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import time

from cronwrap.errors import StateError
from cronwrap.lock import bounded
from cronwrap.state import NEW, RUNS, boot_id, checksum, process_started, state, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cronwrap.model import Output
    from cronwrap.state import Directory

    Fields = dict[str, Any]

BROKEN = "broken"
ENDED = ".end"
STOP = ".stop-"
"""What the names begin with of files that ask for a run's end (``stopping``)."""
REPORTED = "reported"
"""A key of the end of a run whose report was about to go into the queue."""

MAGIC = b"cronwrap-run 1 "
HEADER_BYTES = len(MAGIC) + 8 + 1 + 16 + 1
MARSHAL_VERSION = 2
"""Read by every Python there is; what came later only saves space for shared references."""
RECORD_MAX = 16 * 1024 * 1024
"""No record comes near; a larger file was not written by us and is not read into memory."""
COMMAND_MAX = 64 * 1024
"""Characters of a command that are kept: execve(2) allows megabytes, and every run would store them."""
FOLD_AT = 64
"""Ended runs that may wait for the history; more would slow down each look at the directory."""
DATABASE = "history.db"
STARTED = (
    *((name, (str,)) for name in ("run", "job", "command", "host", "user", "node", "boot_id")),
    ("started", (int, float)),
    ("pid", (int,)),
    ("pid_started", (int,)),
)
"""What each start has, and of which type; what has not was not written by ``begin``."""
LEFTOVERS = (f"{DATABASE}.new-", "settings.cache.", ".doctor")
"""What the names in the state directory begin with of files that are to get another name, or to go."""
LEFTOVER_AGE = 86400
"""Seconds after which a file that was never put in place is taken away: its writer died long ago."""


class Unreadable(Exception):  # noqa: N818 - control flow inside the package, never shown
    """A file is not what was written: cut short, torn or foreign."""


class Entry:
    """A run on record that has not ended, and the lock that says so."""

    __slots__ = ("_directory", "_fd", "_name", "_size", "_synced", "end", "fields", "on_end")

    def __init__(self, directory: Directory, name: str, fd: int, fields: Fields) -> None:
        self.fields = fields
        """What was written at the start."""
        self.end: Fields | None = None
        """How it ended, of a run that died when its report was to go into the queue."""
        self.on_end: Callable[[], None] | None = None
        """Called once the run is on record as ended, or off the record."""
        self._directory = directory
        self._name = name
        self._fd = fd
        # What follows the start was foreseen, or written by halves.
        self._size = HEADER_BYTES + int(os.pread(fd, HEADER_BYTES, 0)[len(MAGIC) :].split()[0], 16)
        self._synced = False

    def sync(self) -> None:
        """Have the start survive a power cut; for a job that outlives its first second.

        A shorter one is spared the wait, here and at its end: to lose one of those with the power is
        better than to make each of them wait for a disk.
        """
        try:
            os.fsync(self._fd)
            os.fsync(self._directory.fd)
        except OSError as error:
            raise _fault(error, self._directory.path) from error
        self._synced = True

    def foresee(self, fields: Fields) -> None:
        """Write down how the run ended before its report goes into the queue; ``finish`` is still to come.

        Whoever finds it so knows that its report is on its way, or whole on disk. A disk that does not take
        it is told of by ``finish``.
        """
        try:
            self._append({**fields, REPORTED: True})
            os.fsync(self._fd)
        except OSError:
            return

    def finish(self, fields: Fields, output: Output | None = None) -> None:
        """Write down how the run ended and let go of it. Raises ``StateError``.

        A full disk still takes the end without the output: it fits into the block that the start has.
        When even that fails the run is taken off the record, since it would pass for abandoned.
        """
        try:
            if output is not None and output.kept:
                self._append_with_output(fields, output)
            else:
                self._append(fields)
            if self._synced:
                os.fsync(self._fd)
            self._directory.rename(self._name, self._name + ENDED)
            if self._synced:
                os.fsync(self._directory.fd)
        except OSError as error:
            _unlink(self._directory, self._name)
            raise _fault(error, self._directory.path) from error
        finally:
            self.release()
            if self.on_end:
                self.on_end()

    def withdraw(self) -> None:
        """Take the run off the record: nobody waits for this any more."""
        _unlink(self._directory, self._name)
        self.release()
        if self.on_end:
            self.on_end()

    def release(self) -> None:
        """Let go of the lock without writing anything: whoever looks next may claim the run."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append_with_output(self, fields: Fields, output: Output) -> None:
        try:
            # Only a run that said something pays for it.
            from cronwrap.history.kept_output import pack  # noqa: PLC0415

            self._append({**fields, "output": pack(output)})
        except (OSError, ImportError):
            self._append(fields)  # over what came of the first try; nobody reads beyond a frame's end

    def _append(self, fields: Fields) -> None:
        _write(self._fd, _frame(fields), self._size)


def begin(state_dir: str, fields: Fields) -> Entry:
    """Put a run on record: ``run job command host user started``. Raises ``StateError``."""
    run = fields["run"]
    if not run or not run.replace("-", "").replace("_", "").isalnum():
        raise StateError(f"not a run id: {run!r}")
    name = f"{run}.{tag(fields['job'])}"
    new = NEW + name
    fields = {
        **fields,
        "command": fields["command"][:COMMAND_MAX],
        "node": os.uname().nodename,
        "boot_id": boot_id(),
        "pid": os.getpid(),
        "pid_started": process_started("self"),
    }
    directory: Directory | None = None
    fd = -1
    try:
        directory = state(state_dir, RUNS, make=True)
        try:
            fd = directory.open(new, os.O_RDWR)  # the mark that was left before the job could run
        except FileNotFoundError:
            fd = directory.create(new)
        # Locked before it has its name: nobody may see it unlocked and take its run for a dead one.
        fields["locked"] = _lock(fd)
        _write(fd, _frame(fields), 0)
        directory.rename(new, name)
    except OSError as error:
        if directory and fd >= 0:
            os.close(fd)
            _unlink(directory, new)
        raise _fault(error, os.path.join(state_dir, RUNS)) from error
    return Entry(directory, name, fd, fields)


def waiting(state_dir: str) -> int:
    """Count the ended runs that wait for the history; no file is opened."""
    return sum(name.endswith(ENDED) for name in _names(_runs(state_dir)))


def fold_due(state_dir: str) -> bool:
    """Tell whether even a run that has nothing to ask the history should fold the ended ones into it."""
    if waiting(state_dir) > FOLD_AT:
        return True
    try:
        state(state_dir).stat(DATABASE)
    except FileNotFoundError:
        return True
    return False


def ended(state_dir: str, job: str | None = None) -> Iterator[tuple[str, Fields]]:
    """Give name and record of ended runs; ``Unreadable`` ones come with an empty record."""
    suffix = ENDED if job is None else f".{tag(job)}{ENDED}"
    directory = _runs(state_dir)
    if directory is None:
        return
    for name in sorted(name for name in _names(directory) if name.endswith(suffix)):
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
        _unlink(directory, name)


def running(state_dir: str, job: str | None = None) -> Iterator[Fields]:
    """Give what was written at the start of the runs that are under way."""
    directory = _runs(state_dir)
    if directory is None:
        return
    for name in _begun(directory, job):
        try:
            fd = directory.open(name)
        except OSError:
            continue
        try:
            start, end = _parse(_content(fd))
            if end is None and _alive(fd, start, fcntl.LOCK_SH):
                yield start
        except (OSError, Unreadable):
            continue
        finally:
            os.close(fd)


def abandoned(state_dir: str, job: str | None = None, own: Entry | None = None) -> list[Entry]:
    """Claim the runs whose cronwrap died, each for one caller only.

    The claim is the dead run's lock: ``finish`` the entry once its report is safe. A claimer that dies
    before leaves the run to the next one, so the report may come twice but is never lost.
    """
    skip = None if own is None else own._name  # noqa: SLF001 - of this module
    _adopt_marks(_runs(state_dir), job)
    claims = []
    for name in _begun(_runs(state_dir), job):
        if name != skip:
            entry = _claim(state_dir, name)
            if entry is not None:
                claims.append(entry)
    return claims


def why_abandoned(start: Fields) -> str:
    """Give in words what must have become of a run that was claimed as abandoned."""
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
        raise _fault(error, path) from error
    return os.path.join(path, BROKEN, name)


def unreadable(state_dir: str) -> list[str]:
    """Give the names of begun runs that are nobody's and cannot be read."""
    found: list[str] = []
    directory = _runs(state_dir)
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
            # A run that is under way holds its lock: whatever its file looks like, it is not ours to move.
            if _try_lock(fd, fcntl.LOCK_SH) is not False:
                found.append(name)
        except OSError:
            continue
        finally:
            os.close(fd)
    return found


def sweep(state_dir: str, now: float | None = None) -> None:
    """Take away what writers left behind that died before their file had its name."""
    limit = (time.time() if now is None else now) - LEFTOVER_AGE
    _sweep(_runs(state_dir), (NEW, STOP), limit)
    try:
        _sweep(state(state_dir), LEFTOVERS, limit)
    except OSError:
        return
    from cronwrap.history import live_output  # noqa: PLC0415  # rare

    live_output.sweep(state_dir)


def _sweep(directory: Directory | None, beginnings: tuple[str, ...], limit: float) -> None:
    for name in _names(directory):
        try:
            if directory and name.startswith(beginnings) and directory.stat(name).st_mtime < limit:
                _unlink(directory, name)
        except OSError:
            continue


def _runs(state_dir: str) -> Directory | None:
    """Give the directory of the runs, None while there is none; StateError when it cannot be used."""
    try:
        return state(state_dir, RUNS)
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"the records in {os.path.join(state_dir, RUNS)} cannot be read: {_words(error)}"
        raise StateError(text) from error


def _names(directory: Directory | None) -> list[str]:
    if directory is None:
        return []
    try:
        return directory.names()
    except OSError as error:
        raise StateError(f"the records in {directory.path} cannot be read: {error.strerror}") from error


def _begun(directory: Directory | None, job: str | None) -> list[str]:
    suffix = None if job is None else "." + tag(job)
    return [
        name
        for name in sorted(_names(directory))
        if not name.endswith(ENDED) and name[0] != "." and name != BROKEN
        if suffix is None or name.endswith(suffix)
    ]


def _claim(state_dir: str, name: str) -> Entry | None:
    try:
        directory = state(state_dir, RUNS)
        fd = directory.open(name, os.O_RDWR)
    except OSError:
        return None
    try:
        start, end = _parse(_content(fd))
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
    for name in _names(directory):
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
            words = content.decode("utf-8", "surrogateescape").split("\n")
            pid, born, node, user, started, job = words[:6]
            fields = {"run": name[len(NEW) :].rpartition(".")[0], "job": job, "command": job, "host": node}
            fields |= {"user": user, "node": node, "boot_id": boot_id(), "started": float(started)}
            fields |= {"pid": int(pid), "pid_started": int(born)}
        lives = process_started(fields["pid"]) == fields["pid_started"]
        if fields["node"] != os.uname().nodename or not fields["pid_started"] or lives:
            return
        _write(fd, _frame(fields), 0)
        directory.rename(name, name[len(NEW) :])
    finally:
        os.close(fd)


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


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _try_lock(fd: int, lock: int) -> bool | None:
    """Take a lock at once: False when somebody else holds it, None where there are no locks."""
    try:
        bounded(lambda: fcntl.flock(fd, lock | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _frame(fields: Fields) -> bytes:
    payload = marshal.dumps(fields, MARSHAL_VERSION)
    return b"%s%08x %016x\n" % (MAGIC, len(payload), checksum(payload)) + payload


def _write(fd: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


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


def _unlink(directory: Directory, name: str) -> None:
    try:
        directory.unlink(name)
    except OSError:
        return


def _fault(error: OSError, path: str) -> StateError:
    return StateError(f"the run cannot be recorded in {path}: {_words(error)}")


def _words(error: OSError) -> str:
    """Give what is wrong, with the place where that is another than the runs' own directory."""
    why = error.strerror or str(error)
    elsewhere = isinstance(error.filename, str) and error.filename.startswith("/")
    return f"{error.filename}: {why}" if elsewhere and not error.filename.endswith(f"/{RUNS}") else why
