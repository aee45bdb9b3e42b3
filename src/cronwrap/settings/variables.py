"""Variables of the environment that stand for settings: ``CRONWRAP_*``, and those of crontabs.

Loaded by a run that has any of them.
"""

from __future__ import annotations

from cronwrap.settings.defaults import OTHER_VARIABLES
from cronwrap.settings.options import BY_KEY, OPTIONS, SECTIONS
from cronwrap.settings.values import BAD_VALUE, nearest, partly_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def of_crontab(environ: Mapping[str, str], faults: list[str]) -> list[tuple[str, Any, str]]:
    """Give ``MAILTO`` and ``MAILFROM``, which stand in the crontab beside the job.

    A ``MAILTO`` that is not right throughout is kept: the mail goes to those in it who are. Where nobody
    in it is, what the files say stands in for it.
    """
    found: list[tuple[str, Any, str]] = []
    for key, variable in (("mailto", "MAILTO"), ("mailfrom", "MAILFROM")):
        value = environ.get(variable)
        if value is None or (not value and key == "mailfrom"):
            continue
        try:
            BY_KEY[key].read(value)
        except ValueError as error:
            faults.append(f"{variable}: {error}")
            value = partly_right(key, value)
            if not value:
                continue
        found.append((key, value, variable))
    return found


def relays(environ: Mapping[str, str], faults: list[str]) -> tuple[int, str]:
    """Give how many relays ``CRONWRAP_RELAY`` names, and the login."""
    from cronwrap.errors import ConfigError  # noqa: PLC0415  # for those who use it
    from cronwrap.settings.relays import from_environment  # noqa: PLC0415

    try:
        relay = from_environment(environ)
    except ConfigError as error:
        faults.append(str(error))
        return 0, ""
    return 1, relay.user if relay else ""


def options(
    given: Iterable[str], environ: Mapping[str, str], faults: list[str]
) -> dict[str, tuple[Any, str]]:
    """Read the given variables that stand for options: key to value and variable.

    An empty one counts as not set; but ``CRONWRAP_MAILTO=`` says "no mail", as ``MAILTO=`` does.
    """
    found: dict[str, tuple[Any, str]] = {}
    for variable in given:
        option = BY_KEY.get(variable.removeprefix("CRONWRAP_").lower().replace("_", "-"))
        if option is None or option.variable != variable:
            known = {option.variable: option for option in (*OPTIONS, *SECTIONS)}
            option = known.get(variable)
        if option is None:
            if guess := nearest(variable, [*known, *OTHER_VARIABLES]):
                faults.append(f"{variable}: unknown variable{guess}")
            continue
        if not environ[variable] and option.key != "mailto":
            continue
        try:
            value = option.read(environ[variable])
        except BAD_VALUE as error:
            faults.append(f"{variable}: {error}")
            value = partly_right(option.key, environ[variable])
            if not value:
                continue
        found[option.sets or option.key] = (not value if option.sets else value), variable
    return found
