"""The name of a job that was given none."""

from __future__ import annotations

from cronwrap.redact import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

NAME_LIMIT = 64
"""Octets of a derived job name: readable in a table of 80 columns, safe as a file name."""


def job_name(command_text: str, secrets: Sequence[str] = ()) -> str:
    """Give the name of a job that was given none: a slug of its command, without what is secret in it.

    A slug that does not tell the whole command ends in a checksum of it, so that two commands never
    share a history or a lock. ``secrets`` are the patterns of ``[redact]``.
    """
    command_text = without_secrets(command_text, secrets)
    head, blank, rest = command_text.strip().partition(" ")
    readable = head.rpartition("/")[2] + blank + rest
    slug = "".join(char if char in _NAME else "-" for char in readable)
    while "--" in slug:
        slug = slug.replace("--", "-")
    slug = slug.strip("-.")
    if slug == command_text:
        return slug[:NAME_LIMIT] if len(slug) <= NAME_LIMIT else f"{slug[: NAME_LIMIT - 9]}-{_crc(slug)}"
    return f"{slug[: NAME_LIMIT - 9].rstrip('-.') or 'job'}-{_crc(command_text)}"


def _crc(text: str) -> str:
    from binascii import crc32  # noqa: PLC0415  # a bare word needs none

    return f"{crc32(text.encode(errors='surrogateescape')):08x}"
