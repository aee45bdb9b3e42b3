"""When a run is to tell that it still goes on, and whether it has: what there is of it from the start."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cronwrap.model import Output
    from cronwrap.pipeline.context import RunContext
    from cronwrap.report.verdict import Policy


class StillDue:
    """Telling, once in a run, that it still goes on: ``--still-running``, over all its tries."""

    def __init__(self, run: RunContext, policy: Policy, began: float) -> None:
        """``began`` is when its first try did, by the monotonic clock."""
        self._run, self._policy, self._began = run, policy, began
        self._due: float | None = run.settings["still-running"]
        self._word = -1
        """The end of a pipe in which the child says that its mail is stored."""

    def left(self, began: float) -> float | None:
        """Give the seconds from the begin of a try until it is due, None when it is not any more."""
        return None if self._due is None else max(0.0, self._began + self._due - began)

    def tell(self, output: Callable[[], Output]) -> int:
        """Tell it in a process of its own; give its pid."""
        elapsed = time.monotonic() - self._began
        self._due = None
        from cronwrap.pipeline.still_running import tell  # noqa: PLC0415  # heavy, and it is seldom due

        pid, self._word = tell(self._run, self._policy, elapsed, output)
        return pid

    def told(self) -> bool:
        """Say whether a mail that told it is stored."""
        if self._word < 0:
            return False
        try:
            return os.read(self._word, 1) == b"1"
        except OSError:
            return False  # it is at it, or hangs: the end is told as if it were not
        finally:
            os.close(self._word)
