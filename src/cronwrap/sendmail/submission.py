"""A message that another program hands in, made complete and safe to send on. Pure.

What is right stays to the octet, crond's header fields above all. What relays would refuse is mended:
local names become addresses, missing fields are added, octets that no relay takes are encoded.
"""

from __future__ import annotations

import base64
import re

from cronwrap.address import LOCAL, Address, addresses, domain, usable
from cronwrap.mail import Envelope, Message
from cronwrap.model import Record
from cronwrap.report import mime
from cronwrap.sendmail.command_line import EX_DATAERR, EX_NOUSER, Rejected, Request
from cronwrap.text import one_line

MESSAGE_LIMIT = 64 << 20
"""Octets; relays take 25 to 50 million, and several copies are made on the way."""
TO_MAILTO = "nobody whom it names can be written to, so it goes to mailto"
RECIPIENT_LIMIT = 1000
"""Relays take 100 to 1000 in one message."""
REMARK_LIMIT = 20
"""Recipients passed over that are told one by one."""
GROUPS_LIMIT = 128 << 10
"""Characters of a list that is searched for groups: twice as long as any list of the most recipients."""
LINE_LIMIT = 998
"""Octets of a line without its end (RFC 5322, 2.1.1)."""
SENDER_FIELDS = ("from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to")
RECIPIENT_FIELDS = ("to", "cc", "bcc")
HIDDEN_FIELDS = ("bcc", "resent-bcc", "return-path")
"""Not for the reader's eyes, or not ours to write."""
MIME_FIELDS = ("mime-version", "content-type", "content-transfer-encoding")
IDENTITY = (b"", b"7bit", b"8bit", b"binary")
"""Content-transfer-encodings that change nothing (RFC 2045, 6.2)."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONG_LINE = re.compile(rb"[^\r\n]{%d}" % (LINE_LIMIT + 1))


class Site(Record):
    """What local names stand for on this host."""

    host: str
    local_domains: frozenset[str]
    """Domains whose addresses are this host's own, in lower case."""
    mailto: tuple[Address, ...]
    """Who reads this host's mail; at least one."""
    sender: Address
    """Whom relays let this host write as."""
    sender_configured: bool = True
    """Whether somebody said so; if not, a full address of the message's own is better."""

    def is_local(self, address: Address) -> bool:
        """Tell whether an address means nothing outside of this host."""
        name = address.spec.rpartition("@")[2].lower()
        return name == LOCAL or name in self.local_domains


class Field(Record):
    """One header field."""

    name: str
    """In lower case."""
    raw: bytes
    """The field as it goes on, with its line ends (CRLF)."""

    @property
    def value(self) -> str:
        """Give its text, unfolded."""
        text = self.raw.partition(b":")[2].decode("utf-8", "surrogateescape")
        return "".join(text.splitlines()).strip()


class Submission(Record):
    """A message that is ready, and what was remarkable about it."""

    message: Message
    remarks: tuple[str, ...] = ()


def submit(content: bytes, request: Request, site: Site, identity: str, now: float) -> Submission:
    """Give the message to store; Rejected when it cannot be sent to anybody. ``now`` is in Unix time."""
    fields, body = _split(content)
    resent = any(field.name in ("resent-to", "resent-cc", "resent-bcc") for field in fields)
    remarks: list[str] = []
    sender = _sender(request, fields, site, remarks)
    given_site, site = site, site.replace(sender=sender)
    to, all_local = _recipients(request, fields, site, remarks, prefix="resent-" if resent else "")
    shown = [_mended(field, site) for field in fields if field.name not in HIDDEN_FIELDS]
    to_mailto = any(remark.startswith(TO_MAILTO) for remark in remarks)
    if to_mailto:
        shown = [field for field in shown if field.name not in ("to", "cc")]  # no relay has use for it
    there = {field.name for field in shown}
    missing = {
        "from": mime.address_field("From", [(request.name or sender.name, sender.spec)]),
        "to": _to_field(to) if "cc" not in there else b"",
        "date": f"Date: {mime.date(now)}\r\n".encode(),
        "message-id": f"Message-ID: <{identity}.cronwrap@{domain(site.host)}>\r\n".encode(),
    }
    added = b"".join(raw for name, raw in missing.items() if name not in there)
    mime_fields, body = _fit(shown, body)
    if to_mailto:
        mime_fields, body = _told(shown, mime_fields, body, remarks)
    kept = b"".join(field.raw for field in shown if field.name not in mime_fields)
    header = added + kept + b"".join(mime_fields.values())
    subject = next((_decoded(field) for field in shown if field.name == "subject"), "")
    envelope = Envelope(sender=sender.spec, recipients=tuple(to))
    message = Message(
        envelope=envelope,
        content=header + b"\r\n" + body,
        job="sendmail",
        subject=subject,
        sender_from_settings=sender == given_site.sender,
        recipients_from_settings=all_local,
    )
    return Submission(message=message, remarks=tuple(remarks))


