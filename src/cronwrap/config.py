"""Configuration files: read, checked, and boiled down to plain values.

Reading TOML costs as much as a whole quiet run, so ``settings`` keeps the result (``Values``) beside the
state and comes here only when a file has changed. Secrets are never in that result: relays are read
from the file again when a message is to be sent.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from typing import Any

from cronwrap import endpoint
from cronwrap.endpoint import Endpoint
from cronwrap.errors import ConfigError
from cronwrap.options import BY_KEY, SECTIONS, nearest

type_names = {
    dict: "a table",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
}

NOT_IN_FILES = ("config", "dry-run", "name")
"""Options that make no sense in a file: it would name itself, or lose every report, or one name for all."""
TOP_LEVEL = ("mailto", "mailfrom")
SECRET_KEYS = ("password", "password-file", "password-env", "password-command", "token-command")
SIZE_LIMIT = 1 << 20
"""Octets; nobody writes a megabyte of settings, and ``/dev/zero`` must not fill the memory."""


class File:
    """One configuration file, read and decoded."""

    def __init__(self, path: str) -> None:
        """Read the file; OSError when it cannot be, ConfigError when it is no TOML."""
        self.path = path
        with open(path, "rb") as stream:
            self.stat = os.fstat(stream.fileno())
            content = stream.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise ConfigError(f"{path}: larger than {SIZE_LIMIT} octets")
        try:
            self.table = tomllib.loads(content.decode())
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not UTF-8 at octet {error.start}") from None
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: {error or 'nested too deeply'}") from None

    def exposed(self) -> str:
        """Say why the file must not hold or name a password, or give an empty text."""
        if self.stat.st_uid not in (0, os.geteuid()):
            return f"{self.path} names a password and belongs to somebody else (uid {self.stat.st_uid})"
        if stat.S_IMODE(self.stat.st_mode) & 0o077:
            return f"{self.path} names a password and is open to others: chmod 600 {self.path}"
        return ""

    def relay_tables(self) -> list[Any]:
        """Give the ``[[relay]]`` tables; ``[relay]`` is taken for one of them."""
        tables = self.table.get("relay", [])
        return tables if isinstance(tables, list) else [tables]


def values(file: File) -> dict[str, Any]:
    """Give the checked settings of a file, without its secrets; faults are listed under ``faults``."""
    found: dict[str, Any] = {"top": {}, "jobs": {}, "defaults": {}, "sections": {}, "faults": []}
    for key, value in file.table.items():
        where = f"{file.path}: {key}"
        if key in TOP_LEVEL:
            _take(found["top"], key, value, where, found["faults"])
        elif key == "defaults":
            found["defaults"] = _options(value, where, found["faults"])
        elif key == "jobs":
            for name, table in _table(value, where, found["faults"]).items():
                found["jobs"][name] = _options(table, f"{where}.{name}", found["faults"])
        elif key in ("delivery", "history", "redact"):
            found["sections"].update(_section(key, value, where, found["faults"]))
        elif key != "relay":
            allowed = (*TOP_LEVEL, "relay", "delivery", "defaults", "jobs", "history", "redact")
            found["faults"].append(f"{file.path}: unknown key {key!r}{nearest(key, allowed)}")
    if "relay" in file.table:
        relays = list(_endpoints(file, found["faults"]))
        found["relays"] = len(relays)
        found["login"] = next((relay.user for relay in relays if relay.user), "")
    return found


def relays(paths: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """Give the relays of the last file that has any, with their secrets' sources; a fault where unusable."""
    for path in reversed(paths):
        try:
            file = File(path)
        except (OSError, ConfigError):
            continue
        if "relay" in file.table:
            return tuple(_endpoints(file, []))
    return ()


def _endpoints(file: File, faults: list[str]) -> list[Endpoint]:
    found = []
    for number, table in enumerate(file.relay_tables(), 1):
        origin = f"{file.path}: relay {number}"
        if not isinstance(table, Mapping):
            faults.append(f"{origin}: expected a table, [[relay]]")
            continue
        try:
            relay = endpoint.parse(table, origin)
        except ConfigError as error:
            faults.append(str(error))
            continue
        secret = relay.password is not None or any(key in table for key in SECRET_KEYS)
        if secret and (why := file.exposed()):
            faults.append(why)
            relay = relay.replace(fault=why)
        found.append(relay)
    return found


def _table(value: object, where: str, faults: list[str]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    faults.append(f"{where}: expected a table, found {type_names.get(type(value), 'a date')}")
    return {}


def _options(value: object, where: str, faults: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in _table(value, where, faults).items():
        if key in NOT_IN_FILES:
            faults.append(f"{where}.{key}: not allowed in a file")
        else:
            _take(found, key, item, f"{where}.{key}", faults)
    return found


def _section(name: str, value: object, where: str, faults: list[str]) -> dict[str, Any]:
    readers = {option.key: option for option in SECTIONS}
    found: dict[str, Any] = {}
    for key, item in _table(value, where, faults).items():
        option = readers.get(f"{name}.{key}")
        if option is None:
            allowed = [known.partition(".")[2] for known in readers if known.startswith(f"{name}.")]
            faults.append(
                f"{where}: unknown key {key!r}{nearest(key, allowed)}; allowed: {', '.join(allowed)}"
            )
            continue
        try:
            found[option.key] = option.read(item)
        except ValueError as error:
            faults.append(f"{where}.{key}: {error}")
    return found


def _take(found: dict[str, Any], key: str, value: object, where: str, faults: list[str]) -> None:
    option = BY_KEY.get(key)
    if option is None:
        faults.append(f"{where}: unknown key{nearest(key, list(BY_KEY))}")
        return
    try:
        read = option.read(value)
    except ValueError as error:
        faults.append(f"{where}: {error}")
        return
    if option.sets:
        found[option.sets] = not read
    else:
        found[key] = read
