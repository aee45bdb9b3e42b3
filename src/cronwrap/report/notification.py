"""What a target of ``[[notify]]`` is told of a run, as JSON."""

from __future__ import annotations

from cronwrap.text import iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TYPE, TEST = "cronwrap.run", "cronwrap.test"
OUTPUT_LIMIT = 4096
"""Octets of the end of a job's output."""
MOST_TELLING = (
    *("running", "stuck", "recovery", "failure", "skip", "stderr", "output"),
    "success",
)
"""Of several events of one run the one that is told."""


def event_of(events: tuple[str, ...]) -> str:
    """Give the event of a run, in the words of ``--on``; of several the one that tells most."""
    return next((event for event in MOST_TELLING if event in events), events[0] if events else "")


def compose(kind: str, moment: float, data: Mapping[str, Any]) -> bytes:
    """Give a notification as octets: ASCII, whatever the job has said."""
    body = {"type": kind, "timestamp": iso(moment), "data": _valid(data)}
    import json  # noqa: PLC0415  # it costs milliseconds, and most runs have nobody to notify

    return json.dumps(body).encode()


def _valid(value: Any) -> Any:
    r"""Give a value whose texts are Unicode: octets that are no UTF-8 become ``\xff``."""
    if isinstance(value, str):
        octets = (
            value.encode("utf-8", "surrogateescape") if _escaped(value) else value.encode("utf-8", "replace")
        )
        return octets.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple)):
        return [_valid(one) for one in value]
    if isinstance(value, dict):
        return {key: _valid(one) for key, one in value.items()}
    return value


def _escaped(text: str) -> bool:
    """Tell whether what is no Unicode in a text stands for octets, as Python reads them."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
