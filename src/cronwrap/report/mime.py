"""Header fields and body parts of a message: RFC 5322 and MIME, 7-bit clean, CRLF, short lines.

A *field* is one header field with its CRLF. A *part* is a body part: its fields, an empty line, its
body. The composer is our own because importing ``email`` and letting it fold and encode a message
costs more than all the rest of a failing run; the tests hold it against ``email``'s parser.
"""

from __future__ import annotations

import binascii

from cronwrap.text import WEEKDAYS, local, offset, one_line, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CRLF = b"\r\n"
LINE_WANTED = 78
"""A header line should not be longer (RFC 5322, 2.1.1)."""
LINE_LIMIT = 998
"""A line must not be longer, CRLF not counted (RFC 5322, 2.1.1; RFC 5321, 4.5.3.1.6)."""
ENCODED_LINE = 76
"""The longest line of base64, quoted-printable or encoded words (RFC 2045, 6.7 and 6.8; RFC 2047, 2)."""
WORD_OVERHEAD = len("=?utf-8?q??=")
NAME_LIMIT = 200
"""Characters of a display name; longer ones are no names."""
LABEL_LIMIT = 48
"""Characters of one label; the whole List-Id has to stay within 255 octets (RFC 2919, 2)."""
VALUE_LIMIT = 2000
"""Characters of one field's text. A crontab line of Debian's cron has at most 1000; Postfix cuts a
message's header at 102,400 octets, Sendmail refuses more than 32,768."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_ATOM = _ALNUM | frozenset("!#$%&'*+-/=?^_`{|}~ ")
"""What a display name may hold without quotes (RFC 5322, 3.2.3)."""
_LABEL = _ALNUM | frozenset("-_+=.")
_LABEL_AND_BREAKS = _LABEL | frozenset(" /:")
"""What may become a hyphen without a checksum: what stands between the words of a name."""
_Q_BARE = _ALNUM | frozenset("!*+-/")
"""What stands for itself in an encoded word in any place (RFC 2047, 5 (3))."""


def date(unix: float) -> str:
    """Give a Unix time as RFC 5322, 3.3 wants it, in local time: ``Mon, 02 Mar 2026 04:05:06 +0100``."""
    at = local(unix)
    day = f"{WEEKDAYS[at.tm_wday]}, {at.tm_mday:02d} {MONTHS[at.tm_mon - 1]} {at.tm_year:04d}"
    return f"{day} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {offset(at)}"


def field(name: str, value: str) -> bytes:
    """Give a field of free text, whatever the text holds (RFC 5322, 2.2.1; RFC 2047).

    A line break becomes a space, other control characters their pictures, octets that are no UTF-8
    U+FFFD. Text over ``VALUE_LIMIT`` is cut and ends in an ellipsis. What a reader decodes is
    otherwise the text, to the last space.
    """
    parts = [one_line(part, undecodable="replace") for part in value[: VALUE_LIMIT * 4].split("\t")]
    text = shorten("\t".join(parts), VALUE_LIMIT)
    if not text:
        return f"{name}:".encode() + CRLF
    folded = _folded(name, text)
    if folded is None:
        words = encoded_words(text, len(name) + 2)
        folded = f"{name}: " + "\r\n ".join(words)
    return folded.encode() + CRLF


def _folded(name: str, text: str) -> str | None:
    """Give the field folded at single spaces (RFC 5322, 2.2.3), or None when only encoded words are safe.

    Readers differ in what they make of a fold beside other white space, so runs of spaces are never folded.
    """
    plain = text.isascii() and text.isprintable() and "=?" not in text
    if not plain or text[0] == " " or text[-1] == " ":
        return None
    if len(name) + 2 + len(text) <= LINE_WANTED:
        return f"{name}: {text}"
    if "  " in text:
        return None
    lines = [f"{name}:"]
    for word in text.split(" "):
        # The first word stays beside the name: a line of nothing but the name is not folded but empty.
        if len(lines[-1]) + 1 + len(word) <= LINE_WANTED or lines == [f"{name}:"]:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    # A long path has no place to fold at; people and filters read it better plain than encoded.
    return "\r\n".join(lines) if max(map(len, lines)) <= LINE_LIMIT else None


def encoded_words(text: str, column: int) -> list[str]:
    """Give ``text`` as encoded words of whole characters, the first one to begin at ``column`` of its line.

    Each of the others goes on a line of its own, after the one space that separates them (RFC 2047).
    """
    octets = text.encode()
    bare = sum(character in _Q_BARE or character == " " for character in text)
    q_form = bare + 3 * (len(octets) - bare) <= (len(octets) + 2) // 3 * 4
    words: list[str] = []
    room = ENCODED_LINE - column - WORD_OVERHEAD
    used, chunk = 0, ""
    for character in text:
        if q_form:
            cost = 1 if character in _Q_BARE or character == " " else 3 * len(character.encode())
        else:
            cost = len(character.encode())
        size = used + cost if q_form else (used + cost + 2) // 3 * 4
        if size > room and chunk:
            words.append(_encoded_word(chunk, q_form=q_form))
            room = ENCODED_LINE - 1 - WORD_OVERHEAD
            used, chunk = 0, ""
        used += cost
        chunk += character
    return [*words, _encoded_word(chunk, q_form=q_form)]


def _encoded_word(text: str, *, q_form: bool) -> str:
    """Give one encoded word (RFC 2047, 4)."""
    if not q_form:
        return f"=?utf-8?b?{binascii.b2a_base64(text.encode(), newline=False).decode()}?="
    return "=?utf-8?q?" + "".join(map(_q_encoded, text)) + "?="


def _q_encoded(character: str) -> str:
    if character in _Q_BARE:
        return character
    return "_" if character == " " else "".join(f"={octet:02X}" for octet in character.encode())


def list_id(*labels: str) -> bytes:
    """Give a ``List-Id`` of labels (RFC 2919, 2 and 3), whatever they hold: ``<backup.root.web1.cronwrap>``.

    What no dot-atom may hold becomes a hyphen. Where that, or the cut of a long one, might make two labels
    the same, a checksum tells them apart.
    """
    return f"List-Id: <{'.'.join(map(_label, labels))}>\r\n".encode()


def _label(text: str) -> str:
    """Give a dot-atom (RFC 5322, 3.2.3) that stands for a text: letters, digits, ``-_+=`` and inner dots."""
    kept = "".join(character if character in _LABEL else "-" for character in text)
    words = ["-".join(filter(None, word.split("-"))) for word in kept.split(".")]
    label = ".".join(filter(None, words))
    plain = label.isascii() and _LABEL_AND_BREAKS.issuperset(text) and len(label) <= LABEL_LIMIT
    if plain and label:
        return label
    checksum = f"{binascii.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    label = label[:LABEL_LIMIT].strip("-.")
    return f"{label}-{checksum}" if label else checksum


def address_field(name: str, addresses: Iterable[tuple[str, str]]) -> bytes:
    """Give a field of addresses from pairs of a display name (may be empty) and a valid ``local@domain``."""
    lines = [f"{name}:"]
    listed = list(addresses)
    for number, (display, spec) in enumerate(listed, 1):
        comma = "," if number < len(listed) else ""
        words = [*_phrase(display), f"<{spec}>{comma}"] if display else [spec + comma]
        for word in words:
            if len(lines[-1]) + 1 + len(word) <= ENCODED_LINE or lines[-1].endswith(":"):
                lines[-1] += f" {word}"
            else:
                lines.append(f" {word}")
    return "\r\n".join(lines).encode() + CRLF


def _phrase(display: str) -> list[str]:
    """Give a display name as words with one space between: an atom, a quoted string, or encoded words."""
    name = " ".join(one_line(display, NAME_LIMIT, undecodable="replace").split())
    plain = name.isascii() and len(name) < ENCODED_LINE // 2 and "=?" not in name
    if not plain:
        return encoded_words(name, len("X-Long-Header: "))
    if _ATOM.issuperset(name):
        return [name]
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{quoted}"']


def text_part(text: str, subtype: str = "plain") -> bytes:
    """Give a part of text, in the encoding that is safe and smallest.

    Lines in ``text`` end with line feeds; it holds no carriage return. A missing last line end stays missing.
    """
    encoding, body = _encoded(text.encode())
    fields = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return fields.encode() + body


def _encoded(octets: bytes) -> tuple[str, bytes]:
    """Give the name of a transfer encoding for text, and the text in it."""
    if _goes_as_it_is(octets):
        return "7bit", octets.replace(b"\n", CRLF)
    quoted = _quoted_printable(octets)
    base64 = _base64(octets.replace(b"\n", CRLF))
    # What is quoted can be read and searched where the message lies: base64 has to save a quarter to win.
    if quoted is not None and len(quoted) * 3 <= len(base64) * 4:
        return "quoted-printable", quoted
    return "base64", base64


def _goes_as_it_is(octets: bytes) -> bool:
    """Tell whether text needs no encoding: whole ASCII lines that no program on the way would touch.

    ``From`` at a line's start is changed by those that store messages in one file (RFC 4155).
    """
    if not octets:
        return True
    if not octets.isascii() or not octets.endswith(b"\n") or b"\0" in octets:
        return False
    if octets.startswith(b"From ") or b"\nFrom " in octets:
        return False
    return max(map(len, octets.split(b"\n"))) <= LINE_LIMIT


def _quoted_printable(octets: bytes) -> bytes | None:
    """Give text in quoted-printable (RFC 2045, 6.7), or None where a line would be too long.

    That happens where a line is full and binascii still has to encode its last space, or where the mark
    of a missing last line end does not fit.
    """
    quoted = b"\n" + binascii.b2a_qp(octets, istext=True)
    if not quoted.endswith(b"\n"):
        quoted += b"=\n"
    if max(map(len, quoted.split(b"\n"))) > ENCODED_LINE:
        return None
    # Cut inside the word, so that what follows cannot be another "From " at a line's start.
    return quoted.replace(b"\nFrom ", b"\n=46r=\nom ")[1:].replace(b"\n", CRLF)


def _base64(octets: bytes) -> bytes:
    """Give octets in base64, in lines (RFC 2045, 6.8)."""
    encoded = binascii.b2a_base64(octets, newline=False)
    lines = [encoded[at : at + ENCODED_LINE] for at in range(0, len(encoded), ENCODED_LINE)]
    return CRLF.join([*lines, b""])


def attachment(name: str, content: bytes, content_type: str) -> bytes:
    """Give a part that holds exactly ``content``. ``name`` is ours: plain ASCII."""
    fields = (
        f'Content-Type: {content_type}; name="{name}"\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return fields.encode() + _base64(content)


def gzip(content: bytes) -> bytes:
    """Give content in gzip's format (RFC 1952), the same for the same content."""
    try:
        import zlib  # noqa: PLC0415  # a Python may have been built without it
    except ImportError:
        return _gzip_stored(content)
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


