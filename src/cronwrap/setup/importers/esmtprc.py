"""esmtprc: the settings of esmtp, and its identities.

Source: esmtprc(5) 1.2 and its sample file; what esmtp 1.2 itself made of quotes and escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cronwrap.setup.importers.beside import Siblings
from cronwrap.setup.importers.draft import (
    ANOTHER_ACCOUNT,
    CLIENT_CERTIFICATE,
    NO_PORT,
    Draft,
    Imported,
    Server,
    host_and_port,
    port_number,
    shown,
)
from cronwrap.setup.importers.lines import lines

_DEFAULT_PORT = 587
"""libESMTP's own."""
_SERVICES = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465, "ssmtp": 465, "urd": 465}
_TAKES_VALUE = (
    "hostname",
    "username",
    "password",
    "starttls",
    "certificate_passphrase",
    "helo",
    "qualifydomain",
    "message_id",
    "preconnect",
    "mda",
    "force_mda",
    "identity",
)
_NOT_CARRIED = {
    "certificate_passphrase": CLIENT_CERTIFICATE,
    "helo": "the name said in EHLO is this host's own",
    "qualifydomain": "a name without a domain is somebody at this host: write whole addresses",
    "preconnect": "no command is run before a connection; keep the tunnel open by other means",
    "mda": "there is no local delivery; a maildir: relay writes into a mailbox",
    "force_mda": "there is no local delivery; a maildir: relay writes into a mailbox",
    "sender": "a report's Sender header is not set",
}
_NO_OPTION = "a word here is no option of esmtp's; a value with a blank or a # in it needs quotes"
_QUOTED = re.compile(r"""\"([^"]*)\"|'([^']*)'""")
_WORD = re.compile(r"[^\s=]+")
_C_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)

Value = tuple[str, int]
"""What an option was set to, and in which line."""


def read(text: bytes, _siblings: Siblings, account: str = "") -> Imported:
    """Read a file; of several identities ``account``, or the one that holds without ``-f``."""
    draft = Draft("esmtprc")
    identities = _identities(text, draft)
    default = next((name for name, found in identities.items() if "default" in found), "")
    if not default:
        default = next((name for name, found in identities.items() if "hostname" in found), "")
    chosen = account or default
    if account and account not in identities:
        draft.remark(0, f"there is no identity {shown(account)} in this file")
    settings = identities.get(chosen, {})
    for name, found in identities.items():
        if name != chosen and "hostname" in found:
            what = f"identity {shown(name)}" if name else "the account without an identity"
            draft.remark(found["hostname"][1], f"{what} {ANOTHER_ACCOUNT}")
    _convert(settings, chosen, draft)
    return draft.imported()


def _identities(text: bytes, draft: Draft) -> dict[str, dict[str, Value]]:
    """Give the options of each identity; those before the first stand under the empty name."""
    found: dict[str, dict[str, Value]] = {"": {}}
    current = found[""]
    tokens = _tokens(text)
    for line, word in tokens:
        name = word.lower()
        if name == "force":
            name = next(tokens, (line, ""))[1].lower()
            if name not in ("reverse_path", "sender"):
                draft.remark(line, "what is forced here is no option of esmtp's")
                continue
        elif name == "default":
            current["default"] = "", line
            continue
        elif name not in _TAKES_VALUE:
            draft.remark(line, _NO_OPTION)  # it may be the rest of a password without quotes
            continue
        value = next(tokens, (line, ""))[1]
        if name == "identity":
            current = found.setdefault(value, {})
        else:
            if name in _NOT_CARRIED:
                draft.remark(line, f"{name}: {_NOT_CARRIED[name]}")
            current[name] = value, line
    return found


def _tokens(text: bytes) -> Iterator[tuple[int, str]]:
    """Give words with their lines; ``=`` is one more blank.

    Quotes hold for a whole word alone and nothing escapes them; in ``"a"b`` they are ordinary characters.
    Escapes are undone without quotes too.
    """
    for line, content in lines(text):
        at = 0
        while at < len(content) and content[at] != "#":
            word, quoted = _WORD.match(content, at), _QUOTED.match(content, at)
            if quoted and word and quoted.end() >= word.end():
                yield line, _ESCAPE.sub(_unescaped, quoted[1] or quoted[2] or "")
                at = quoted.end()
            elif word:
                yield line, _ESCAPE.sub(_unescaped, word[0])
                at = word.end()
            else:
                at += 1


def _unescaped(escape: re.Match[str]) -> str:
    what = escape[1]
    if what[0] == "x" and len(what) > 1:
        return chr(int(what[1:], 16))
    if what[0] in "01234567":
        return chr(int(what, 8))
    return _C_ESCAPES.get(what, what)


def _convert(settings: dict[str, Value], identity: str, draft: Draft) -> None:
    if "hostname" not in settings:
        draft.remark(0, "no hostname is named, so there is no relay to take over")
        return
    place, line = settings["hostname"]
    host, service = host_and_port(place)
    port = _SERVICES.get(service.lower()) or port_number(service)
    if service and port is None:
        draft.remark(line, NO_PORT)
    server = Server(line, host, port or _DEFAULT_PORT)
    starttls = settings.get("starttls", ("disabled", line))
    if starttls[0].lower() in ("enabled", "required"):
        server.tls = "starttls"
    server.user = settings.get("username", ("", 0))[0]
    server.password = settings.get("password", ("", 0))[0]
    sender, sender_line = settings.get("reverse_path", (identity, line))
    if "%" in sender:
        draft.remark(sender_line, "reverse_path: %u is not known; set mailfrom to one address")
    elif sender:
        draft.addresses("mailfrom", sender, sender_line)
    draft.relay(server)
