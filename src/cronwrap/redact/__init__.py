"""Secrets taken out of what is stored, shown or sent.

Use ``redactor.Redactor``; for one text ``without_secrets``, which loads it only for what may hold a secret.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST = len("authorization")
"""Octets of the shortest word that ``known_secrets`` looks for, but for what has one of these in it:"""
SIGNS = (b"://", b"----")
"""Of a URL with a password, and of a key block."""


def without_secrets(text: str, patterns: Sequence[str] = ()) -> str:
    """Give a text without what is secret in it; ``patterns`` are those of ``[redact]``."""
    octets = text.encode(errors="surrogatepass")
    short = all(len(word) < SHORTEST for word in octets.split())
    if short and not patterns and SIGNS[0] not in octets and SIGNS[1] not in octets:
        return text
    from cronwrap.redact.redactor import Redactor  # noqa: PLC0415

    return Redactor(patterns).text(text)
