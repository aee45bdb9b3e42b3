"""The job without cronwrap around it: what is left when something of ours is wrong before it could start.

It takes this process's place, so that it needs no descriptor, no memory and no other process: its status and
its output go where cronwrap's would have gone, to crond.
"""

from __future__ import annotations

import errno
import os
import sys

from cronwrap.exit_status import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND
from cronwrap.job.signals import RESTORED
from cronwrap.job.spawn import Start, execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from cronwrap.job.signals import Signals
else:
    import _signal


def become(start: Start, signals: Signals | None, why: object) -> int:
    """Become the job, and say why; give the exit status when that cannot be done."""
    words = f"{type(why).__name__}: {why}" if isinstance(why, BaseException) else str(why)
    _say(f"the job runs, but nobody watches it and nothing will be reported: {words}")
    try:
        if signals:
            signals.restore()
            _signal.pthread_sigmask(_signal.SIG_SETMASK, signals.mask)
        for number in () if signals else RESTORED:
            _signal.signal(number, _signal.SIG_DFL)
    except (OSError, ValueError) as error:
        _say(f"signals could not be put back: {error}")
    try:
        if start.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, start.nice)
    except OSError as error:
        _say(f"niceness {start.nice} could not be set: {error.strerror}")
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if start.chdir:
            os.chdir(start.chdir)
        execute(start)
    except (OSError, ValueError) as error:
        program = start.command.argv[0] if start.command.argv else ""
        _say(f"{program}: {getattr(error, 'strerror', None) or error}")
        missing = getattr(error, "errno", 0) in (errno.ENOENT, errno.ENOTDIR)
        return EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE


def _say(text: str) -> None:
    try:
        os.write(2, f"cronwrap: {' '.join(text.split())}\n".encode(errors="backslashreplace"))
    except OSError:
        return
