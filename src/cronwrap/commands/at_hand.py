"""What the commands that name a job share: which jobs there are, who asks, and until when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import click

from cronwrap.crontab.named import NamedJob, jobs_of
from cronwrap.errors import CronwrapError
from cronwrap.history.runs import jobs
from cronwrap.job import holds
from cronwrap.paths import user_name
from cronwrap.settings.load import Settings
from cronwrap.settings.values import duration, nearest
from cronwrap.settings.when import moment

LISTED = 10
"""Jobs that are named to whoever asked for one that is not there."""


def in_crontab(settings: Settings, user: str = "") -> tuple[list[NamedJob], str]:
    """Give the jobs of the crontabs of a user (the present one), and why some could not be read."""
    return jobs_of(user or user_name(), settings["redact.patterns"], other=bool(user) and user != user_name())


def check_known(settings: Settings, name: str) -> None:
    """Raise CronwrapError, with the nearest name, unless a job of that name has run or is in the crontab."""
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


def asked_by() -> str:
    """Give who sits at the keyboard: behind sudo(8) and doas(1) the one who called them."""
    return os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or user_name()


def _read_for(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        seconds = None if value is None else duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds == 0:
        raise click.BadParameter(f"{value!r} is over already")
    return None if seconds is None else time.time() + seconds


def _read_until(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else moment(value, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def ends(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--for`` and ``--until``, as the Unix times ``span`` and ``until``."""
    until = click.option(
        "--until",
        metavar="TIME",
        callback=_read_until,
        help="Until then: 18:00, tomorrow, monday 9:00, 2026-03-01 08:00.",
    )
    span = click.option("--for", "span", metavar="D", callback=_read_for, help="For so long: 30m, 2h, 1d.")
    return span(until(function))


def one_end(*given: object) -> None:
    """Raise a usage error when more than one end was given."""
    if sum(value not in (None, False) for value in given) > 1:
        raise click.UsageError("--for, --until and --until-ok exclude each other")
