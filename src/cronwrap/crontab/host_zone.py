"""The time zone that cron keeps on this host."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


def host_zone() -> tzinfo:
    """Give the time zone that cron keeps: ``TZ``, or the host's."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        if not name:
            return UTC
    try:
        return datetime.now().astimezone().tzinfo or UTC
    except ValueError:  # an offset of a day and more
        return UTC
