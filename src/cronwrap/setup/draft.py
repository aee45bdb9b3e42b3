"""A configuration in the making: answers, the file they become, and how it is put in its place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from cronwrap.address import addresses
from cronwrap.errors import ConfigError, CronwrapError
from cronwrap.model import Record
from cronwrap.paths import SYSTEM_CONFIG, config_paths, user_config
from cronwrap.settings import relays, table_reader, toml_write
from cronwrap.settings.files import File
from cronwrap.settings.relays import Endpoint
from cronwrap.state_setup import make_private
from cronwrap.trust import untrusted
from cronwrap.whole_file import WholeFile

PASSWORD_NAME = "password"  # noqa: S105  # the name of a file
OURS = ("mailto", "mailfrom", "relay")
"""The keys that are asked for; whatever else a file holds is carried over."""
LOGIN_KINDS = ("smtps", "submission")
HEADER = (
    "Written by `cronwrap init`. `cronwrap config show` tells what is in force,\n"
    "cronwrap-config(5) what else there is to set."
)

_FINGERPRINT = re.compile(r"sha256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")
_HOST_AND_PORT = re.compile(r"(\[[^]]*\]|[^:]*)(?::(\d+))?")


class Answers(Record):
    """What is known of the relay and the people; empty where nothing is."""

    url: str = ""
    user: str = ""
    secret: str = ""
    """The password, to be written into a file of its own."""
    password_file: str = ""
    """A file that has the password already."""
    token_command: str = ""
    ca_file: str = ""
    fingerprint: str = ""
    mailto: str = ""
    mailfrom: str = ""

    def table(self) -> dict[str, str]:
        """Give the ``[[relay]]`` table, but for a secret."""
        found = {key: getattr(self, key.replace("-", "_"), "") for key in relays.KEYS}
        return {key: value for key, value in found.items() if value}

    def relay(self) -> Endpoint:
        """Give the relay, checked; ConfigError says what is wrong with an answer."""
        table = self.table()
        if self.secret:
            table["password"] = self.secret
        return relays.parse(table, "relay")

    def people(self) -> tuple[str, tuple[str, ...]]:
        """Give sender and recipients as bare addresses; ConfigError when one is none."""
        try:
            to = addresses(self.mailto, os.uname().nodename)
            by = addresses(self.mailfrom, os.uname().nodename)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return (by[0].spec if by else ""), tuple(one.spec for one in to)


def default_target(named: str, environ: Mapping[str, str]) -> str:
    """Give the file to write: the one named, else root's is everybody's, and others have their own."""
    if named:
        return config_paths(named, environ)[0]
    return SYSTEM_CONFIG if os.geteuid() == 0 else user_config(environ)


def relay_url(text: str) -> tuple[str, str]:
    """Give URL and user of a relay that was named by a host, ``HOST:PORT`` or a URL.

    ConfigError for one with a password in it: whoever lists processes would see it.
    """
    text = text.strip()
    if text.startswith(tuple(f"{kind}:" for kind in relays.LOCAL_KINDS)):
        return text, ""
    scheme, separator, rest = text.rpartition("://")
    userinfo, _, address = rest.rpartition("@")
    if ":" in userinfo:
        raise ConfigError("leave the password out of the relay's URL: it is asked for, or read from a file")
    if not separator:
        scheme, address = _completed(address)
    return f"{scheme}://{address}", unquote(userinfo)


def _completed(address: str) -> tuple[str, str]:
    """Give scheme and address for a host with or without a port."""
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    found = _HOST_AND_PORT.fullmatch(address)
    host, port = (found[1], found[2]) if found else (address, None)
    if port is None:
        scheme = "smtp" if table_reader.loopback(host.strip("[]").lower()) else "smtps"
        return scheme, f"{host}:{relays.DEFAULT_PORTS[scheme]}"
    kinds = {str(number): kind for kind, number in relays.DEFAULT_PORTS.items()}
    return kinds.get(port, "smtps"), address


def pin_of(words: str) -> str:
    """Give the fingerprint that a probe's words offer to pin, or an empty text."""
    found = _FINGERPRINT.search(words)
    return found[0] if found else ""


