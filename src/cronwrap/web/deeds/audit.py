"""A line for every change by the page: who, what, before, after. JSON lines in the state directory, 0600.

STATE/audit.log     appended to, never read by cronwrap but for ``crontabs`` (who changed what)
STATE/audit.log.1   what was in it before
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from cronwrap.log import log
from cronwrap.state import state
from cronwrap.text import iso, one_line
from cronwrap.web.deeds.base import Arguments, Surroundings

NAME, BEFORE = "audit.log", "audit.log.1"
LARGEST = 8 * 1024 * 1024
"""Octets after which a new file is begun: some ten thousand changes of crontabs."""
LONGEST_TEXT = 64 * 1024
"""Characters of one text in a line: crontabs are whole, as a rule."""


def note(around: Surroundings, deed: str, arguments: Arguments, outcome: str) -> None:
    """Write down a change; where that cannot be done the system log has it."""
    found = {
        "time": iso(time.time()),
        "who": around.asker,
        "user": around.user,
        "what": deed,
        "of": _cut(arguments),
        "outcome": outcome,
        "before": _cut(around.before),
        "after": _cut(around.after),
    }
    line = json.dumps(found).encode() + b"\n"
    try:
        directory = state(around.state_dir, make=True)
        fd = directory.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            if os.fstat(fd).st_size > LARGEST:
                directory.rename(NAME, BEFORE)
            if os.write(fd, line) != len(line):
                raise OSError(28, os.strerror(28))  # ENOSPC: a full disk says it this way, too
        finally:
            os.close(fd)
    except OSError as error:
        words = f"{around.asker} did {deed} for {around.user}: {outcome}"
        log(one_line(f"the audit cannot be written ({error.strerror}): {words}"))


def _cut(value: Any) -> Any:
    """Give a value with its long texts shortened."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {str(key): _cut(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_cut(one) for one in value]
    return value
