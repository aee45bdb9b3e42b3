"""The controlling terminal, if there is one: under cron there is none, and ``foreground`` is not loaded."""

from __future__ import annotations

import os


def controlling() -> int:
    """Give a descriptor of the controlling terminal, or -1; one above 2 is the caller's to close.

    A program finds the terminal by its own name too, to ask for a password, whatever its streams are.
    """
    for descriptor in range(3):
        if foreground(descriptor) >= 0:
            return descriptor
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return -1  # there is none, as under crond


def watched() -> bool:
    """Say whether there is a controlling terminal at all."""
    terminal = controlling()
    if terminal > 2:
        os.close(terminal)
    return terminal >= 0


def foreground(terminal: int) -> int:
    """Give the process group in the foreground of a terminal, or -1."""
    try:
        return os.tcgetpgrp(terminal)
    except OSError:
        return -1
