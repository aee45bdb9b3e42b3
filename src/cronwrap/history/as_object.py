"""A run as an object for programs: what ``history --json`` gives of it. Loads no database."""

from __future__ import annotations

from cronwrap.text import iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

KEYS = (
    *(
        "run",
        "job",
        "command",
        "host",
        "user",
        "started",
        "ended",
        "duration",
        "result",
        "exit_code",
        "signal",
    ),
    *("tries", "reasons", "output_bytes", "cpu_seconds", "max_rss_bytes", "mailed"),
)
"""What is given of a run, in this order."""


def as_object(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give a run by its columns; what is not known is None, times are ISO 8601 with offset."""
    found = {name: fields.get(name) for name in KEYS}
    return {**found, "started": iso(fields.get("started")), "ended": iso(fields.get("ended"))}
