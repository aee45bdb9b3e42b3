"""The jobs of the crontabs here under the names that cronwrap gives them, and when each is due next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo

from cronwrap.crontab.audit import invocation, of_use, zone_named
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
    fault = ""
    try:
        text = decode(Own(user if other else "", patience).read())
        found += _named("crontab", text, guess(text, own_spool())[0], secrets)
    except CronwrapError as error:
        fault = str(error)
    for path in _system_crontabs():
        try:
            text = decode(File(path).read())
        except CronwrapError:
            continue  # cron may read it, this user may not
        mine = _named(path, text, guess(text, path)[0], secrets)
        found += [one for one in mine if one.job.user == user]
    return found, fault


def system_users() -> set[str]:
    """Give the names in the user columns of /etc/crontab and /etc/cron.d."""
    found: set[str] = set()
    for path in _system_crontabs():
        try:
            text = decode(File(path).read())
        except CronwrapError:
            continue
        lines = parse(text, system=True, dialect=guess(text, path)[0])
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


def _named(place: str, text: str, dialect: Dialect, secrets: Sequence[str]) -> Iterator[NamedJob]:
    if not dialect.runs_jobs:
        return
    for job in jobs(parse(text, system=is_system_path(place), dialect=dialect)):
        texts = job.shell_texts()
        shell = job.shell.rpartition("/")[2] == SHELL_BASENAME
        wrapped = shell or any(map(calls_cronwrap, texts))
        yield NamedJob(job=job, place=place, names=_names(job, texts, secrets), wrapped=wrapped)


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
            given = call.flags.get("name") or job.environment.get("CRONWRAP_NAME")
            found.append(str(given or job_name(call.command({}).text, secrets)))
    return tuple(dict.fromkeys(found))


def next_time(job: Job, now: float, zone: tzinfo) -> float | None:
    """Give when cron starts a job next; None where that cannot be told, or cronsim is not there."""
    return _time(job, now, zone, backwards=False)


def last_time(job: Job, now: float, zone: tzinfo) -> float | None:
    """Give when cron was to start a job last, at this moment or before; None as above."""
    return _time(job, now // 60 * 60 + 60, zone, backwards=True)


def _time(job: Job, now: float, zone: tzinfo, *, backwards: bool) -> float | None:
    try:
        from cronsim import CronSim  # noqa: PLC0415  # an extra that may not be installed
        from cronsim.cronsim import CronSimError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        schedule = read(job.schedule)
        if not schedule.expression or schedule.never:
            return None
        named = job.environment.get("CRON_TZ", "")
        local = datetime.fromtimestamp(now, UTC).astimezone(zone_named(named) if named else zone)
        return float(next(CronSim(schedule.expression, local, reverse=backwards)).timestamp())
    except (ScheduleError, CronwrapError, CronSimError, StopIteration, OverflowError):
        return None
