"""Private keys (RFC 7468; RFC 9580, 6.2): whole blocks, and what has lost its begin or its end."""

from __future__ import annotations

from cronwrap.redact.known_secrets import ALNUM, CAPITALS, DIGITS, LETTERS, run_end, run_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Line = tuple[int, int, bytes]

KEY_BLOCK_MAX = 64 * 1024
"""Octets of a key block; no key comes near."""
KEY_KIND_MAX = 32
"""Octets between BEGIN and PRIVATE KEY: ``RSA``, ``ENCRYPTED``, ``OPENSSH``, ``PGP``."""
BASE64 = ALNUM + b"+/="
BESIDE = b" \t\"',>|\\"
"""What may stand around a line of a key where it is quoted."""
LONG = 40
"""Characters of a line of base64 that is no word of a language and no path: keys have 64 or more, but for
the last line."""
KEY_LINE_MAX = 128
"""Octets of the line of a BEGIN or END."""
REST_LINES = 2
"""Shorter lines of base64 at the end of a key: its last one, and a checksum."""
RUN = 24
"""Characters of base64 within a line of another kind, between BEGIN and END."""
FIELDS = (b"proc-type:", b"dek-info:", b"version:", b"comment:", b"hash:", b"charset:", b"messageid:")
"""Fields that stand above the base64."""


def key_blocks(content: bytes, *, lone: bool) -> Iterator[tuple[int, int]]:
    """Give private keys from BEGIN to END; with ``lone`` what looks like one beside just one of the two."""
    opened: tuple[int, int] | None = None
    done = 0
    for begins, first, last in _key_lines(content):
        if begins:
            if opened and lone:
                yield opened[0], _after(content, opened[1], first)
            opened = first, last
            continue
        if opened and last - opened[0] <= KEY_BLOCK_MAX:
            yield from _block(content, opened, (first, last))
        elif lone:
            if opened:
                yield opened[0], _after(content, opened[1], first)
            begin = _before(content, max(done, first - KEY_BLOCK_MAX), first)
            if begin < first:
                yield begin, last
        opened, done = None, last
    if lone and opened:
        yield opened[0], _after(content, opened[1], len(content))


def held_key(content: bytes) -> int:
    """Give from where on an output that goes on may be a key whose end is to come; its length if nowhere."""
    end = len(content)
    line = content.rfind(b"\n") + 1
    opened = end
    for begins, first, _last in _key_lines(content[max(0, end - KEY_BLOCK_MAX) :]):
        opened = max(0, end - KEY_BLOCK_MAX) + first if begins else end
    # A line that may become that of a BEGIN or an END, or is one and may have more dashes.
    dashes = content.find(b"-", max(line, end - KEY_LINE_MAX))
    while 0 <= dashes < opened:
        after = run_end(content, dashes, b"- ")
        words = content[after:]
        if any(words.startswith(word) or word.startswith(words) for word in (b"BEGIN ", b"END ")):
            opened = dashes
        dashes = content.find(b"-", after)
    return min(opened, _lone_body(content))


def _lone_body(content: bytes) -> int:
    """Give where lines begin that may be the body of a key without its BEGIN, up to the end."""
    found = end = len(content)
    floor = max(0, end - KEY_BLOCK_MAX)
    shorter = 0
    stop = end
    while stop > floor:
        start = content.rfind(b"\n", floor, stop - 1) + 1 or floor
        line = content[start:stop].strip(BESIDE + b"\r\n")
        stop = start
        if len(line) >= LONG and _is_body(line):
            found = start
            continue
        shorter += 1 if line and not _is_field(line) else 0
        if shorter > REST_LINES or (line and not _is_field(line) and not _is_body(line)):
            break
        if found < end and line and not _is_field(line):
            break
    return found


def _block(content: bytes, begins: tuple[int, int], ends: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give a block as a whole; where something else stands in it, what looks like base64."""
    lines = list(_lines(content, begins[1], ends[0]))
    if all(_is_body(line) or _is_field(line) for _, _, line in lines):
        yield begins[0], ends[1]
        return
    for first, last, line in lines:
        if _is_body(line) and len(line) >= RUN:
            yield first, last
            continue
        at = first
        while at < last:
            run = run_end(content, at, BASE64, last)
            if run - at >= RUN:
                yield at, run
            at = run + 1


def _after(content: bytes, begin: int, end: int) -> int:
    """Give where a key ends that has lost its END: after lines of base64 and a shorter one."""
    found = begin
    end = min(end, begin + KEY_BLOCK_MAX)
    for _first, last, line in _lines(content, begin, end):
        if _is_field(line) or (len(line) >= LONG and _is_body(line)):
            found = last if line else found
            continue
        if _is_body(line) and _is_rest(line, at_the_cut=last == len(content)):
            found = last
        break
    return found


def _before(content: bytes, begin: int, end: int) -> int:
    """Give where a key begins that has lost its BEGIN: before lines of base64, the last one shorter."""
    found = end
    for number, (first, _last, line) in enumerate(reversed(list(_lines(content, begin, end)))):
        short = number <= 1 and _is_body(line) and _is_rest(line, at_the_cut=False)
        cut = first == 0 and _is_body(line)
        if line and not (short or cut or _is_field(line) or (len(line) >= LONG and _is_body(line))):
            break
        found = first if line else found
    return found


def _lines(content: bytes, begin: int, end: int) -> Iterator[Line]:
    r"""Give the lines between two places without what is beside them; ``\n`` spelt out ends one as well."""
    text = content[begin:end].replace(b"\\n", b" \n").replace(b"\\r", b" \r").replace(b"\r", b"\n")
    at = begin
    for line in text.split(b"\n"):
        inner = line.strip(BESIDE)
        first = at + line.find(inner) if inner else at
        yield first, first + len(inner), inner
        at += len(line) + 1


def _is_body(line: bytes) -> bool:
    return not line.strip(BASE64)


def _is_field(line: bytes) -> bool:
    return not line or line.lower().startswith(FIELDS)


def _is_rest(line: bytes, *, at_the_cut: bool) -> bool:
    """Say whether a short line may be the last of a key: padded, a checksum, or no word of a language."""
    capitals = any(octet in CAPITALS for octet in line[1:]) and line != line.upper()
    mixed = any(octet in DIGITS for octet in line) and any(octet in LETTERS for octet in line)
    return at_the_cut or b"=" in line or capitals or mixed


def _key_lines(content: bytes) -> Iterator[tuple[bool, int, int]]:
    """Give the lines around private keys: whether it is a BEGIN, and where it begins and ends."""
    words = b"PRIVATE KEY"
    at = content.find(words)
    while at >= 0:
        kind = run_start(content, at, CAPITALS + DIGITS + b" ", max(0, at - KEY_KIND_MAX))
        before = content[kind:at].lstrip()
        first = run_start(content, kind, b"- ", max(0, kind - KEY_KIND_MAX))
        first = run_end(content, first, b" ")
        last = at + len(words)
        last = last + len(b" BLOCK") if content.startswith(b" BLOCK", last) else last
        end = run_start(content, run_end(content, last, b"- ", last + KEY_KIND_MAX), b" ", last)
        fenced = b"----" in content[first:kind] and b"----" in content[last:end]
        if fenced and before.startswith((b"BEGIN ", b"END ")):
            yield before.startswith(b"BEGIN "), first, end
        at = content.find(words, last)
