"""nullmailer's ``remotes``, with the control files beside it.

Source: nullmailer-send(8) and nullmailer-inject(1) 2.2, "Control files" and "Protocol options".
"""

from __future__ import annotations

from collections.abc import Callable

from cronwrap.setup.importers.draft import (
    CLIENT_CERTIFICATE,
    NO_PORT,
    REVOCATION,
    UNVERIFIED,
    Draft,
    Imported,
    Server,
    is_address,
    number,
    port_number,
    shown,
    usable,
)
from cronwrap.setup.importers.lines import lines, split_words

_FLAGS = ("tls", "ssl", "starttls", "insecure", "auth-login")
_TAKES_VALUE = (
    "port",
    "p",
    "user",
    "pass",
    "source",
    "x509certfile",
    "x509keyfile",
    "x509cafile",
    "x509crlfile",
)
_NOT_CARRIED = {
    "source": "the connection comes from the address that the system chooses",
    "x509certfile": CLIENT_CERTIFICATE,
    "x509keyfile": CLIENT_CERTIFICATE,
    "x509crlfile": REVOCATION,
    "x509fmtder": "ca-file is read in PEM form: `openssl x509 -inform der -in FILE` converts it",
    "tls-anon-auth": "a server without a certificate cannot be told from an impostor; it needs one",
}


def read(text: bytes, siblings: Callable[[str], bytes | None], _account: str = "") -> Imported:
    """Read ``remotes``: a relay a line, tried in that order."""
    draft = Draft("remotes")
    for line, content in lines(text):
        entry = content.strip()
        if entry and not entry.startswith("#"):
            _remote(_words(entry), line, draft)
    if not draft.relays:
        draft.remark(0, "there is no relay to take over")
    _recipient(siblings, draft)
    _sender(siblings, draft)
    _lifetime(siblings, draft)
    return draft.imported()


def _remote(words: list[str], line: int, draft: Draft) -> None:
    host, protocol = words[0], words[1] if len(words) > 1 else "smtp"
    if protocol != "smtp":
        draft.remark(line, f"{shown(protocol)} is not spoken, SMTP alone; the server is left out")
        return
    server, flags = Server(line, host), set()
    for name, value in _options(words[2:]):
        if name in _FLAGS:
            flags.add(name)
        elif name in _TAKES_VALUE and name not in _NOT_CARRIED:
            _set(server, name, value, draft)
        else:
            draft.remark(line, f"{shown(name)}: {_NOT_CARRIED.get(name, 'this option is not known here')}")
    if flags & {"tls", "ssl", "starttls"}:
        server.tls = "starttls" if "starttls" in flags else "tls"
    else:
        server.extra.pop("ca-file", None)
    if "insecure" in flags:
        draft.remark(line, f"insecure: {UNVERIFIED}")
    if "auth-login" in flags and server.user:
        server.auth = "login"
    draft.relay(server)


def _set(server: Server, name: str, value: str, draft: Draft) -> None:
    """Take an option that has a value."""
    if name == "user":
        server.user = value
    elif name == "pass":
        server.password = value
    elif name == "x509cafile":
        server.extra.update(draft.ca_file(value, server.line))
    else:
        server.port = port_number(value)
        if server.port is None:
            draft.remark(server.line, NO_PORT)


def _options(words: list[str]) -> list[tuple[str, str]]:
    """Give options and values: ``port=25``, ``--port=25`` or, as versions before 2 had it, ``--port 25``."""
    found: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.lstrip("-").partition("=") if word.startswith("-") else word.partition("=")
        if not equals and name in _TAKES_VALUE:
            value = next(rest, "")
        found.append((name, value))
    return found


def _words(text: str) -> list[str]:
    """Split a line as a shell would; an unclosed quote reaches to the end."""
    return split_words(text, str.isspace, lambda quote, _after: quote != "'")


def _control(siblings: Callable[[str], bytes | None], name: str) -> str:
    """Give the first line of a control file that is no comment; they hold one value each."""
    for _, content in lines(siblings(name) or b""):
        value = content.strip()
        if value and not value.startswith("#"):
            return value if usable(value) else ""
    return ""


def _recipient(siblings: Callable[[str], bytes | None], draft: Draft) -> None:
    if address := _control(siblings, "adminaddr"):
        draft.addresses("mailto", address, 0)


def _sender(siblings: Callable[[str], bytes | None], draft: Draft) -> None:
    """Find a sender: ``allmailfrom``, else what nullmailer makes of the host's name, if no login is one."""
    if sender := _control(siblings, "allmailfrom"):
        draft.addresses("mailfrom", sender, 0)
        return
    if any(is_address(relay.get("user", "")) for relay in draft.relays):
        return
    host = _control(siblings, "defaulthost") or _control(siblings, "me")
    domain = _control(siblings, "defaultdomain")
    if host and "." not in host and domain:
        host = f"{host}.{domain}"
    if "." in host and is_address(f"root@{host}"):
        draft.config["mailfrom"] = f"root@{host}"
        draft.remark(0, f"the sender is one address for all users; root@{host} is taken for mailfrom")


def _lifetime(siblings: Callable[[str], bytes | None], draft: Draft) -> None:
    if seconds := number(_control(siblings, "queuelifetime")):
        draft.config["delivery"] = {"lifetime": f"{seconds}s"}
