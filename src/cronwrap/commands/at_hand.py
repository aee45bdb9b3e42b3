"""What the commands that name a job share: who asks, and until when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import click

from cronwrap.history.totals import text
from cronwrap.paths import user_name
from cronwrap.settings.values import duration
from cronwrap.settings.when import moment


def asked_by() -> str:
    """Give who sits at the keyboard: behind sudo(8) and doas(1) the one who called them."""
    return os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or user_name()


def read_job(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Give a job's name as it is on record, whatever octets the shell has handed on."""
    return None if value is None else text(value)


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
