"""One step of ``doctor`` or ``init``."""

from __future__ import annotations

from cronwrap.model import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Check(Record):
    """One thing that was looked at."""

    name: str
    ok: bool
    text: str
    advice: str = ""
    """What to do; with ``ok`` it is a warning."""
    seconds: float = 0.0
    relay: str = ""
    """The relay that was tried, as a URL without its login."""
    user: str = ""
    """Whom it concerns, where that is another user than the one who asks."""


def public(check: Check) -> dict[str, Any]:
    """Give a step for programs."""
    return {
        "name": check.name,
        "ok": check.ok,
        "text": check.text,
        "advice": check.advice or None,
        "seconds": round(check.seconds, 4),
        "relay": check.relay or None,
        **({"user": check.user} if check.user else {}),
    }
