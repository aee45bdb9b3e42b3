"""Telling the reader of a message that it had to wait: a line in a report of ours, a field in any other."""

from __future__ import annotations

import binascii

from cronwrap.report import html, mime
from cronwrap.spans import duration
from cronwrap.text import one_line

CRLF = mime.CRLF
REASON_LIMIT = 500
"""Characters of a relay's words; some send pages of them."""
FIELD = "X-Cronwrap-Delayed"
OURS = b"\r\nX-Cronwrap-Result:"


def annotate(content: bytes, waited: float, reason: str) -> bytes:
    """Give the message with the delay (seconds) told in it; all else stays to the octet.

    What looks like a report of ours and cannot be taken apart (edited by hand, truncated) is treated as
    any other message. Content that begins with white space gets nothing: a field put before it would
    swallow its first line.
    """
    if content[:1] in (b" ", b"\t"):
        return content
    words = one_line(reason, REASON_LIMIT)
    if OURS in content.partition(CRLF + CRLF)[0]:
        sentence = f"This report waited {duration(waited)} for a relay: {words}"
        try:
            content = _rewritten(content, sentence, in_alternative=False)
        except ValueError:
            pass  # not as we write them: the field says it
    return _with_field(content, mime.field(FIELD, f"{duration(waited)}: {words}"))


def _with_field(content: bytes, field: bytes) -> bytes:
    """Put a field at the top, after an mbox separator if there is one, with the message's own line ends."""
    first, feed, rest = content.partition(b"\n")
    if feed and not first.endswith(b"\r"):
        field = field.replace(CRLF, b"\n")
    if content.startswith(b"From ") and rest[:1] not in (b" ", b"\t"):
        return first + feed + field + rest
    return field + content


def _rewritten(part: bytes, sentence: str, *, in_alternative: bool) -> bytes:
    """Give a part with the sentence in its text; ValueError when it is not as we write parts.

    ``in_alternative`` tells our own form, whose text begins with the headline, from crond's.
    """
    at = (CRLF + part).index(CRLF + b"Content-Type: ")
    before, described = part[:at], part[at:]
    fields, empty, body = described.partition(CRLF + CRLF)
    if not empty or CRLF + CRLF in before:
        raise ValueError("the header ends elsewhere")
    kind = fields.removeprefix(b"Content-Type: ")
    if kind.startswith(b"multipart/"):
        rewritten = _multipart(body, kind, sentence)
        return before + fields + empty + rewritten
    for subtype in ("plain", "html"):
        intro = f"text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ".encode()
        encoding = kind.removeprefix(intro)
        if kind.startswith(intro) and encoding.isalnum() | (encoding == b"quoted-printable"):
            text = _told(_decoded(body, encoding), subtype, sentence, in_alternative=in_alternative)
            return before + mime.text_part(text, subtype)
    raise ValueError("a part is none of ours")


def _multipart(body: bytes, kind: bytes, sentence: str) -> bytes:
    """Give the body of a multipart with the sentence in each of its alternatives, or in the first part."""
    boundary = kind.partition(b'boundary="')[2].removesuffix(b'"')
    delimiter = CRLF + b"--" + boundary
    preamble, *parts, end = (CRLF + body).split(delimiter)
    alternative = kind.startswith(b"multipart/alternative;")
    if not boundary or preamble or not parts or end != b"--" + CRLF:
        raise ValueError("the parts are not as we join them")
    for index, part in enumerate(parts if alternative else parts[:1]):
        parts[index] = CRLF + _rewritten(part.removeprefix(CRLF), sentence, in_alternative=alternative)
        if b"--" + boundary in parts[index]:
            raise ValueError("the boundary occurs in the text")
    return delimiter.join((b"", *parts, end)).removeprefix(CRLF)


def _decoded(body: bytes, encoding: bytes) -> str:
    """Give a text part's text; ValueError when it is not UTF-8 or holds what we never write."""
    if encoding == b"base64":
        body = binascii.a2b_base64(body)
    elif encoding == b"quoted-printable":
        body = binascii.a2b_qp(body.replace(CRLF, b"\n"))
    elif encoding != b"7bit":
        raise ValueError("not an encoding of ours")
    text = body.decode().replace("\r\n", "\n")
    if "\r" in text:
        raise ValueError("a carriage return is left")
    return text


def _told(text: str, subtype: str, sentence: str, *, in_alternative: bool) -> str:
    """Give the text with the sentence after the headline; before crond's form, which has none."""
    if subtype == "html":
        before, anchor, after = text.partition(html.AFTER_HEADLINE)
        if not anchor:
            raise ValueError("the place for the sentence is gone")
        return f"{before}{anchor}\n{html.note(sentence)}{after}"
    if not in_alternative:
        return f"{sentence}\n\n{text}"
    headline, _feed, rest = text.partition("\n")
    return f"{headline}\n\n{sentence}\n{rest}"
