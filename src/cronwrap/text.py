"""Words for people: durations, sizes, times, and octets that a terminal or a mail must not act on.

Mails and the terminal views share these. Nothing here costs an import that a failing run would feel.
"""

from __future__ import annotations

import time

MINUTE, HOUR, DAY = 60, 3600, 86400
KIB = 1024
SPANS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LAST_MOMENT = 253_402_214_400
"""31 December 9999: later ones have no four-digit year, and some C libraries refuse them."""

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""English whatever the locale (RFC 5322, 3.3 demands it of ``Date``)."""

OVERWRITES_SHOWN = 3
"""Carriage returns in one line up to which all its versions are shown; a progress bar has hundreds."""

STRIP = {"ok": "✓", "running": "…", "skipped": "·", "abandoned": "?"}
"""One sign a result; whatever is not here is a failure."""
FAILED_SIGN = "✗"

# The control pictures of Unicode stand for the C0 controls and DEL. The C1 controls have none; some
# terminals obey them as they obey ESC, so they are shown as the octet that names them. The two line
# separators would break a line of ours where no reader expects it.
_PICTURES: dict[int, int | str] = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}
_PICTURES |= {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)} | {0x7F: 0x2421}
_PICTURES |= {0x2028: "\\u2028", 0x2029: "\\u2029"}
_ONE_LINE = _PICTURES | dict.fromkeys((0x09, 0x0A, 0x0D, 0x85, 0x2028, 0x2029), " ")
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
"""Letters and marks that show nothing; what else is not seen is of the category Cf."""
_CR_PICTURE = "\u240d"


def duration(seconds: float) -> str:
    """Give a span of time in at most two units: ``0.25 s``, ``3.1 s``, ``2 h 5 min``, ``3 d 4 h``."""
    seconds = min(max(0.0, seconds), LAST_MOMENT)
    if seconds < 0.0995:
        return f"{seconds:.3f} s" if seconds >= 0.0005 else "0 s"
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return _two(whole, MINUTE, "min", 1, "s")
    whole = round(seconds / MINUTE) * MINUTE
    if whole < DAY:
        return _two(whole, HOUR, "h", MINUTE, "min")
    return _two(round(seconds / HOUR) * HOUR, DAY, "d", HOUR, "h")


def _two(whole: int, unit: int, name: str, small_unit: int, small_name: str) -> str:
    """Give ``whole`` seconds in one unit and, unless nothing is left, a smaller one."""
    count, rest = divmod(whole, unit)
    small = rest // small_unit
    return f"{count} {name} {small} {small_name}" if small else f"{count} {name}"


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


def count(number: int, noun: str = "") -> str:
    """Give a number with separators, and its noun in the right form: ``1 line``, ``12,345 lines``."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ago(seconds: float) -> str:
    """Give how long ago something was, in one unit, rounded down: ``5 min ago``; or ``in 5 min``."""
    span = int(abs(seconds))
    if span == 0:
        return "just now"
    unit, name = next(
        pair for pair in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")) if span >= pair[0]
    )
    words = f"{span // unit} {name}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


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
    UTF-8 its number (``\x80``), CR LF a line feed. A line that was written over with lone carriage
    returns shows its versions side by side; of a progress bar only the first and the last ones.
    """
    octets = as_octets(content) if isinstance(content, str) else content
    text = octets.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            text = "\n".join(_overwritten(line) if "\r" in line else line for line in text.split("\n"))
    return text.translate(_PICTURES)


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
    versions = line.split("\r")
    if len(versions) - 1 > OVERWRITES_SHOWN:
        end = -1 if versions[-1] else -2  # a bar may stop at its carriage return
        between = count(len(versions[1:end]), "version")
        versions = [versions[0], f"[… {between} of this line written over …]", versions[end]]
    return _CR_PICTURE.join(versions)


def one_line(content: bytes | str, limit: int = 0, *, undecodable: str = "backslashreplace") -> str:
    """Give visible text on one line: a line break becomes a space; cut to ``limit`` characters if given."""
    octets = as_octets(content) if isinstance(content, str) else content
    text = octets.decode("utf-8", undecodable)
    if not text.isprintable():
        text = text.replace("\r\n", "\n").translate(_ONE_LINE)
    return shorten(text, limit) if limit else text


def shorten(text: str, limit: int) -> str:
    """Give text of at most ``limit`` characters; the last one is an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
