"""A JSON schema of the configuration, written out from the table of options: ``python tools/schema.py``.

For editors and for whoever checks a configuration before it is on a host. It says what ``cronwrap config
check`` says of the form of a file. What it cannot say: that a sum of durations is too long, that two users
differ, and what only the host knows (files, their modes, users' homes).
"""

# ruff: noqa: INP001 -- a script beside the package, not a package

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any

from cronwrap.settings import files, fleet, notify, relays, table_reader, values
from cronwrap.settings.options import BY_KEY, OPTIONS, SECTIONS

if TYPE_CHECKING:
    from cronwrap.settings.options import Option

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACE = os.path.join(PROJECT, "docs", "config.schema.json")

END = r"(?![\s\S])"
"""The very end: ``$`` also stands before a last line break in some dialects."""
CONTROL = "\\u0000-\\u001f\\u007f-\\u009f"

Schema = dict[str, Any]


# Numbers ----------------------------------------------------------------------------------------


def numbers(low: int, high: int) -> str:
    """Give an expression for the decimal numbers between two, without zeros before them."""
    found = []
    while low <= high:
        top = min(high, 10 ** len(str(low)) - 1)
        found += _same_length(str(low), str(top))
        low = top + 1
    return f"(?:{'|'.join(found)})"


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    rest = len(low) - 1
    whole = f"[0-9]{{{rest}}}" if rest > 1 else "[0-9]" * rest
    if low[0] == high[0]:
        return [low[0] + tail for tail in _same_length(low[1:], high[1:])]
    first, last = int(low[0]), int(high[0])
    found = []
    if low[1:].strip("0"):
        found += [low[0] + tail for tail in _same_length(low[1:], "9" * rest)]
        first += 1
    if high[1:].strip("9"):
        last -= 1
    if first <= last:
        found.append((str(first) if first == last else f"[{first}-{last}]") + whole)
    if high[1:].strip("9"):
        found += [high[0] + tail for tail in _same_length("0" * rest, high[1:])]
    return found


def _decimal(most: int) -> str:
    """Give an expression for a number with or without a fraction, up to ``most``."""
    below = rf"0*{numbers(0, most - 1)}(?:\.[0-9]+)?|" if most else ""
    return rf"(?:{below}0*{most}(?:\.0+)?|\.[0-9]+)"


# Readers ----------------------------------------------------------------------------------------


