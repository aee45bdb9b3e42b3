"""Secrets taken out of what is stored, shown or sent.

Use ``redactor.Redactor``.
"""

from __future__ import annotations

HINTS = (
    *("pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "bearer", "://", "@"),
    *("-p", "-u", "-a", "-w", "-k", "-x", "curl", "lftp", "smb", "sqlplus", "exp", "imp", "rman"),
)
"""What a command with a secret has in it, in small letters; a look that costs a microsecond."""


def hinted(command: str) -> bool:
    """Say whether it is worth to look for secrets in a command that are secrets by their place."""
    lower = command.lower()
    return any(hint in lower for hint in HINTS)