def _gzip_stored(content: bytes) -> bytes:
    """Give content in gzip's format, not compressed (RFC 1951, 3.2.4)."""
    parts = [b"\x1f\x8b\x08" + bytes(6) + b"\xff"]
    for start in range(0, len(content) or 1, 0xFFFF):
        block = content[start : start + 0xFFFF]
        last = start + 0xFFFF >= len(content)
        parts += [
            bytes([last]),
            len(block).to_bytes(2, "little"),
            (len(block) ^ 0xFFFF).to_bytes(2, "little"),
        ]
        parts.append(block)
    ends = binascii.crc32(content), len(content) & 0xFFFFFFFF
    return b"".join((*parts, *(number.to_bytes(4, "little") for number in ends)))


def multipart(subtype: str, parts: Sequence[bytes], seed: str) -> bytes:
    """Give a part that holds parts (RFC 2046, 5.1), with a boundary that occurs in none of them.

    ``seed`` makes the boundary a message's own: letters and digits, at most 40.
    """
    number = 0
    while any(f"--=_{seed}_{number}".encode() in part for part in parts):
        number += 1
    boundary = f"=_{seed}_{number}"
    delimiter = f"--{boundary}".encode()
    fields = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'
    body = b"".join(delimiter + CRLF + part + CRLF for part in parts)
    return fields.encode() + body + delimiter + b"--" + CRLF
