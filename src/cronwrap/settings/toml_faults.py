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
_TABLE = re.compile(r"\[{1,2}\s*([\w.-]+)\s*\]{0,3}")
"""The heading of a table with brackets too few or too many; a right one gives no fault."""
_HEAD = re.compile(r"\[{1,2}\s*([\w.\"'-]+)\s*\]")
_EXPORT = re.compile(r"(export|set)\s+([\w.-]+)")
_COLON = re.compile(r"""["']?([\w.-]+)["']?\s*:\s""")
BACKSLASH = ": within single quotes a backslash is an ordinary character"
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]*")
_CURLY = "“”„‟‘’‚‛«»"  # noqa: RUF001  # what a text processor makes of quotes


def _of_line(line: str) -> str:  # noqa: PLR0911  # a kind of mistake each
    """Give what is wrong with a line as other kinds of configuration have it; empty where that is not it."""
    if "\r" in line:
        return "a line ends with a line feed, not with a carriage return alone"
    if line.startswith((";", "//", "--")):
        return "a comment begins with #"
    if table := _TABLE.fullmatch(line):
        return f"write {'[[relay]]' if table[1] == 'relay' else f'[{table[1]}]'}"
    if exported := _EXPORT.match(line):
        return f'{exported[1]} has no place here: write {exported[2]} = "…"'
    if parts := _COLON.match(line):
        return f'write {parts[1]} = "…"'
    if line.count('"') == 2 and line.endswith(('";', '",')) and _LINE.match(line):  # not in a list
        return f"leave out the {line[-1]} at the end"
    return ""


def _twice(lines: list[str]) -> str:
    """Give which table or key stands in a file twice, and in which lines."""
    table, seen = "", dict[tuple[str, str], int]()
    for number, line in enumerate(map(str.strip, lines), 1):
        head = _HEAD.match(line)
        if head and head[1] == "relay":
            if seen.setdefault(("[relay]", ""), number) != number and "[[" not in line:
                return f": write [[relay]] above each relay, in line {number} too"
            if "[[" in line and not lines[seen["[relay]", ""] - 1].lstrip().startswith("[["):
                return f": write [[relay]] above each relay, in line {seen['[relay]', '']} too"
            table = f"relay {number}"
            continue
        parts = None if head else _LINE.match(line)
        table = head[1] if head else table
        if not (head or parts):
            continue
        name = parts["key"] if parts else ""
        if (first := seen.setdefault((table, name), number)) != number:
            what = name or f"[{table}]"
            return f": {what} stands in lines {first} and {number}: keep one of them"
    return ""


def hint(told: str, text: str) -> str:  # noqa: PLR0911  # a kind of mistake each
    """Give ``: …`` for the fault that ``tomllib`` has told of a text; empty where nothing better is known."""
    lines = text.split("\n")
    if "overwrite a value" in told or told.startswith("Cannot declare"):
        return _twice(lines)
    place = _PLACE.search(told)
    if not place or int(place[1]) > len(lines):
        return ""
    line = lines[int(place[1]) - 1]
    if right := _of_line(line.strip()):
        return f": {right}"
    parts = _LINE.match(line)
    if not parts:
        return ": a text needs quotes" if _WORD.fullmatch(line) else ""
    key, value = parts["key"], parts["value"].strip()
    if value[:1] in ("'", '"'):
        backslash = "\\" in value and value[0] == '"'
        if not backslash and "Illegal character" in told:
            return ": the closing quote is missing"
        return BACKSLASH if backslash else ""
    if "Unescaped" in told:
        return BACKSLASH
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