# The header -------------------------------------------------------------------------------------


def _split(content: bytes) -> tuple[list[Field], bytes]:
    """Give header fields and body (line ends as they came); a line that is no field begins the body."""
    found: list[tuple[str, list[bytes]]] = []
    at = 0
    if content.startswith((b"From ", b">From ")):  # a mailbox file's separator, see mbox(5)
        at = content.find(b"\n") + 1 or len(content)
    while at < len(content):
        end = content.find(b"\n", at) + 1 or len(content)
        line = content[at:end].rstrip(b"\n").removesuffix(b"\r")
        if not line:
            return _joined(found), content[end:]
        # A lone CR would become a line end on the wire: a field that was smuggled in.
        line = line.replace(b"\0", b"").replace(b"\r", b" ")
        start = _FIELD.match(line)
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1].append(line)
        elif start:
            found.append((start[1].decode("ascii").lower(), [line]))
        else:
            return _joined(found), content[at:]
        at = end
    return _joined(found), b""


def _joined(found: list[tuple[str, list[bytes]]]) -> list[Field]:
    """Give fields out of their lines; put together once, however many those are."""
    return [Field(name=name, raw=b"\r\n".join([*lines, b""])) for name, lines in found]


def _mended(field: Field, site: Site) -> Field:
    """Give a field that relays take: no local names in addresses, no line too long, no raw octets."""
    base = field.name.removeprefix("resent-")
    if field.name in SENDER_FIELDS or base in RECIPIENT_FIELDS:
        return _mended_addresses(field, site, sender=field.name in SENDER_FIELDS)
    long = any(len(line) > LINE_LIMIT for line in field.raw.split(b"\r\n"))
    eight_bit = not field.raw.isascii() and (field.name == "subject" or field.name.startswith("x-"))
    if not long and not eight_bit:
        return field
    written = field.raw.partition(b":")[0].decode("ascii").strip()
    return field.replace(raw=mime.field(written, field.value))


def _mended_addresses(field: Field, site: Site, *, sender: bool) -> Field:
    try:
        listed = addresses(field.value, LOCAL)
    except ValueError:
        return field
    if field.raw.isascii() and not any(map(site.is_local, listed)):
        return field
    pairs: dict[str, str] = {}
    for address in listed:
        if not site.is_local(address):
            pairs.setdefault(address.spec, address.name)
        elif sender:
            pairs.setdefault(site.sender.spec, address.name or site.sender.name)
        else:
            for reader in site.mailto:
                pairs.setdefault(reader.spec, reader.name)
    if not pairs:
        return field
    written = field.raw.partition(b":")[0].decode("ascii").strip()
    return field.replace(raw=mime.address_field(written, [(name, spec) for spec, name in pairs.items()]))


def _to_field(to: list[str]) -> bytes:
    """Give a field for a message that names nobody: one reader may see his own address, not others'."""
    if len(to) == 1:
        return mime.address_field("To", [("", to[0])])
    return b"To: undisclosed-recipients:;\r\n"


def _decoded(field: Field) -> str:
    """Give a subject for people."""
    text = field.value
    if "=?" in text:
        from email.errors import HeaderParseError  # noqa: PLC0415  # only some subjects need it
        from email.header import decode_header, make_header  # noqa: PLC0415

        try:
            text = str(make_header(decode_header(text)))
        except (HeaderParseError, LookupError, ValueError):
            return one_line(text)
    return one_line(text)


# Sender and recipients --------------------------------------------------------------------------


def _sender(request: Request, fields: list[Field], site: Site, remarks: list[str]) -> Address:
    """Give the return path, never empty: ``-f`` if it is a full address, else what is configured.

    Of a ``-f`` that is no address a remark is made: cron's mail must not be lost for it.
    """
    if request.sender.strip("<> \t"):
        given: tuple[Address, ...] = ()
        try:
            given = addresses(request.sender, LOCAL)
        except ValueError as error:
            remarks.append(f"sender passed over: -f: {error}")
        if given and not site.is_local(given[0]):
            return given[0]
    if site.sender_configured:
        return site.sender
    for field in fields:
        if field.name == "from":
            full = [address for address in _lenient(field.value)[0] if not site.is_local(address)]
            return full[0] if full else site.sender
    return site.sender


