"""Whether a shell can parse a text: asked of the shell itself, which executes nothing (``-n``)."""

from __future__ import annotations

import os
import re
import subprocess
import time

from cronwrap.crontab.shell import BOURNE_SHELLS, POSIX_SHELLS, surely_parsed

DIRECTORIES = ("/bin", "/usr/bin", "/usr/local/bin")
"""Where shells are looked for: a SHELL elsewhere may be a program that the crontab brought along."""
PATIENCE = 5.0
"""Seconds for one text."""
BUDGET = 60.0
"""Seconds for all texts of a crontab; one takes a few milliseconds."""
LONGEST = 100_000
"""Characters; no cron takes so many."""
_NO_START_FILES = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}
_WHERE = re.compile(r"^[^:]*: (?:(?:-c|line|syntax error at line)[: ]*[0-9]*:? ?)*(?:[0-9]+: )?")


class ShellCheck:
    """Asks shells, each text once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._spent = 0.0

    def fault(self, shell: str, text: str) -> str:
        """Give what a shell has against a text; empty when it has nothing, or cannot be asked."""
        name = shell.rpartition("/")[2]
        if name not in BOURNE_SHELLS or "\0" in text or len(text) > LONGEST or self._spent > BUDGET:
            return ""
        if name in POSIX_SHELLS and surely_parsed(text):
            return ""  # most are; to ask takes milliseconds
        if (name, text) not in self._known:
            begun = time.monotonic()
            self._known[name, text] = _ask(name, text)
            self._spent += time.monotonic() - begun
        return self._known[name, text]


def _ask(name: str, text: str) -> str:
    paths = (f"{directory}/{name}" for directory in DIRECTORIES)
    path = next((path for path in paths if os.access(path, os.X_OK)), "")
    if not path:
        return ""
    try:
        done = subprocess.run(
            [path, *_NO_START_FILES.get(name, ()), "-n"],
            input=os.fsencode(text) + b"\n",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},  # no ENV or BASH_ENV, which name files to execute
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode == 0 or not lines:
        return ""
    return _WHERE.sub("", lines[0]) or lines[0]
