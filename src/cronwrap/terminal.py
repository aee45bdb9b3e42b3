"""The controlling terminal: who is in its foreground (tcsetpgrp(3), setpgid(2), "job control" of POSIX)."""

from __future__ import annotations

import os

from cronwrap.signals import block_all, set_mask


def controlling() -> int:
    """Give a descriptor of the controlling terminal among the first three, or -1."""
    for descriptor in range(3):
        if foreground(descriptor) >= 0:
            return descriptor
    return -1


def foreground(terminal: int) -> int:
    """Give the process group in the foreground of a terminal, or -1."""
    try:
        return os.tcgetpgrp(terminal)
    except OSError:
        return -1


def set_foreground(terminal: int, group: int) -> None:
    """Put a process group into the foreground; quietly nothing when terminal or group have gone."""
    mask = block_all()  # SIGTTOU would stop us
    try:
        os.tcsetpgrp(terminal, group)
    except OSError:
        return
    finally:
        set_mask(mask)


def can_stop() -> bool:
    """Say whether a shell watches our process group, so that somebody would let us go on again."""
    try:
        return os.getsid(os.getppid()) == os.getsid(0)
    except OSError:
        return False
