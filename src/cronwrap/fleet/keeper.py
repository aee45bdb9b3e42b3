"""What a run asks of the fleet while it waits: a claim, a lease and its renewals, in a process of its own.

So the run itself loads no psycopg, and can leave alone what does not answer. Both speak lines of JSON. A
request::

    {"do": "claim", "job": …, "user": …, "run": …, "minute": …}
    {"do": "lease", "job": …, "user": …, "run": …, "seconds": …, "how": "skip" | "wait" | "kill", "limit": …}
    {"do": "renew", …, "seconds": …, "fence": …}

and an answer, of which the first word tells what it is: ``won``, ``held`` (by ``host`` and ``run``),
``waits``, ``leased`` (with the ``fence``), ``renewed`` (``wanted``: its end is asked for), ``lost`` (to
``host`` and ``run``), ``failed`` (``why``). ``asked`` is when the database was asked, by a clock that both
have: a lease cannot have begun earlier. When the run closes its end the lease is given back.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.fleet.database import Database, connected, host_name
from cronwrap.settings.files import fleet_in_force
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.load import load

CLAIM = "SELECT * FROM cronwrap.claim(%(host)s, %(job)s, %(user)s, %(minute)s, %(run)s)"
LEASE = "SELECT * FROM cronwrap.lease(%(host)s, %(job)s, %(user)s, %(run)s, %(seconds)s, %(want)s)"
RENEW = "SELECT * FROM cronwrap.renew(%(host)s, %(job)s, %(user)s, %(run)s, %(fence)s, %(seconds)s)"
RELEASE = "SELECT cronwrap.release(%(host)s, %(job)s, %(user)s, %(run)s, %(fence)s)"
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, as the database's does."""
PAUSE = 1.0
"""Seconds between two looks whether a lease has become free."""
ANSWER = 5.0
"""Seconds for one answer of the database: a run waits no longer (SPEC 10)."""


class Keeper:
    """Serves one run."""

    def __init__(self, fleet: Fleet, answers: TextIO) -> None:
        self._fleet = fleet.replace(timeout=min(fleet.timeout, ANSWER))
        self._answers = answers
        self._opened: Any = None
        self._database: Database | None = None
        self._lease: dict[str, Any] = {}

    def serve(self, requests: Iterator[str]) -> None:
        """Answer each request, until there are no more; then give back what is held."""
        try:
            for line in requests:
                request = json.loads(line)
                request["host"] = host_name(self._fleet)
                try:
                    getattr(self, request["do"])(request)
                except CronwrapError as error:
                    self._close()
                    self._tell("failed", why=str(error), for_good=isinstance(error, ConfigError))
        finally:  # also of a run that gave up waiting for an answer
            if self._lease:
                self._call(RELEASE, self._lease)

    def claim(self, request: dict[str, Any]) -> None:
        """Claim a minute for a run."""
        found = self._call(CLAIM, request)
        if found["host"] == request["host"] and found["run"] == request["run"]:
            self._tell("won")
        else:
            self._tell("held", host=found["host"], run=found["run"])

    def lease(self, request: dict[str, Any]) -> None:
        """Take a lease, waiting for it if that is asked for."""
        how, limit = request["how"], request["limit"]
        end = None if limit is None else time.monotonic() + limit
        request["want"] = how == "kill"
        while True:
            asked = time.clock_gettime(CLOCK)
            found = self._call(LEASE, request)
            if found["fence"] is not None:
                self._lease = {**request, "fence": found["fence"]}
                self._tell("leased", fence=found["fence"], asked=asked)
                return
            if how == "skip" or (end is not None and time.monotonic() >= end):
                self._tell("held", host=found["host"], run=found["run"])
                return
            self._tell("waits", host=found["host"], run=found["run"])
            left = PAUSE if end is None else min(PAUSE, end - time.monotonic())
            time.sleep(max(0.0, min(left, found["remaining"] or 0.0) or left))

    def renew(self, request: dict[str, Any]) -> None:
        """Renew the lease that is held, by this process or by one before it that has died."""
        self._lease = request
        asked = time.clock_gettime(CLOCK)
        found = self._call(RENEW, request)
        if found["kept"]:
            self._tell("renewed", wanted=bool(found["wanted"]), asked=asked)
        else:
            self._lease = {}
            self._tell("lost", host=found["host"], run=found["run"])

    def _call(self, statement: str, values: dict[str, Any]) -> dict[str, Any]:
        if self._database is None:
            self._opened = connected(self._fleet)
            self._database = self._opened.__enter__()
        return self._database.call(statement, values)[0]

    def _close(self) -> None:
        opened, self._opened, self._database = self._opened, None, None
        if opened:
            opened.__exit__(None, None, None)

    def _tell(self, what: str, **more: Any) -> None:
        self._answers.write(json.dumps({"what": what, **more}) + "\n")
        self._answers.flush()


def main() -> int:
    """Serve the run that has started this process, by standard input and output."""
    fleet = fleet_in_force(load({}, os.environ).paths)
    answers = sys.stdout
    try:
        if fleet is None:
            raise ConfigError("no fleet is configured: [fleet] url")
        Keeper(fleet, answers).serve(iter(sys.stdin))
    except BrokenPipeError:
        return 0  # the run has gone
    except CronwrapError as error:
        answers.write(json.dumps({"what": "failed", "why": str(error), "for_good": True}) + "\n")
        answers.flush()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
