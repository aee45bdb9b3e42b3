"""The readers of values: durations, sizes, lists, addresses, patterns.

A value comes as a text or as what TOML makes of it; a reader gives what it means, or raises ValueError that
says what is allowed. This module is on the way of each run with options: it imports next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

EVENTS = (
    *("failure", "output", "stderr", "success", "recovery", "skip", "running", "stuck"),
    *("always", "never"),
)

TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DIGITS = frozenset("0123456789")
SHORT_ADDRESS = 60
"""Characters within which no part of an address is too long."""
_PLAIN_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-_")

LONGEST_DURATION = 100 * 365 * 86400.0
"""Seconds; beyond a century a duration is a typing error, and timers may overflow."""
MOST_DIGITS = 15
"""Of a size, or a number: what is longer is a typing error, and int() need not read it."""
BAD_VALUE = (ValueError, OverflowError, RecursionError)
"""What reading a value may end in; the last two come from regular expressions without measure."""


def _number(text: str, *, fraction: bool) -> bool:
    whole, dot, part = text.partition(".")
    if dot and not (fraction and part and _DIGITS.issuperset(part)):
        return False
    return bool(whole or dot) and _DIGITS.issuperset(whole)


def _written(value: object) -> str:
    """Give a value as a person would have typed it: a number that TOML took for 1.0 is 1."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    """Give a value as TOML has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def duration(value: object) -> float:
    """Read ``90``, ``90s``, ``1.5s``, ``5m``, ``2h``, ``1d`` or ``1h30m`` as seconds, else ValueError."""
    text = _written(value)
    total, number = 0.0, ""
    if isinstance(value, (int, float)) and text and 0 <= value <= LONGEST_DURATION:
        return float(value)
    for char in text:
        if char in TIME_UNITS:
            if not _number(number, fraction=True):
                break
            total, number = total + float(number) * TIME_UNITS[char], ""
        else:
            number += char
    else:
        if number == text and _number(text, fraction=True):
            total, number = float(text), ""
        if text and not number:
            if total <= LONGEST_DURATION:
                return total
            raise ValueError(f"{_shown(value)} is too long: the most is {LONGEST_DURATION / 86400.0:.0f}d")
    raise ValueError(f"{_shown(value)} is not a duration: write 90, 90s, 1.5s, 5m, 2h, 1d or 1h30m")


def duration_with_unit(value: object) -> float:
    """Read a duration of days; one without a unit, which would be seconds, is refused (ValueError)."""
    seconds, text = duration(value), _written(value)
    if not isinstance(value, str) or _number(text, fraction=True):
        raise ValueError(f"{_shown(value)} lacks its unit: write {text}d for days")
    return seconds


def size(value: object) -> int:
    """Read ``512``, ``64K``, ``1M`` or ``2G`` as octets (powers of 1024), else ValueError."""
    text = _written(value)
    unit = SIZE_UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not _number(digits, fraction=False):
        raise ValueError(f"{_shown(value)} is not a size: write 512, 64K, 1M or 2G")
    if len(digits) > MOST_DIGITS:
        most = "9" * MOST_DIGITS
        raise ValueError(f"{_shown(value)} is too large: the most is {most}T; write 512, 64K, 1M or 2G")
    return int(digits) * (unit or 1)


def or_none(read: Callable[[object], Any]) -> Callable[[object], Any]:
    """Give a reader for which 0 means no limit (timeout(1)): what ``[defaults]`` sets can be taken away."""
    return lambda value: read(value) or None


def integer(low: int, high: int) -> Callable[[object], int]:
    """Give a reader of whole numbers between two bounds, both allowed."""

    def read(value: object) -> int:
        text = _written(value)
        if not _number(text.removeprefix("-"), fraction=False):
            raise ValueError(f"{_shown(value)} is not a whole number")
        if len(text.lstrip("-0")) > MOST_DIGITS or not low <= int(text) <= high:
            raise ValueError(f"{_shown(value)} is not between {low} and {high}")
        return int(text)

    return read


def _items(value: object) -> list[object]:
    """Give the members of a TOML list or of a comma-separated text."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value]


def codes(value: object) -> tuple[int, ...]:
    """Read exit codes and ranges, ``0,24,100-103`` or ``[0, 24]``, ascending, else ValueError."""
    found: set[int] = set()
    for item in _items(value):
        low, dash, high = _written(item).partition("-")
        ends = (low.strip(), high.strip() if dash else low.strip())
        if not all(_number(end, fraction=False) and len(end.lstrip("0")) <= 3 for end in ends):
            raise ValueError(f"{item!r} is not an exit code: write numbers and ranges, as in 0,24,100-103")
        first, last = int(ends[0]), int(ends[1])
        if not 0 <= first <= last <= 255:
            raise ValueError(f"{item!r} is not a range of exit codes between 0 and 255")
        found.update(range(first, last + 1))
    if not found:
        raise ValueError("no exit code: write numbers and ranges, as in 0,24,100-103")
    return tuple(sorted(found))


def events(value: object) -> tuple[str, ...]:
    """Read the events to mail on, else ValueError."""
    items = tuple(str(item).lower() for item in _items(value))
    if not items:
        raise ValueError("no event: to mail nothing write never")
    for item in items:
        if item not in EVENTS:
            raise ValueError(f"{item!r} is not an event{nearest(item, EVENTS)}; allowed: {', '.join(EVENTS)}")
    return items


def globs(value: object) -> tuple[str, ...]:
    """Read names of jobs, ``*``, ``?`` and ``[…]`` standing for characters, else ValueError."""
    items = tuple(item for item in _items(value) if isinstance(item, str))
    if not all(items) or not items or len(items) != len(_items(value)):
        raise ValueError("write names of jobs, as backup-*; leave it out for all of them")
    return items


def one_of(*allowed: str) -> Callable[[object], str]:
    """Give a reader of one word out of a few."""

    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError(
                f"{_shown(value)} is not allowed{nearest(str(value), allowed)}; use {', '.join(allowed)}"
            )
        return str(value)

    return read


def boolean(value: object) -> bool:
    """Read ``true``/``false``, ``yes``/``no``, ``on``/``off``, ``1``/``0``, else ValueError."""
    word = (str(value) if isinstance(value, bool) else _written(value)).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{_shown(value)} is neither true nor false")


def plain_text(value: object) -> str:
    """Read a text without NUL, else ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a text")  # noqa: TRY004  # one kind of error for a bad value
    if "\0" in value:
        raise ValueError("it holds a NUL character")
    return value


