"""Where secrets of unmistakable kinds lie in some octets.

Each finder looks for a literal and goes on from there, in time proportional to the text and without ``re``,
whose import costs more than a quiet run may.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Found = Iterator[tuple[int, int]]
    Finder = Callable[[bytes], Found]

CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = b"0123456789"
LETTERS = CAPITALS + CAPITALS.lower()
NAME = LETTERS + DIGITS + b"_-"
DOTTED = NAME + b"."
WORD = DOTTED + b"+/=~%"
"""What tokens and base64 of any kind are made of."""

TOKENS: tuple[tuple[bytes, int, bytes], ...] = (
    (b"ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", 20, NAME),
    (b"glpat- gldt- glrt- glcbt- glptt- glsoat-", 16, DOTTED),
    (b"xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", 10, NAME),
    (b"npm_ dckr_pat_ GOCSPX- SG. AGE-SECRET-KEY-1", 20, DOTTED),
    (b"pypi-AgE", 20, NAME),
    (b"AIza", 30, NAME),
    (b"ya29. hvs. hvb.", 20, DOTTED),
    (b"dop_v1_ doo_v1_ dor_v1_ hf_", 30, NAME),
    (b"shpat_ shpca_ shppa_ shpss_", 20, NAME),
    (b"sk_live_ sk_test_ rk_live_ rk_test_", 10, NAME),
    (b"sk-", 20, NAME),
)
"""What tokens begin with, the fewest characters that follow, and of which kind those are."""
PREFIXES = tuple((prefix, fewest, kind) for words, fewest, kind in TOKENS for prefix in words.split())
WHOLE_WORD = (b"sk-", b"hf_", b"SG.", b"npm_")
"""Short beginnings that other words end with (``task-``): no letter or digit may stand before them."""
KEY_IDS = (b"AKIA", b"ASIA", b"ABIA", b"ACCA")
"""What key ids of AWS begin with; 16 capitals and digits follow."""
KEY_ID_LENGTH = 16
JWT = b"eyJ"
"""The beginning of a JSON object in base64: the first two parts of a token (RFC 7519) have it."""
JWT_PART = 10
"""Characters that each part has at least: ``{"a":1}`` in base64."""

SPACES = b" \t\r\n\v\f\0"
NO_URL = SPACES + b"\"'<>`"
IN_URL = bytes(octet for octet in range(256) if octet not in NO_URL)
IN_AUTHORITY = bytes(octet for octet in IN_URL if octet not in b"/?#")
URL_MAX = 1024
"""Octets of a URL in which its password is looked for."""
PORT_DIGITS = 5

HEADER_MAX = 16 * 1024
"""Octets of a header's value; no server takes a longer one."""
KEY_BLOCK_MAX = 64 * 1024
"""Octets of a key block that lacks its begin or its end; no key comes near."""
KEY_KIND_MAX = 32
"""Octets between BEGIN and PRIVATE KEY: ``RSA``, ``ENCRYPTED``, ``OPENSSH``, ``PGP``."""

CUT_MIXED, CUT_PLAIN = 12, 20
"""Characters of a word right after the gap that pass for the rest of a token: fewer when letters and digits
mix, since hardly a word of a language is as long as the second."""


def find(content: bytes, *, lone_keys: bool = True) -> Found:
    """Give where secrets are, in no particular order; they may overlap.

    ``lone_keys``: whether a key block that lacks its first or its last line counts as well.
    """
    yield from _tokens(content)
    yield from _key_ids(content)
    yield from _web_tokens(content)
    yield from _url_passwords(content)
    yield from _authorizations(content)
    yield from _key_blocks(content, lone=lone_keys)


def cut_at_end(content: bytes) -> Found:
    """Give what may be the beginning of a secret whose rest is missing after the end."""
    # A key block and an Authorization header that end here are found whole.
    begin = _run_start(content, len(content), WORD, max(0, len(content) - KEY_BLOCK_MAX))
    word = content[begin:]
    for prefix in (*(prefix for prefix, _fewest, _kind in PREFIXES), *KEY_IDS, JWT):
        at = word.find(prefix)
        while at >= 0 and prefix in WHOLE_WORD and _follows(content, begin + at, LETTERS + DIGITS):
            at = word.find(prefix, at + 1)
        if at >= 0:
            yield begin + at, len(content)
    scheme = content.rfind(b"://", max(0, len(content) - URL_MAX))
    if scheme >= 0 and _run_end(content, scheme + 3, IN_AUTHORITY) == len(content):
        colon = content.find(b":", scheme + 3)
        password = content[colon + 1 :] if colon >= 0 else b""
        if not (len(password) <= PORT_DIGITS and not password.strip(DIGITS)):
            yield colon + 1, len(content)


def cut_at_start(content: bytes) -> Found:
    """Give what may be the end of a secret whose beginning is missing before the start."""
    # The end of a key block without its beginning is found whole.
    end = _run_end(content, 0, WORD)
    word = content[:end]
    mixed = any(octet in DIGITS for octet in word) and any(octet in LETTERS for octet in word)
    if end >= CUT_PLAIN or (end >= CUT_MIXED and mixed):
        yield 0, end
    # The gap may have ended within the ``://`` of a URL.
    begin = _run_end(content, 0, b":/", 3)
    at = content.rfind(b"@", begin, _run_end(content, begin, IN_AUTHORITY, begin + URL_MAX))
    if at > begin:
        yield begin, at


def _tokens(content: bytes) -> Found:
    for prefix, fewest, kind in PREFIXES:
        at = content.find(prefix)
        while at >= 0:
            begin = at + len(prefix)
            end = begin
            if prefix not in WHOLE_WORD or not _follows(content, at, LETTERS + DIGITS):
                end = _run_end(content, begin, kind)
                if end - begin >= fewest:
                    yield at, end
            at = content.find(prefix, end)


