"""Which wrapped jobs were due and did not run. Pure: schedules against the starts of past runs.

Only this module knows cronsim, which computes due times as Debian's cron does: a job at a fixed hour
runs once when the clock is put back, and directly after a gap when the clock is put forward; a job with
a star in its minute or hour follows the clock (cron(8), NOTES).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronwrap.crontab.dialect import DEFAULT, Dialect
from cronwrap.crontab.lines import Job, jobs, parse
from cronwrap.crontab.schedule import Schedule, ScheduleError, read
from cronwrap.crontab.wrap import Use, use_in
from cronwrap.errors import CronwrapError, UsageError
from cronwrap.model import Record
from cronwrap.settings.command_line import SHELL_BASENAME, Invocation
from cronwrap.settings.command_line import parse as read_arguments
from cronwrap.settings.job_name import job_name
from cronwrap.settings.values import duration
from cronwrap.settings.values import name as read_name

EARLY = 60.0
"""Seconds that a start may lie before its due time: the clock may have been set back in between."""


class Watched(Record):
    """A wrapped job of a crontab."""

    number: int
    """Of the line, counted from 1."""
    names: tuple[str, ...]
    """Under any of them its runs may stand in the history."""
    schedule: Schedule
    jitter: float
    """Seconds by which cronwrap itself may put off the start."""
    zone: str
    """``CRON_TZ`` of the crontab; empty for the host's time zone."""


class Unwatched(Record):
    """A job that cannot be judged."""

    number: int
    reason: str


class Missed(Record):
    """A job that did not run when it was due."""

    number: int
    name: str
    due: tuple[float, ...]
    """Unix times of the runs that are missing, ascending."""
    last: float | None
    """Unix time of the last start that is known."""


class Window(Record):
    """The time that is judged."""

    begin: float
    """Unix time."""
    now: float
    zone: tzinfo
    """The host's."""
    grace: float
    """Seconds after its due time within which a job must have started."""


def watch(
    text: str, *, system: bool = False, user: str = "", dialect: Dialect = DEFAULT
) -> tuple[tuple[Watched, ...], tuple[Unwatched, ...]]:
    """Give the wrapped jobs of a crontab, and those that cannot be judged.

    ``user`` is whose history is at hand: in a system crontab the jobs of others are not judged.
    Jobs that are not wrapped leave no history, and are in neither list.
    """
    watched: list[Watched] = []
    unwatched: list[Unwatched] = []
    for job in jobs(parse(text, system=system, dialect=dialect)):
        try:
            if _wrapped(job):
                watched.append(_watched(job, user))
        except (CronwrapError, ScheduleError) as error:
            unwatched.append(Unwatched(number=job.number, reason=str(error)))
        except Exception as error:  # noqa: BLE001  # nothing in one line may keep the others from being judged
            unwatched.append(Unwatched(number=job.number, reason=f"it cannot be understood: {error!r}"))
    return tuple(watched), tuple(unwatched)


def _wrapped(job: Job) -> bool:
    use = use_in(job.parts()[0])
    return use.form != "" if use else _has_cronwrap_shell(job)


def _has_cronwrap_shell(job: Job) -> bool:
    return job.shell.rpartition("/")[2] == SHELL_BASENAME


def _watched(job: Job, user: str) -> Watched:
    if job.user is not None and job.user != user:
        raise CronwrapError(f"it runs as {job.user}, whose history is not at hand")
    if not job.dialect.runs_jobs:
        raise CronwrapError(f"it is {job.dialect.who}'s, which keeps no set times")
    schedule = read(job.schedule)
    if not schedule.expression:
        raise CronwrapError("it has no set time")
    if schedule.never:
        raise CronwrapError("no year has such a date")
    # Debian's cron and cronie may hand the shell different texts; only derived names can differ by that.
    invocations = [invocation(job, text) for text in job.shell_texts()]
    flags = invocations[0].flags
    jitter = flags.get("jitter", job.environment.get("CRONWRAP_JITTER", 0.0))
    try:
        jitter = duration(jitter)
    except ValueError:
        jitter = 0.0  # a value that cannot be used does not delay the job either
    name = flags.get("name", name_above(job))
    names = [name or job_name(one.command({}).text) for one in invocations]
    zone = job.environment.get("CRON_TZ", "")
    if zone:
        zone_named(zone)
    return Watched(
        number=job.number, names=tuple(dict.fromkeys(names)), schedule=schedule, jitter=jitter, zone=zone
    )


