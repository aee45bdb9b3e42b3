"""The jobs of the crontabs here under the names that cronwrap gives them, and when each is due next."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import islice

from cronwrap.crontab.audit import invocation, name_above, of_use, zone_named
from cronwrap.crontab.dialect import Dialect, guess
from cronwrap.crontab.lines import SYSTEM_PATHS, Job, decode, is_system_path, jobs, parse
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.schedule import ScheduleError, read
from cronwrap.crontab.store import CRONTAB_TIMEOUT, File, Own, own_spool
from cronwrap.crontab.wrap import calls, calls_cronwrap, use_in
from cronwrap.errors import CronwrapError
from cronwrap.model import Record
from cronwrap.settings.command_line import SHELL_BASENAME
from cronwrap.settings.job_name import job_name

OWN = "crontab"
"""The place of a user's own crontab."""


class NamedJob(Record):
    """A job of a crontab, and what cronwrap calls it."""

    job: Job
    place: str
    """The file, or ``crontab`` for a user's own."""
    names: tuple[str, ...]
    """Two where the cron is not known; none where it depends on what the shell makes of the line."""
    wrapped: bool
    """Whether the line itself calls cronwrap."""

    @property
    def line(self) -> str:
        """Give where it stands: ``crontab:5``."""
        return f"{self.place}:{self.job.number}"


def jobs_of(
    user: str, secrets: Sequence[str] = (), *, other: bool = False, patience: float = CRONTAB_TIMEOUT
) -> tuple[list[NamedJob], str]:
    """Give the jobs that cron runs as a user, and why some crontab could not be read, or an empty text.

    Those of the user's own crontab, then of /etc/crontab and /etc/cron.d. ``other``: root asks for another
    user's. ``secrets`` are the patterns of ``[redact]``; ``patience`` is how long crontab(1) may take.
    """
    found: list[NamedJob] = []
    texts, fault = tables(user, other=other, patience=patience)
    for place, text in texts:
        every = named_jobs(place, text, _dialect_at(place, text), secrets)
        found += (one for one in every if one.job.user in (None, user))
    return found, fault


def tables(
    user: str, *, other: bool = False, patience: float = CRONTAB_TIMEOUT
) -> tuple[list[tuple[str, str]], str]:
    """Give place and text of the crontabs that may have jobs of a user, and why their own cannot be read."""
    found: list[tuple[str, str]] = []
    fault = ""
    try:
        found.append((OWN, decode(Own(user if other else "", patience).read())))
    except CronwrapError as error:
        fault = str(error)
    return [*found, *system_tables()], fault


def system_tables() -> Iterator[tuple[str, str]]:
    """Give path and text of /etc/crontab and /etc/cron.d, as far as this user may read them."""
    for path in _system_crontabs():
        try:
            yield path, decode(File(path).read())
        except CronwrapError:
            continue  # cron may read it, this user may not


def system_users() -> set[str]:
    """Give the names in the user columns of /etc/crontab and /etc/cron.d."""
    found: set[str] = set()
    for path, text in system_tables():
        lines = parse(text, system=True, dialect=_dialect_at(path, text))
        found |= {job.user for job in jobs(lines) if job.user}
    return found


def _system_crontabs() -> Iterator[str]:
    single, directory = SYSTEM_PATHS[:2]
    paths = [single]
    try:
        paths += [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except OSError:
        pass  # not every cron has one
    for path in paths:
        if os.path.isfile(path) and not passed_over(path, guess("", path)[0], look=True):
            yield path


def named_jobs(
    place: str, text: str, dialect: Dialect, secrets: Sequence[str], only: Container[int] | None = None
) -> Iterator[NamedJob]:
    """Give the jobs of a crontab under their names. ``place`` is its file, or ``OWN`` for one's own.

    ``only``: those in lines of these numbers.
    """
    for job in _jobs_in(place, text, dialect):
        if only is None or job.number in only:
            names, wrapped = naming(job, secrets)
            yield NamedJob(job=job, place=place, names=names, wrapped=wrapped)


def jobs_at(place: str, text: str) -> tuple[Job, ...]:
    """Give the jobs of a crontab as cron reads it where it is; none where that cron runs none."""
    return _jobs_in(place, text, _dialect_at(place, text))


def _dialect_at(place: str, text: str) -> Dialect:
    return guess(text, own_spool() if place == OWN else place)[0]


def _jobs_in(place: str, text: str, dialect: Dialect) -> tuple[Job, ...]:
    if not dialect.runs_jobs:
        return ()
    return jobs(parse(text, system=is_system_path(place), dialect=dialect))


def naming(job: Job, secrets: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Give what cronwrap calls a job, and whether its line calls cronwrap itself."""
    return _names(job, job.shell_texts(), secrets), is_wrapped(job)


def is_wrapped(job: Job) -> bool:
    """Tell whether a job's line calls cronwrap itself."""
    return job.shell.rpartition("/")[2] == SHELL_BASENAME or any(map(calls_cronwrap, job.shell_texts()))


def _names(job: Job, texts: tuple[str, ...], secrets: Sequence[str]) -> tuple[str, ...]:
    """Give what cronwrap calls a job, the way ``settings.load`` finds its name."""
    found: list[str] = []
    for text in texts:
        # "cd /srv && cronwrap -- make" has its name from what follows the &&.
        inside = () if use_in(text) else tuple(use for use in calls(text) if use.form)
        try:
            made = [of_use(job, use) for use in inside] or [invocation(job, text)]
        except CronwrapError:
            continue
        for call in made:
            given = call.flags.get("name") or name_above(job)
            found.append(str(given or job_name(call.command({}).text, secrets)))
    return tuple(dict.fromkeys(found))


def next_time(job: Job, now: float, zone: tzinfo) -> float | None:
    """Give when cron starts a job next; None where that cannot be told, or cronsim is not there."""
    return next(iter(next_times(job.schedule, job.environment.get("CRON_TZ", ""), now, zone)), None)


def last_time(job: Job, now: float, zone: tzinfo) -> float | None:
    """Give when cron was to start a job last, at this moment or before; None as above."""
    named, end = job.environment.get("CRON_TZ", ""), now // 60 * 60 + 60
    return next(iter(_times(job.schedule, named, end, zone, 1, backwards=True)), None)


def next_times(schedule: str, named: str, now: float, zone: tzinfo, count: int = 1) -> tuple[float, ...]:
    """Give when cron starts a job of that schedule next; fewer than ``count`` where no more can be told.

    ``named`` is ``CRON_TZ``, empty for the host's ``zone``.
    """
    return _times(schedule, named, now, zone, count, backwards=False)


def _times(
    schedule: str, named: str, now: float, zone: tzinfo, count: int, *, backwards: bool
) -> tuple[float, ...]:
    try:
        from cronsim import CronSim  # noqa: PLC0415  # an extra that may not be installed
        from cronsim.cronsim import CronSimError  # noqa: PLC0415
    except ImportError:
        return ()
    found: list[float] = []
    try:
        read_as = read(schedule)
        if read_as.expression and not read_as.never:
            local = datetime.fromtimestamp(now, UTC).astimezone(zone_named(named) if named else zone)
            times = CronSim(read_as.expression, local, reverse=backwards)
            found.extend(float(due.timestamp()) for due in islice(times, count))
    except (ScheduleError, CronwrapError, CronSimError, OverflowError):
        pass  # what was found so far
    return tuple(found)
