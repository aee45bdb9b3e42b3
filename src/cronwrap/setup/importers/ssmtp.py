"""ssmtp.conf and revaliases of sSMTP.

Source: ssmtp.conf(5) and ssmtp(8) 2.64, and the behaviour of Debian's ssmtp 2.64-11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cronwrap.setup.importers.draft import (
    ANY_CERTIFICATE,
    CA_DIRECTORY,
    CLIENT_CERTIFICATE,
    NO_PORT,
    Draft,
    Imported,
    Server,
    host_and_port,
    is_address,
    port_number,
    shown,
)
from cronwrap.setup.importers.lines import lines

Value = tuple[str, int]
"""What a keyword was set to, and in which line."""

_STOPS = " \t#:="
"""Where Debian's sSMTP ends a value; other builds read on."""

_CONVERTED = (
    "root",
    "mailhub",
    "remoteport",
    "usetls",
    "usestarttls",
    "authuser",
    "authpass",
    "authmethod",
    "rewritedomain",
    "hostname",
    "tls_ca_file",
)
_NOT_CARRIED = {
    "usetlscert": CLIENT_CERTIFICATE,
    "tlscert": CLIENT_CERTIFICATE,
    "tlskey": CLIENT_CERTIFICATE,
    "tls_ca_dir": CA_DIRECTORY,
    "useoldauth": "the login is the standard one (RFC 4954)",
    "addheader": "a report's headers are fixed",
    "debug": "run `cronwrap doctor` to see each step of the way to the relay",
}


def read(text: bytes, siblings: Callable[[str], bytes | None], _account: str = "") -> Imported:
    """Read ssmtp.conf, with the ``revaliases`` beside it."""
    return _read(text, siblings("revaliases") or b"")


def read_revaliases(text: bytes, siblings: Callable[[str], bytes | None], _account: str = "") -> Imported:
    """Read revaliases, with the ``ssmtp.conf`` beside it, which is what says how to log in."""
    imported = _read(siblings("ssmtp.conf") or b"", text)
    remarks = [
        (0, f"ssmtp.conf, line {line}: {remark}" if line else remark) for line, remark in imported.remarks
    ]
    return replace(imported, remarks=remarks)


def _read(conf: bytes, revaliases: bytes) -> Imported:
    draft = Draft("ssmtp.conf")
    settings = _settings(conf, draft)
    hub = _revaliases(revaliases, draft)
    if hub and "mailhub" in settings and settings["mailhub"][0] != hub:
        why = "root has a mailhub of its own in revaliases, which is taken"
        draft.remark(settings["mailhub"][1], f"mailhub: {why}")
    if hub and settings.get("mailhub", ("", 0))[0] != hub:
        settings["mailhub"] = hub, 0
    if "mailhub" in settings:
        _relay(settings, draft)
    else:
        draft.remark(0, "no mailhub is named, so there is no relay to take over")
    _recipient(settings, draft)
    _sender(settings, draft)
    return draft.imported()


def _settings(text: bytes, draft: Draft) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line, content in lines(text):
        keyword, equals, value = content.partition("=")
        keyword = keyword.strip().lower()
        if not equals or not keyword or keyword.startswith("#"):
            continue
        if keyword == "authpass":
            found[keyword] = _password(value, line, draft), line
        elif keyword in _CONVERTED:
            found[keyword] = _word(value), line
        elif keyword == "fromlineoverride":
            if _word(value).lower() != "yes":
                draft.remark(
                    line, "FromLineOverride: `cronwrap sendmail` leaves a message's From header as it is"
                )
        elif keyword in _NOT_CARRIED:
            draft.remark(line, f"{shown(content.partition('=')[0].strip())}: {_NOT_CARRIED[keyword]}")
        else:
            draft.remark(line, f"{shown(content.partition('=')[0].strip())} is no keyword of sSMTP's")
    return found


