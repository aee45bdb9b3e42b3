"""Jobs that a person holds back: a pause (its runs are skipped) or a mute (they mail nothing), a file each.

    STATE/pauses/NAME.pause     its runs are skipped
    STATE/pauses/NAME.paused    they were: kept until a mail has said so
    STATE/pauses/NAME.mute      its runs mail nothing; after its end kept until a mail has said so

NAME is the job's as a file name. Files are put in place whole. A quiet run looks for the first by a failing
open(2) of its own (``pipeline.context``), so that none of this is loaded.
"""

from __future__ import annotations

import os

from cronwrap.errors import StateError
from cronwrap.model import Record
from cronwrap.state import PAUSES, file_name, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.state import Directory

PAUSE, PAUSED, MUTE = "pause", "paused", "mute"
SIZE_LIMIT = 16 * 1024
"""Octets; a hold has some two hundred, and a larger file is none of ours."""


class Hold(Record):
    """What keeps a job, or its mails, back. Times in Unix seconds."""

    kind: str
    job: str
    since: float
    """From when on things were held back."""
    asked: float = 0.0
    """When it was asked for: later, where one takes the place of another that nobody has told of yet."""
    until: float | None = None
    """None: until somebody ends it."""
    until_ok: bool = False
    """Whether the next good run ends it (a mute)."""
    by: str = ""
    """Who asked for it."""

    def over(self, now: float) -> bool:
        """Tell whether its time has come."""
        return self.until is not None and self.until <= now


class Damaged(Exception):  # noqa: N818 - what is wrong with a file, for whoever reads it
    """A file is not what was written."""


def read(state_dir: str, kind: str, job: str) -> Hold | None:
    """Give a job's hold, None when there is none; OSError or ``Damaged`` when that cannot be told."""
    name = f"{file_name(job)}.{kind}"
    try:
        hold = _load(state(state_dir, PAUSES), name)
    except FileNotFoundError:
        return None
    if hold.job != job:
        raise Damaged(f"{state_dir}/{PAUSES}/{name} is another job's")
    return hold


def every(state_dir: str) -> list[Hold]:
    """Give all holds that can be read; StateError when the directory cannot be."""
    try:
        directory = state(state_dir, PAUSES)
        names = directory.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StateError(f"pauses cannot be read: {error.filename}: {error.strerror}") from error
    found = []
    for name in sorted(names):
        if name.endswith((f".{PAUSE}", f".{PAUSED}", f".{MUTE}")):
            try:
                found.append(_load(directory, name))
            except (OSError, Damaged):
                continue  # the job itself says so at its next run
    return found


def write(state_dir: str, hold: Hold) -> None:
    """Put a hold in place, over one of its kind; StateError when that cannot be done."""
    import json  # noqa: PLC0415  # beside a person's command the time is there

    name = f"{file_name(hold.job)}.{hold.kind}"
    content = json.dumps({field: getattr(hold, field) for field in Hold.fields()}).encode() + b"\n"
    try:
        directory = state(state_dir, PAUSES, make=True)
        new = f".{os.getpid()}.new"
        _unlink(directory, new)  # of a writer with this pid that was killed
        fd = directory.create(new)
        try:
            try:
                if os.write(fd, content) != len(content):
                    raise OSError(28, os.strerror(28))  # ENOSPC: a full disk says it this way, too
                os.fsync(fd)
            finally:
                os.close(fd)
            directory.rename(new, name)
            os.fsync(directory.fd)
        except OSError:
            _unlink(directory, new)
            raise
    except OSError as error:
        raise StateError(f"{state_dir}/{PAUSES}/{name} cannot be written: {error.strerror}") from error


def remove(state_dir: str, kind: str, job: str) -> None:
    """Take a hold away; harmless when there is none, StateError when it cannot be."""
    name = f"{file_name(job)}.{kind}"
    try:
        state(state_dir, PAUSES).unlink(name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"{state_dir}/{PAUSES}/{name} cannot be removed: {error.strerror}") from error


def end_pause(state_dir: str, hold: Hold, now: float) -> None:
    """End a pause, and keep in mind that it was, for the next mail; StateError when that cannot be done."""
    before = None
    try:
        before = read(state_dir, PAUSED, hold.job)
    except (OSError, Damaged):
        pass  # written over
    end = now if hold.until is None else min(now, hold.until)
    write(state_dir, hold.replace(kind=PAUSED, until=end, since=before.since if before else hold.since))
    remove(state_dir, PAUSE, hold.job)


def _load(directory: Directory, name: str) -> Hold:
    import json  # noqa: PLC0415  # where something is held back alone

    fd = directory.open(name)
    try:
        content = os.read(fd, SIZE_LIMIT + 1)
    finally:
        os.close(fd)
    try:
        found = json.loads(content) if len(content) <= SIZE_LIMIT else None
    except (ValueError, RecursionError):
        found = None
    place = f"{directory.path}/{name}"
    if not isinstance(found, dict) or found.keys() != set(Hold.fields()):
        raise Damaged(f"{place} is not what was written")
    times = [found["since"], found["asked"], *([] if found["until"] is None else [found["until"]])]
    texts = [found["kind"], found["job"], found["by"]]
    right = all(type(value) in (int, float) and abs(value) < 1e15 for value in times)
    if not right or not all(type(text) is str for text in texts) or type(found["until_ok"]) is not bool:
        raise Damaged(f"{place} is not what was written")
    if found["kind"] != name.rpartition(".")[2]:
        raise Damaged(f"{place} is not what its name says")
    return Hold(**found)


def _unlink(directory: Directory, name: str) -> None:
    try:
        directory.unlink(name)
    except OSError:
        return
