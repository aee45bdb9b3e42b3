"""What a person most likely meant by a line that is no TOML, in one clause behind the parser's own words.

The value is shown for options alone: what else stands in the file may be a password.
"""

from __future__ import annotations

import re

from cronwrap.settings.options import BY_KEY
from cronwrap.text import one_line

SHOWN = 60
"""Characters of a value that the right form repeats."""
NOT_SHOWN = ("ping",)
"""Options whose value may hold a login."""

_PLACE = re.compile(r"\(at line ([0-9]{1,9}), column [0-9]+\)")
_LINE = re.compile(r"""\s*(?P<key>["'\w.-]+)\s*=\s*(?P<value>.*)""", re.DOTALL)
_WORD = re.compile(r"\s*[^\s\[\]{}\"'#=,][^\[\]{}\"'#=]*,?\s*(?:#.*)?")
"""A line of a list that has one member a line, and that without quotes."""
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]*")
_CURLY = "“”„‟‘’‚‛«»"  # noqa: RUF001  # what a text processor makes of quotes


def hint(told: str, text: str) -> str:
    """Give ``: …`` for the fault that ``tomllib`` has told of a text; empty where nothing better is known."""
    place = _PLACE.search(told)
    lines = text.split("\n")
    if not place or int(place[1]) > len(lines):
        return ""
    line = lines[int(place[1]) - 1]
    parts = _LINE.match(line)
    if not parts:
        return ": a text needs quotes" if _WORD.fullmatch(line) else ""
    key, value = parts["key"], parts["value"].strip()
    if value[:1] in ("'", '"'):
        backslash = "\\" in value and value[0] == '"'
        return ": within single quotes a backslash is an ordinary character" if backslash else ""
    right = _right_form(key, value.partition(" #")[0].rstrip())
    return f": {right}" if right else ""


_FLAGS = frozenset(key for key, option in BY_KEY.items() if not option.metavar) | {"background"}


def _right_form(key: str, value: str) -> str:
    """Say how a value that has no quotes is written."""
    if not value or value.startswith(("{", "#")) or _NUMBER.fullmatch(value):
        return ""
    if value[0] in _CURLY:
        return f'quotes are straight: write {key} = "…"'
    if value.startswith("["):
        return f'each text in the list needs quotes: write {key} = ["…", "…"]'
    if key in _FLAGS and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        return f"write {key} = true or {key} = false"
    harmless = key in BY_KEY and key not in NOT_SHOWN and not set(value) & set("\"'\\")
    return f'quotes are missing: write {key} = "{one_line(value, SHOWN) if harmless else "…"}"'
