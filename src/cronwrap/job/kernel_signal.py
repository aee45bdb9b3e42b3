"""A signal ignored by the kernel's own call, where the C library lets nobody set it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RT_SIGACTION = {"x86_64": 13, "i686": 174, "armv7l": 174, "ppc64le": 173, "s390x": 174}
"""The number of rt_sigaction(2), which alone can set it; elsewhere the one that newer systems share."""
RT_SIGACTION_SHARED, MASK_SIZE = 134, 8
SIG_IGN, ACTION_SIZE = 1, 32


def ignore(number: int) -> None:
    """Have a signal ignored that the C library lets nobody set; nothing where that is not to be had."""
    try:
        import _ctypes  # noqa: PLC0415  # as in ``spawn.become_subreaper``

        program: Any = None
        call = RT_SIGACTION.get(os.uname().machine, RT_SIGACTION_SHARED)
        action = SIG_IGN.to_bytes(8, sys.byteorder).ljust(ACTION_SIZE, b"\0")
        address = _ctypes.dlsym(_ctypes.dlopen(program, 0), "syscall")
        _ctypes.call_function(address, (call, number, action, 0, MASK_SIZE))
    except (ImportError, AttributeError, OSError):
        return
