"""What lint tells, and what it must know of the host. Pure."""

from __future__ import annotations

from collections.abc import Callable

from cronwrap.model import Record

ERROR, WARNING, NOTE = "error", "warning", "note"

Said = tuple[str, str]
"""Severity and text."""


class World(Record):
    """What must be known of the host."""

    find: Callable[[str, str], str | None]
    """Gives where a program is, from its name and a PATH."""
    is_user: Callable[[str], bool]
    subcommands: frozenset[str]
    """Cronwrap's own, which need no ``--``."""
    fault: Callable[[str, str], str] | None = None
    """Gives what a shell has against a text, empty for nothing."""
    is_zone: Callable[[str], bool] | None = None
    look: bool = True
    """Whether the crontab is this host's, so that what is not here is missing."""


class Finding(Record):
    """One thing to tell about one line."""

    number: int
    severity: str
    """``error``: cron does not take the line, or not as it is meant; ``warning``: it hardly does what is
    meant; ``note``: worth knowing."""
    text: str