def _durations(most: float, *, bare: bool, zero: bool = True) -> Schema:
    parts = "|".join(_decimal(int(most // length)) + unit for unit, length in values.TIME_UNITS.items())
    alone = f"|{_decimal(int(most))}" if bare else ""
    some = "" if zero else r"(?=[\s\S]*[1-9])"
    text: Schema = {"type": "string", "pattern": rf"^{some}\s*(?:(?:{parts})+{alone})\s*{END}"}
    if not bare:
        return text
    least = {"minimum": 0} if zero else {"exclusiveMinimum": 0}
    return {"anyOf": [text, {"type": "number", **least, "maximum": int(most)}]}


def _any_case(word: str) -> str:
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word)


def _one(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(_any_case(word) for word in words)})"


def _listed(item: str) -> str:
    """Give an expression for a comma-separated list."""
    return rf"^(?:\s*{item}\s*(?:,(?!\s*{END})|{END}))+{END}"


def _codes() -> Schema:
    code, last = rf"0*{numbers(0, 255)}", 255
    ranges = "|".join(rf"0*{first}\s*-\s*0*{numbers(first, last)}" for first in range(last + 1))
    one = rf"(?:{code}|{ranges})"
    number = {"type": "integer", "minimum": 0, "maximum": last}
    item = {"anyOf": [number, {"type": "string", "pattern": rf"^\s*{one}\s*{END}"}]}
    return {
        "anyOf": [
            number,
            {"type": "string", "pattern": _listed(one)},
            {"type": "array", "minItems": 1, "items": item},
        ]
    }


def _events() -> Schema:
    one = _one(values.EVENTS)
    return {
        "anyOf": [
            {"type": "string", "pattern": _listed(one)},
            {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": f"^{one}{END}"}},
        ]
    }


def _booleans() -> Schema:
    words = _one(("1", "true", "yes", "on", "0", "false", "no", "off"))
    return {
        "anyOf": [
            {"type": "boolean"},
            {"enum": [0, 1]},
            {"type": "string", "pattern": rf"^\s*(?:{words}\s*)?{END}"},
        ]
    }


def _sizes() -> Schema:
    units = "".join(values.SIZE_UNITS) + "".join(values.SIZE_UNITS).lower()
    return {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
            {"type": "string", "pattern": rf"^\s*[0-9]{{1,15}}[{units}]?\s*{END}"},
        ]
    }


def _integers(low: int, high: int) -> Schema:
    signed = [rf"-0*{numbers(max(1, -high), -low)}"] if low < 0 else []
    zero = ["-0+"] if low <= 0 <= high else []
    text = "|".join([*signed, *zero, rf"0*{numbers(max(low, 0), high)}"])
    return {
        "anyOf": [
            {"type": "integer", "minimum": low, "maximum": high},
            {"type": "string", "pattern": rf"^\s*(?:{text})\s*{END}"},
        ]
    }


def _addresses() -> str:
    """Give an expression for a list of addresses, as ``cronwrap.address`` takes it apart."""
    comment, quoted = r"\((?:[^()\\]|\\[\s\S])*\)", r'"(?:[^"\\]|\\[\s\S])*"'
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    ascii_quoted = r'"(?:[ !#-\[\]-~]|\\[ -~]){0,62}"'
    local = rf"(?:(?![^@,<>\s()\"]{{65}}){atom}(?:\.{atom})*|{ascii_quoted})"
    letter = r"[A-Za-z0-9_]|[^\u0000-\u007f\s]"
    label = rf"(?:{letter})(?:(?:{letter}|-){{0,61}}(?:{letter}))?"
    network = rf"(?:[^.@,<>\s]+\.)*[0-9]+\.?(?:[\s,>(]|{END})"
    spec = rf"{local}(?:@(?:\[[A-Za-z0-9.:-]+\]|(?!{network}){label}(?:\.{label})*\.?))?"
    name = rf"(?:[^,<>\"(]|{quoted}|{comment})*"
    member = rf"(?:\s*(?:{comment}\s*)*(?:{spec}|{name}<\s*{spec}\s*>)?\s*(?:{comment}\s*)*)"
    return rf"^(?![\s\S]*[\r\n\u0000]){member}(?:,{member})*{END}"


TEXT: Schema = {"type": "string", "not": {"pattern": "\\u0000"}}
ADDRESSES: Schema = {"type": "string", "pattern": _addresses()}
ONE_ADDRESS: Schema = {**ADDRESSES, "anyOf": [{"not": {"pattern": ","}}, {"pattern": '"'}]}
EXPRESSION: Schema = {**TEXT, "format": "regex"}
HOST = "[A-Za-z0-9+._-]+"
DURATION = _durations(values.LONGEST_DURATION, bare=True)

READERS: dict[Any, Schema] = {
    values.duration: DURATION,
    values.duration_with_unit: _durations(values.LONGEST_DURATION, bare=False),
    values.size: _sizes(),
    values.boolean: _booleans(),
    values.codes: _codes(),
    values.events: _events(),
    values.globs: {
        "anyOf": [
            {"type": "string", "pattern": _listed(r"[^\s,](?:[^,]*[^\s,])?")},
            {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        ]
    },
    values.plain_text: TEXT,
    values.directory: {**TEXT, "pattern": f"^(?:/|{END})"},
    values.header_name: {"type": "string", "pattern": f"^[A-Za-z0-9_-]+{END}"},
    values.hosts: {
        "anyOf": [
            {"type": "string", "pattern": rf"^\s*(?:{HOST}\s*(?:,\s*{HOST}\s*)*)?{END}"},
            {"type": "array", "items": {"type": "string", "pattern": f"^{HOST}{END}"}},
        ]
    },
    values.url: {"type": "string", "pattern": rf"^https?://[^\u0000-\u0020]*{END}"},
    values.addresses: {"anyOf": [ADDRESSES, {"type": "array", "items": ADDRESSES}]},
    values.address: {"anyOf": [ONE_ADDRESS, {"type": "array", "items": ONE_ADDRESS, "maxItems": 1}]},
    values.patterns: {"anyOf": [EXPRESSION, {"type": "array", "items": EXPRESSION}]},
}


def _named(read: Any) -> Schema:
    return {"$ref": f"#/$defs/{read.__name__}"}


def schema_of(option: Option) -> Schema:
    """Give the schema of an option's value; TypeError for a reader that is not known here."""
    made_from = inspect.getclosurevars(option.read).nonlocals
    if option.read in READERS:
        found = _named(option.read)
    elif {"low", "high"} <= made_from.keys():
        found = _integers(made_from["low"], made_from["high"])
    elif "allowed" in made_from:
        found = {"enum": list(made_from["allowed"])}
    elif made_from.get("read") in READERS:
        found = _named(made_from["read"])
    else:
        raise TypeError(f"{option.key}: add its reader to tools/schema.py")
    shown = option.default if isinstance(option.default, (bool, int, str)) else None
    return {"description": option.help} | found | ({"default": shown} if shown is not None else {})


# Relays -----------------------------------------------------------------------------------------

_HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|(?:(?!-)(?:[A-Za-z0-9_-]|[^\u0000-\u007f\s]){1,63}\.?)+)"
_PORT = rf"(?::(?=[0-9]{{1,5}}(?:/|{END}))0*{numbers(1, 65535)})?"
_ENCODED = r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f])"
_USER = rf"(?:[^%:{CONTROL}]|{_ENCODED})+"
_SECRET = rf"(?:[^%{CONTROL}]|{_ENCODED})+"
_LOGIN = rf"{_USER}(?::{_SECRET})?@"
_IPV4 = rf"0*{numbers(0, 255)}(?:\.0*{numbers(0, 255)}){{3}}"
_IPV6 = r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]{2,45}"
_LOOPBACK = rf"(?:{_any_case('localhost')}|\[::1\]|127(?:\.0*{numbers(0, 255)}){{3}})"