def document(answers: Answers, path: str) -> tuple[str, dict[str, str]]:
    """Give the text of a configuration at ``path`` and the files beside it, by name.

    Settings of an earlier file there that are no matter of the relay are carried over.
    """
    table: dict[str, Any] = {key: getattr(answers, key) for key in OURS[:2] if getattr(answers, key)}
    relay: dict[str, Any] = answers.table()
    beside = {}
    if answers.secret:
        beside[PASSWORD_NAME] = answers.secret + "\n"
        relay["password-file"] = os.path.join(os.path.dirname(os.path.realpath(path)), PASSWORD_NAME)
        if not _is_utf8(relay["password-file"]):
            raise ConfigError("the directory's name is not UTF-8, so no configuration can name a file in it")
    table["relay"] = [relay]
    table.update(others(path) or {})
    return toml_write.dumps(table, header=HEADER), beside


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def others(path: str) -> dict[str, Any] | None:
    """Give the settings of a file that are no matter of the relay; None for a file that cannot be read."""
    try:
        before = File(path).table
    except FileNotFoundError:
        return {}
    except (OSError, ConfigError):
        return None
    return {key: _written(value) for key, value in before.items() if key not in OURS}


def _written(value: Any) -> Any:
    """Give a value in a form that can be written; what has none is a text to us as well."""
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value if isinstance(value, (str, int)) else str(value)


# Files ------------------------------------------------------------------------------------------


def in_the_way(path: str, beside: Sequence[str]) -> list[str]:
    """Give the files that there are already."""
    directory = os.path.dirname(os.path.realpath(path))
    wanted = [*(os.path.join(directory, name) for name in beside), os.path.realpath(path)]
    return [name for name in wanted if os.path.lexists(name)]


def install(path: str, content: str, beside: Mapping[str, str], *, replace: bool) -> list[str]:
    """Write a configuration and what goes beside it; give the paths written.

    Each file is closed to others from its first moment, and appears whole or not at all; the
    configuration last, since it names the others. With ``replace`` an old file remains as ``NAME~``, closed
    to others, too: it may hold a password. CronwrapError when a file is there, or cannot be written.
    """
    path = os.path.realpath(path)  # a link stays a link: what it leads to is written
    directory = os.path.dirname(path)
    files = (*beside.items(), (os.path.basename(path), content))
    for name, text in files:
        if not _is_utf8(text):
            raise CronwrapError(f"{os.path.join(directory, name)} is not written: it would not be UTF-8")
    written = []
    try:
        _make_directory(directory)
        for name, text in files:
            place = os.path.join(directory, name)
            _put(place, text.encode(), replace=replace)
            written.append(place)
    except FileExistsError as error:
        raise CronwrapError(
            f"{error.filename2 or error.filename} is there already; --yes replaces it"
        ) from None
    except OSError as error:
        raise CronwrapError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return written


def _make_directory(directory: str) -> None:
    """Make a directory, and what leads to it, unless somebody else could put another in its place."""
    there = directory
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if os.path.isdir(there) and (why := untrusted(there)):
        raise CronwrapError(f"nothing is written in {directory}: {why}")
    if directory == os.path.dirname(SYSTEM_CONFIG):
        os.makedirs(directory, exist_ok=True)  # 0755, as /etc's: what is secret in it is closed itself
    else:
        make_private(directory)


def _put(path: str, content: bytes, *, replace: bool) -> None:
    with WholeFile(path) as file:
        if replace:
            try:
                file.replace(content, private=True)
            except FileNotFoundError:
                file.create(content)
        else:
            try:
                file.create(content)
            except FileExistsError as error:
                error.filename2 = path
                raise
