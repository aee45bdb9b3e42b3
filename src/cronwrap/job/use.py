"""What the processes of a run under way use at this moment; who asks is a person, so psutil has the time."""

from __future__ import annotations

import psutil

from cronwrap.model import Record
from cronwrap.state import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.history.run import Run

CLOCK_TOLERANCE = 2.0
"""Seconds by which the start of a process (in ticks since boot) may seem later than it was."""


class Use(Record):
    """What the living processes of a job use together."""

    processes: int
    cpu_seconds: float
    """Of these and of their children that have ended."""
    rss_bytes: int
    """Resident memory; pages that they share are counted once for each."""


def of_run(run: Run) -> Use | None:
    """Give what a run's processes use, or None where that cannot be told: it is over, or elsewhere."""
    if run.pid <= 0 or run.boot_id != boot_id():
        return None
    try:
        cronwrap = psutil.Process(run.pid)
        # Another container may share the state directory, and means another process by that number.
        if cronwrap.create_time() > run.started + CLOCK_TOLERANCE or cronwrap.username() != run.user:
            return None
        found = cronwrap.children(recursive=True)
    except (psutil.Error, OSError):
        return None
    uses = [use for use in map(_of_process, found) if use is not None]
    if not uses:
        return None
    return Use(
        processes=len(uses),
        cpu_seconds=sum(cpu for cpu, _rss in uses),
        rss_bytes=sum(rss for _cpu, rss in uses),
    )


def _of_process(process: psutil.Process) -> tuple[float, int] | None:
    """Give CPU time and memory of a process; None for one that has ended or may not be looked at."""
    try:
        with process.oneshot():
            times = process.cpu_times()
            # Only some systems tell of children that have ended.
            ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            return times.user + times.system + ended, process.memory_info().rss
    except (psutil.Error, OSError):
        return None