def _recipients(
    request: Request, fields: list[Field], site: Site, remarks: list[str], *, prefix: str
) -> tuple[list[str], bool]:
    """Give the recipients' addresses, each once, and whether all of them come from ``mailto``.

    Of those that cannot be read a remark is made.
    """
    listed: list[Address] = []
    faults: list[str] = []
    sources = list(request.recipients)
    if request.from_header or not sources:
        wanted = tuple(prefix + name for name in RECIPIENT_FIELDS)
        sources += [field.value for field in fields if field.name in wanted]
    for text in sources:
        good, bad = _lenient(text)
        listed += good
        faults += bad
    remarks += [f"recipient passed over: {fault}" for fault in faults[:REMARK_LIMIT]]
    if len(faults) > REMARK_LIMIT:
        remarks.append(f"recipients passed over: {len(faults) - REMARK_LIMIT} more")
    found: dict[str, None] = {}
    for address in listed:
        local = site.is_local(address)
        found.update(dict.fromkeys([reader.spec for reader in site.mailto] if local else [address.spec]))
    if not found and faults:
        remarks.append(f"{TO_MAILTO}: {', '.join(reader.spec for reader in site.mailto)}")
        found = dict.fromkeys(reader.spec for reader in site.mailto)
    if not found:
        raise Rejected(EX_NOUSER, "no recipient, neither as an argument nor in To, Cc or Bcc")
    if len(found) > RECIPIENT_LIMIT:
        raise Rejected(EX_DATAERR, f"{len(found)} recipients; {RECIPIENT_LIMIT} is the most")
    return list(found), all(map(site.is_local, listed))


def _lenient(text: str) -> tuple[tuple[Address, ...], list[str]]:
    """Give the addresses of a list and what is wrong with the others, groups (RFC 5322, 3.4) taken apart."""
    found, faults = usable(text, LOCAL)
    if not faults or ";" not in text or len(text) > GROUPS_LIMIT:
        return found, list(faults)
    from email.utils import getaddresses  # noqa: PLC0415  # such lists are rare

    good: list[Address] = []
    bad: list[str] = []
    try:
        listed = getaddresses([text])
    except RecursionError:  # of comments within comments, a thousand deep
        return found, list(faults)
    for _name, spec in listed:
        if not spec:
            continue
        try:
            good += addresses(spec, LOCAL)
        except ValueError as error:
            bad.append(str(error))
    empty_group = text.rstrip().endswith(":;")
    return tuple(good), bad if good or bad or empty_group else list(faults)


# The body ---------------------------------------------------------------------------------------


def _fit(fields: list[Field], body: bytes) -> tuple[dict[str, bytes], bytes]:
    """Give MIME fields that replace the message's own (or none), and the body with CRLF line ends.

    NUL and lines over the limit go through no relay unharmed, so such a body is encoded, unless it is
    encoded already or has parts of its own. Octets above 127 stay: relays differ in what they take.
    """
    given = {field.name: field.raw.partition(b":")[2].strip().lower() for field in fields}
    plain = given.get("content-transfer-encoding", b"") in IDENTITY
    simple = plain and not given.get("content-type", b"").startswith((b"multipart/", b"message/"))
    unfit = b"\0" in body or _LONG_LINE.search(body)
    body = _LINE_END.sub(b"\r\n", body)
    encoding = b""
    if unfit and simple:
        encoding, raw = b"base64", body
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    elif unfit:
        body, raw = body.replace(b"\0", b""), body
    else:
        raw = body
        if body and not body.endswith(b"\n"):
            body += b"\r\n"
    if not encoding and (body.isascii() or "content-type" in given):
        return {}, body
    found = {
        "mime-version": b"MIME-Version: 1.0\r\n",
        "content-type": _content_type(raw),
        "content-transfer-encoding": b"Content-Transfer-Encoding: %s\r\n" % (encoding or b"8bit"),
    }
    for field in fields:
        if field.name in MIME_FIELDS[:2] or (field.name in MIME_FIELDS and not encoding):
            found[field.name] = field.raw
    return found, body


def _told(
    fields: list[Field], mime_fields: dict[str, bytes], body: bytes, remarks: list[str]
) -> tuple[dict[str, bytes], bytes]:
    """Give MIME fields and body with the remarks before the text, whatever the body is."""
    note = "".join(f"[cronwrap: {one_line(remark)}]\n" for remark in remarks) + "\n"
    described = {field.name: field.raw for field in fields if field.name in MIME_FIELDS} | mime_fields
    if "content-type" not in described and "content-transfer-encoding" not in described:
        text = note.encode("ascii", "backslashreplace").replace(b"\n", b"\r\n")
        return mime_fields, text + body
    inner = b"".join(raw for name, raw in described.items() if name != "mime-version")
    seed = "".join(character for character in remarks[0] if character.isalnum())[:20]
    part = mime.multipart("mixed", [mime.text_part(note), (inner or b"") + b"\r\n" + body], seed or "told")
    fields_of_part, _empty, joined = part.partition(b"\r\n\r\n")
    return {
        "mime-version": b"MIME-Version: 1.0\r\n",
        "content-type": fields_of_part + b"\r\n",
        "content-transfer-encoding": b"",
    }, joined


def _content_type(body: bytes) -> bytes:
    """Give the type of a text whose author did not say what it is (RFC 1428 for what is no UTF-8)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return b"Content-Type: text/plain; charset=unknown-8bit\r\n"
    return b"Content-Type: text/plain; charset=utf-8\r\n"
