"""The page's process that has become another user, and does deeds as them.

It is started anew, so that it holds nothing of the page's; it loads what it needs (the interpreter may lie
where the user cannot read it), becomes the user, makes sure that there is no way back, and only then takes
deeds, each over a socket of its own. It ends with the socket by which it gets these.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from cronwrap.web import frames
from cronwrap.web.deeds.base import Pace, Piece, Refused
from cronwrap.web.deeds.perform import perform, stream

PRELOADED = (
    "cronsim",
    "cronsim.cronsim",
    "cronwrap.forked",
    "cronwrap.setup.doctor",
    "cronwrap.state_setup",
    "difflib",
    "encodings.idna",
    "email.policy",
    "unicodedata",
)
"""What is loaded late otherwise, on the way of a deed."""
NOT_BECOME = 70
"""The exit status of a child that is not whom it is to be (EX_SOFTWARE of sysexits(3))."""
AT_ONCE = 32
"""Deeds of one user that are under way at a time; further ones wait."""
STREAMS = 100
"""Streams of one user at a time, each with a thread that sleeps; who comes then is told so."""
REQUEST_LARGEST = 8 * 1024 * 1024
"""Octets of a deed's arguments: a crontab, in base64."""


def main() -> int:
    """Do deeds until nobody asks for more; arguments: the descriptor, whom to become, and the program."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        preload(name)
    become(sys.argv[2])
    sys.argv[0] = sys.argv[3]  # a job is run by the program that this is a part of
    room = Room()
    while True:
        try:
            data, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        except OSError:
            return 0
        if not data:
            return 0
        for descriptor in descriptors:
            room.deeds.acquire()
            threading.Thread(target=_serve, args=(descriptor, room), daemon=True).start()


def preload(name: str) -> None:
    """Load what is loaded late otherwise; an extra may not be there."""
    try:
        import_module(name)
    except ImportError:
        return


def become(name: str) -> None:
    """Become a user for good, with their groups, home and umask; end here if there is a way back."""
    user = pwd.getpwnam(name)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.umask(0o077)
    if {*os.getresuid(), 0} != {user.pw_uid, 0} or not user.pw_uid or can_return():
        os._exit(NOT_BECOME)


def can_return() -> bool:
    """Tell whether this process could be root again."""
    ways: tuple[Callable[[], None], ...] = (
        lambda: os.setresuid(0, 0, 0),
        lambda: os.setresgid(0, 0, 0),
        lambda: os.setgroups([0]),
    )
    for way in ways:
        try:
            way()
        except PermissionError:
            continue
        return True
    return False


class Room:
    """How many deeds there may be at a time; streams take long, and are counted apart."""

    def __init__(self) -> None:
        self.deeds = threading.BoundedSemaphore(AT_ONCE)
        self.streams = threading.BoundedSemaphore(STREAMS)

    def give_up_deed_for_stream(self, left: list[threading.BoundedSemaphore]) -> None:
        """Have one of the places of the streams instead of one of the deeds'; Refused when there is none."""
        if not self.streams.acquire(blocking=False):
            raise Refused(503, "Too many follow outputs at this time")
        left[:] = [self.streams]
        self.deeds.release()


def _serve(descriptor: int, room: Room) -> None:
    left = [room.deeds]
    try:
        with socket.socket(fileno=descriptor) as connection:
            _answer(connection, room, left)
    except OSError:
        return  # who asked has gone
    finally:
        for one in left:
            one.release()


def _answer(connection: socket.socket, room: Room, left: list[threading.BoundedSemaphore]) -> None:
    with connection.makefile("rb") as reading:
        length = frames.HEADER.unpack(reading.read(frames.HEADER.size))[1]
        asked: dict[str, Any] = json.loads(reading.read(min(length, REQUEST_LARGEST)))
    name, arguments, asker, config = (asked[key] for key in ("deed", "arguments", "asker", "config"))
    try:
        if asked["stream"]:
            room.give_up_deed_for_stream(left)
            _stream(connection, stream(name, arguments, asker, config))
        else:
            connection.sendall(frames.of_object(perform(name, arguments, asker, config)))
    except Refused as refused:
        connection.sendall(frames.of_object(refused.as_object(), frames.REFUSED))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # a bug in one deed ends no other
        words = f"{type(error).__name__}: {error}"
        bug = Refused(500, "An error inside cronwrap", words)
        connection.sendall(frames.of_object(bug.as_object(), frames.REFUSED))


def _stream(connection: socket.socket, pieces: Iterator[Piece | dict[str, Any]]) -> None:
    pace = Pace()
    for piece in pieces:
        connection.sendall(frames.of_object(piece) if isinstance(piece, dict) else frames.of_piece(piece))
        time.sleep(pace.pause(piece))
    connection.sendall(frames.frame(frames.END))


if __name__ == "__main__":
    sys.exit(main())
