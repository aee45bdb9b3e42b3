"""Debian's exim4: the smarthost of update-exim4.conf.conf, and its login in passwd.client.

Sources: update-exim4.conf(8) and exim4_passwd_client(5) of exim4-config 4.96; exim's specification, 9.3
(nwildlsearch); the authenticators that Debian configures.
"""

from __future__ import annotations

import re

from cronwrap.setup.importers.beside import Siblings, continued
from cronwrap.setup.importers.draft import (
    NO_PORT,
    Draft,
    Imported,
    Server,
    is_address,
    port_number,
    shown,
)
from cronwrap.setup.importers.lines import lines

CONFIG = "update-exim4.conf.conf"
LOGINS = "passwd.client"

_SETTING = re.compile(r"\s*(\w+)=(.*)")

Value = tuple[str, int]
"""What a setting was set to, and in which line."""
Logins = list[tuple[str, str, str, int]]
"""Server or pattern, user, password and line, in their order."""


def read(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read update-exim4.conf.conf, with the logins beside it."""
    draft = Draft(CONFIG)
    _convert(_settings(text), _logins(siblings(LOGINS) or b"", draft), draft)
    return draft.imported()


def read_logins(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read passwd.client, with the configuration beside it; without one, its first server is the relay."""
    draft = Draft(LOGINS)
    logins = _logins(text, draft)
    settings = {name: (value, 0) for name, (value, _) in _settings(siblings(CONFIG) or b"").items()}
    if not settings.get("dc_smarthost", ("", 0))[0]:
        plain = [entry for entry in logins if "*" not in entry[0] and not entry[0].startswith("^")]
        if plain:
            settings = {
                "dc_eximconfig_configtype": ("smarthost", 0),
                "dc_smarthost": (f"{plain[0][0]}::587", plain[0][3]),
            }
            draft.remark(plain[0][3], f"no {CONFIG} names the smarthost; this server is taken, with port 587")
    _convert(settings, logins, draft)
    return draft.imported()


def _settings(text: bytes) -> dict[str, Value]:
    """Give what the shell that reads the file would see, as long as nothing is expanded."""
    found: dict[str, Value] = {}
    for line, content in lines(text):
        if setting := _SETTING.fullmatch(content):
            value = setting[2].strip()
            quote = value[:1]
            if quote in ("'", '"') and quote in value[1:]:
                value = value[1 : value.index(quote, 1)]
            else:
                value = value.partition(" ")[0]
            found[setting[1]] = value, line
    return found


def _logins(text: bytes, draft: Draft) -> Logins:
    found: Logins = []
    for line, content in continued(text):
        match = re.match(r'("(?:[^"\\]|\\.)*"|[^\s:]+)\s*:?\s*(.*)', content, re.DOTALL)
        user, colon, password = match[2].partition(":") if match else ("", "", "")
        if match and colon and user:
            found.append((match[1].strip('"').replace("\\\\", "\\"), user, password, line))
        else:
            draft.remark(0, f"{LOGINS}, line {line}: not of the form server:user:password")
    return found


def _convert(settings: dict[str, Value], logins: Logins, draft: Draft) -> None:
    kind, line = settings.get("dc_eximconfig_configtype", ("", 0))
    place, place_line = settings.get("dc_smarthost", ("", line))
    first, *others = _hosts(place) or [""]
    if kind not in ("smarthost", "satellite") or not first:
        draft.remark(line, "no smarthost is in use, so exim delivered by itself; add a [[relay]] of your own")
    else:
        server = _server(first, place_line, draft)
        _login(server, logins, draft)
        draft.relay(server)
        for other in others:
            more = _server(other, place_line, draft)
            _login(more, logins, draft)
            draft.relay(more)
    host, host_line = settings.get("dc_readhost", ("", 0))
    hidden = settings.get("dc_hide_mailname", ("", 0))[0] == "true"
    if hidden and "." in host and not any(is_address(relay.get("user", "")) for relay in draft.relays):
        draft.addresses("mailfrom", f"root@{host}", host_line)
        if "mailfrom" in draft.config:
            draft.remark(host_line, f"the sender is one address for all users: root@{host}")


def _hosts(text: str) -> list[str]:
    """Give the members of a list: semicolons part them; in old files colons, which a port has two of."""
    text = text.strip()
    separator = ";"
    if text[:1] == "<" and len(text) > 1:
        separator, text = text[1], text[2:]
    elif ";" not in text and "[" not in text:
        text = re.sub(r"(?<!:):(?!:)", ";", text)
    return [host for host in (member.strip() for member in text.split(separator)) if host]


def _server(text: str, line: int, draft: Draft) -> Server:
    if re.search(r"(?<!:):(?!:)", text.partition("]")[0]) is None:
        text = text.replace("::", ":")  # as in a list that colons part
    if text.startswith("["):
        host, _, digits = text[1:].partition("]")
        digits = digits.lstrip(":.")
    elif text.count(":") > 1:
        host, digits = text, ""
    else:
        host, _, digits = text.partition(":")
    port = port_number(digits)
    if digits and port is None:
        draft.remark(line, NO_PORT)
    return Server(line, host, port, tls="tls" if port == 465 else "")  # the macro for it is not in this file


def _login(server: Server, logins: Logins, draft: Draft) -> None:
    """Find the login; exim looks it up under the name that the server's address has in the DNS."""
    found = next((entry for entry in logins if _names(entry[0], server.host)), None)
    if found is None and len(logins) == 1 and not logins[0][0].startswith("^"):
        found = logins[0]
        draft.remark(
            server.line,
            f"the login is the one for {shown(found[0])}, the only one there is: exim knows a server by the "
            "name that its address has in the DNS",
        )
    if found is not None:
        server.user, server.password = found[1], found[2]
        server.tls = server.tls or "starttls"  # exim logs in over TLS alone
    elif logins:
        draft.remark(server.line, f"there is no login for {shown(server.host)} among those of {LOGINS}")


def _names(pattern: str, host: str) -> bool:
    """Tell whether a key of the table stands for a host: itself, with a wildcard before it, or all."""
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return pattern == host
