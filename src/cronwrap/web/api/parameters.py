"""What a request may say: each parameter by its kind, and none that nobody knows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cronwrap.model import Record
from cronwrap.settings.values import duration
from cronwrap.settings.when import moment
from cronwrap.web.deeds.base import Refused

TEXT_MAX = 1000
"""Characters of a text: names of jobs are shorter by far."""
OFFSET_MAX = 2**53 - 1
"""The largest whole number that every reader of JSON takes for the same (RFC 8259, 6)."""
LIMIT_MAX = 1000
"""Things in one list; the next ones are behind its ``next``."""


class Kind(Record):
    """How a parameter is read, and what the OpenAPI document says of it."""

    read: Callable[[str], Any]
    """Gives the value of a text; ValueError says what is wrong with it."""
    schema: dict[str, Any]


class Parameter(Record):
    """One thing that a request may say."""

    name: str
    kind: Kind
    about: str
    required: bool = False


def _text(value: str) -> str:
    if len(value) > TEXT_MAX:
        raise ValueError(f"has more than {TEXT_MAX} characters")
    if not value.isprintable() and any(char < " " or "\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("has characters that no text has")
    return value


def _name(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return _text(value)


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value == "true"


def _duration(value: str) -> str:
    duration(_text(value))
    return value


def _moment(value: str) -> str:
    moment(_text(value), time.time())
    return value


def whole(least: int, most: int) -> Kind:
    """Give the kind of whole numbers within bounds."""

    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) <= 16 and least <= int(value) <= most):
            raise ValueError(f"is no whole number from {least} to {most}")
        return int(value)

    return Kind(read=read, schema={"type": "integer", "minimum": least, "maximum": most})


def one_of(*words: str) -> Kind:
    """Give the kind of one of some words."""

    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return value

    return Kind(read=read, schema={"type": "string", "enum": list(words)})


TEXT = Kind(read=_text, schema={"type": "string", "maxLength": TEXT_MAX})
NAME = Kind(read=_name, schema={"type": "string", "minLength": 1, "maxLength": TEXT_MAX})
FLAG = Kind(read=_flag, schema={"type": "boolean"})
DURATION = Kind(read=_duration, schema={"type": "string", "maxLength": TEXT_MAX, "examples": ["2h", "7d"]})
MOMENT = Kind(
    read=_moment, schema={"type": "string", "maxLength": TEXT_MAX, "examples": ["18:00", "monday 9:00"]}
)
LIMIT = whole(1, LIMIT_MAX)
OFFSET = whole(0, OFFSET_MAX)


def of_query(pairs: Iterable[tuple[str, str]], known: Sequence[Parameter]) -> dict[str, Any]:
    """Give what a query says; ``Refused`` for what is unknown, said twice, or wrong.

    An empty value says nothing: it is what a form sends of a field that nobody has filled in.
    """
    found = _read([(name, value or None) for name, value in pairs], known, "query")
    return {name: value for name, value in found.items() if value is not None}


def of_body(content: bytes, known: Sequence[Parameter]) -> dict[str, Any]:
    """Give what a body of JSON says, an object; no body says nothing."""
    if not content.strip():
        return _read([], known, "body")
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_Pairs, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "Not JSON", f"The body is no JSON: {error}") from None
    if not isinstance(found, _Pairs):
        raise Refused(400, "Not an object", "The body is no JSON object.")
    pairs: list[tuple[str, str]] = []
    kinds = {parameter.name: parameter.kind for parameter in known}
    for name, value in found:
        flag = isinstance(value, bool) and kinds.get(name) is FLAG
        if name in kinds and not (isinstance(value, str) or flag):
            raise Refused(400, "Wrong type", f"{_shown(name)} has a value of another type than it may.")
        pairs.append((name, str(value).lower() if flag or name not in kinds else value))
    return _read(pairs, known, "body")


class _Pairs(list[tuple[str, Any]]):
    """The members of an object in JSON, as they stand there."""


def _constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _read(pairs: Sequence[tuple[str, str | None]], known: Sequence[Parameter], where: str) -> dict[str, Any]:
    kinds = {parameter.name: parameter for parameter in known}
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in kinds:
            may = f" It may have: {', '.join(kinds)}." if kinds else ""
            raise Refused(400, "Unknown parameter", f"The {where} may not have {_shown(name)}.{may}")
        if name in found:
            raise Refused(400, "Said twice", f"{name} is there more than once.")
        try:
            found[name] = None if value is None else kinds[name].kind.read(value)
        except (ValueError, OverflowError) as error:
            raise Refused(400, "Wrong value", f"{name}: {_shown(value or '')}: {error}") from None
    for parameter in known:
        if parameter.required and parameter.name not in found:
            raise Refused(400, "Missing", f"The {where} lacks {parameter.name}: {parameter.about}.")
    return found


def _shown(value: str) -> str:
    """Give a word of the request as its answer may have it: short, and of characters that have octets."""
    return ascii(value[:60])
