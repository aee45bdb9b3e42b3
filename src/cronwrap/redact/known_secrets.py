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
ALNUM = LETTERS + DIGITS

TOKENS: tuple[tuple[bytes, int, bytes], ...] = (
    (b"ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", 20, NAME),
    (b"glpat- gldt- glrt- glcbt- glptt- glsoat-", 16, DOTTED),
    (b"xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", 10, NAME),
    (b"dckr_pat_ GOCSPX- AGE-SECRET-KEY-1", 20, DOTTED),
    (b"SG.", 30, DOTTED),
    (b"npm_", 36, ALNUM),
    (b"hf_", 30, ALNUM),
    (b"pypi-AgE", 20, NAME),
    (b"AIza", 30, NAME),
    (b"ya29. hvs. hvb.", 20, DOTTED),
    (b"dop_v1_ doo_v1_ dor_v1_", 30, NAME),
    (b"shpat_ shpca_ shppa_ shpss_", 20, NAME),
    (b"sk_live_ sk_test_ rk_live_ rk_test_", 10, NAME),
    (b"sk-", 20, NAME),
)
"""What tokens begin with, the fewest characters that follow, and of which kind those are."""
PREFIXES = tuple((prefix, fewest, kind) for words, fewest, kind in TOKENS for prefix in words.split())
WHOLE_WORD = (b"sk-", b"hf_", b"SG.", b"npm_")
"""Short beginnings that other words end with (``task-``): no letter or digit may stand before them. What
follows holds ``RANDOM_RUN`` characters in a row that no name has: ``hf_hub_download_with_cache_dir``."""
RANDOM_RUN = 16
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

CUT_MAX = 64 * 1024
"""Octets of a word before the gap that are looked at."""
CUT_MIXED, CUT_PLAIN = 5, 12
"""Characters of a word right after the gap that pass for the rest of a token: fewer when letters and digits
mix, or capitals stand within it, since few words of a language are as long as the second."""


def find(content: bytes) -> Found:
    """Give where secrets are, in no particular order; they may overlap."""
    yield from _tokens(content)
    yield from _key_ids(content)
    yield from _web_tokens(content)
    yield from _url_passwords(content)


def cut_at_end(content: bytes) -> Found:
    """Give what may be the beginning of a secret whose rest is missing after the end."""
    # A key block that ends here is found whole, and a header by ``headers``.
    begin = run_start(content, len(content), WORD, max(0, len(content) - CUT_MAX))
    word = content[begin:]
    for prefix in (*(prefix for prefix, _fewest, _kind in PREFIXES), *KEY_IDS, JWT):
        at = word.find(prefix)
        while at >= 0 and prefix in WHOLE_WORD and _follows(content, begin + at, ALNUM):
            at = word.find(prefix, at + 1)
        if at >= 0:
            yield begin + at, len(content)
    scheme = content.rfind(b"://", max(0, len(content) - URL_MAX))
    if scheme >= 0 and run_end(content, scheme + 3, IN_AUTHORITY) == len(content):
        colon = content.find(b":", scheme + 3)
        password = content[colon + 1 :] if colon >= 0 else b""
        if not (len(password) <= PORT_DIGITS and not password.strip(DIGITS)):
            yield colon + 1, len(content)


def cut_at_start(content: bytes) -> Found:
    """Give what may be the end of a secret whose beginning is missing before the start."""
    # The end of a key block without its beginning is found whole.
    end = run_end(content, 0, WORD)
    word = content[:end]
    mixed = _has_both(word) or _is_mixed(word)
    if end >= CUT_PLAIN or (end >= CUT_MIXED and mixed):
        yield 0, end
    # The gap may have ended within the ``://`` of a URL.
    begin = run_end(content, 0, b":/", 3)
    at = content.rfind(b"@", begin, run_end(content, begin, IN_AUTHORITY, begin + URL_MAX))
    if at > begin:
        yield begin, at