def directory(value: object) -> str:
    """Read the absolute path of a directory, or an empty text for none, else ValueError."""
    text = plain_text(value)
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} is not the path of a directory from the root (/)")
    return text


def header_name(value: object) -> str:
    """Read the name of a header of HTTP, else ValueError."""
    text = plain_text(value)
    if not text or not _PLAIN_NAME.issuperset(text) or "." in text or "+" in text:
        raise ValueError(f"{text!r} is not the name of a header, as X-Remote-User")
    return text


def hosts(value: object) -> tuple[str, ...]:
    """Read names of hosts, without ports, else ValueError."""
    found = [] if isinstance(value, str) and not value.strip() else _items(value)
    items = tuple(item for item in found if isinstance(item, str))
    if len(items) != len(found) or not all(item and _PLAIN_NAME.issuperset(item) for item in items):
        raise ValueError(f"{_shown(value)} are no names of hosts, as cron.example.com")
    return items


def url(value: object) -> str:
    """Read an http or https URL, else ValueError."""
    text = plain_text(value)
    if not text.startswith(("http://", "https://")) or any(ord(char) < 33 for char in text):
        raise ValueError(f"{text!r} is not a URL that begins with http:// or https://")
    return text


def name(value: object) -> str:
    r"""Read a job's name: 1 to 200 octets, not blank, without control characters, else ValueError.

    It is one name wherever it is told, asked for or clicked at: octets that are no UTF-8 become ``\xff``.
    """
    text = plain_text(value)
    control = any(char < " " or "\x7f" <= char <= "\x9f" for char in text)
    if not text.strip() or len(text.encode(errors="surrogateescape")) > 200 or control:
        raise ValueError(
            f"{_shown(value)} is not a job name: 1 to 200 octets, not blank, no control characters"
        )
    return text if text.isascii() else text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def addresses(value: object) -> str:
    """Read addresses to a comma-separated text; ``report.compose`` takes them apart when a mail is due."""
    text = ",".join(map(plain_text, value)) if isinstance(value, (list, tuple)) else plain_text(value)
    # Only what is not evidently a list of plain addresses is worth the import.
    if text and not all(map(_evidently_an_address, text.split(","))):
        from cronwrap.address import addresses as parse_addresses  # noqa: PLC0415

        parse_addresses(text, "localhost")
    return text


def _evidently_an_address(text: str) -> bool:
    """Tell whether a text is certainly an address or a local name; most are."""
    local, at, domain = text.partition("@")
    if not _PLAIN_NAME.issuperset(local + domain) or bool(at) != bool(domain) or len(text) > SHORT_ADDRESS:
        return False
    labels = domain.split(".") if at else ["a"]
    good = all(label and label[0] != "-" and label[-1] not in "-_" for label in labels)
    return good and all(local.split(".")) and labels[-1][0] not in _DIGITS


def partly_right(key: str, value: object) -> str:
    """Give recipients that are not right throughout, if any of them is; else an empty text.

    The mail goes to those who are: it must not stay away from all for the fault of one.
    """
    if key != "mailto" or not isinstance(value, (str, list)):
        return ""
    from cronwrap.address import usable  # noqa: PLC0415  # after a mistake alone

    text = value if isinstance(value, str) else ",".join(item for item in value if isinstance(item, str))
    return text if usable(text, "localhost")[0] else ""


def address(value: object) -> str:
    """Read one address, else ValueError."""
    text = addresses(value)
    if "," in text and '"' not in text:
        raise ValueError(f"{_shown(value)} is more than one address")
    return text


def patterns(value: object) -> tuple[str, ...]:
    """Read regular expressions, a list or one a line, else ValueError."""
    items = (
        list(map(plain_text, value)) if isinstance(value, (list, tuple)) else plain_text(value).splitlines()
    )
    if items:
        import re  # noqa: PLC0415  # only a job that matches its output pays for it
        import warnings  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            for item in items:
                try:
                    re.compile(item)
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValueError(f"{item!r} is not a regular expression: {error}") from None
    return tuple(items)


def nearest(word: str, allowed: Sequence[str]) -> str:
    """Give ``: did you mean X?`` for a misspelt word, or an empty text."""
    from difflib import get_close_matches  # noqa: PLC0415  # only after a mistake

    found = get_close_matches(word, allowed, n=1)
    return f": did you mean {found[0]}?" if found else ""
