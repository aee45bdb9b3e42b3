"""Settings as a person writes them, with their sources; secrets are not among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cronwrap.model import Record
from cronwrap.settings import options
from cronwrap.settings.load import STATE_KEY, Settings
from cronwrap.settings.notify import Target
from cronwrap.settings.relays import LOCAL_KINDS, Endpoint
from cronwrap.settings.values import SIZE_UNITS, TIME_UNITS, duration, duration_with_unit

HIDDEN = "(hidden)"
_SHOWN_SIZES = "GMK"
"""Units of a size, the largest first; of the readable ones no limit comes near a tebibyte."""
_NOT_SHOWN = ("dry-run",)


class Shown(Record):
    """One setting."""

    key: str
    value: Any
    """As in JSON."""
    text: str
    """For a person."""
    source: str = ""
    """Empty: built in."""


def public(one: Shown) -> dict[str, Any]:
    """Give a setting for programs."""
    return {"key": one.key, "value": one.value, "source": one.source or None}


def settings(found: Settings) -> Iterator[Shown]:
    """Give every setting but the relays and who else is told."""
    for option in (*options.OPTIONS, *options.SECTIONS):
        if option.sets or option.key in _NOT_SHOWN or (option.key == "name" and not found["name"]):
            continue
        value = _harmless(option, found[option.key])
        source = found.sources.get(option.key, "")
        yield Shown(key=option.key, value=value, text=_text(value), source=source)
    source = found.sources.get(STATE_KEY, "")
    yield Shown(key=STATE_KEY, value=found.state_dir, text=found.state_dir, source=source)


def relay(number: int, found: Endpoint) -> Iterator[Shown]:
    """Give the settings of one relay."""
    fields = {"url": found.display}
    if found.kind not in LOCAL_KINDS:
        fields |= {
            "user": found.user,
            "password": "" if found.password is None else HIDDEN,
            "password-file": found.password_file,
            "password-env": found.password_env,
            # A command line may hold a secret.
            "password-command": HIDDEN if found.password_command else "",
            "token-command": HIDDEN if found.token_command else "",
            "ca-file": found.ca_file,
            "fingerprint": f"sha256:{found.fingerprint}" if found.fingerprint else "",
            "auth": found.auth,
            "helo": found.helo,
            "source": found.source,
            "proxy": found.proxy,
        }
    fields |= {"timeout": _duration(found.timeout), "not used": found.fault}
    for key, value in fields.items():
        if value:
            yield Shown(key=f"relay {number} {key}", value=value, text=value, source=found.origin)


def target(number: int, found: Target) -> Iterator[Shown]:
    """Give the settings of one ``[[notify]]`` table."""
    fields = {
        "url": found.display,
        "secret-file": found.secret_file,
        "ca-file": found.way.ca_file,
        "fingerprint": f"sha256:{found.way.fingerprint}" if found.way.fingerprint else "",
        "proxy": found.way.proxy,
        "timeout": _duration(found.timeout),
        "on": ", ".join(found.on or ()),
        "jobs": ", ".join(found.jobs),
        "not used": found.fault,
    }
    for key, value in fields.items():
        if value:
            yield Shown(key=f"notify {number} {key}", value=value, text=value, source=found.origin)


def _harmless(option: options.Option, value: Any) -> Any:
    """Give a value in the words of the configuration, and without what a URL says of a login."""
    if value is not None and (option.metavar == "D" or option.read in (duration, duration_with_unit)):
        return _duration(value)
    if value is not None and option.metavar == "SIZE":
        return _size(value)
    if option.key == "ping" and value and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://{HIDDEN}@{rest.rpartition('@')[2]}"
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value) if value != "" else '""'


def _duration(seconds: float) -> str:
    """Give seconds as they are written in the configuration: ``1h30m``, ``1.5s``."""
    if seconds != int(seconds) or seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    rest, parts = int(seconds), []
    for unit in "dhm":
        amount, rest = divmod(rest, int(TIME_UNITS[unit]))
        parts += [f"{amount}{unit}"] if amount else []
    return "".join(parts) + (f"{rest}s" if rest else "")


def _size(octets: int) -> str:
    """Give octets as they are written in the configuration: ``1M``, ``1000``."""
    for unit in _SHOWN_SIZES:
        length = SIZE_UNITS[unit]
        if octets and octets % length == 0:
            return f"{octets // length}{unit}"
    return str(octets)
