"""One step of ``doctor`` or ``init``."""

from __future__ import annotations

from cronwrap.model import Record


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
