"""Words for people: sizes, times, and octets that a terminal or a mail must not act on.

Mails and the terminal views share these. Nothing here costs an import that a failing run would feel.
"""

from __future__ import annotations

import time

from cronwrap.spans import LAST_MOMENT, count, duration

KIB = 1024
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""English whatever the locale (RFC 5322, 3.3 demands it of ``Date``)."""

OVERWRITES_SHOWN = 3
"""Carriage returns in one line up to which all its versions are shown; a progress bar has hundreds."""

STRIP = {"ok": "✓", "running": "…", "skipped": "·", "abandoned": "?"}
"""One sign a result; whatever is not here is a failure."""
FAILED_SIGN = "✗"

_JOINERS = ("\u200c", "\u200d")
"""Without width as well, but families of emoji and whole scripts are spelt with them: beside ASCII alone
they are shown."""
_ERASES = ("\x1b[K", "\x1b[0K", "\x1b[2K")
"""What progress bars write beside a carriage return: nothing is left of a line, or of its rest."""
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
"""Letters and marks that show nothing; what else is not seen is of the category Cf."""
_CR_PICTURE = "\u240d"


def size(octets: int) -> str:
    """Give an amount of data in powers of 1024: ``512 B``, ``1.4 MiB``, ``45 MiB``."""
    if octets < KIB:
        return f"{octets} B"
    amount = float(octets)
    unit = 0
    while amount >= KIB - 0.5 and unit < len(UNITS) - 1:
        amount /= KIB
        unit += 1
    return f"{amount:.1f} {UNITS[unit]}" if amount < 9.95 else f"{amount:,.0f} {UNITS[unit]}"


def local(moment: float) -> time.struct_time:
    """Give a Unix time as local time; what the calendar cannot hold becomes its nearest end."""
    return time.localtime(min(max(moment, 0.0), LAST_MOMENT))


def offset(at: time.struct_time) -> str:
    """Give the offset from UTC that held then: ``+0100``."""
    minutes = (at.tm_gmtoff or 0) // 60
    hours, minutes = divmod(abs(minutes), 60) if minutes >= 0 else divmod(-minutes, 60)
    return f"{'+' if (at.tm_gmtoff or 0) >= 0 else '-'}{hours:02d}{minutes:02d}"


def moment(unix: float) -> str:
    """Give a Unix time for a person: ``Mon 2026-03-02 04:05:06 +0100``, local."""
    at = local(unix)
    date = f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}"
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    return f"{WEEKDAYS[at.tm_wday]} {date} {clock} {offset(at)}"


def median(values: tuple[float, ...]) -> float:
    """Give the middle of some values (at least one), the mean of the two middle ones if they are even."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def usual(durations: tuple[float, ...]) -> str:
    """Give what runs took before, ``2.9 s, from 2.7 s to 3.4 s in 17 runs``; empty without any."""
    if not durations:
        return ""
    if len(durations) == 1:
        return f"{duration(durations[0])} in the one before"
    span = f"from {duration(min(durations))} to {duration(max(durations))}"
    return f"{duration(median(durations))}, {span} in {count(len(durations), 'run')}"


def strip(results: tuple[str, ...]) -> str:
    """Give a sign for each result, in their order: ``✓✓✓✗✓``."""
    return "".join(STRIP.get(result, FAILED_SIGN) for result in results)


def as_octets(text: str) -> bytes:
    """Give what the kernel handed over: lone surrogates become the octets they stand for (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no octet
        return text.encode("utf-8", "backslashreplace")


def visible(content: bytes | str) -> str:
    r"""Give text that shows every octet and makes no terminal or mail program do anything.

    Tabs and line feeds stay. A control character becomes its picture (``␛[31m``), an octet that is no
    UTF-8 its number (``\x80``), as does what is invisible or turns the direction of text (``\u202e``), CR
    LF a line feed. A line that was written over with lone carriage returns shows its versions side by
    side; of a progress bar only the first and the last ones.
    """
    octets = as_octets(content) if isinstance(content, str) else content
    return pictured(as_overwritten(octets.decode("utf-8", "backslashreplace")))


def pictured(text: str) -> str:
    """Give text in which a picture or a number stands for each character that acts or cannot be seen."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    from cronwrap.pictures import PICTURES  # noqa: PLC0415  # most output needs none

    return _translated(text, PICTURES)


def _translated(text: str, table: dict[int, int | str]) -> str:
    for joiner in _JOINERS:
        if joiner in text:
            first, *pieces = text.split(joiner)
            shown = [first]
            for before, piece in zip((first, *pieces), pieces, strict=False):
                fits = before[-1:] > "\x7f" and piece[:1] > "\x7f"
                shown += [joiner if fits else f"\\u{ord(joiner):04x}", piece]
            text = "".join(shown)
    return text.translate(table)


def as_overwritten(text: str) -> str:
    """Give text as it is left when it was written over with carriage returns; CR LF is a line feed."""
    if "\r" not in text:
        return text
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    return "\n".join(_overwritten(line) if "\r" in line else line for line in text.split("\n"))


def harmless(content: bytes | str, *, one: bool = False) -> str:
    r"""Give text for a terminal: as ``visible``, and nothing in it turns the direction or takes no room.

    Bidirectional controls, joiners, zero-width spaces, tags and fillers become the numbers that name them
    (``\u202e``). With ``one`` it is one line.
    """
    text = one_line(content) if one else visible(content)
    if text.isascii() or (text.isprintable() and not any(filler in text for filler in _FILLERS)):
        return text
    import unicodedata  # noqa: PLC0415  # for such texts alone

    return "".join(
        f"\\u{ord(char):04x}" if char in _FILLERS or unicodedata.category(char) == "Cf" else char
        for char in text
    )


def _overwritten(line: str) -> str:
    """Give the versions of a line that was written over with carriage returns."""
    versions = [_not_erased(version) for version in line.split("\r")]
    if len(versions) - 1 > OVERWRITES_SHOWN:
        end = -1 if versions[-1] else -2  # a bar may stop at its carriage return
        between = count(len(versions[1:end]), "version")
        versions = [versions[0], f"[… {between} of this line written over …]", versions[end]]
    return _CR_PICTURE.join(versions)


def _not_erased(version: str) -> str:
    """Give a version of a line without the sequences that erase the one before, or itself."""
    for erase in _ERASES:
        version = version.removeprefix(erase).removesuffix(erase)
    return version


def one_line(content: bytes | str, limit: int = 0, *, undecodable: str = "backslashreplace") -> str:
    """Give visible text on one line: a line break becomes a space; cut to ``limit`` characters if given."""
    octets = as_octets(content) if isinstance(content, str) else content
    text = octets.decode("utf-8", undecodable)
    if not text.isprintable():
        from cronwrap.pictures import ONE_LINE  # noqa: PLC0415  # as above

        text = _translated(text.replace("\r\n", "\n"), ONE_LINE)
    return shorten(text, limit) if limit else text


def shorten(text: str, limit: int) -> str:
    """Give text of at most ``limit`` characters; the last one is an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def iso(unix: float | None, *, timespec: str = "auto") -> str | None:
    """Give a Unix time in ISO 8601, local, with its offset from UTC."""
    if unix is None:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415  # for programs alone

    moment = datetime.fromtimestamp(min(max(unix, 0.0), LAST_MOMENT), tz=UTC)
    try:
        return moment.astimezone().isoformat(timespec=timespec)
    except ValueError:  # TZ may say an offset of a day and more
        return moment.isoformat(timespec=timespec)
