"""Which jobs there are: those that have run, those that are held back, those of the crontabs."""

from __future__ import annotations

from cronwrap.crontab.named import NamedJob, jobs_at, jobs_of, system_tables
from cronwrap.errors import CronwrapError
from cronwrap.history.runs import jobs
from cronwrap.job import holds
from cronwrap.manage.runs import bring_up_to_date
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings
from cronwrap.settings.values import nearest

LISTED = 10
"""Jobs that are named to whoever asked for one that is not there."""


def in_crontab(settings: Settings, user: str = "") -> tuple[list[NamedJob], str]:
    """Give the jobs of the crontabs of a user (the present one), and why some could not be read."""
    return jobs_of(user or user_name(), settings["redact.patterns"], other=bool(user) and user != user_name())


def check_known(settings: Settings, name: str) -> None:
    """Raise CronwrapError, with the nearest name, unless a job of that name has run or is in the crontab."""
    bring_up_to_date(settings.state_dir, settings["history.keep"])  # its first run may wait to be entered
    known = {tally.job for tally, _running in jobs(settings.state_dir)}
    known |= {hold.job for hold in holds.every(settings.state_dir)}
    if name in known:
        return
    found, fault = in_crontab(settings)
    known |= {one for job in found for one in job.names}
    if name not in known:
        raise CronwrapError(no_such_job(name, known) + (f" ({fault})" if fault else ""))


def no_such_job(name: str, known: set[str]) -> str:
    """Say that there is no such job, and which there are."""
    hint = nearest(name, sorted(known))
    if not hint and known:
        shown = ", ".join(sorted(known)[:LISTED])
        hint = f"; there are: {shown}{', …' if len(known) > LISTED else ''}"
    return f"no job {name!r} has run, or is in the crontab{hint}"


def users_of_system() -> set[str]:
    """Give the users that the system's crontabs name, there or not."""
    found = (job.user for path, text in system_tables() for job in jobs_at(path, text))
    return {user for user in found if user}
