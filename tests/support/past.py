"""A past for the tests and demonstrations of the page: runs put into a history as if they took place."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cronwrap.history import arrivals, database, folding
from cronwrap.history.kept_output import pack
from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.paths import user_name


@dataclass
class Was:
    """A run that took place; what is not said is as of a run that ended well."""

    job: str
    started: float
    took: float = 1.0
    result: str = "ok"
    exit_code: int | None = 0
    signal: int | None = None
    reasons: tuple[str, ...] = ()
    said: list[tuple[int, bytes]] = field(default_factory=list)
    command: str = ""
    mailed: bool = False
    quiet_reason: str = ""
    tries: int = 1
    by_hand: bool = False
    user: str = ""

    def fields(self, number: int) -> dict:
        """What is on record of it."""
        sizes = {STDOUT: 0, STDERR: 0}
        for stream, octets in self.said:
            sizes[stream] += len(octets)
        return {
            "run": f"{time.strftime('%Y%m%dT%H%M%S', time.localtime(self.started))}-{number:08x}",
            "job": self.job,
            "command": self.command or f"/usr/local/bin/{self.job}",
            "host": "web1",
            "user": self.user or user_name(),
            "started": self.started,
            "ended": self.started + self.took,
            "duration": self.took,
            "result": self.result,
            "exit_code": self.exit_code if self.result in {"ok", "failed"} else None,
            "signal": self.signal,
            "tries": self.tries,
            "reasons": self.reasons,
            "output_bytes": sum(sizes.values()),
            "stdout_bytes": sizes[STDOUT],
            "stderr_bytes": sizes[STDERR],
            "cpu_seconds": self.took / 3,
            "max_rss_bytes": 12 << 20,
            "mailed": self.mailed,
            "quiet_reason": self.quiet_reason,
            "digest": "",
            "boot_id": "",
            "pid": 1,
            "by_hand": self.by_hand,
            "fence": None,
            "earlier_bytes": None,
            "notified": False,
        }

    def output(self) -> dict | None:
        """What is remembered of what it said."""
        content, marks = b"", []
        for number, (stream, octets) in enumerate(self.said):
            marks.append(Mark(offset=len(content), stream=stream, elapsed=float(number)))
            content += octets
        if not content:
            return None
        sizes = {STDOUT: 0, STDERR: 0}
        for stream, octets in self.said:
            sizes[stream] += len(octets)
        whole = Output(
            head=content,
            tail=b"",
            left_out_bytes=0,
            left_out_lines=0,
            stdout_bytes=sizes[STDOUT],
            stderr_bytes=sizes[STDERR],
            marks=tuple(marks),
        )
        return pack(whole)


def remember(state_dir: str, past: list[Was]) -> list[str]:
    """Put runs into the history of a state directory; give their ids, in the order of their ends."""
    ids = []
    with database.writing(state_dir) as connection, database.transaction(connection):
        arrived = arrivals.last(connection)
        for number, was in enumerate(sorted(past, key=lambda one: one.started + one.took), 1):
            fields = was.fields(number)
            arrived += folding._insert(connection, fields, was.output(), arrived + 1)
            ids.append(fields["run"])
        arrivals.note(connection, arrived)
    return ids
