"""A message with another sender and other recipients in its header; all else stays to the octet. Pure."""

from __future__ import annotations

import re

from cronwrap.report import mime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.address import Address

_FIELD = rb"(?im)^(%s):[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n"


def shown(content: bytes) -> str:
    """Give what stands in the field To, unfolded; empty when there is none."""
    found = re.search(_FIELD % b"to", _header(content))
    value = found[0].partition(b":")[2] if found else b""
    return " ".join(value.decode("utf-8", "replace").split())


def readdress(content: bytes, sender: tuple[str, str], recipients: tuple[Address, ...] | None) -> bytes:
    """Give the message with a sender in place of another (old and new address), and with these recipients.

    ``None`` leaves the recipients as they are.
    """
    header = _header(content)
    body = content[len(header) :]
    old, new = (address.encode() for address in sender)
    if old != new:
        header = re.sub(_FIELD % b"from", lambda found: found[0].replace(old, new), header, count=1)
    if recipients is not None:
        field = mime.address_field("To", [(one.name, one.spec) for one in recipients])
        header = re.sub(_FIELD % b"to", lambda _found: field, header, count=1)
    return header + body


def _header(content: bytes) -> bytes:
    """Give the header with the line end of its last field."""
    end = re.search(rb"\r?\n\r?\n", content)
    if not end:
        return content
    return content[: end.start()] + (b"\r\n" if end[0].startswith(b"\r\n") else b"\n")
