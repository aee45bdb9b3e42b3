"""A message for a person who reads it in a terminal."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from cronwrap.text import harmless

SHOWN = ("From", "To", "Subject", "Date", "Message-ID", "X-Cronwrap-Job", "X-Cronwrap-Result")


def readable(content: bytes) -> str:
    """Give a message's main header fields and its plain text, decoded and harmless to a terminal."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101  # what this policy makes
    lines = [f"{name}: {harmless(str(message[name]))}" for name in SHOWN if message[name] is not None]
    body = message.get_body(preferencelist=("plain",))
    text = str(body.get_content()) if body is not None else ""
    attachments = [part.get_filename() for part in message.iter_attachments()]
    lines += [f"Attachment: {harmless(name)}" for name in attachments if name]
    return "\n".join(lines) + "\n\n" + harmless(text)
