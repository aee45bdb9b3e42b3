"""What is wrong with a state directory: it cannot be written or locked, has no room, or does not last."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

import psutil

from cronwrap.crontab.named import NamedJob
from cronwrap.history.database import NETWORK_FILE_SYSTEMS
from cronwrap.lock import Lock
from cronwrap.setup.check import Check
from cronwrap.setup.outbox_checks import what_helps
from cronwrap.setup.wrapped_lines import Line, places
from cronwrap.state import Directory, state
from cronwrap.text import size

LEAST_FREE = 16 << 20
"""Octets: some reports with their output, and the history's next pages."""
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
PRIVATE = ("locks", "runs")
"""The directories in the state directory, but for the outbox, which is told of first."""
TRIED_OCTETS = 4096
"""A block: a file without content fits on a full disk."""


def checks(directory: str) -> Iterator[Check]:
    """Try a state directory, made as a run would make it: to write and lock there, and what room it has."""
    started = time.monotonic()
    try:
        _try_to_write(place := state(directory, make=True))
        for name in PRIVATE:
            with contextlib.suppress(FileNotFoundError):
                state(directory, name)
    except OSError as error:
        told = "chmod" in str(error.strerror)
        advice = f"reports cannot be kept: {what_helps(error, directory)}, or set CRONWRAP_STATE_DIR"
        yield Check(
            name="state",
            ok=False,
            text=f"{error.filename or directory}: {error.strerror}",
            advice="it is neither read nor written" if told else advice,
            seconds=time.monotonic() - started,
        )
        return
    yield Check(name="state", ok=True, text=f"{directory} can be written", seconds=time.monotonic() - started)
    if fault := _no_locks(place):
        yield Check(
            name="locks",
            ok=False,
            text=f"files in {directory} cannot be locked: {fault}",
            advice="jobs run and reports go out; --overlap may fail, and machines that share it send a report"
            " twice: start the file server's lock daemon, or set CRONWRAP_STATE_DIR",
        )
    yield _disk(directory)


def of_lines(lines: Sequence[Line], told: str) -> Iterator[Check]:
    """Tell of the state directories that lines name for themselves, where something is wrong with them."""
    by_place: dict[str, list[NamedJob]] = {}
    for line in lines:
        if line.settings is not None and line.settings.state_dir != told:
            by_place.setdefault(line.settings.state_dir, []).append(line.named)
    for directory, jobs in by_place.items():
        for check in checks(directory):
            if not check.ok:
                yield check.replace(text=f"{places(jobs)}: {check.text}")


def _no_locks(place: Directory) -> str:
    """Give why files cannot be locked, or an empty text."""
    name = f".doctor-lock.{os.getpid()}"
    lock = Lock(name, place.fd)
    try:
        lock.take()
        return lock.fault
    finally:
        lock.release()
        place.unlink(name)


def _try_to_write(directory: Directory) -> None:
    """Write a file as a report is written, and remove it; OSError when that fails."""
    name = f".doctor.{os.getpid()}"
    handle = directory.create(name)
    try:
        os.write(handle, bytes(TRIED_OCTETS))
        os.fsync(handle)
    finally:
        os.close(handle)
        directory.unlink(name)


def _disk(directory: str) -> Check:
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    where = _where(mount := _mount(directory))
    if free < LEAST_FREE:
        advice = "make room: a report that does not fit is sent from memory, once"
        return Check(name="disk", ok=False, text=f"{size(free)} free for the state{where}", advice=advice)
    if found.f_files and not found.f_favail:
        advice = "make room: each report is a file of its own"
        return Check(name="disk", ok=False, text=f"no free inode for the state{where}", advice=advice)
    advice = _volatile(mount)
    return Check(name="disk", ok=True, text=f"{size(free)} free for the state{where}", advice=advice)


def _mount(directory: str) -> tuple[str, str]:
    """Give where the file system of a directory is mounted, and its type; empty where nobody tells."""
    path = os.path.realpath(directory)
    found = ("", "")
    try:
        mounts = psutil.disk_partitions(all=True)
    except (psutil.Error, OSError):
        return found
    for mount in mounts:
        above = mount.mountpoint.rstrip("/") + "/"
        # Of two at one place the later one hides the earlier.
        if f"{path}/".startswith(above) and len(mount.mountpoint) >= len(found[0]):
            found = (mount.mountpoint, mount.fstype)
    return found


def _where(mount: tuple[str, str]) -> str:
    return f" on {mount[0]} ({mount[1]})" if all(mount) else ""


def _volatile(mount: tuple[str, str]) -> str:
    """Say what is to be minded of a file system that forgets, or is another machine's."""
    if mount[1] in MEMORY_FILE_SYSTEMS:
        return (
            "it is in memory: what waits there is lost at a restart; CRONWRAP_STATE_DIR names another place"
        )
    if mount[1].startswith(NETWORK_FILE_SYSTEMS):
        return "it is another machine's: without it no report is kept; CRONWRAP_STATE_DIR names a local place"
    return ""
