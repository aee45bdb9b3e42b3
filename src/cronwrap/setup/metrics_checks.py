"""The directory of ``[metrics] textfile``: whether a run can write there, and what kept the last from it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from cronwrap.beside import Beside
from cronwrap.history import journal
from cronwrap.metrics import textfile
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings
from cronwrap.setup.check import Check
from cronwrap.spans import ago

NAME = "metrics"


def checks(settings: Settings) -> Iterator[Check]:
    """Give what is to be said of the directory; nothing where no metrics are wanted."""
    directory = settings["metrics.textfile"]
    if not directory:
        return
    advice = f"let this user write there: see the manual, Metrics; or take textfile = {directory!r} away"
    try:
        place = Beside(lambda: textfile.opened(directory)).wait()
    except OSError as error:
        text = f"{directory}: {error.strerror}"
        yield Check(name=NAME, ok=False, text=text, advice=advice)
        return
    try:
        yield _judged(place, directory, settings.state_dir, advice)
    finally:
        os.close(place)


def _judged(place: int, directory: str, state_dir: str, advice: str) -> Check:
    name = textfile.file_name(user_name())
    effective = os.access in os.supports_effective_ids
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=place, effective_ids=effective):
        return Check(name=NAME, ok=False, text=f"{directory} cannot be written", advice=advice)
    if why := textfile.fault(state_dir):
        return Check(name=NAME, ok=False, text=f"the last run could not write: {why}", advice=advice)
    try:
        found = os.stat(name, dir_fd=place, follow_symlinks=False)
    except OSError:
        remark = "no run has written it yet; the next one will" if journal.names_of_ended(state_dir) else ""
        return Check(name=NAME, ok=True, text=f"{directory}/{name} is written after each run", advice=remark)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        text = f"{directory}/{name} is not a file of this user"
        return Check(name=NAME, ok=False, text=text, advice="take it away")
    return Check(name=NAME, ok=True, text=f"{directory}/{name}, written {ago(time.time() - found.st_mtime)}")
