"""msmtprc: accounts, their defaults and what one inherits from another.

Source: msmtp(1) 1.8, "Configuration files" and "Commands"; the behaviour of msmtp 1.8.23 where it is silent.
"""

from __future__ import annotations

import re

from cronwrap.settings.relays import TOKEN_MECHANISMS
from cronwrap.setup.importers import netrc
from cronwrap.setup.importers.beside import Siblings
from cronwrap.setup.importers.draft import (
    ANOTHER_ACCOUNT,
    CLIENT_CERTIFICATE,
    NO_PORT,
    OPENSSL,
    REVOCATION,
    UNVERIFIED,
    Draft,
    Imported,
    Server,
    port_number,
    shown,
    usable,
)
from cronwrap.setup.importers.lines import lines

_DEFAULT = "default"
_BLANKS = " \t"
_ON, _OFF = ("", "on"), ("off",)

_NOT_CARRIED = {
    "eval": "the line is made by a command when msmtp reads it; run that command and put in what it prints "
    "(for a password: password-command in [[relay]])",
    "source_ip": "the connection comes from the address that the system chooses",
    "proxy_host": "there is no way through a proxy",
    "proxy_port": "there is no way through a proxy",
    "socket": "a server behind a Unix socket cannot be used",
    "domain": "the name said in EHLO is this host's own",
    "auto_from": "the sender is one address: set mailfrom",
    "maildomain": "the sender is one address: set mailfrom",
    "ntlmdomain": "NTLM is not spoken; it is broken",
    "tls_crl_file": REVOCATION,
    "tls_key_file": CLIENT_CERTIFICATE,
    "tls_cert_file": CLIENT_CERTIFICATE,
    "tls_priorities": OPENSSL,
    "tls_min_dh_prime_bits": OPENSSL,
    "tls_host_override": "a certificate carries the name in the url, or is pinned with fingerprint",
    "tls_force_sslv3": OPENSSL,
    "allow_from_override": "`cronwrap sendmail -f` is always obeyed",
    "set_from_header": "`cronwrap sendmail` leaves a message's From header as it is and adds a missing one",
    "add_missing_from_header": "`cronwrap sendmail` always adds a missing From header",
    "dsn_notify": "notifications are not asked for: cronwrap itself tells of what could not be delivered",
    "dsn_return": "notifications are not asked for: cronwrap itself tells of what could not be delivered",
    "logfile": "there is no log file: see `cronwrap outbox`, `cronwrap history` and, for errors, syslog",
    "aliases": "aliases are not known: write the address itself into mailto",
}
_SILENT = (
    "keepbcc",
    "remove_bcc_headers",
    "set_date_header",
    "set_msgid_header",
    "add_missing_date_header",
    "undisclosed_recipients",
    "logfile_time_format",
    "syslog",
)
"""Commands whose absence nobody will miss: they are about messages that reports are not, or syslog."""
_CONVERTED = (
    "host",
    "port",
    "protocol",
    "timeout",
    "auth",
    "user",
    "password",
    "passwordeval",
    "tls",
    "tls_starttls",
    "tls_trust_file",
    "tls_fingerprint",
    "tls_certcheck",
    "from",
)
_ALIASES = {
    "connect_timeout": ("timeout", None),
    "tls_nocertcheck": ("tls_certcheck", "off"),
    "tls_nostarttls": ("tls_starttls", "off"),
}
"""Commands of old versions: what they are called now and, where it is turned round, their argument."""

Value = tuple[str, int]
"""The argument of a command, and the line it stands in."""


