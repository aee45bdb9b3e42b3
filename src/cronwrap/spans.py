"""Words for spans of time and for numbers of things, as a verdict has them."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86400
SPANS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))
LAST_MOMENT = 253_402_214_400
"""31 December 9999: later ones have no four-digit year, and some C libraries refuse them."""


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


def count(number: int, noun: str = "", plural: str = "") -> str:
    """Give a number with separators, and its noun in the right form: ``1 line``, ``12,345 lines``."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def ago(seconds: float) -> str:
    """Give how long ago something was, in one unit, rounded down: ``5 min ago``; or ``in 5 min``."""
    span = int(abs(seconds))
    if span == 0:
        return "just now"
    unit, name = next(pair for pair in SPANS if span >= pair[0])
    words = f"{span // unit} {name}"
    return f"{words} ago" if seconds > 0 else f"in {words}"
