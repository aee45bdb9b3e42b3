"""A message with octets above 127, made fit for a relay that takes 7-bit mail only (RFC 6152, 3)."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy

IDENTITY_ENCODINGS = ("", "7bit", "8bit", "binary")
"""Content-transfer-encodings that change nothing (RFC 2045, 6.2)."""

_POLICY = policy.compat32.clone(linesep="\r\n", cte_type="7bit")


def convert(content: bytes) -> bytes | None:
    """Give the same message in 7 bits, None when that cannot be done without guessing.

    Bodies become base64, raw octets in headers encoded words of an unknown character set; whatever was
    in 7 bits already keeps its meaning. A signature over the whole message does not survive.
    """
    message = message_from_bytes(content, policy=_POLICY)
    for part in message.walk():
        if (
            part.is_multipart()
            or part.get("Content-Transfer-Encoding", "").strip().lower() not in IDENTITY_ENCODINGS
        ):
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and not payload.isascii():
            del part["Content-Transfer-Encoding"]
            part["Content-Transfer-Encoding"] = "base64"
            part.set_payload(base64.encodebytes(payload).decode("ascii"))
    converted = message.as_bytes(policy=_POLICY)
    return converted if converted.isascii() else None