class _Accounts:
    """The accounts of a file, each with the commands that hold for it."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.defaults: dict[str, Value] = {}
        self.accounts: dict[str, dict[str, Value]] = {}
        self.starts: dict[str, int] = {}
        self._current: dict[str, Value] | None = None

    def command(self, line: int, name: str, argument: str) -> None:
        """Take one line."""
        name, argument = _modern(name, argument)
        if name == "defaults":
            self._current = self.defaults
        elif name == "account":
            self._start(line, argument)
        elif name in _NOT_CARRIED:
            if argument.lower() != "off":
                self.draft.remark(line, f"{name}: {_NOT_CARRIED[name]}")
        elif name in _CONVERTED:
            if (
                self._current is None
            ):  # as in msmtp 1.2, lines before the first account make up the default one
                self._start(line, _DEFAULT)
            if self._current is not None:
                self._current[name] = argument, line
        elif name not in _SILENT:
            self.draft.remark(line, f"{shown(name)} is no command of msmtp's")

    def _start(self, line: int, argument: str) -> None:
        name, colon, parents = argument.partition(":")
        name = _unquoted(name)
        settings = dict(self.defaults)
        for parent in map(_unquoted, parents.split(",") if colon else ()):
            if parent in self.accounts:
                settings.update(self.accounts[parent])
            else:
                self.draft.remark(
                    line, f"account {shown(parent)} is not defined above; nothing comes from it"
                )
        if not name or name in self.accounts:
            self.draft.remark(line, "an account without a name, or named twice, is left out")
            self._current = {}
            return
        self._current = self.accounts[name] = settings
        self.starts[name] = line

    def choose(self, wanted: str) -> tuple[str, dict[str, Value]]:
        """Give the account that msmtp would use, and remark the others."""
        usable_ones = [name for name, settings in self.accounts.items() if "host" in settings]
        first = next(iter(usable_ones), "")
        chosen = wanted or (_DEFAULT if _DEFAULT in usable_ones else first)
        host = self.accounts.get(chosen, {}).get("host")
        for name in usable_ones:
            if name == chosen or (self.accounts[name]["host"] == host and self._inherited_by(name, chosen)):
                continue
            self.draft.remark(
                self.starts[name],
                f"account {shown(name)} {ANOTHER_ACCOUNT}",
            )
        return chosen, self.accounts.get(chosen, {})

    def _inherited_by(self, name: str, chosen: str) -> bool:
        """Tell whether the chosen account is this one under another name, ``account default : name``."""
        ours = self.accounts[chosen]
        return all(ours.get(key) == value for key, value in self.accounts[name].items())


def read(text: bytes, siblings: Siblings, account: str = "") -> Imported:
    """Read a file; of several accounts ``account``, or ``default``, or the first."""
    draft = Draft("msmtprc")
    accounts = _Accounts(draft)
    for line, content in lines(text):
        stripped = content.strip(_BLANKS)
        if stripped and not stripped.startswith("#"):
            name = re.split(r"[ \t]", stripped, maxsplit=1)[0]
            argument = _uncommented(name, stripped[len(name) :].strip(_BLANKS), line, draft)
            accounts.command(line, name, _unquoted(argument))
    chosen, settings = accounts.choose(account)
    if "host" in settings:
        _convert(settings, draft, siblings)
    elif account:
        draft.remark(0, f"there is no account {shown(chosen)} with a host in this file")
    else:
        draft.remark(0, "no account names a host, so there is no relay to take over")
    return draft.imported()


def _uncommented(name: str, argument: str, line: int, draft: Draft) -> str:
    """Give an argument without a comment behind it, which msmtp would take for a part of it.

    In a password, or in what a shell is given, ``#`` may be meant.
    """
    value = _before_comment(argument)
    if value == argument or name == "passwordeval":
        return argument
    if name == "password":
        draft.remark(line, "password: taken to the end of the line, its `#` too, as msmtp takes it")
        return argument
    draft.remark(line, f"{shown(name)}: msmtp knows no comment behind a value; it is left out here")
    return value


def _before_comment(argument: str) -> str:
    end = argument.find('"', 1) + 1 if argument.startswith('"') else 0
    marks = [at for at in (argument.find(" #", end), argument.find("\t#", end)) if at >= 0]
    if not marks or (end and argument[end : min(marks)].strip(_BLANKS)):
        return argument
    return argument[: min(marks)].rstrip(_BLANKS)


def _convert(settings: dict[str, Value], draft: Draft, siblings: Siblings) -> None:
    host, line = settings["host"]
    server = Server(line, host)
    if "port" in settings:
        server.port = port_number(settings["port"][0])
        if server.port is None:
            draft.remark(settings["port"][1], NO_PORT)
    if _get(settings, "protocol") == "lmtp":
        draft.remark(settings["protocol"][1], "LMTP is not spoken; the server is left out")
        return
    if _flag(settings, "tls", otherwise=False):
        server.tls = "starttls" if _flag(settings, "tls_starttls", otherwise=True) else "tls"
        _verification(settings, server, draft)
    if "timeout" in settings and _get(settings, "timeout") != "off":
        server.extra.update(draft.timeout(*settings["timeout"]))
    if _login(settings, server, draft, siblings):
        _sender(settings, draft)
        draft.relay(server)


def _verification(settings: dict[str, Value], server: Server, draft: Draft) -> None:
    if not _flag(settings, "tls_certcheck", otherwise=True):
        draft.remark(settings["tls_certcheck"][1], UNVERIFIED)
    if pin := _get(settings, "tls_fingerprint"):
        server.extra.update(draft.fingerprint(pin, settings["tls_fingerprint"][1]))
    trust, line = settings.get("tls_trust_file", ("system", server.line))
    if "fingerprint" in server.extra or trust == "system":
        return
    if trust:
        server.extra.update(draft.ca_file(trust, line))
    else:
        draft.remark(line, f"tls_trust_file: {UNVERIFIED}")


def _login(settings: dict[str, Value], server: Server, draft: Draft, siblings: Siblings) -> bool:
    """Fill in the login; False when the server wants one that cronwrap cannot give."""
    method, line = settings.get("auth", ("off", server.line))
    method = method.lower()
    if method in ("external", "gssapi"):
        why = "neither client certificates nor Kerberos log in here; the server is left out"
        draft.remark(line, f"auth {method}: {why}")
        return False
    if method in _OFF:
        for key in ("user", "password", "passwordeval"):
            if key in settings:
                why = "without `auth on` msmtp does not log in, nor will cronwrap"
                draft.remark(settings[key][1], f"{key}: {why}")
        return True
    if method not in _ON:
        server.auth = draft.mechanism(method, line)
    _credentials(settings, server, draft, siblings)
    return True


def _credentials(settings: dict[str, Value], server: Server, draft: Draft, siblings: Siblings) -> None:
    server.user = _get(settings, "user")
    command = _get(settings, "passwordeval")
    if not server.user or not usable(server.user):
        draft.remark(settings["auth"][1], "there is no usable user for this login; set user in [[relay]]")
        server.user = server.auth = ""
    elif server.auth in TOKEN_MECHANISMS:
        server.token_command = command
    elif "password" in settings:  # msmtp asks the command only when there is no password
        server.password = _get(settings, "password")
    elif command:
        server.password_command = command
    elif (entry := netrc.find(siblings, server.host, server.port, server.user)) and entry[1].password:
        server.password = entry[1].password
        draft.remark(server.line, f"the password for this login is taken from {entry[0]}")


def _sender(settings: dict[str, Value], draft: Draft) -> None:
    sender, line = settings.get("from", ("", 0))
    if any(char in sender for char in "%*?["):
        draft.remark(line, "from: patterns and %U, %H, %C, %M are not known; set mailfrom to one address")
    elif sender:
        draft.addresses("mailfrom", sender, line)


def _modern(name: str, argument: str) -> tuple[str, str]:
    """Give command and argument as the present version calls them."""
    if name not in _ALIASES:
        return name, argument
    present, turned = _ALIASES[name]
    if turned is None:
        return present, argument
    return present, "off" if argument.lower() in _ON else "on"


def _flag(settings: dict[str, Value], name: str, *, otherwise: bool) -> bool:
    return _get(settings, name).lower() not in _OFF if name in settings else otherwise


def _get(settings: dict[str, Value], name: str) -> str:
    return settings.get(name, ("", 0))[0]


def _unquoted(text: str) -> str:
    """Trim blanks and one pair of double quotes; a quote within is an ordinary character."""
    trimmed = text.strip(_BLANKS)
    return trimmed[1:-1] if len(trimmed) > 1 and trimmed[0] == trimmed[-1] == '"' else trimmed
