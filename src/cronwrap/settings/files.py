"""Configuration files: read, checked, and boiled down to plain values.

Reading TOML costs as much as a whole quiet run, so ``cache`` keeps the result (``Values``) beside the
state and comes here only when a file has changed. Secrets are never in that result: relays are read
from the file again when a message is to be sent.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from cronwrap.errors import ConfigError
from cronwrap.settings import fleet, notify
from cronwrap.settings.fleet import Fleet
from cronwrap.settings.notify import Target
from cronwrap.settings.options import BY_KEY, SECTIONS
from cronwrap.settings.relays import Endpoint, exposed, from_environment, on_read_only, parse
from cronwrap.settings.toml_faults import hint
from cronwrap.settings.values import BAD_VALUE, nearest, partly_right
from cronwrap.text import shorten
from cronwrap.trust import opened, untrusted

TYPE_NAMES = {
    dict: "a table",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
}

NOT_IN_FILES = ("config", "name")
"""Options that make no sense in a file: it would name itself, or give one name to all jobs."""
TOP_LEVEL = ("mailto", "mailfrom")
TABLES = (
    "relay",
    "notify",
    "fleet",
    "delivery",
    "defaults",
    "jobs",
    "history",
    "redact",
    "metrics",
    "web",
)
SIZE_LIMIT = 1 << 20
"""Octets; nobody writes a megabyte of settings."""
FAULT_LIMIT = 20
"""Faults of one file that are told: a file of another kind has thousands, and the job waits meanwhile."""
FAULT_LENGTH = 1000
"""Characters of one fault: it goes to a terminal, a log and a mail."""
KEY_SHOWN = 60
"""Characters of an unknown key that its fault shows."""


class UntrustedError(ConfigError):
    """A configuration file that somebody else can change; the text says what to do."""


class File:
    """One configuration file, read and decoded."""

    def __init__(self, path: str) -> None:
        """Read the file; OSError when it cannot be, ConfigError when it is no TOML, or not ours alone."""
        self.path = path
        # A FIFO or a device must not hold the job up: it is opened without waiting, and not read.
        handle, others = opened(path)
        with open(handle, "rb") as stream:
            self.stat = os.fstat(handle)
            if not stat.S_ISREG(self.stat.st_mode) and path != os.devnull:  # the usual word for "none"
                raise ConfigError(f"{path}: not a regular file")
            if others and path != os.devnull:
                closed = "; chmod 600 if it names a password" if self.stat.st_mode & 0o022 else ""
                raise UntrustedError(f"{path} is not used: {others}{closed}")
            content = stream.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise ConfigError(f"{path}: larger than {SIZE_LIMIT} octets, so it is no configuration")
        try:
            text = content.decode().removeprefix("\ufeff")
            self.table = tomllib.loads(text)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not UTF-8 at octet {error.start}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}{hint(str(error), text)}") from None
        except RecursionError:
            raise ConfigError(f"{path}: nested too deeply") from None

    def relay_tables(self) -> list[Any]:
        """Give the ``[[relay]]`` tables; ``[relay]`` is taken for one of them."""
        return self.tables("relay")

    def tables(self, key: str) -> list[Any]:
        """Give the tables of a key; a single one is taken for a list of one."""
        tables = self.table.get(key, [])
        return tables if isinstance(tables, list) else [tables]


class Faults:
    """Collects faults; of very many only the first."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.left_out = 0

    def add(self, text: str) -> None:
        """Take a fault."""
        if len(self.lines) < FAULT_LIMIT:
            self.lines.append(shorten(text, FAULT_LENGTH))
        else:
            self.left_out += 1

    def unknown(self, where: str, key: str, allowed: Sequence[str], hint: str = "") -> None:
        """Take an unknown key, and say what is allowed."""
        guess = hint or nearest(key, allowed)
        named = shorten(repr(key), KEY_SHOWN)
        self.add(f"{where}: unknown key {named}{guess or '; allowed: ' + ', '.join(allowed)}")

    def told(self, path: str) -> list[str]:
        """Give the faults as lines."""
        more = [f"{path}: {self.left_out} more faults"] if self.left_out else []
        return self.lines + more


def nothing() -> dict[str, Any]:
    """Give the settings of a file that holds none."""
    return {"top": {}, "jobs": {}, "defaults": {}, "sections": {}, "faults": []}


