"""TOML 1.0 for what a person would otherwise have typed: settings written out, with comments.

Strings, integers, booleans, lists, tables and arrays of tables; no floats and no dates, which our
configuration does not have. What comes out reads back with ``tomllib`` to what went in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]
"""Where a value stands: keys, and indexes into arrays of tables: ``("relay", 0, "url")``."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def dumps(table: Mapping[str, Any], comments: Mapping[Path, str] | None = None, header: str = "") -> str:
    """Give a table as a TOML document; ``comments`` stand above their value, ``header`` above all.

    TypeError for a value TOML or our settings have no form for, ValueError for a text that is not Unicode
    (a lone surrogate, as undecodable octets leave one).
    """
    lines = _comment(header)
    if lines:
        lines.append("")
    _table(table, (), lines, comments or {})
    return "\n".join(lines) + "\n" if lines else ""


def _table(table: Mapping[str, Any], path: Path, lines: list[str], comments: Mapping[Path, str]) -> None:
    """Write plain values first: after the header of a table below, they would belong to that one."""
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _is_array_of_tables(value):
            lines += _comment(comments.get((*path, key), ""))
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in table.items():
        below = (*path, key)
        if isinstance(value, Mapping):
            _head(below, "[{}]", lines, comments)
            _table(value, below, lines, comments)
        elif _is_array_of_tables(value):
            for index, item in enumerate(value):
                _head((*below, index), "[[{}]]", lines, comments)
                _table(item, (*below, index), lines, comments)


def _head(path: Path, form: str, lines: list[str], comments: Mapping[Path, str]) -> None:
    if lines and lines[-1]:
        lines.append("")
    lines += _comment(comments.get(path, ""))
    lines.append(form.format(".".join(_key(part) for part in path if isinstance(part, str))))


def _is_array_of_tables(value: object) -> bool:
    return (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _comment(text: str) -> list[str]:
    """Give comment lines; a control character, which TOML forbids there, is shown as a question mark."""
    lines = [_unicode(line) for line in text.splitlines()]
    return [f"# {''.join(char if char.isprintable() else '?' for char in line)}".rstrip() for line in lines]


def _value(value: object) -> str:
    if isinstance(value, bool):  # before int: it is one
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):  # within a list that is no array of tables
        return f"{{{', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())}}}"
    raise TypeError(f"{type(value).__name__} has no form in a configuration file")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is a text, not {key!r}")
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """Give a basic string; one in single quotes would read better at times, and cannot hold everything."""
    escaped = (
        _ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else char)
        for char in _unicode(text)
    )
    return f'"{"".join(escaped)}"'


def _unicode(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(f"{text!r} is not valid Unicode")
    return text