def _word(value: str) -> str:
    """Give a value up to the blank or the comment that ends it."""
    return (value.partition("#")[0].split() or [""])[0]


def _password(value: str, line: int, draft: Draft) -> str:
    """Give the whole rest of the line but for a comment set off by a blank.

    sSMTP itself has no quoting, and builds differ in where they stop; somebody who wrote `a#b` meant it.
    """
    text = value.strip()
    for blank in " \t":
        text = text.partition(f"{blank}#")[0].rstrip()
    if any(char in text for char in _STOPS):
        draft.remark(
            line,
            "AuthPass: the password is taken whole; some builds of sSMTP end it at the first `#`, `:`, `=` "
            "or blank. `cronwrap doctor` tells whether the relay takes it",
        )
    return text


def _relay(settings: dict[str, Value], draft: Draft) -> None:
    text, line = settings["mailhub"]
    host, digits = host_and_port(text)
    digits = digits or settings.get("remoteport", ("", 0))[0]
    port = port_number(digits)
    if digits and port is None:
        draft.remark(line, NO_PORT)
    server = Server(line, host, port)
    if _yes(settings, "usestarttls"):
        server.tls = "starttls"
    elif _yes(settings, "usetls"):
        server.tls = "tls"
    if "tls_ca_file" in settings:
        server.extra.update(draft.ca_file(*settings["tls_ca_file"]))
    elif server.tls:
        draft.remark(
            line,
            f"sSMTP {ANY_CERTIFICATE}",
        )
    server.user = settings.get("authuser", ("", 0))[0]
    server.password = settings.get("authpass", ("", 0))[0]
    method, method_line = settings.get("authmethod", ("", 0))
    if method.lower() in ("plain", "login", "cram-md5") and server.user:
        server.auth = method.lower()
    elif method:
        draft.remark(method_line, "AuthMethod: the best that the server offers is used")
    draft.relay(server)


def _recipient(settings: dict[str, Value], draft: Draft) -> None:
    """Take root's mail, which in sSMTP is that of all system users, as everybody's default."""
    text, line = settings.get("root", ("", 0))
    domain = settings.get("rewritedomain", settings.get("hostname", ("", 0)))[0].lstrip("@")
    if text and "@" not in text and domain:
        text = f"{text}@{domain}"
    if text:
        draft.addresses("mailto", text, line)


def _sender(settings: dict[str, Value], draft: Draft) -> None:
    """Find a sender that the relay takes, unless root has one in revaliases or the login is one."""
    if "mailfrom" in draft.config or is_address(settings.get("authuser", ("", 0))[0]):
        return
    for keyword in ("rewritedomain", "hostname"):
        domain, line = settings.get(keyword, ("", 0))
        domain = domain.rpartition("@")[2]
        if "." in domain and is_address(f"root@{domain}"):
            draft.config["mailfrom"] = f"root@{domain}"
            draft.remark(
                line, f"the sender is one address for all users; root@{domain} is taken for mailfrom"
            )
            return


def _revaliases(text: bytes, draft: Draft) -> str:
    """Take root's sender; gives root's own mailhub, if one is named. Remarks name the file themselves."""
    hub = ""
    for line, content in lines(text):
        entry = content.strip()
        if not entry or entry.startswith("#"):
            continue
        account, _, rest = entry.partition(":")
        address, _, mailhub = rest.partition(":")
        if account.strip() == "root":
            draft.addresses("mailfrom", address.strip(), 0)
            hub = mailhub.strip() or hub
        else:
            draft.remark(0, f"revaliases, line {line}: {_of_another(account.strip(), address.strip())}")
    return hub


def _of_another(account: str, address: str) -> str:
    if not is_address(address):
        return "not of the form user:address:mailhub"
    return f"for {shown(account)} alone; MAILFROM={address} in that user's crontab does the same"


def _yes(settings: dict[str, Value], keyword: str) -> bool:
    return settings.get(keyword, ("", 0))[0].lower() == "yes"