def values(file: File) -> dict[str, Any]:
    """Give the checked settings of a file, without its secrets; faults are listed under ``faults``."""
    found, faults = nothing(), Faults()
    for key, value in file.table.items():
        where = f"{file.path}: {key}"
        if key in TOP_LEVEL:
            _take(found["top"], key, value, where, faults)
        elif key == "defaults":
            found["defaults"] = _options(value, where, faults)
        elif key == "jobs":
            for name, table in _table(value, where, faults).items():
                found["jobs"][name] = _options(table, f"{where}.{shorten(name, KEY_SHOWN)}", faults)
        elif key in ("delivery", "history", "redact", "metrics", "web"):
            found["sections"].update(_section(key, value, where, faults))
        elif key not in ("relay", "notify", "fleet"):
            hint = f"; it belongs into [defaults] or [jobs.NAME], as {key} = …" if key in BY_KEY else ""
            faults.unknown(file.path, key, (*TOP_LEVEL, *TABLES), hint)
    found |= _who_else(file, faults)
    found["faults"] = faults.told(file.path)
    return found


def _who_else(file: File, faults: Faults) -> dict[str, Any]:
    """Give what is said of relays, of who else is told, and of the fleet; without secrets."""
    found: dict[str, Any] = {}
    if "relay" in file.table:
        relays = _endpoints(file, faults)
        found["relays"] = len(relays)
        found["login"] = next((relay.user for relay in relays if relay.user), "")
        found["password-variables"] = _password_variables(file)
    if "notify" in file.table:
        found["notify"] = tuple(
            (target.key, target.display, target.on, target.jobs) for target in _targets(file, faults)
        )
    if "fleet" in file.table and (shared := _fleet(file, faults)):
        found["fleet"] = (shared.ship, shared.watch, shared.host)
    return found


def relays_in_force(paths: tuple[str, ...], environ: Mapping[str, str] | None = None) -> tuple[Endpoint, ...]:
    """Give the relays, with the sources of their secrets; one that cannot be used says why under ``fault``.

    ``CRONWRAP_RELAY`` stands for all of them; else the last of the files that has any. ``environ`` is for
    another process than this one.
    """
    try:
        environment = from_environment(os.environ if environ is None else environ)
    except ConfigError as error:
        return (Endpoint(kind="smtps", origin="environment", fault=str(error)),)
    found = (environment,) if environment else relays_in_files(paths)
    return tuple(relay.replace(fault=relay.fault or _others_can_change(relay)) for relay in found)


def targets_in_force(paths: tuple[str, ...]) -> tuple[Target, ...]:
    """Give the targets of the last file that has any; one that cannot be used says why under ``fault``."""
    for path in reversed(paths):
        try:
            file = File(path)
        except (OSError, ConfigError):
            continue
        if "notify" in file.table:
            found = _targets(file, Faults())
            return tuple(target.replace(fault=target.fault or _changeable(target)) for target in found)
    return ()


def fleet_in_force(paths: tuple[str, ...]) -> Fleet | None:
    """Give the database of the last file that has one, or None; one that cannot be used has a ``fault``."""
    for path in reversed(paths):
        try:
            file = File(path)
        except (OSError, ConfigError):
            continue
        if "fleet" in file.table:
            found = _fleet(file, Faults())
            if found and not found.fault and found.ca_file and (why := untrusted(found.ca_file)):
                return found.replace(fault=f"ca-file {found.ca_file} is not used: {why}")
            return found
    return None


def _fleet(file: File, faults: Faults) -> Fleet | None:
    origin = f"{file.path}: fleet"
    table = file.table["fleet"]
    if not isinstance(table, Mapping):
        faults.add(f"{origin}: expected a table, [fleet]")
        return None
    try:
        found = fleet.parse(table, origin)
    except ConfigError as error:
        faults.add(str(error))
        return None
    if found.names_secret and (why := exposed(file.path, file.stat)):
        why = f"the fleet is not used, since it holds or names a secret and {why}"
        faults.add(why)
        found = found.replace(fault=why)
    return found


def _targets(file: File, faults: Faults) -> list[Target]:
    found = []
    for number, table in enumerate(file.tables("notify"), 1):
        origin = f"{file.path}: notify {number}"
        if not isinstance(table, Mapping):
            faults.add(f"{origin}: expected a table, [[notify]]")
            continue
        try:
            target = notify.parse(table, origin)
        except ConfigError as error:
            faults.add(str(error))
            continue
        if target.names_secret and (why := exposed(file.path, file.stat)):
            why = f"notify {number} is not used, since it holds or names a secret and {why}"
            faults.add(why)
            target = target.replace(fault=why)
        found.append(target)
    return found


