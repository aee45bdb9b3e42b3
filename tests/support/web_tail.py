"""A client of a run's live output that is cut off all the time, and a job that says what a test wants."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket

from cronwrap.history import records
from support.cli import Cli
from support.waiting import wait_until


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket, or to a port of this host."""

    def __init__(self, to: str | int) -> None:
        super().__init__("localhost", timeout=30)
        self._to = to

    def connect(self) -> None:
        if isinstance(self._to, int):
            self.sock = socket.create_connection(("127.0.0.1", self._to), self.timeout)
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._to)


class Job:
    """A run under way whose job says what it is given: ``cat`` of a pipe."""

    def __init__(self, cli: Cli, name: str = "talker", *options: str) -> None:
        self._pipe = os.path.join(cli.directory, f"{name}.pipe")
        os.mkfifo(self._pipe)
        self.process = cli.start("-n", name, *options, "--", "cat", self._pipe)
        self._open = open(self._pipe, "wb", buffering=0)
        self.run = wait_until(
            lambda: next((f["run"] for f in records.running(cli.state, name)), ""), timeout=20
        )
        self.said = b""

    def say(self, octets: bytes) -> None:
        """Have it say something more."""
        self.said += octets
        rest = memoryview(octets)
        while rest:
            rest = rest[self._open.write(rest) :]

    def end(self) -> None:
        """Have it end."""
        self._open.close()


class Follower:
    """What a client has received; ``follow`` goes on where it was cut off."""

    def __init__(self, to: str | int, run: str, **headers: str) -> None:
        self._to, self._path, self._headers = to, f"/api/v1/runs/{run}/tail", headers
        self.received, self.offset, self.gaps, self.end = b"", 0, 0, None
        self._random = random.Random(4711)

    def follow(self, octets: int | None = None, to: str | int | None = None) -> None:
        """Receive to the end or, if given, at least ``octets`` more; then drop the connection."""
        connection = Connection(self._to if to is None else to)
        headers = {"Last-Event-ID": str(self.offset)} if self.offset else {}
        connection.request("GET", self._path, headers={**self._headers, **headers})
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        wanted = None if octets is None else len(self.received) + octets
        block = b""
        try:
            while self.end is None and (wanted is None or len(self.received) < wanted):
                data = answer.read1(self._random.randrange(1, 5000))
                assert data, "the stream ended without saying so"
                block += data
                *whole, block = block.split(b"\n\n")
                for one in whole:
                    self._take(one.decode())
        finally:
            connection.close()

    def _take(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "id" not in fields:
            return
        event, data = fields.get("event", "message"), fields["data"]
        if event == "message":
            octets = base64.b64decode(data, validate=True)
            self.received += octets
            assert int(fields["id"]) == self.offset + len(octets)
        elif event == "gap":
            self.gaps += int(data)
        elif event == "end":
            self.end = json.loads(data)
        self.offset = int(fields["id"])


def cut_off_all_the_time(job: Job, follower: Follower, drops: int, way=None) -> None:
    """Have a job talk, and its follower cut off while it listens, so many times; then have the job end.

    ``way()`` gives where to connect this time.
    """
    source = random.Random(11)
    for number in range(drops):
        if len(follower.received) == len(job.said) or not number % 10:
            job.say(source.randbytes(source.randrange(1, 90_000)) + "é\x1b[31m\r\n".encode())
        follower.follow(1, to=way() if way else None)
    job.say(b"the last word")
    job.end()
    assert job.process.wait(30) == 0
    follower.follow()
