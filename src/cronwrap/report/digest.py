"""Many reports as one message: a list of what they say, and each of them attached whole. Pure.

Only who sends a flood of reports comes here: what is slow to import does no harm.
"""

from __future__ import annotations

from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime

from cronwrap.model import Record
from cronwrap.report import html, mime
from cronwrap.report.compose import SENDER_NAME
from cronwrap.spans import count, duration
from cronwrap.text import moment, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

    from cronwrap.mail import Envelope

RESULT = "X-Cronwrap-Result"
NO_FAILURE = ("ok", "recovered", "skipped")
"""The values of that field that tell of no failure."""
HEADLINE_LIMIT = 300
"""Characters of a report's headline; the report itself has it whole."""
FIELD_LIMIT = 64 * 1024
"""Octets of a header in which its end is looked for; ours are a few kilobytes."""


class Part(Record):
    """One report of a digest, as it lies in the outbox."""

    run: str
    """The id of its run."""
    content: bytes
    """The message itself."""
    queued: float
    """Unix time."""


class Entry(Record):
    """What the list says of one report."""

    run: str
    when: float
    job: str
    headline: str
    failed: bool


def is_report(content: bytes) -> bool:
    """Tell whether a message is a report of ours, and can be attached as it is (RFC 2046, 5.2.1)."""
    header, end, _body = content[:FIELD_LIMIT].partition(mime.CRLF * 2)
    ours = bool(end) and f"\r\n{RESULT}: ".encode() in header
    return ours and content.isascii() and b"\n" not in content.replace(mime.CRLF, b"")


def compose(identity: str, envelope: Envelope, parts: Sequence[Part], now: float) -> bytes:
    """Give the message that lists some reports, in the order of their time, and has them attached.

    The same ``identity`` gives the same Message-ID: it is the digest's own over all attempts. Each part is
    one that ``is_report`` knows.
    """
    first = message_from_bytes(parts[0].content)
    user, _at, host = _field(first, "Subject").partition("<")[2].partition("> ")[0].partition("@")
    place = _field(first, "Message-ID").rpartition("@")[2].rstrip("> ") or "localhost"
    entries = sorted(map(_entry, parts), key=lambda entry: entry.when)
    headline = _headline(entries)
    notes = _notes(parts, now)
    return b"".join(
        (
            f"From: {SENDER_NAME} <{envelope.sender}>\r\n".encode(),
            mime.address_field("To", [("", recipient) for recipient in envelope.recipients]),
            mime.field("Subject", f"Cron <{user}@{host}> {headline}"),
            f"Date: {mime.date(now)}\r\n".encode(),
            f"Message-ID: <{identity}.digest.cronwrap@{place}>\r\n".encode(),
            f"References: <digests.cronwrap@{place}>\r\n".encode(),
            mime.list_id("digest", user, host, "cronwrap"),
            b"Auto-Submitted: auto-generated\r\n",
            b"Precedence: bulk\r\n",
            b"X-Auto-Response-Suppress: OOF, AutoReply\r\n",
            mime.field("X-Cronwrap-Digest", str(len(parts))),
            b"MIME-Version: 1.0\r\n",
            _body(identity, headline, notes, entries, parts),
        )
    )


def _body(
    identity: str, headline: str, notes: Sequence[str], entries: Sequence[Entry], parts: Sequence[Part]
) -> bytes:
    """Give the list as text and as HTML, and the reports."""
    plain = mime.text_part(_plain(headline, notes, entries))
    page = mime.text_part(_page(headline, notes, entries), "html")
    alternative = mime.multipart("alternative", [plain, page], identity)
    return mime.multipart("mixed", [alternative, *map(_attached, parts)], identity)


def _attached(part: Part) -> bytes:
    fields = (
        f'Content-Type: message/rfc822; name="{part.run}.eml"\r\n'
        f'Content-Disposition: attachment; filename="{part.run}.eml"\r\n\r\n'
    )
    return fields.encode() + part.content


def _field(message: Message, name: str) -> str:
    raw = str(message[name] or "")
    try:
        return one_line(str(make_header(decode_header(raw))))
    except (MessageError, LookupError, ValueError):
        return one_line(raw)  # edited by hand, say


def _entry(part: Part) -> Entry:
    """Give what the list says of a report; what cannot be read of it is left out."""
    message = message_from_bytes(part.content)  # by the old policy, which is ten times as fast
    result = _field(message, RESULT)
    try:
        when = parsedate_to_datetime(message["Date"]).timestamp()
    except (ValueError, TypeError, OverflowError):
        when = part.queued
    return Entry(
        run=part.run,
        when=when,
        job=_field(message, "X-Cronwrap-Job"),
        headline=one_line(_first_line(message), HEADLINE_LIMIT) or result,
        failed=result not in NO_FAILURE,
    )


def _first_line(message: Message) -> str:
    """Give the headline of a report in our own form; empty for crond's, which has none."""
    alternative = next((part for part in message.walk() if part.get_content_subtype() == "alternative"), None)
    for part in alternative.walk() if alternative else ():
        if part.get_content_type() == "text/plain":
            text = part.get_payload(decode=True)
            if isinstance(text, bytes):
                return text.partition(b"\n")[0].decode(errors="replace").rstrip("\r")
    return ""


def _headline(entries: Sequence[Entry]) -> str:
    failed = sum(entry.failed for entry in entries)
    how_many = "all" if failed == len(entries) else str(failed or "none")
    return f"{count(len(entries), 'report')}, {how_many} of them of failures"


def _notes(parts: Sequence[Part], now: float) -> tuple[str, ...]:
    waited = now - min(part.queued for part in parts)
    since = f" (the longest for {duration(waited)})" if waited >= 1 else ""
    return (
        f"So many reports waited for a relay at once{since} that these come together, each attached whole.",
    )


def _plain(headline: str, notes: Sequence[str], entries: Sequence[Entry]) -> str:
    lines = [headline, "", *notes, ""]
    for entry in entries:
        lines += [f"{moment(entry.when)}  {entry.job}: {entry.headline}", f"    cronwrap show {entry.run}"]
    return "\n".join(lines) + "\n"


def _page(headline: str, notes: Sequence[str], entries: Sequence[Entry]) -> str:
    sheet = html.Sheet()
    colour = "red" if any(entry.failed for entry in entries) else "green"
    content = (
        html.banner(sheet, colour, html.escape(headline), html.escape(f"{len(entries)} attached")),
        *(html.note(text) for text in notes),
        *(_item(sheet, entry) for entry in entries),
    )
    return html.document(sheet, html.escape(headline), content)


def _item(sheet: html.Sheet, entry: Entry) -> str:
    """Give one report of the list: whose it is and what happened; below, when, and where to see more."""
    border = sheet.themed(
        f"padding:8px 0;border-top:1px solid;font-size:14px;{html.WRAP}", border_color="rule"
    )
    below = sheet.themed("font-size:13px", color="grey")
    happened = sheet.themed("", color="red") if entry.failed else ""
    return (
        f"<div{border}><b>{html.escape(entry.job)}</b> <span{happened}>{html.escape(entry.headline)}</span>"
        f"<div{below}>{html.escape(f'{moment(entry.when)} · cronwrap show {entry.run}')}</div></div>"
    )
