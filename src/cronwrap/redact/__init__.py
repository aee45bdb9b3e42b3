"""Secrets taken out of what is stored, shown or sent.

Use ``redactor.Redactor``; for one text ``without_secrets``, which loads it only for what may hold a secret.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HINTS = (
    *("pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "bearer", "://", "@", "----"),
    *("-p", "-u", "-a", "-w", "-k", "-x", "curl", "lftp", "smb", "sqlplus", "exp", "imp", "rman"),
)
"""What a command with a secret has in it, in small letters, unless the secret is known by its looks."""
SHORTEST = 12
"""Characters; no secret that is known by its looks alone fits into a shorter word."""


def hinted(command: str) -> bool:
    """Say whether it is worth to look for secrets in a command that are secrets by their place."""
    lower = command.lower()
    return any(hint in lower for hint in HINTS)


def may_hold_secrets(command: str, patterns: Sequence[str] = ()) -> bool:
    """Say whether to look closer at a command; ``patterns`` are those of ``[redact]``."""
    parts = [part for word in command.split() for part in word.split("/")]
    return bool(patterns) or hinted(command) or any(len(part) >= SHORTEST for part in parts)


def without_secrets(command: str, patterns: Sequence[str] = ()) -> str:
    """Give a command without what is secret in it; ``patterns`` are those of ``[redact]``.

    What does it is loaded only for a command that may have a secret: a look costs microseconds.
    """
    if not may_hold_secrets(command, patterns):
        return command
    from cronwrap.redact.redactor import redactor  # noqa: PLC0415

    return redactor(tuple(patterns)).command(command)
