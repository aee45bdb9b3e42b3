"""The system log: for what has nowhere else to go. Nobody waits for it.

syslog(3) waits for as long as nobody reads ``/dev/log``, which would be for ever where its reader hangs. So
the line (RFC 3164, as syslog(3) writes it) goes out by a socket of our own that never waits.
"""

from __future__ import annotations

import os
import time

PLACES = ("/dev/log", "/var/run/syslog", "/var/run/log")
"""Where the log daemon listens: Linux, macOS, the BSDs."""
PRIORITY = 9 << 3 | 3
"""LOG_CRON, LOG_ERR (syslog(3))."""
LINE_LIMIT = 8000
"""Octets; daemons take 8 KiB (rsyslog) or more."""


def log(text: str) -> bool:
    """Write an error to the system log; say whether it has taken it."""
    # NUL and octets that are no UTF-8 would be refused; control characters, obeyed by a reader's terminal.
    shown = "".join(char if char.isprintable() else "?" for char in text)
    now = time.localtime()
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    stamp = f"{months[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
    line = f"<{PRIORITY}>{stamp} cronwrap[{os.getpid()}]: {shown}".encode(errors="replace")[:LINE_LIMIT]
    return any(_send(place, line) for place in PLACES)


def _send(place: str, line: bytes) -> bool:
    try:
        import _socket  # noqa: PLC0415  # `socket` itself would cost a failing run milliseconds
    except ImportError:
        return False
    for kind, end in ((_socket.SOCK_DGRAM, b""), (_socket.SOCK_STREAM, b"\0")):
        try:
            channel = _socket.socket(_socket.AF_UNIX, kind)
        except OSError:
            return False
        try:
            channel.setblocking(False)
            channel.connect(place)
            if channel.send(line + end) == len(line + end):
                return True
        except OSError:
            continue  # nobody listens, in this way at least, or nobody reads
        finally:
            channel.close()
    return False
