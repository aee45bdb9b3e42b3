"""Does deeds as the user they are for: in this process, or in a child that has become that user.

A hole in the page is then worth what that user's own shell is worth. A child is told by whom it was started
which user it is, and there is no way to tell it another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from starlette.concurrency import iterate_in_threadpool

from cronwrap.crontab.store import this_program
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings
from cronwrap.web import frames
from cronwrap.web.deeds.base import Arguments, Pace, Piece, Refused, surroundings
from cronwrap.web.deeds.perform import perform, stream

IDLE = 30.0
"""Seconds without a deed after which a child ends."""
CHILDREN = 24
"""Children at a time, some 40 MB each at most; the one that was idle the longest makes room."""
THREADS = 40
"""Deeds that are done in this process at a time; further ones wait."""
STREAMS = 200
"""Streams at a time, in this process; who comes then is told so."""
LAST_WAIT = 2.0
"""Seconds that a child has to end in, at the end."""
PATIENCE = 60.0
"""Seconds for a deed: a disk, or a file server, may hang, and a page must say so at some time."""


class Child:
    """A process that has become a user."""

    def __init__(self, user: pwd.struct_passwd) -> None:
        ours, theirs = socket.socketpair()
        self.control, self.used, self.busy = ours, time.monotonic(), 0
        environment = {
            "HOME": user.pw_dir,
            "USER": user.pw_name,
            "LOGNAME": user.pw_name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **{name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TZ")},
        }
        with theirs:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-m", "cronwrap.web.child"),
                    *(str(theirs.fileno()), user.pw_name, this_program() or "cronwrap"),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=environment,
                start_new_session=True,
            )

    def connection(self) -> socket.socket:
        """Give a socket over which one deed can be asked for; OSError when the child has gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self.control, [b"\0"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return ours

    def close(self) -> None:
        """Let it end; what it does now it does to its end, without a listener."""
        self.control.close()


class Actor:
    """Does deeds, as the user they are for."""

    def __init__(self, config: str = "") -> None:
        self.uid, self.user = os.geteuid(), user_name()
        self._config = config
        """The configuration file that was named; a child reads its user's own."""
        self._children: dict[str, Child] = {}
        self._dying: list[subprocess.Popen[bytes]] = []
        self._threads = anyio.CapacityLimiter(THREADS)
        self._streams = 0

    def settings(self) -> Settings:
        """Give what is in force for who this process is."""
        return surroundings(self.user, self._config).settings

    async def call(self, user: str, deed: str, arguments: Arguments, *, asker: str = "") -> Any:
        """Do a deed as a user; give JSON's types. Refused when it cannot be done."""
        asker = asker or user
        with anyio.move_on_after(PATIENCE):
            if user == self.user:
                function = partial(perform, deed, arguments, asker, self._config)
                return await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=self._threads)
            async for answer in self._asked(user, deed, arguments, asker, streams=False):
                return answer
        raise Refused(504, "This takes too long", f"{deed} of {user} has not answered in {PATIENCE:.0f} s")

    async def stream(
        self, user: str, deed: str, arguments: Arguments, *, asker: str = ""
    ) -> AsyncIterator[Piece | dict[str, Any]]:
        """Do a deed that streams, as a user; give its pieces."""
        asker = asker or user
        if user != self.user:
            async for answer in self._asked(user, deed, arguments, asker, streams=True):
                yield answer
            return
        pace = Pace()
        with self._room_for_stream():
            async for piece in iterate_in_threadpool(stream(deed, arguments, asker, self._config)):
                yield piece
                await anyio.sleep(pace.pause(piece))

    @contextmanager
    def _room_for_stream(self) -> Iterator[None]:
        if self._streams >= STREAMS:
            raise Refused(503, "Too many follow outputs at this time")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def _asked(
        self, user: str, deed: str, arguments: Arguments, asker: str, *, streams: bool
    ) -> AsyncIterator[Any]:
        child = self._child(user)
        child.busy += 1
        try:
            reader, writer = await asyncio.open_unix_connection(sock=child.connection())
            try:
                asked = {
                    "deed": deed,
                    "arguments": arguments,
                    "asker": asker,
                    "config": "",
                    "stream": streams,
                }
                writer.write(frames.frame(frames.RESULT, json.dumps(asked).encode()))
                await writer.drain()
                async for answer in _answers(reader):
                    yield answer
            finally:
                writer.close()
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            words = f"the process that acts for {user} has ended"
            raise Refused(503, "This cannot be done now", words) from error
        finally:
            child.busy -= 1
            child.used = time.monotonic()

    def _child(self, user: str) -> Child:
        child = self._children.get(user)
        if child and child.process.poll() is None:
            return child
        if self.uid:
            raise Refused(404, "There is nothing of this user here")
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):
            raise Refused(404, "There is no such user") from None
        if not entry.pw_uid:
            raise Refused(404, "There is nothing of this user here", f"{user} is another name of root's")
        self.tidy(most=CHILDREN - 1)
        try:
            child = self._children[user] = Child(entry)
        except (OSError, subprocess.SubprocessError) as error:
            words = f"no process can be started for {user}: {error}"
            raise Refused(503, "This cannot be done now", words) from error
        return child

    def tidy(self, most: int = CHILDREN, now: float | None = None) -> None:
        """Let children end that nobody has asked for a while, and those above so many."""
        now = time.monotonic() if now is None else now
        idle = sorted((child.used, user) for user, child in self._children.items() if not child.busy)
        too_many = len(self._children) - most
        for number, (used, user) in enumerate(idle):
            if number < too_many or now - used > IDLE or self._children[user].process.poll() is not None:
                child = self._children.pop(user)
                child.close()
                self._dying.append(child.process)
        self._dying = [process for process in self._dying if process.poll() is None]

    @property
    def busy(self) -> bool:
        """Tell whether a child is at something."""
        return any(child.busy for child in self._children.values())

    def close(self) -> None:
        """Let every child end; one that does not is left to itself."""
        for child in self._children.values():
            child.close()
            self._dying.append(child.process)
        self._children.clear()
        for process in self._dying:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LAST_WAIT)


async def _answers(reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    while True:
        kind, length = frames.length_of(await reader.readexactly(frames.HEADER.size))
        content = await reader.readexactly(length)
        if kind == frames.END:
            return
        if kind == frames.OCTETS:
            yield frames.piece_of(content)
            continue
        found = json.loads(content)
        if kind == frames.REFUSED:
            raise Refused.from_object(found)
        yield found