def _changeable(target: Target) -> str:
    """Say which of the files that a target names is not the user's alone; empty when all are."""
    for key, path in ((target.kind, target.way.path), ("ca-file", target.way.ca_file)):
        if path and (why := untrusted(path)):
            return f"{key} {path} is not used: {why}"
    return ""


def _others_can_change(relay: Endpoint) -> str:
    """Say which of the files and programs that a relay names is not the user's alone; empty when all are.

    Asked whenever relays are to be used, and not kept: a file may be closed without a word here changing.
    """
    for key, path in named_files(relay):
        if why := untrusted(path):
            return f"{key} {path} is not used: {why}"
    return ""


def named_files(relay: Endpoint) -> list[tuple[str, str]]:
    """Give what a relay names, by key; of a command the words that are paths."""
    found = [(relay.kind, relay.path), ("ca-file", relay.ca_file)]
    for key, command in (
        ("password-command", relay.password_command),
        ("token-command", relay.token_command),
    ):
        words = [os.path.expanduser(word.strip("'\"")) for word in command.split()]
        found += [(key, word) for word in words if word.startswith("/") and os.path.isfile(word)]
    return [(key, path) for key, path in found if path]


def relays_in_files(paths: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """Give the relays of the last file that has any."""
    for path in reversed(paths):
        try:
            file = File(path)
        except (OSError, ConfigError):
            continue
        if "relay" in file.table:
            return tuple(_endpoints(file, Faults()))
    return ()


def _endpoints(file: File, faults: Faults) -> list[Endpoint]:
    found = []
    for number, table in enumerate(file.relay_tables(), 1):
        origin = f"{file.path}: relay {number}"
        if not isinstance(table, Mapping):
            faults.add(f"{origin}: expected a table, [[relay]]")
            continue
        try:
            relay = parse(table, origin)
        except ConfigError as error:
            faults.add(str(error))
            continue
        # A ConfigMap is open to all, and nobody can change that.
        harmless = not relay.leads_to_secret and on_read_only(file.path)
        if relay.names_secret and not harmless and (why := exposed(file.path, file.stat)):
            why = f"relay {number} is not used, since it names a password and {why}"
            faults.add(why)
            relay = relay.replace(fault=why)
        found.append(relay)
    return found


def _password_variables(file: File) -> list[str]:
    """Give the names of the variables that hold passwords, those of relays included that cannot be used."""
    named = [table.get("password-env") for table in file.relay_tables() if isinstance(table, Mapping)]
    return [name for name in named if isinstance(name, str) and name]


def _table(value: object, where: str, faults: Faults) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    faults.add(f"{where}: expected a table, found {TYPE_NAMES.get(type(value), 'a date')}")
    return {}


def _options(value: object, where: str, faults: Faults) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in _table(value, where, faults).items():
        if key in NOT_IN_FILES:
            faults.add(f"{where}.{key}: not allowed in a file")
        elif key not in BY_KEY:
            allowed = [known for known in BY_KEY if known not in NOT_IN_FILES]
            faults.unknown(where, key, allowed)
        else:
            _take(found, key, item, f"{where}.{key}", faults)
    return found


def _section(name: str, value: object, where: str, faults: Faults) -> dict[str, Any]:
    readers = {option.key: option for option in SECTIONS}
    found: dict[str, Any] = {}
    for key, item in _table(value, where, faults).items():
        option = readers.get(f"{name}.{key}")
        if option is None:
            allowed = [known.partition(".")[2] for known in readers if known.startswith(f"{name}.")]
            faults.unknown(where, key, allowed)
            continue
        try:
            found[option.key] = option.read(item)
        except BAD_VALUE as error:
            faults.add(f"{where}.{key}: {error}")
    return found


def _take(found: dict[str, Any], key: str, value: object, where: str, faults: Faults) -> None:
    option = BY_KEY[key]
    try:
        read = option.read(value)
    except BAD_VALUE as error:
        faults.add(f"{where}: {error}")
        read = partly_right(key, value)
        if not read:
            return
    if option.sets:
        found[option.sets] = not read
    else:
        found[key] = read
