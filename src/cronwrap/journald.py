"""One structured line a run in journald's own protocol. Nobody waits for it.

A field is ``NAME=value`` and a line break or, where the value has line breaks itself, the name, a line break,
the value's length in 8 octets (little end first), the value and a line break
(systemd.io/JOURNAL_NATIVE_PROTOCOL).
"""

from __future__ import annotations

SOCKET = "/run/systemd/journal/socket"
"""Where it listens; where nothing is there this module is not even loaded."""
FACILITY = 9
"""LOG_CRON (syslog(3))."""
ERROR, INFORMATION = 3, 6
"""LOG_ERR for a failure, LOG_INFO for the rest."""
NO_FAILURE = ("ok", "skipped")
VALUE_LIMIT = 4096
"""Octets; a job's name has 200 at most, so that a datagram is always small enough (net.core.wmem_max)."""
FIELDS = (
    ("RUN", "run"),
    ("JOB", "job"),
    ("USER", "user"),
    ("RESULT", "result"),
    ("EXIT_CODE", "exit_code"),
    ("SIGNAL", "signal"),
    ("DURATION", "duration"),
    ("CPU_SECONDS", "cpu_seconds"),
    ("MAX_RSS_BYTES", "max_rss_bytes"),
    ("OUTPUT_BYTES", "output_bytes"),
    ("TRIES", "tries"),
    ("MAILED", "mailed"),
)
"""After ``CRONWRAP_``, and the run's own words for them; never the command."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def tell(run: Mapping[str, Any], path: str = SOCKET) -> bool:
    """Write a run that has ended to the journal; say whether it was taken."""
    try:
        import _socket  # noqa: PLC0415  # `socket` itself would cost a run milliseconds
    except ImportError:
        return False
    try:
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    except OSError:
        return False
    try:
        channel.setblocking(False)
        channel.sendto(datagram(run), path)
    except OSError:  # nobody reads, or not as fast
        return False
    finally:
        channel.close()
    return True


def datagram(run: Mapping[str, Any]) -> bytes:
    """Give what is sent: the run's fields, and a message for people."""
    result = str(run.get("result", ""))
    duration = run.get("duration")
    took = "" if duration is None else f" after {float(duration):.1f} s"
    fields = [
        ("MESSAGE", f"{run.get('job', '')}: {_words(run)}{took}"),
        ("PRIORITY", INFORMATION if result in NO_FAILURE else ERROR),
        ("SYSLOG_FACILITY", FACILITY),
        ("SYSLOG_IDENTIFIER", "cronwrap"),
    ]
    for name, key in FIELDS:
        value = run.get(key)
        if value is not None:
            fields.append((f"CRONWRAP_{name}", int(value) if isinstance(value, bool) else value))
    return b"".join([_field(name, value) for name, value in fields])


def _words(run: Mapping[str, Any]) -> str:
    if run.get("result") == "failed" and run.get("exit_code") is not None:
        return f"exit status {run['exit_code']}"
    if run.get("result") == "signal" and run.get("signal") is not None:
        return f"signal {run['signal']}"
    return str(run.get("result", ""))


def _field(name: str, value: object) -> bytes:
    try:
        octets = str(value).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = str(value).encode("utf-8", "backslashreplace")
    octets = octets[:VALUE_LIMIT]
    if b"\n" not in octets:
        return b"%s=%s\n" % (name.encode(), octets)
    return b"%s\n%s%s\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
