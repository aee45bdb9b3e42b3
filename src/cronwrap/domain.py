"""Domain names with letters outside ASCII, by IDNA 2008 (RFC 5890 to 5893), mapped as RFC 5895 says.

Python's own codec knows IDNA 2003, which makes ``fass.example`` of ``faß.example``: another domain, of
other people. What differs between the two (sharp s, final sigma, the joiners) is encoded here as it stands,
and what IDNA 2008 does not allow is refused, as far as the tables of Python's Unicode tell.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

LONGEST_NAME = 253
LONGEST_LABEL = 63
"""Octets (RFC 1035, 2.3.4)."""
DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
"""What counts as a full stop (RFC 5895, 2, step 4)."""

LETTERS_AND_DIGITS = frozenset(("Ll", "Lo", "Lm", "Mn", "Mc", "Nd"))
"""RFC 5892, 2.1; capitals are no more, since they are mapped."""
ALLOWED = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
REFUSED = frozenset(
    "\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b\u034f\u115f\u1160\u17b4\u17b5"
)
"""RFC 5892, 2.6; and of 2.3 and 2.7 what the rules below do not find."""
REFUSED_RANGES = (
    (0x1100, 0x11FF),
    (0xA960, 0xA97F),
    (0xD7B0, 0xD7FF),
    (0x180B, 0x180F),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
    (0x1D100, 0x1D1FF),
    (0x1D200, 0x1D24F),
    (0xE0000, 0xE0FFF),
)
"""RFC 5892, 2.4 and 2.9: old Hangul, marks for music and symbols, variation selectors."""
ARABIC_DIGITS, MORE_ARABIC_DIGITS = (
    frozenset(map(chr, range(first, first + 10))) for first in (0x660, 0x6F0)
)
NOT_JOINING_LEFT = frozenset(
    "\u0621\u0622\u0623\u0624\u0625\u0627\u0629\u062f\u0630\u0631\u0632\u0648\u0698\u06d5"
)
"""Arabic letters after which a joiner has nothing to part (Joining_Type R or U)."""
VIRAMA = 9
"""The combining class of what joins the letters of Indic scripts."""


def to_ascii(name: str) -> str:
    """Give a domain in ASCII, lower case; ValueError when IDNA 2008 has no form of it.

    Plain ASCII is not judged: what is in it is the name service's business.
    """
    if name.isascii():
        return name.lower()
    lowered = "".join(char.lower() for char in name.translate(DOTS))  # each alone: no final sigma of Python's
    mapped = unicodedata.normalize("NFC", "".join(map(_width, lowered)))
    labels = [_label(label) for label in mapped.split(".")]
    found = ".".join(labels)
    if len(found) > LONGEST_NAME:
        raise ValueError("it is too long")
    return found


def _width(char: str) -> str:
    """Undo the wide and narrow forms of a character (RFC 5895, 2, step 2)."""
    kind, _, code = unicodedata.decomposition(char).partition(" ")
    return chr(int(code, 16)).lower() if kind in ("<wide>", "<narrow>") else char


def _label(label: str) -> str:
    if label.isascii():
        return label
    if label[2:4] == "--" or label[0] == "-" or label[-1] == "-":
        raise ValueError(f"{label!r} has a hyphen where none may be")
    if unicodedata.category(label[0]).startswith("M"):
        raise ValueError(f"{label!r} begins with a mark")
    for at, char in enumerate(label):
        if not _permitted(label, at):
            raise ValueError(f"{char!r} (U+{ord(char):04X}) may not stand in a domain")
    _check_direction(label)
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if len(encoded) > LONGEST_LABEL:
        raise ValueError(f"{label!r} is too long")
    return encoded


def _permitted(label: str, at: int) -> bool:
    """Tell whether a character may stand in a label where it does (RFC 5892, 3 and appendix A)."""
    char = label[at]
    if char.isascii():
        return char.isalnum() or char == "-"
    if char in ALLOWED:
        return True
    if char in RULES:
        return RULES[char](label, at)
    if char in ARABIC_DIGITS or char in MORE_ARABIC_DIGITS:
        other = MORE_ARABIC_DIGITS if char in ARABIC_DIGITS else ARABIC_DIGITS
        return other.isdisjoint(label)
    if char in REFUSED or any(first <= ord(char) <= last for first, last in REFUSED_RANGES):
        return False
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    return folded == char and unicodedata.category(char) in LETTERS_AND_DIGITS


def _joiner(label: str, at: int) -> bool:
    return at > 0 and unicodedata.combining(label[at - 1]) == VIRAMA


def _non_joiner(label: str, at: int) -> bool:
    if _joiner(label, at):
        return True
    before = [char for char in label[:at] if unicodedata.category(char) != "Mn"]
    after = [char for char in label[at + 1 :] if unicodedata.category(char) != "Mn"]
    if not before or not after or before[-1] in NOT_JOINING_LEFT:
        return False
    return unicodedata.bidirectional(before[-1]) == unicodedata.bidirectional(after[0]) == "AL"


def _is(char: str, *scripts: str) -> bool:
    return unicodedata.name(char, "").startswith(scripts)


RULES: dict[str, Callable[[str, int], bool]] = {
    "\u200c": _non_joiner,
    "\u200d": _joiner,
    "\u00b7": lambda label, at: 0 < at < len(label) - 1 and label[at - 1] == label[at + 1] == "l",
    "\u0375": lambda label, at: at < len(label) - 1 and _is(label[at + 1], "GREEK"),
    "\u05f3": lambda label, at: at > 0 and _is(label[at - 1], "HEBREW"),
    "\u05f4": lambda label, at: at > 0 and _is(label[at - 1], "HEBREW"),
    "\u30fb": lambda label, _at: any(
        _is(char, "HIRAGANA LETTER", "KATAKANA LETTER", "CJK UNIFIED", "CJK COMPATIBILITY") for char in label
    ),
}
"""What may stand in some places only (RFC 5892, appendix A)."""


def _check_direction(label: str) -> None:
    """Refuse a label whose letters do not run one way (RFC 5893, 2)."""
    kinds = [unicodedata.bidirectional(char) for char in label]
    if not {"R", "AL", "AN"} & {*kinds}:
        return
    ending = [kind for kind in kinds if kind != "NSM"]
    if kinds[0] in ("R", "AL"):
        fits = {*kinds} <= {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
        fits = fits and ending[-1] in ("R", "AL", "EN", "AN") and not {"EN", "AN"} <= {*kinds}
    else:
        fits = False  # one that begins left to right may hold nothing that runs the other way
    if not fits:
        raise ValueError(f"{label!r} runs in both directions")
