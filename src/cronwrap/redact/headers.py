"""The values of ``Authorization:`` and ``Proxy-Authorization:`` (RFC 9110, 11.6.2), however printed."""

from __future__ import annotations

from cronwrap.redact.known_secrets import DIGITS, LETTERS, run_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = b"authorization"
HEADER_MAX = 16 * 1024
"""Octets of a header's value; no server takes a longer one."""
AROUND = b"\\\"' \t"
QUOTES = b"\"'"
STRING_PREFIXES = b"bBuUrRfF"
"""What Python may write before a quote."""
SINGLE = (
    b"basic",
    b"bearer",
    b"negotiate",
    b"ntlm",
    b"token",
    b"bot",
    b"apikey",
    b"key",
    b"ssws",
    b"dpop",
    b"splunk",
)
"""Schemes that are followed by one word, the secret."""
PLAIN_MAX = 20
"""Letters of one size in a row that pass for a word of a language, as in ``authorization: failed``."""


def authorizations(content: bytes) -> Iterator[tuple[int, int]]:
    """Give where such values are."""
    lower = content.lower()
    word = lower.find(NAME)
    while word >= 0:
        after = word + len(NAME)
        found = _value(content, word, after)
        if found:
            begin, end = found
            if begin < end and _is_secret(
                content, word, content[begin:end], quoted=content[begin - 1] in QUOTES
            ):
                yield begin, end
            after = max(after, end)
        word = lower.find(NAME, after)


def cut_header(content: bytes) -> Iterator[tuple[int, int]]:
    """Give a value that goes on to the very end, where too little of it may be left to be known."""
    start = max(0, len(content) - HEADER_MAX)
    word = content.lower().rfind(NAME, start)
    found = _value(content, word, word + len(NAME)) if word >= 0 else None
    if found and found[0] < found[1] == len(content):
        yield found


def _value(content: bytes, word: int, after: int) -> tuple[int, int] | None:
    """Give where the value of a header begins and ends, or nothing when what follows is no value."""
    sign = run_end(content, after, AROUND, after + 8)
    quoted = any(octet in QUOTES for octet in content[after:sign])
    if content[sign : sign + 2] == b"=>":
        begin = sign + 2
    elif content[sign : sign + 1] == b":" or (quoted and content[sign : sign + 1] == b","):
        begin = sign + 1
    else:
        return None
    begin = run_end(content, begin, b" \t")
    at = run_end(content, begin, STRING_PREFIXES, begin + 2)
    slashes = run_end(content, at, b"\\") - at
    listed = content[sign : sign + 1] == b","
    if content[at + slashes : at + slashes + 1] in (b'"', b"'"):
        opening = at + slashes
        end = _closed(content, opening, slashes)
        # In a list of names another name may follow, which is one word.
        return None if listed and b" " not in content[opening:end] else (opening + 1, end)
    if listed:
        return None
    begin = run_end(content, begin, AROUND)
    end = line_end(content, begin)
    around = content[word - 1 : word] + content[after:sign]
    for quote in (b'"', b"'"):
        closing = content.find(quote, begin, end) if quote in around else -1
        end = closing if closing >= 0 else end
    return begin, end


def _closed(content: bytes, opening: int, slashes: int) -> int:
    """Give where a quoted value ends: at a quote of its own kind that is no deeper than its first."""
    end = min(len(content), opening + 1 + HEADER_MAX)
    quote = content[opening : opening + 1]
    at = content.find(quote, opening + 1, end)
    while at >= 0:
        before = at
        while before > opening + 1 and content[before - 1 : before] == b"\\":
            before -= 1
        if at - before <= slashes or at == opening + 1:
            return before
        at = content.find(quote, at + 1, end)
    return line_end(content, opening + 1)


def _is_secret(content: bytes, word: int, value: bytes, *, quoted: bool) -> bool:
    """Say whether a value is one: prose about somebody's authorization has it too."""
    words = value.split(None, 2)
    if not words:
        return False
    scheme = words[0].lower()
    if len(words) == 1:
        return not _is_plain(words[0].rstrip(b".,;!"))
    if scheme in SINGLE:
        prose = _is_plain(words[1].rstrip(b".,;")) and (len(words) > 2 or scheme not in SINGLE[:4])
        return quoted or not prose
    if b"=" in value and not value.startswith((b"user ", b"for ")):
        return _is_header(content, word) or quoted or b"signature" in value.lower() or b'="' in value
    return len(words) == 2 and not _is_plain(words[1].rstrip(b".,;")) and len(words[1]) >= 8


def _is_header(content: bytes, word: int) -> bool:
    """Say whether a name stands where a header's would: at the start of a line, or after a quote."""
    for prefix in (b"proxy-", b"x-", b"http_"):
        if content[max(0, word - len(prefix)) : word].lower() == prefix:
            word -= len(prefix)
    while word > 0 and content[word - 1] in b" \t<>*|":
        word -= 1
    return word == 0 or content[word - 1] in b"\n\r\"'" or content[word - 2 : word] in (b"\\n", b"\\r")


def _is_plain(word: bytes) -> bool:
    """Say whether a word is one of a language rather than a secret."""
    letters = not word.strip(LETTERS + b"'-") and any(octet in LETTERS for octet in word)
    one_size = word[1:] == word[1:].lower() or word == word.upper()
    number = not word.strip(DIGITS)
    shown = not word.strip(b"*.x[]<>-") or word.startswith((b"[redacted", b"$", b"<", b"{", b"%"))
    return (letters and one_size and len(word) < PLAIN_MAX) or (number and len(word) < 6) or shown


def line_end(content: bytes, begin: int) -> int:
    r"""Give where a line ends; a line break that is spelt out (``\r\n``) ends it as well."""
    end = min(len(content), begin + HEADER_MAX)
    for stop in (b"\n", b"\r", b"\\n", b"\\r"):
        at = content.find(stop, begin, end)
        end = at if at >= 0 else end
    return end
