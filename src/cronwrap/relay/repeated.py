"""What a relay was told in confidence, taken out of what it says: some repeat the line they did not like."""

from __future__ import annotations

import base64
import re

PART = 8
"""Characters of a secret, clear or in base64, that are too many to be shown; a shorter secret goes whole."""
TEXT_LIMIT = 8192
"""Characters of a relay's words that are looked at, many times as many as are shown; the rest is left out."""
MARK = "[secret]"
DIGEST = re.compile(r"[0-9A-Fa-f]{32}|[A-Za-z0-9+/_=-]{40,}")
"""What CRAM-MD5 answers with, and that in base64 with the user before it: a password can be guessed by it."""

_ENHANCED = re.compile(r"(?m)^\s*\d{0,3}[ -]?[245]\.\d{1,3}\.\d{1,3}[ \t]+")
"""What each line of a reply may begin with (RFC 2034, 4), between two parts of what is repeated."""


class Confidence:
    """A login, and every form that it, or a part of it, may be repeated in."""

    def __init__(self, user: str = "", secret: bytes = b"") -> None:
        self._forms = _forms(user.encode(), secret) if secret else ()

    def without(self, text: str, *, digests: bool = False) -> str:
        """Give a text without the secret, whatever white space, line ends or signs stand in between.

        ``digests``: what may be the answer to a challenge goes, too.
        """
        if not self._forms:
            return text
        text = text[:TEXT_LIMIT]
        hidden = bytearray(len(text))
        skipped = {at for found in _ENHANCED.finditer(text) for at in range(*found.span())}
        for kept in (str.isalnum, lambda char: not char.isspace() and char.isprintable()):
            places = [at for at, char in enumerate(text) if at not in skipped and kept(char)]
            folded = _folded("".join(text[at] for at in places))
            for form in self._forms:
                for begin, end in _repeated(folded, "".join(filter(kept, form))):
                    hidden[places[begin] : places[end - 1] + 1] = b"\1" * (
                        places[end - 1] + 1 - places[begin]
                    )
        if digests:
            for found in DIGEST.finditer(text):
                hidden[slice(*found.span())] = b"\1" * (found.end() - found.start())
        return _blotted(text, hidden)


def _forms(user: bytes, secret: bytes) -> tuple[str, ...]:
    """Give what a secret looks like: clear, in base64 at each of its three alignments, and as it is sent."""
    sent = (
        secret,
        b"\0" + user + b"\0" + secret,
        user + b"\0" + user + b"\0" + secret,
        b"user=" + user + b"\x01auth=Bearer " + secret + b"\x01\x01",
    )
    encoded = [base64.b64encode(octets) for octets in sent]
    # What stands before and after it shares a character with it.
    shifted = [base64.b64encode(bytes(shift) + secret).rstrip(b"=")[shift + 1 : -1] for shift in (1, 2)]
    octets = [*sent[:1], *encoded, *shifted, *(form.translate(_TO_URL) for form in (*encoded, *shifted))]
    texts = [form.decode("utf-8", "replace") for form in octets] + [secret.decode("latin-1")]
    return tuple(dict.fromkeys(_folded(text) for text in texts if text))


_TO_URL = bytes.maketrans(b"+/", b"-_")


def _folded(text: str) -> str:
    """Give a text in small letters, each character still one: some relays shout what they repeat."""
    return "".join(char if len(char.lower()) != 1 else char.lower() for char in text)


def _repeated(text: str, form: str) -> list[tuple[int, int]]:
    """Give where a text has ``PART`` characters of a form in a row, or all of a shorter one."""
    length = min(PART, len(form))
    if not length:
        return []
    return [
        (begin, begin + length)
        for begin in range(len(text) - length + 1)
        if text[begin : begin + length] in form
    ]


def _blotted(text: str, hidden: bytearray) -> str:
    pieces: list[str] = []
    at = 0
    while (begin := hidden.find(1, at)) >= 0:
        end = hidden.find(0, begin)
        pieces += [text[at:begin], MARK]
        at = end if end >= 0 else len(text)
    return "".join([*pieces, text[at:]]) if pieces else text