def _tokens(content: bytes) -> Found:
    for prefix, fewest, kind in PREFIXES:
        at = content.find(prefix)
        while at >= 0:
            begin = at + len(prefix)
            end = begin
            whole_word = prefix in WHOLE_WORD
            if not whole_word or not _follows(content, at, ALNUM):
                end = run_end(content, begin, kind)
                if end - begin >= fewest and _is_random(content[begin:end], in_a_row=whole_word):
                    yield at, end
            at = content.find(prefix, end)


def _is_random(body: bytes, *, in_a_row: bool) -> bool:
    """Say whether something is no name: a name has no digits, or all its letters are of one size.

    ``in_a_row``: that holds for ``RANDOM_RUN`` characters without anything in between.
    """
    if not in_a_row:
        return any(octet in DIGITS for octet in body) or _is_mixed(body)
    runs = body.replace(b"_", b"-").replace(b".", b"-").split(b"-")
    return any(len(run) >= RANDOM_RUN and (_is_mixed(run) or _has_both(run)) for run in runs)


def _is_mixed(word: bytes) -> bool:
    """Say whether a word has both capitals and small letters, not only at its start."""
    return word != word.lower() and word[1:] != word[1:].upper() and not word[1:].islower()


def _has_both(word: bytes) -> bool:
    """Say whether a word has letters and digits."""
    return any(c in DIGITS for c in word) and any(c in LETTERS for c in word)


def _key_ids(content: bytes) -> Found:
    kind = CAPITALS + DIGITS
    for prefix in KEY_IDS:
        at = content.find(prefix)
        while at >= 0:
            end = run_end(content, at, kind)
            if end - at == len(prefix) + KEY_ID_LENGTH and not _follows(content, at, kind):
                yield at, end
            at = content.find(prefix, end)


def _web_tokens(content: bytes) -> Found:
    dot = content.find(b"." + JWT)
    while dot >= 0:
        # No run of these characters holds a dot, so none is gone through twice.
        first = content.find(JWT, run_start(content, dot, NAME, 0), dot)
        end = run_end(content, dot + 1, NAME)
        if 0 <= first <= dot - JWT_PART and end - dot > JWT_PART:
            if content[end : end + 1] == b".":
                end = run_end(content, end + 1, NAME)
            yield first, end
        dot = content.find(b"." + JWT, end)


def _url_passwords(content: bytes) -> Found:
    """Give the passwords of ``scheme://user:password@host`` (RFC 3986, 3.2.1)."""
    scheme = content.find(b"://")
    while scheme >= 0:
        begin = scheme + 3
        end = run_end(content, begin, IN_AUTHORITY)
        colon = content.find(b":", begin, end)
        at = content.rfind(b"@", begin, end)
        if at < 0 <= colon and content[begin] != ord("[") and content[colon + 1 : end].strip(DIGITS):
            # No port has anything but digits: this is a password that was not percent-encoded.
            at = content.find(b"@", end, run_end(content, end, IN_URL, begin + URL_MAX))
        if 0 <= colon < at - 1:
            yield colon + 1, at
        scheme = content.find(b"://", end)


def _follows(content: bytes, at: int, kind: bytes) -> bool:
    if at > 1 and content[at - 2 : at] in (b"\\n", b"\\r", b"\\t"):
        return False  # a line break that is spelt out
    return at > 0 and content[at - 1] in kind


def run_end(content: bytes, begin: int, kind: bytes, ceiling: int | None = None) -> int:
    """Give where a run of some characters ends, ``ceiling`` at the highest."""
    last = len(content) if ceiling is None else min(ceiling, len(content))
    while begin < last:
        piece = content[begin : min(begin + 256, last)]
        length = len(piece) - len(piece.lstrip(kind))
        begin += length
        if length < len(piece):
            break
    return begin


def run_start(content: bytes, end: int, kind: bytes, floor: int) -> int:
    """Give where a run of some characters before ``end`` starts, ``floor`` at the lowest."""
    while end > floor:
        piece = content[max(floor, end - 256) : end]
        length = len(piece) - len(piece.rstrip(kind))
        end -= length
        if length < len(piece):
            break
    return end
