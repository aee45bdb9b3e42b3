"""When cron starts the jobs next, as the user's crontab and the system's say. Asked hardly ever."""

from __future__ import annotations

import glob
from itertools import islice

from cronwrap.crontab.audit import Watched, due_from, watch
from cronwrap.crontab.dialect import DEFAULT
from cronwrap.crontab.host_zone import host_zone
from cronwrap.crontab.lines import decode
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.store import File, Own
from cronwrap.errors import CronwrapError
from cronwrap.history.totals import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Times = tuple[str, float, list[float]]
    """What the crontab says, since when it says so, and the next times."""

KNOWN_AHEAD = 90
"""Times that are computed ahead: those of a job of every minute last until the crontab is asked again."""
PATIENCE = 5.0
"""Seconds for crontab(1), which may sit on a name service that does not answer; a run waits for it."""
SYSTEM = "/etc/crontab"
SYSTEM_DIRECTORY = "/etc/cron.d/*"


def upcoming(
    user: str, starts: Mapping[tuple[str, str], float], before: Mapping[str, Times], now: float
) -> dict[str, Times]:
    """Give by its name the times after the last start of each wrapped job; needs cronsim.

    A line that is new or has changed counts from now on: what it did not say then was not missed.
    """
    found: dict[str, Times] = {}
    for job in watched(user):
        names = [text(name) for name in job.names]
        name = next((name for name in names if (name, text(user)) in starts), names[0])
        says = f"{job.zone} {job.schedule.expression}"
        said, since, _ = before.get(name, ("", now, []))
        if said != says:
            since = now
        begin = max(since, starts.get((name, text(user)), 0.0))
        times = list(islice(due_from(job, begin, host_zone()), KNOWN_AHEAD))
        if name in found:  # several lines: whichever comes first
            says, times = f"{found[name][0]}\n{says}", sorted([*found[name][2], *times])[:KNOWN_AHEAD]
            if before.get(name, ("",))[0] == says:
                since = before[name][1]
        found[name] = (says, since, times)
    return found


def watched(user: str) -> Iterator[Watched]:
    """Give the wrapped jobs of a user's own crontab and of the system's; what cannot be read has none."""
    own = Own(patience=PATIENCE)
    try:
        yield from watch(decode(own.read()), user=user)[0]
    except CronwrapError:
        pass  # no crontab(1), or not for this user
    for path in (SYSTEM, *sorted(glob.glob(SYSTEM_DIRECTORY))):
        if passed_over(path, DEFAULT, look=True):
            continue
        try:
            content = File(path).read()
        except CronwrapError:
            continue
        yield from watch(decode(content), system=True, user=user)[0]