def _key_ids(content: bytes) -> Found:
    kind = CAPITALS + DIGITS
    for prefix in KEY_IDS:
        at = content.find(prefix)
        while at >= 0:
            end = _run_end(content, at, kind)
            if end - at == len(prefix) + KEY_ID_LENGTH and not _follows(content, at, kind):
                yield at, end
            at = content.find(prefix, end)


def _web_tokens(content: bytes) -> Found:
    dot = content.find(b"." + JWT)
    while dot >= 0:
        # No run of these characters holds a dot, so none is gone through twice.
        first = content.find(JWT, _run_start(content, dot, NAME, 0), dot)
        end = _run_end(content, dot + 1, NAME)
        if 0 <= first <= dot - JWT_PART and end - dot > JWT_PART:
            if content[end : end + 1] == b".":
                end = _run_end(content, end + 1, NAME)
            yield first, end
        dot = content.find(b"." + JWT, end)


def _url_passwords(content: bytes) -> Found:
    """Give the passwords of ``scheme://user:password@host`` (RFC 3986, 3.2.1)."""
    scheme = content.find(b"://")
    while scheme >= 0:
        begin = scheme + 3
        end = _run_end(content, begin, IN_AUTHORITY)
        colon = content.find(b":", begin, end)
        at = content.rfind(b"@", begin, end)
        if at < 0 <= colon and content[begin] != ord("[") and content[colon + 1 : end].strip(DIGITS):
            # No port has anything but digits: this is a password that was not percent-encoded.
            at = content.find(b"@", end, _run_end(content, end, IN_URL, begin + URL_MAX))
        if 0 <= colon < at - 1:
            yield colon + 1, at
        scheme = content.find(b"://", end)


def _authorizations(content: bytes) -> Found:
    """Give the values of ``Authorization:`` and ``Proxy-Authorization:`` (RFC 9110, 11.6.2)."""
    lower = content.lower()
    name = b"authorization"
    word = lower.find(name)
    while word >= 0:
        after = word + len(name)
        colon = _run_end(content, after, b"\\\"' \t")
        if content[colon : colon + 1] == b":":
            begin = _run_end(content, colon + 1, b"\\\"' \t")
            around = content[word - 1 : word] + content[after:colon] + content[colon + 1 : begin]
            end = _line_end(content, begin)
            for quote in (b'"', b"'"):
                closing = content.find(quote, begin, end) if quote in around else -1
                end = closing if closing >= 0 else end
            yield begin, end
            after = end
        word = lower.find(name, after)


def _line_end(content: bytes, begin: int) -> int:
    r"""Give where a line ends; a line break that is spelt out (``\r\n``) ends it as well."""
    end = min(len(content), begin + HEADER_MAX)
    for stop in (b"\n", b"\r", b"\\n", b"\\r"):
        at = content.find(stop, begin, end)
        end = at if at >= 0 else end
    return end


def _key_blocks(content: bytes, *, lone: bool) -> Found:
    """Give private keys from BEGIN to END (RFC 7468, RFC 9580, 6.2), and those that lack one of the two."""
    opened, done = -1, 0
    for begins, first, last in _key_lines(content):
        if begins:
            opened = first if opened < 0 else opened
            continue
        if max(opened, last - KEY_BLOCK_MAX) == opened >= 0:
            yield opened, last
        elif lone:
            if opened >= 0:
                yield opened, opened + KEY_BLOCK_MAX
            yield max(done, last - KEY_BLOCK_MAX), last
        opened, done = -1, last
    if lone and opened >= 0:
        yield opened, min(opened + KEY_BLOCK_MAX, len(content))


def _key_lines(content: bytes) -> Iterator[tuple[bool, int, int]]:
    """Give the lines around private keys: whether it is a BEGIN, and where it begins and ends."""
    words = b"PRIVATE KEY"
    at = content.find(words)
    while at >= 0:
        kind = _run_start(content, at, CAPITALS + DIGITS + b" ", max(0, at - KEY_KIND_MAX))
        before = content[kind:at].lstrip()
        first = _run_start(content, kind, b"- ", max(0, kind - KEY_KIND_MAX))
        first = _run_end(content, first, b" ")
        last = at + len(words)
        last = last + len(b" BLOCK") if content.startswith(b" BLOCK", last) else last
        end = _run_start(content, _run_end(content, last, b"- ", last + KEY_KIND_MAX), b" ", last)
        fenced = b"----" in content[first:kind] and b"----" in content[last:end]
        if fenced and before.startswith((b"BEGIN ", b"END ")):
            yield before.startswith(b"BEGIN "), first, end
        at = content.find(words, last)


def _follows(content: bytes, at: int, kind: bytes) -> bool:
    return at > 0 and content[at - 1] in kind


def _run_end(content: bytes, begin: int, kind: bytes, ceiling: int | None = None) -> int:
    """Give where a run of some characters ends, ``ceiling`` at the highest."""
    last = len(content) if ceiling is None else min(ceiling, len(content))
    while begin < last:
        piece = content[begin : min(begin + 256, last)]
        length = len(piece) - len(piece.lstrip(kind))
        begin += length
        if length < len(piece):
            break
    return begin


def _run_start(content: bytes, end: int, kind: bytes, floor: int) -> int:
    """Give where a run of some characters before ``end`` starts, ``floor`` at the lowest."""
    while end > floor:
        piece = content[max(floor, end - 256) : end]
        length = len(piece) - len(piece.rstrip(kind))
        end -= length
        if length < len(piece):
            break
    return end
