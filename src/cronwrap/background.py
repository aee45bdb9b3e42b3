"""Processes that go on when a run has ended: nothing of the run's may hold on to them, or they to it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

DEFAULTED = (
    _signal.SIGTERM,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGCHLD,
)


def detach() -> None:
    """Leave session, terminal, directory and standard streams: crond waits until its pipes are closed."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    _signal.set_wakeup_fd(-1)
    for number in DEFAULTED:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