def name_above(job: Job) -> str | None:
    """Give the name that the crontab's variables give a job; None for none, or for one that is no name."""
    try:
        return read_name(job.environment.get("CRONWRAP_NAME"))
    except ValueError:
        return None


def invocation(job: Job, text: str) -> Invocation:
    """Give the call of cronwrap that a line makes or, unwrapped, would make.

    CronwrapError when that cannot be told.
    """
    use = use_in(text)
    if use is None or not use.form:
        return Invocation(flags={}, text=text)
    return of_use(job, use)


def of_use(job: Job, use: Use) -> Invocation:
    """Give the call of cronwrap that a part of a line makes; CronwrapError when it cannot be told."""
    found = read_arguments([word.value for word in use.arguments])
    if found is None:
        raise UsageError("it does not run a job")
    named = "name" in found.flags or "CRONWRAP_NAME" in job.environment
    if not named and not all(word.fixed for word in use.arguments):
        raise CronwrapError("its name depends on what the shell makes of the line; give it one with --name")
    return found


def zone_named(name: str) -> ZoneInfo:
    """Give the time zone that ``CRON_TZ`` names; CronwrapError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CronwrapError(f"CRON_TZ={name} is no time zone of this host") from None


def judge(
    watched: Sequence[Watched], runs: Mapping[str, Sequence[float]], window: Window, begins: Sequence[float]
) -> tuple[tuple[Missed, ...], tuple[Unwatched, ...]]:
    """Give what is missing of each job from its own beginning on, and the jobs that cannot be judged.

    Needs cronsim.
    """
    found, unwatched = [], []
    for job, begin in zip(watched, begins, strict=True):
        try:
            one = missed(job, runs, window.replace(begin=max(window.begin, begin)))
        except ModuleNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001  # nothing in one line may keep the others from being judged
            unwatched.append(Unwatched(number=job.number, reason=f"its times cannot be computed: {error}"))
        else:
            found += [one] if one else []
    return tuple(found), tuple(unwatched)


def missed(job: Watched, runs: Mapping[str, Sequence[float]], window: Window) -> Missed | None:
    """Give what is missing of a job in a window, None when nothing is.

    Every due time wants a run of its own, that starts within the grace (and the job's jitter) after it.
    Needs cronsim.
    """
    begun = sorted(start for name in job.names for start in runs.get(name, ()))
    patience = window.grace + job.jitter
    absent: list[float] = []
    at = 0
    for due in due_times(job, window.begin, window.now - patience, window.zone):
        at = bisect_left(begun, due - EARLY, lo=at)
        if at < len(begun) and begun[at] <= due + patience:
            at += 1
        else:
            absent.append(due)
    if not absent:
        return None
    return Missed(number=job.number, name=job.names[0], due=tuple(absent), last=begun[-1] if begun else None)


def due_times(job: Watched, begin: float, end: float, zone: tzinfo) -> list[float]:
    """Give the Unix times in [begin, end] at which cron starts a job."""
    found: list[float] = []
    # cronsim begins with the second after the one it is given.
    for moment in due_from(job, begin - 1, zone):
        if moment > end:
            break
        if moment >= begin:
            found.append(moment)
    return found


def due_from(job: Watched, begin: float, zone: tzinfo) -> Iterator[float]:
    """Give the Unix times after ``begin`` at which cron starts a job, without end. Needs cronsim."""
    from cronsim import CronSim  # noqa: PLC0415  # an extra that may not be installed; see the caller

    local = zone_named(job.zone) if job.zone else zone
    for due in CronSim(job.schedule.expression, datetime.fromtimestamp(begin, UTC).astimezone(local)):
        yield due.timestamp()
