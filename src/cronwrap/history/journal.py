"""One small file a run: what is known of it before it reaches the history.

The way of every run leads through here, so nothing is imported that costs: ``sqlite3`` alone would be
more than a quiet run may spend. What reads the records again is in ``records``; ``runs`` folds those of ended
runs into its database later.

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

from cronwrap.state import NEW, RUNS, boot_id, checksum, process_started, state, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.errors import StateError
    from cronwrap.model import Output
    from cronwrap.state import Directory

    Fields = dict[str, Any]

ENDED = ".end"
STOP = ".stop-"
"""What the names begin with of files that ask for a run's end (``stopping``)."""
REPORTED = "reported"
"""A key of the end of a run whose report was about to go into the queue."""

MAGIC = b"cronwrap-run 1 "
HEADER_BYTES = len(MAGIC) + 8 + 1 + 16 + 1
MARSHAL_VERSION = 2
"""Read by every Python there is; what came later only saves space for shared references."""
COMMAND_MAX = 64 * 1024
"""Characters of a command that are kept: execve(2) allows megabytes, and every run would store them."""
FOLD_AT = 64
"""Ended runs that may wait for the history; more would slow down each look at the directory."""
DATABASE = "history.db"


class Entry:
    """A run on record that has not ended, and the lock that says so."""

    __slots__ = ("_directory", "_fd", "_size", "_synced", "end", "fields", "name", "on_end")

    def __init__(self, directory: Directory, name: str, fd: int, fields: Fields) -> None:
        self.fields = fields
        """What was written at the start."""
        self.end: Fields | None = None
        """How it ended: once it has, or of a run that died when its report was to go into the queue."""
        self.name = name
        """Of its file."""
        self.on_end: Callable[[], None] | None = None
        """Called once the run is on record as ended, or off the record."""
        self._directory = directory
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
            raise fault_of(error, self._directory.path) from error
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
            self._directory.rename(self.name, self.name + ENDED)
            self.end = fields
            if self._synced:
                os.fsync(self._directory.fd)
        except OSError as error:
            unlink(self._directory, self.name)
            raise fault_of(error, self._directory.path) from error
        finally:
            self.release()
            if self.on_end:
                self.on_end()

    def withdraw(self) -> None:
        """Take the run off the record: nobody waits for this any more."""
        unlink(self._directory, self.name)
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
        write_at(self._fd, frame(fields), self._size)


def begin(state_dir: str, fields: Fields) -> Entry:
    """Put a run on record: ``run job command host user started``. Raises ``StateError``."""
    run = fields["run"]
    if not run or not run.replace("-", "").replace("_", "").isalnum():
        raise _fault(f"not a run id: {run!r}")
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
        write_at(fd, frame(fields), 0)
        directory.rename(new, name)
    except OSError as error:
        if directory and fd >= 0:
            os.close(fd)
            unlink(directory, new)
        raise fault_of(error, os.path.join(state_dir, RUNS)) from error
    return Entry(directory, name, fd, fields)


def waiting(state_dir: str) -> int:
    """Count the ended runs that wait for the history; no file is opened."""
    return sum(name.endswith(ENDED) for name in names_in(runs_directory(state_dir)))


def names_of_ended(state_dir: str) -> list[str]:
    """Give the names of the records of ended runs that wait for the history; no file is opened."""
    return [name for name in names_in(runs_directory(state_dir)) if name.endswith(ENDED)]


def any_begun(state_dir: str) -> bool:
    """Tell whether there may be runs under way: ``records.running`` looks at them."""
    names = names_in(runs_directory(state_dir))
    return any(not name.endswith(ENDED) and name[0] != "." for name in names)


def run_of(name: str) -> str:
    """Give the id of the run that a record is of."""
    return name.removesuffix(ENDED).rpartition(".")[0]


def others_begun(state_dir: str, job: str, own: Entry | None) -> bool:
    """Tell whether other runs of a job are there that have not ended: ``records.abandoned`` looks at them."""
    name = "" if own is None else own.name
    ending = f".{tag(job)}"
    return any(found.endswith(ending) and found != name for found in names_in(runs_directory(state_dir)))


def fold_due(state_dir: str) -> bool:
    """Tell whether even a run that has nothing to ask the history should fold the ended ones into it."""
    if waiting(state_dir) > FOLD_AT:
        return True
    try:
        state(state_dir).stat(DATABASE)
    except FileNotFoundError:
        return True
    return False


def runs_directory(state_dir: str) -> Directory | None:
    """Give the directory of the runs, None while there is none; StateError when it cannot be used."""
    try:
        return state(state_dir, RUNS)
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"the records in {os.path.join(state_dir, RUNS)} cannot be read: {_words(error)}"
        raise _fault(text) from error


def names_in(directory: Directory | None) -> list[str]:
    """Give the names of the records; StateError when they cannot be read."""
    if directory is None:
        return []
    try:
        return directory.names()
    except OSError as error:
        raise _fault(f"the records in {directory.path} cannot be read: {error.strerror}") from error


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def frame(fields: Fields) -> bytes:
    """Give fields as one frame of a record."""
    payload = marshal.dumps(fields, MARSHAL_VERSION)
    return b"%s%08x %016x\n" % (MAGIC, len(payload), checksum(payload)) + payload


def write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of it at a place of a file."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def unlink(directory: Directory, name: str) -> None:
    """Take a record away, if it can be."""
    try:
        directory.unlink(name)
    except OSError:
        return


def fault_of(error: OSError, path: str) -> StateError:
    """Give what a person is told of a record that cannot be written."""
    return _fault(f"the run cannot be recorded in {path}: {_words(error)}")


def _fault(text: str) -> StateError:
    from cronwrap.errors import StateError  # noqa: PLC0415  # as a rule there is none

    return StateError(text)


def _words(error: OSError) -> str:
    """Give what is wrong, with the place where that is another than the runs' own directory."""
    why = error.strerror or str(error)
    elsewhere = isinstance(error.filename, str) and error.filename.startswith("/")
    return f"{error.filename}: {why}" if elsewhere and not error.filename.endswith(f"/{RUNS}") else why
