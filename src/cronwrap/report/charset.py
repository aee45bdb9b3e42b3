"""What a job's octets mean: UTF-8 where they fit, else the charset that the job's own locale names."""

from __future__ import annotations

import codecs

from cronwrap.model import STDERR, STDOUT, Mark, Output, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UTF_8 = "utf-8"
LOCALE_VARIABLES = ("LC_ALL", "LC_CTYPE", "LANG")
"""The first of them that is set and not empty names the locale's charset (POSIX, XBD 8.2)."""
LOCALE_LIMIT = 100
"""Characters; names of locales are far shorter."""
LONGEST_CHARACTER = 4
"""Octets of one character in any of these charsets."""

# The charsets of glibc's locales that Python reads, with their names in MIME (IANA). A job that names GB 2312
# writes what its larger successors read as well. Charsets with shifts or escapes are no locale's.
_MIME_NAMES = {
    **{f"iso8859-{part}": f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))},
    **{f"cp125{part}": f"windows-125{part}" for part in range(9)},
    **{f"cp{page}": f"ibm{page}" for page in (437, 850, 852, 855, 866)},
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "koi8-t": "koi8-t",
    "kz1048": "kz-1048",
    "ptcp154": "ptcp154",
    "tis-620": "tis-620",
    "gb18030": "gb18030",
    "gbk": "gbk",
    "gb2312": "gb2312",
    "big5": "big5",
    "big5hkscs": "big5-hkscs",
    "euc_jp": "euc-jp",
    "euc_kr": "euc-kr",
    "shift_jis": "shift_jis",
    "cp932": "windows-31j",
    "cp949": "ks_c_5601-1987",
}
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}
"""What is tried next: vendors' extensions go by the plain name."""


class Reading(Record):
    """An output, and how it is to be read."""

    output: Output
    """As the job wrote it; what is left of a character that the gap has cut counts as left out."""
    shown: Output
    """The same in UTF-8, its marks moved to where their stretches begin there."""
    charset: str = ""
    """The name in MIME of the charset that all of it is in; empty when it is in none that is known."""


def read(output: Output, environment: Mapping[str, str]) -> Reading:
    """Give how an output is to be read by who knows the job's environment."""
    whole = _with_whole_characters(output, UTF_8)
    if _fits(whole):
        return Reading(output=whole, shown=whole, charset=UTF_8)
    codec = of_locale(environment)
    for name in (codec, _WIDER.get(codec, "")):
        whole = _with_whole_characters(output, name) if name else output
        shown = _in_utf_8(whole, name) if name else None
        if shown:
            return Reading(output=whole, shown=shown, charset=_MIME_NAMES[name])
    return Reading(output=output, shown=output)


def _fits(output: Output) -> bool:
    try:
        for half in (output.head, output.tail):
            half.decode()
    except UnicodeDecodeError:
        return False
    return True


def of_locale(environment: Mapping[str, str]) -> str:
    """Give Python's name of the charset of the environment's locale; empty for none, and for UTF-8."""
    named = next((value for name in LOCALE_VARIABLES if (value := environment.get(name, ""))), "")
    if named in ("", "C", "POSIX") or len(named) > LOCALE_LIMIT:
        return ""
    import locale  # noqa: PLC0415 - slow to import, and hardly any job has such a locale

    # X11's list, by which Python goes, has the names that glibc's locale.alias has, and each language's own.
    charset = locale.normalize(named).partition(".")[2].partition("@")[0]
    try:
        codec = codecs.lookup(charset).name if charset else ""
    except (LookupError, ValueError):
        return ""
    return codec if codec in _MIME_NAMES else ""


def _with_whole_characters(output: Output, codec: str) -> Output:
    """Give an output without what the gap has left of the characters that it cut."""
    if not output.left_out_bytes:
        return output
    head, tail = output.head, output.tail
    last = head[head.rfind(b"\n") + 1 :]
    first = tail[: tail.find(b"\n") + 1] or tail
    lost = _octets_to_lose(last, codec, at_end=True)
    more = _octets_to_lose(first, codec, at_end=False)
    if not lost and not more:
        return output
    border = len(head) - lost
    moved = {}
    for mark in output.marks:
        at = min(mark.offset, border) if mark.offset < len(head) + more else mark.offset - lost - more
        moved[at] = mark.replace(offset=at)
    return output.replace(
        head=head[:border],
        tail=tail[more:],
        left_out_bytes=output.left_out_bytes + lost + more,
        marks=tuple(moved.values()),
    )


def _octets_to_lose(line: bytes, codec: str, *, at_end: bool) -> int:
    """Give how many octets at an end of a line are a part of a character; 0 where that explains nothing."""
    for lost in range(min(LONGEST_CHARACTER, len(line) + 1)):
        try:
            (line[: len(line) - lost] if at_end else line[lost:]).decode(codec)
        except UnicodeDecodeError:
            continue
        return lost
    return 0


def _in_utf_8(output: Output, codec: str) -> Output | None:
    """Give an output in UTF-8; None where it is not in this charset.

    A character that the other stream came in between is whole in its own.
    """
    decoders = [codecs.getincrementaldecoder(codec)() for _ in range(STDERR + 1)]
    marks = output.marks or (Mark(offset=0, stream=STDOUT, elapsed=0.0),)
    ends = [mark.offset for mark in marks[1:]]
    kept, border = output.kept, len(output.head)
    moved: list[Mark] = []
    head, tail = bytearray(), bytearray()
    try:
        for mark, end in zip(marks, [*ends, len(kept)], strict=True):
            moved.append(mark.replace(offset=len(head) + len(tail)))
            decode = decoders[mark.stream].decode
            head += decode(kept[mark.offset : min(end, border)]).encode()
            tail += decode(kept[max(mark.offset, border) : end]).encode()
        for decoder in decoders:
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return output.replace(head=bytes(head), tail=bytes(tail), marks=tuple(moved))
