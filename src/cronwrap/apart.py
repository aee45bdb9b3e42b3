"""A piece of work done in a process of its own, so that what it loads does not stay in this one."""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


def compute(work: Callable[[], T]) -> T:
    """Give what ``work`` gives, of types that ``marshal`` knows; done here where no process is to be had."""
    try:
        ours, theirs = os.pipe()
        pid = os.fork()
    except OSError:
        return work()
    if not pid:
        try:
            os.close(ours)
            value: Any = work()
            rest = memoryview(marshal.dumps(value))
            while rest:
                rest = rest[os.write(theirs, rest) :]
        finally:
            os._exit(0)
    os.close(theirs)
    content = b""
    while chunk := os.read(ours, 1 << 16):
        content += chunk
    os.close(ours)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # SIGCHLD is ignored: nobody has to be waited for
    try:
        result: T = marshal.loads(content)  # noqa: S302  # our own child's
    except (ValueError, EOFError, TypeError):
        return work()  # it came to nothing there: here the reason shows
    return result
