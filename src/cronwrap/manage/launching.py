"""A command of cronwrap's in a process of its own, which outlives whoever asked."""

from __future__ import annotations

import os
import subprocess

from cronwrap.crontab.store import this_program
from cronwrap.errors import CronwrapError


def launch(words: list[str]) -> subprocess.Popen[bytes]:
    """Start ``cronwrap WORDS`` in a session of its own, listened to by nobody."""
    program = this_program()
    if program is None:
        raise CronwrapError("the program cronwrap is not on the PATH here")
    try:
        return subprocess.Popen(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")},
        )
    except OSError as error:
        raise CronwrapError(f"{program} cannot be started: {error.strerror}") from None
