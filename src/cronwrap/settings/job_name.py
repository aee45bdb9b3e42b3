"""The name of a job that was given none."""

from __future__ import annotations

from cronwrap.redact import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

_HALF = (
    *(0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C),
    *(0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C),
)
"""The remainders of half an octet, by the polynomial of the checksum."""
LONG = 512
"""Octets of a command."""
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
    return f"{crc32(text.encode(errors='surrogateescape')):08x}"


def crc32(octets: bytes) -> int:
    """Give what ``binascii.crc32`` does (the checksum of RFC 1952).

    Where that is a shared object it takes a quarter of a millisecond to load, before the job: ten times what
    a command of usual length takes here, half an octet at a time.
    """
    if len(octets) > LONG:
        import binascii  # noqa: PLC0415  # it is faster from there on

        return binascii.crc32(octets)
    check = 0xFFFFFFFF
    for octet in octets:
        check = check >> 4 ^ _HALF[(check ^ octet) & 15]
        check = check >> 4 ^ _HALF[(check ^ octet >> 4) & 15]
    return check ^ 0xFFFFFFFF