def _kind(words: tuple[str, ...]) -> str:
    return f"^{_one(words)}:"


REMOTE = tuple(kind for kind in relays.DEFAULT_PORTS if kind != "smtp")
USER_IN_URL = {"properties": {"url": {"pattern": f"^[a-zA-Z]+://{_LOGIN}"}}, "required": ["url"]}
PASSWORD_IN_URL = {
    "properties": {"url": {"pattern": f"^[a-zA-Z]+://{_USER}:{_SECRET}@"}},
    "required": ["url"],
}


def _given(*keys: str) -> Schema:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _url() -> str:
    remote = rf"{_one(REMOTE)}://(?:{_LOGIN})?{_HOST}{_PORT}/?"
    plain = rf"{_any_case('smtp')}://{_LOOPBACK}\.?{_PORT}/?"
    local = rf"{_one(relays.LOCAL_KINDS)}:(?://(?=/))?(?:/(?!/)|~)[^{CONTROL}]*"
    return f"^(?:{remote}|{plain}|{local}){END}"


def _shared_keys() -> dict[str, Schema]:
    """Give what relays and targets of ``[[notify]]`` have in common."""
    path = {"type": "string", "pattern": rf"^[/~][^{CONTROL}]*{END}"}
    proxies = f"{_one(tuple(table_reader.PROXY_PORTS))}|socks5h"
    return {
        "password-file": path,
        "secret-file": path,
        "ca-file": path,
        "fingerprint": {
            "type": "string",
            "pattern": rf"^(?:{_any_case('sha256')}:)?:*(?:[0-9A-Fa-f]:*){{64}}{END}",
        },
        "proxy": {"type": "string", "pattern": f"^(?:{proxies})://(?:{_LOGIN})?{_HOST}{_PORT}/?{END}"},
        "timeout": _durations(table_reader.LONGEST_TIMEOUT, bare=True, zero=False),
    }


def _relay_keys() -> dict[str, Schema]:
    text = {"type": "string", "pattern": rf"^[^{CONTROL}]+{END}"}
    name = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
    known = {
        "url": {"type": "string", "pattern": _url()},
        "auth": {"type": "string", "pattern": f"^{_one(relays.MECHANISMS)}{END}"},
        "helo": {"type": "string", "pattern": rf"^(?:\[[^{CONTROL}]+\]|{name}(?:\.{name})*){END}"},
        "source": {"type": "string", "pattern": f"^(?:{_IPV4}|{_IPV6}){END}"},
    } | _shared_keys()
    return {key: known.get(key, text) for key in relays.KEYS}


def _relay() -> Schema:
    secrets = relays.PASSWORD_KEYS
    tokens = relays.TOKEN_MECHANISMS
    of_kind = {
        kinds: {"properties": {"url": {"pattern": _kind(kinds)}}, "required": ["url"]}
        for kinds in (relays.LOCAL_KINDS, ("smtp",))
    }
    token = {"properties": {"auth": {"pattern": f"^{_one(tokens)}{END}"}}, "required": ["auth"]}
    no_login = [
        key for key in relays.KEYS if key not in ("user", *secrets, *relays.TLS_KEYS, "auth", "proxy")
    ]
    pairs = [{"required": [one, other]} for one in secrets for other in secrets if one < other]
    rules = [
        {"if": of_kind[relays.LOCAL_KINDS], "then": {"propertyNames": {"enum": ["url", "timeout"]}}},
        {"if": of_kind["smtp",], "then": {"propertyNames": {"enum": no_login}}},
        {"not": {"anyOf": pairs}},
        {"if": PASSWORD_IN_URL, "then": {"not": _given(*secrets)}},
        {"if": _given(*secrets, "auth"), "then": {"anyOf": [{"required": ["user"]}, USER_IN_URL]}},
        {
            "if": {"anyOf": [{"required": ["user"]}, USER_IN_URL]},
            "then": {"anyOf": [_given(*secrets), PASSWORD_IN_URL]},
        },
        {"if": token, "then": {"required": ["token-command"]}},
        {
            "if": {"required": ["auth"], "not": token},
            "then": {"not": {"required": ["token-command"]}},
        },
    ]
    return {
        "type": "object",
        "properties": _relay_keys(),
        "required": ["url"],
        "additionalProperties": False,
        "allOf": rules,
    }


