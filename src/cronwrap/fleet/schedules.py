"""When this user's jobs are due next, as the crontabs here say, for the hosts that watch over this one."""

from __future__ import annotations

from itertools import islice

from cronwrap.crontab.audit import due_from
from cronwrap.crontab.host_zone import host_zone
from cronwrap.history.totals import text
from cronwrap.metrics.upcoming import watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    Schedule = tuple[str, float, float, float, float | None, float]
    """What the crontab says, since when it says so, the seconds that a start may take to be known, since when
    it does not say so any more (0: it does), the next time, and the seconds from that to the one after it."""

GRACE = 75.0
"""Seconds after its time in which a start becomes known: cron's own delay, ours, and that of a host which
waits for its turn (``shipper.GATHER``)."""
EARLY = 1.0
"""Seconds by which a start may be before its time: clocks are set back by a little now and then."""
FORGOTTEN_AFTER = 7 * 86400.0
"""Seconds for which a line that has gone is still expected to run: it may have been taken out by mistake."""


def schedules(
    user: str,
    starts: Mapping[str, float],
    before: Mapping[str, Schedule],
    now: float,
    paused: Container[str] = (),
) -> dict[str, Schedule]:
    """Give each wrapped job's schedule; ``starts`` has the last start of each job. Needs cronsim.

    A line that is new or has changed, and one of a job that is ``paused``, counts from now on: what it did
    not say then was not missed. One that has gone stays for a while as it was.
    """
    found: dict[str, Schedule] = {}
    for job in watched(user):
        names = [text(name) for name in job.names]
        name = next((name for name in names if name in starts), names[0])
        says = f"{job.zone} {job.schedule.expression}".strip()
        said, since, *_ = before.get(name, ("", now))
        known = name in found
        says = f"{found[name][0]}\n{says}" if known else says
        since = since if said.startswith(says) and name not in paused else now
        begin = max(since, starts.get(name, 0.0) + EARLY)
        times = list(islice(due_from(job, begin, host_zone()), 2))
        due = times[0] if times else None
        every = times[1] - times[0] if len(times) > 1 else 0.0
        _says, _since, _grace, _gone, other, others_every = found.get(name, ("", 0.0, 0.0, 0.0, None, 0.0))
        if other is not None and (due is None or other < due):
            due, every = other, others_every
        found[name] = (says, since, GRACE + job.jitter, 0.0, due, every)
    for name, (says, since, grace, gone, due, every) in before.items():
        left = gone or now
        if name not in found and now - left < FORGOTTEN_AFTER:
            missed = due is not None and due > starts.get(name, 0.0) and name not in paused
            found[name] = (says, since, grace, left, due if missed else None, every)
    return found
