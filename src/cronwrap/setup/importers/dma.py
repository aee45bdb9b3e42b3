"""dma.conf and auth.conf of the DragonFly Mail Agent.

Source: dma(8) 0.13 and the comments of its own dma.conf; how it takes lines apart, as 0.13 does it.
"""

from __future__ import annotations

import re

from cronwrap.setup.importers.beside import Siblings, first_word, named
from cronwrap.setup.importers.draft import (
    ANY_CERTIFICATE,
    CLIENT_CERTIFICATE,
    NO_PORT,
    Draft,
    Imported,
    Server,
    is_address,
    port_number,
    shown,
)
from cronwrap.setup.importers.lines import lines

HOME = "/etc/dma"

_NOT_CARRIED = {
    "CERTFILE": CLIENT_CERTIFICATE,
    "ALIASES": "aliases are not known: write the address itself into mailto",
    "DEFER": "a report is sent at once; what cannot be sent waits in the outbox",
    "OPPORTUNISTIC_TLS": "mail never goes out in the clear: if the server has no STARTTLS, none goes out",
}
_CONVERTED = (
    "SMARTHOST",
    "PORT",
    "AUTHPATH",
    "SECURETRANSFER",
    "STARTTLS",
    "FINGERPRINT",
    "MASQUERADE",
    "MAILNAME",
)
_SILENT = ("SPOOLDIR", "INSECURE", "SECURE", "FULLBOUNCE", "NULLCLIENT")
"""Words whose absence nobody will miss: there is no local delivery, and no login in the clear."""

Value = tuple[str, int]
"""What a word was set to, and in which line."""


def read(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read dma.conf, with the logins that it names."""
    draft = Draft("dma.conf")
    settings = _settings(text, draft)
    path = settings.get("AUTHPATH", (f"{HOME}/auth.conf", 0))[0]
    return _convert(settings, named(siblings, path, HOME) or b"", draft, siblings)


def read_logins(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read auth.conf, with the ``dma.conf`` beside it; without one, its first line is the relay's."""
    draft = Draft("auth.conf")
    conf = siblings("dma.conf")
    settings = _settings(conf or b"", Draft("dma.conf"))
    found = [(host, line) for host, (_, _, line) in _logins(text, Draft("")).items() if "." in host]
    if "SMARTHOST" not in settings and found:
        host, line = found[0]
        settings |= {"SMARTHOST": (host, line), "STARTTLS": ("", line), "SECURETRANSFER": ("", line)}
        draft.remark(line, "no dma.conf names the port of this server; 587 with STARTTLS is proposed")
        settings["PORT"] = "587", line
    return _convert({key: (value, 0) for key, (value, _) in settings.items()}, text, draft, siblings)


def _settings(text: bytes, draft: Draft) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line, content in lines(text):
        word, *rest = content.partition("#")[0].split(maxsplit=1) or ("",)
        value = rest[0].strip() if rest else ""
        if word in _NOT_CARRIED:
            draft.remark(line, f"{word}: {_NOT_CARRIED[word]}")
        elif word in _CONVERTED:
            found[word] = value, line
        elif word and word not in _SILENT:
            draft.remark(line, f"{shown(word)} is no word of dma's")
    return found


def _logins(text: bytes, draft: Draft) -> dict[str, tuple[str, str, int]]:
    """Give user, password and line by host; of two lines for one host dma takes the last."""
    found: dict[str, tuple[str, str, int]] = {}
    for line, content in lines(text):
        if not content.strip() or content.startswith("#"):
            continue
        user, bar, rest = content.partition("|")
        parts = re.split(r"[: \t]", rest, maxsplit=1)
        if bar and len(parts) > 1:
            found[parts[0]] = user, parts[1], line
        else:
            draft.remark(0, f"auth.conf, line {line}: not of the form user|smarthost:password")
    return found


def _convert(settings: dict[str, Value], auth: bytes, draft: Draft, siblings: Siblings) -> Imported:
    logins = _logins(auth, draft)
    host, line = settings.get("SMARTHOST", ("", 0))
    if not host:
        draft.remark(line, "no SMARTHOST is named, so dma delivered by itself; add a [[relay]] of your own")
    else:
        server = Server(line, host)
        if "PORT" in settings:
            server.port = port_number(settings["PORT"][0])
            if server.port is None:
                draft.remark(settings["PORT"][1], NO_PORT)
        if "SECURETRANSFER" in settings:
            server.tls = "starttls" if "STARTTLS" in settings else "tls"
            server.port = server.port or 25  # dma's own, with TLS from the first byte too
            _verification(settings, server, draft)
        elif "STARTTLS" in settings:
            draft.remark(settings["STARTTLS"][1], "STARTTLS: without SECURETRANSFER dma did not use it")
        if host in logins:
            server.user, server.password, _ = logins[host]
        for other, (_, _, number) in logins.items():
            if other != host:  # not shown: without a host it is the password
                draft.remark(0, f"auth.conf, line {number}: for another server than the SMARTHOST")
        draft.relay(server)
    _sender(settings, draft, siblings)
    return draft.imported()


def _verification(settings: dict[str, Value], server: Server, draft: Draft) -> None:
    pin, line = settings.get("FINGERPRINT", ("", 0))
    if pin:
        server.extra.update(draft.fingerprint(pin, line))
    if "fingerprint" not in server.extra:
        draft.remark(server.line, f"dma {ANY_CERTIFICATE}")


def _sender(settings: dict[str, Value], draft: Draft, siblings: Siblings) -> None:
    """Take ``MASQUERADE``: ``user@host``, ``user@`` or ``host``, the rest of it from the host's own name."""
    mask, line = settings.get("MASQUERADE", ("", 0))
    name = settings.get("MAILNAME", ("", 0))[0]
    if name.startswith("/"):
        name = first_word(named(siblings, name, "/etc"))
    user, at, host = mask.rpartition("@")
    sender = f"{(user if at else '') or 'root'}@{host or name}"
    if not mask and any(is_address(relay.get("user", "")) for relay in draft.relays):
        return
    if "." in (host or name) and is_address(sender):
        draft.config["mailfrom"] = sender
        if not user:
            draft.remark(line, f"the sender is one address for all users; {sender} is taken for mailfrom")
    elif mask:
        draft.remark(line, f"MASQUERADE: {shown(mask)} makes no whole address; mailfrom is left to you")
