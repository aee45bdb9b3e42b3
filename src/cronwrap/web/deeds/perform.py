"""A deed done in this process, for the user that this process is: with its audit, its faults as refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cronwrap.errors import CronwrapError, StateError
from cronwrap.web.deeds import DEEDS, audit
from cronwrap.web.deeds.base import Arguments, Deed, Piece, Refused, Surroundings, surroundings


def perform(name: str, arguments: Arguments, asker: str, config: str = "") -> Any:
    """Do a deed; give what it gives, as JSON's types. Refused when it cannot be done."""
    deed = _deed(name)
    try:
        around = surroundings(asker, config)
        return _audited(name, deed, around, arguments) if deed.changes else deed.function(around, arguments)
    except CronwrapError as error:
        raise refusal(error) from error


def stream(name: str, arguments: Arguments, asker: str, config: str = "") -> Iterator[Piece | dict[str, Any]]:
    """Do a deed that streams; give its pieces, and objects among them. Refused as ``perform``."""
    deed = _deed(name)
    try:
        yield from deed.function(surroundings(asker, config), arguments)
    except CronwrapError as error:
        raise refusal(error) from error


def refusal(error: CronwrapError) -> Refused:
    """Give a fault that has words for a person as a refusal."""
    if isinstance(error, StateError):
        return Refused(503, "The state cannot be used", str(error))
    return Refused(422, "This cannot be done", str(error))


def _deed(name: str) -> Deed:
    if name not in DEEDS:
        raise Refused(404, "There is no such deed", name)
    return DEEDS[name]


def _audited(name: str, deed: Deed, around: Surroundings, arguments: Arguments) -> Any:
    outcome = "failed"
    try:
        result = deed.function(around, arguments)
        outcome = "done"
    except Refused as refused:
        outcome = f"refused: {refused.title}"
        raise
    finally:
        audit.note(around, name, arguments, outcome)
    return result
