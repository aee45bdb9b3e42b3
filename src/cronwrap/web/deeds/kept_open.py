"""The live output of runs that somebody follows, kept for those who were cut off and come again.

With a run its live output goes, unless somebody reads it. Who follows over a bad line is away for a moment,
and in that moment the run may end: so this process reads as well, for a while after anybody has.
"""

from __future__ import annotations

import threading
import time

from cronwrap.history import live_output
from cronwrap.history.live_output import Reader

GRACE = 120.0
"""Seconds that it is kept after somebody has followed: a browser comes again after some, a train later."""
MOST = 64
"""Runs whose output is kept open, two descriptors each; the one asked for the longest ago gives way."""
LOOK_EVERY = 10.0

_lock = threading.Lock()
_held: dict[tuple[str, str], tuple[Reader, float]] = {}
_looking = False


def keep(state_dir: str, run: str, now: float | None = None) -> None:
    """Have the live output of a run, if there is any, outlive the run for a while."""
    now = time.monotonic() if now is None else now
    key = state_dir, run
    with _lock:
        held = _held.pop(key, None)
        try:
            _held[key] = (held[0] if held else Reader(state_dir, run)), now  # the last of them all, now
        except OSError:
            return  # there is none yet, or none any more
        while len(_held) > MOST:
            _let_go(next(iter(_held)))
        _look_later()


def _look_later() -> None:
    global _looking  # noqa: PLW0603  # one timer for them all
    if not _looking and _held:
        timer = threading.Timer(LOOK_EVERY, look)
        timer.daemon = True
        timer.start()
        _looking = True


def look(now: float | None = None) -> None:
    """Let go of what nobody has followed for a while."""
    global _looking  # noqa: PLW0603
    now = time.monotonic() if now is None else now
    with _lock:
        _looking = False
        for key in [key for key, (_reader, used) in _held.items() if now - used > GRACE]:
            _let_go(key)
        _look_later()


def _let_go(key: tuple[str, str]) -> None:
    reader, _used = _held.pop(key)
    reader.close()
    live_output.sweep(key[0])  # with a run that has ended it goes, unless another reads it
