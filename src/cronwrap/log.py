"""The system log: for what has nowhere else to go."""

from __future__ import annotations

import syslog


def log(text: str) -> None:
    """Write an error to syslog; without one, to nobody."""
    syslog.openlog("cronwrap", syslog.LOG_PID, syslog.LOG_CRON)
    # NUL and octets that are no UTF-8 would be refused; control characters, obeyed by a reader's terminal.
    syslog.syslog(syslog.LOG_ERR, "".join(char if char.isprintable() else "?" for char in text))
