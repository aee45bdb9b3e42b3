"""Who is in the foreground of the terminal (tcsetpgrp(3), setpgid(2), "job control" of POSIX)."""

from __future__ import annotations

import os

from cronwrap.job.signals import block_all, set_mask, stop, tell_group
from cronwrap.job.terminal import controlling, foreground
from cronwrap.model import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


class Foreground:
    """Keeps cronwrap and its job, which are two process groups, looking like one to the terminal."""

    def __init__(self) -> None:
        self._terminal = controlling()
        # A pipeline (`cronwrap -- cmd | less`) keeps the terminal until the job asks for it, see `stopped`.
        self._lend = self._terminal == 0 and os.isatty(STDOUT) and foreground(0) == os.getpgrp()

    @property
    def watched(self) -> bool:
        """Whether there is a terminal, so that it matters when the job is stopped."""
        return self._terminal >= 0

    @property
    def lent(self) -> int:
        """The descriptor of the terminal that the job is to have from its start on; -1 for none."""
        return self._terminal if self._lend else -1

    def stopped(self, job: int, number: int) -> None:
        """Stop as well, now that the job has; when it only waits for the terminal, hand that over."""
        front = foreground(self._terminal)
        wants_terminal = number in (_signal.SIGTTIN, _signal.SIGTTOU)
        # Who had it may have died only since the last try ended: nobody else would bring it back.
        if wants_terminal and (front == os.getpgrp() or is_gone(front)):
            set_foreground(self._terminal, job)
        else:
            if front == job:
                set_foreground(self._terminal, os.getpgrp())
            # The shell sees its whole job stop; we go on here after `fg` or `bg`. Where nobody could bring
            # the terminal the job is told what the kernel tells groups that lose their last keeper.
            if not stop(0) and wants_terminal:
                tell_group(job, _signal.SIGHUP)
        self.continued(job)

    def continued(self, job: int) -> None:
        """Have the job go on, in the foreground if that is where we are."""
        if self._lend and foreground(self._terminal) == os.getpgrp():
            set_foreground(self._terminal, job)
        tell_group(job, _signal.SIGCONT)

    def take_back(self, job: int) -> None:
        """Be in the foreground again where the job was, or somebody of the job's who has gone."""
        front = foreground(self._terminal) if self._terminal >= 0 else -1
        if front > 0 and (front == job or is_gone(front)):
            set_foreground(self._terminal, os.getpgrp())

    def close(self) -> None:
        """Let go of the terminal."""
        if self._terminal > STDERR:
            os.close(self._terminal)
        self._terminal = -1


def set_foreground(terminal: int, group: int) -> None:
    """Put a process group into the foreground; quietly nothing when terminal or group have gone."""
    mask = block_all()  # SIGTTOU would stop us
    try:
        os.tcsetpgrp(terminal, group)
    except OSError:
        return
    finally:
        set_mask(mask)


def is_gone(group: int) -> bool:
    """Say whether a process group has no member any more."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