# Targets ----------------------------------------------------------------------------------------


def _target_url() -> str:
    part = rf"(?:[^%:/?#{CONTROL}]|{_ENCODED})+"
    login = rf"(?:{part}(?::(?:[^%/?#{CONTROL}]|{_ENCODED})+)?@)?"
    behind = rf"(?:[/?#][^ {CONTROL}]*)?"
    port = _PORT.replace(f"(?:/|{END})", f"(?:[/?#]|{END})")
    web = rf"{_any_case('https')}://{login}{_HOST}{port}{behind}"
    plain = rf"{_any_case('http')}://{login}{_LOOPBACK}\.?{port}{behind}"
    program = rf"{_any_case('exec')}:(?://(?=/))?(?:/(?!/)|~)[^{CONTROL}]*"
    apprise = rf"(?!{_one(('http', 'https', 'exec'))}:)\+*[A-Za-z0-9][A-Za-z0-9+]*://[^{CONTROL}]*"
    return f"^(?:{web}|{plain}|{program}|{apprise}){END}"


def _target() -> Schema:
    known = {
        "url": {"type": "string", "pattern": _target_url()},
        "on": _named(values.events),
        "jobs": _named(values.globs),
    }
    shared = _shared_keys()
    of_kind = {
        kind: {"properties": {"url": {"pattern": rf"^{kind}:"}}, "required": ["url"]}
        for kind in (_any_case("https"), _any_case("http"))
    }
    plain_keys = [key for key in notify.KEYS if key not in ("ca-file", "fingerprint", "proxy")]
    others = [key for key in plain_keys if key != "secret-file"]
    https, http = of_kind.values()
    return {
        "type": "object",
        "properties": {key: known.get(key) or shared[key] for key in notify.KEYS},
        "required": ["url"],
        "additionalProperties": False,
        "allOf": [
            {"if": http, "then": {"propertyNames": {"enum": plain_keys}}},
            {"if": {"not": {"anyOf": [https, http]}}, "then": {"propertyNames": {"enum": others}}},
        ],
    }


# The fleet --------------------------------------------------------------------------------------


def _fleet_keys() -> dict[str, Schema]:
    text = {"type": "string", "pattern": rf"^[^{CONTROL}]+{END}"}
    shared = _shared_keys()
    known = {
        "url": {**text, "pattern": rf"^{_one(fleet.SCHEMES)}://[^{CONTROL}]+{END}"},
        "cert-file": shared["ca-file"],
        "key-file": shared["ca-file"],
        "ship": {"enum": list(fleet.SHIP)},
        "watch": _named(values.boolean),
        "quiet": _named(values.boolean),
    }
    return {key: known.get(key) or shared.get(key) or text for key in fleet.KEYS}


# The whole --------------------------------------------------------------------------------------


def _table(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def document() -> Schema:
    """Give the schema of a configuration file."""
    options = {
        option.key: {"$ref": f"#/$defs/option-{option.key}"}
        for option in OPTIONS
        if option.key not in files.NOT_IN_FILES
    }
    tables: dict[str, dict[str, Schema]] = {}
    for section in SECTIONS:
        table, _, key = section.key.partition(".")
        tables.setdefault(table, {})[key] = schema_of(section)
    relay = {"$ref": "#/$defs/relay"}
    properties: dict[str, Schema] = {key: {"$ref": f"#/$defs/option-{key}"} for key in files.TOP_LEVEL}
    properties["relay"] = {"anyOf": [relay, {"type": "array", "items": relay}]}
    target = {"$ref": "#/$defs/target"}
    properties["notify"] = {"anyOf": [target, {"type": "array", "items": target}]}
    properties["fleet"] = {**_table(_fleet_keys()), "required": ["url"]}
    properties["defaults"] = _table(options)
    properties["jobs"] = {"type": "object", "additionalProperties": _table(options)}
    properties |= {name: _table(keys) for name, keys in tables.items()}
    missing = [name for name in files.TABLES if name not in properties]
    if missing:
        raise TypeError(f"add to tools/schema.py: {', '.join(missing)}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of cronwrap",
        "$comment": "Made by tools/schema.py; a change belongs there.",
        **_table(properties),
        "$defs": {
            **{f"option-{key}": schema_of(BY_KEY[key]) for key in options},
            "relay": _relay(),
            "target": _target(),
            **{read.__name__: schema for read, schema in READERS.items()},
        },
    }


def main() -> None:
    """Write the file."""
    with open(PLACE, "w", encoding="utf-8") as file:
        json.dump(document(), file, indent=2, ensure_ascii=True)
        file.write("\n")


if __name__ == "__main__":
    main()
