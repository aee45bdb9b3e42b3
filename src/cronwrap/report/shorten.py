"""A message in fewer octets, for a relay that finds it too large: a report of ours, or anybody's. Pure."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart

from cronwrap.report import html, mime
from cronwrap.report.delay_note import OURS
from cronwrap.spans import count
from cronwrap.text import one_line, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES_SHOWN = 10
"""Attachments that are named; of more only the number is told."""
SHORT_TEXT = 4096
"""Characters of the text of the second form, when the relay has named no limit."""
LEAST_TEXT = 300
"""Characters of the last form: the headline, and why there is no more."""
MARGIN = 400
"""Octets that the fields of the body and a relay's own counting may take."""
WORST_ENCODING = 3
"""Octets that one octet becomes at most (quoted-printable)."""

_FIELD = re.compile(rb"[!-9;-~]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|$)")
_BODY_FIELDS = (b"content-type:", b"content-transfer-encoding:", b"content-disposition:", b"mime-version:")
_BODY_TAG = re.compile(r"<body[^<>]*>", re.IGNORECASE)


def is_report(content: bytes) -> bool:
    """Tell whether a message is a report of a run, whose output the history has."""
    return OURS in content.partition(b"\r\n\r\n")[0]


def forms(content: bytes, why: str, elsewhere: str, limit: int = 0) -> Iterator[bytes]:
    """Give smaller and smaller forms of a message, each of which says what was left out and why.

    First without its attachments, then the beginning of its text alone, then hardly more than its first line.
    ``elsewhere`` is a sentence that says where the whole is; ``limit`` is the most octets the relay takes, 0
    when that is not known. Forms that are no smaller than the one before, or over the limit, are passed over.
    """
    smallest = len(content)
    for form in _forms(content, f"{why.rstrip('.')}.", elsewhere, limit):
        if len(form) < smallest and not 0 < limit < len(form):
            smallest = len(form)
            yield form


def _forms(content: bytes, why: str, elsewhere: str, limit: int) -> Iterator[bytes]:
    try:
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101  # what this policy makes
        plain, rich, left_out = _taken_apart(message)
    except (MessageError, LookupError, ValueError, AttributeError, TypeError, RecursionError):
        plain, rich, left_out = "", "", "its whole body"  # a stranger's, that even `email` stumbles over
    header = _header(content)
    report = is_report(content) and bool(rich)
    if left_out:
        note = f"Left out here: {left_out}. {why} {elsewhere}"
        parts = [mime.text_part(_noted(plain, note, report=report))]
        if rich:
            parts.append(mime.text_part(_noted_page(rich, note), "html"))
        body = mime.multipart("alternative", parts, "short") if rich else parts[0]
        yield header + body
    room = max(0, limit - len(header) - MARGIN - len(why) - len(elsewhere)) // WORST_ENCODING
    for most in (min(room, SHORT_TEXT) if limit else SHORT_TEXT, LEAST_TEXT):
        text = _beginning(plain, most)
        what = "all but the beginning of the text" if text else "the text"
        note = f"Left out here: {what}{' and ' + left_out if left_out else ''}. {why} {elsewhere}"
        yield header + mime.text_part(_noted(text, note, report=report))


def _header(content: bytes) -> bytes:
    """Give the header fields as they are, but for those that describe the body."""
    kept = []
    at = 0
    if content.startswith(b"From "):  # an mbox separator
        at = content.find(b"\n") + 1
    while found := _FIELD.match(content, at):
        if not found[0].lower().startswith(_BODY_FIELDS):
            kept.append(found[0])
        at = found.end()
        if found.end() == len(content):
            break
    return b"".join(kept) + b"MIME-Version: 1.0\r\n"


def _taken_apart(message: EmailMessage) -> tuple[str, str, str]:
    """Give the plain text, the HTML, and in words what else there is."""
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    names = []
    for part in message.walk():
        if part.is_multipart() or part is plain or part is rich:
            continue
        payload = part.get_payload(decode=True)
        octets = len(payload) if isinstance(payload, bytes) else 0
        names.append(f"{one_line(part.get_filename() or part.get_content_type(), 100)} ({size(octets)})")
    listed = ", ".join(names) if len(names) <= NAMES_SHOWN else count(len(names), "attachment")
    return _text(plain), _text(rich), listed


def _text(part: MIMEPart | None) -> str:
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError):  # a charset that Python does not know
        octets = part.get_payload(decode=True)
        text = octets.decode("utf-8", "replace") if isinstance(octets, bytes) else ""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()


def _beginning(text: str, most: int) -> str:
    """Give whole lines from the beginning of a text, or a part of the first."""
    if len(text) <= most:
        return text
    lines = text[:most].rpartition("\n")[0] or text[:most]
    return f"{lines}\n[…]\n"


def _noted(text: str, note: str, *, report: bool) -> str:
    """Give the text with the note after the headline of a report of ours, else before it."""
    if not report:
        return f"[{note}]\n\n{text}" if text else f"[{note}]\n"
    headline, _feed, rest = text.partition("\n")
    return f"{headline}\n\n{note}\n{rest}"


def _noted_page(page: str, note: str) -> str:
    before, anchor, after = page.partition(html.AFTER_HEADLINE)
    if anchor:
        return f"{before}{anchor}\n{html.note(note)}{after}"
    found = _BODY_TAG.search(page)
    at = found.end() if found else 0
    return f"{page[:at]}<p>[{html.escape(note)}]</p>\n{page[at:]}"
