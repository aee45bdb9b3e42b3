"""A run's place on record that cannot be reached when the run ends: the file system does not answer.

A process of its own waits for that, so that neither crond nor the report does, and the run is not called
abandoned when the server is there again.
"""

from __future__ import annotations

import os

from cronwrap.forked import detach
from cronwrap.history.journal import Entry
from cronwrap.state import silent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from cronwrap.history.journal import Fields
    from cronwrap.model import Output
else:
    import _signal

LONGEST = 7 * 86400
"""Seconds that it waits for a file system: a server that is away for longer has taken more with it."""


def later(work: Callable[[], object]) -> None:
    """Have a process of its own do what a file system is to be waited for; nothing where there is none."""
    try:
        if os.fork():
            return
    except OSError:
        return
    try:
        detach()
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
        _signal.alarm(LONGEST)
        silent.clear()
        work()
    finally:
        os._exit(0)


class LateEntry(Entry):
    """A run on record that is put down as ended once that can be done; nothing here waits."""

    def __init__(self, entry: Entry) -> None:
        for name in Entry.__slots__:
            setattr(self, name, getattr(entry, name))

    def sync(self) -> None:
        """Leave that to whoever waits."""

    def foresee(self, fields: Fields) -> None:
        """Leave that to whoever waits: it holds the run's lock, so that nobody takes it for a dead one."""

    def finish(self, fields: Fields, output: Output | None = None) -> None:
        """Have it written down how the run ended."""
        end, self.on_end = self.on_end, None
        later(lambda: Entry.finish(self, fields, output))
        self.end = fields
        if end:
            end()

    def withdraw(self) -> None:
        """Leave the run on record: it cannot be taken off either."""
