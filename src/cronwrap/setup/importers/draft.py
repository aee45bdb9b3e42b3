"""What an importer fills in: a configuration in the making, its secrets, and what could not be kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import getaddresses
from typing import Any

from cronwrap.errors import ConfigError
from cronwrap.settings import relays, table_reader

SHOWN_LENGTH = 60
"""Characters of a foreign value that a remark quotes; a remark is one line for a person."""

UNVERIFIED = (
    "the server's certificate was not verified; cronwrap always verifies it: run `cronwrap doctor`, which "
    "shows the certificate and how to pin it, should it be private"
)

CLIENT_CERTIFICATE = "a client certificate cannot log in here: cronwrap uses a password or a token"
CA_DIRECTORY = "a directory of CA certificates is not read: put them into one file, named with ca-file"
REVOCATION = "revocation lists are not read; a pinned certificate (fingerprint) is under your own control"
OPENSSL = "TLS 1.2 is the least that cronwrap speaks; the ciphers are those of the system's OpenSSL"
ANOTHER_ACCOUNT = (
    "is left out: reports go out over one account; add it as a further [[relay]] if it is to step in when "
    "the first fails"
)
ANY_CERTIFICATE = (
    "takes any certificate; cronwrap verifies it: run `cronwrap doctor`, which shows how to pin one that is "
    "private"
)
NO_PORT = "what stands for the port is none; the usual one is taken"

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
    re.ASCII,
)
"""An address that every relay takes in its envelope: RFC 5321, 4.1.2 without quoted strings and literals."""
_SHA256 = re.compile(r"(?:sha256:)?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.ASCII | re.IGNORECASE)

_SMTP_PORT, _SUBMISSION_PORT, _SMTPS_PORT = 25, 587, 465


@dataclass(frozen=True)
class Imported:
    """The outcome of an import. Nothing has been written yet."""

    kind: str
    config: dict[str, Any]
    """In the shape of config.toml; ``password-file`` is a bare name until ``placed`` gives it a directory."""
    secrets: dict[str, str]
    """File name to content, to be written 0600 beside the configuration."""
    remarks: list[tuple[int, str]]
    """Line number and what could not be carried over, and why; line 0 speaks of the file as a whole."""

    def placed(self, directory: str) -> dict[str, Any]:
        """Give the configuration for files in ``directory``, an absolute path."""
        relays = [
            {key: f"{directory}/{value}" if key == "password-file" else value for key, value in relay.items()}
            for relay in self.config.get("relay", [])
        ]
        return {**self.config, **({"relay": relays} if relays else {})}


@dataclass
class Server:
    """One mail server, in the words that all formats share."""

    line: int
    """Where it is named."""
    host: str
    port: int | None = None
    tls: str = ""
    """``tls`` from the first byte, ``starttls``, or empty: in the clear."""
    user: str = ""
    password: str | None = None
    password_command: str = ""
    token_command: str = ""
    auth: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    """``ca-file``, ``fingerprint``, ``timeout``: keys of a relay that need no further thought."""

    @property
    def local(self) -> bool:
        """Tell whether it is on this host."""
        return table_reader.loopback(self.host.lower())


class Draft:
    """Collects settings, relays, secrets and remarks, and lets nothing in that cronwrap would refuse."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.config: dict[str, Any] = {}
        self.relays: list[dict[str, str]] = []
        self.secrets: dict[str, str] = {}
        self.remarks: list[tuple[int, str]] = []

    def imported(self) -> Imported:
        """Give the result, remarks in the order of the lines."""
        config: dict[str, Any] = {
            key: self.config[key] for key in ("mailto", "mailfrom") if key in self.config
        }
        if self.relays:
            config["relay"] = self.relays
        if "delivery" in self.config:
            config["delivery"] = self.config["delivery"]
        remarks = sorted(dict.fromkeys(self.remarks), key=lambda remark: remark[0])
        return Imported(kind=self.kind, config=config, secrets=self.secrets, remarks=remarks)

    def remark(self, line: int, text: str) -> None:
        """Note what a person must know of a line."""
        self.remarks.append((line, text))

    def addresses(self, key: str, text: str, line: int) -> None:
        """Take ``mailto`` or ``mailfrom`` from a header-like list of addresses."""
        try:
            found = [address for _, address in getaddresses([text]) if address]
        except RecursionError:  # comments within comments, hundreds of them: nobody's address
            found = []
        good = [address for address in found if _ADDRESS.fullmatch(address)]
        for address in found:
            if address not in good:
                self.remark(
                    line, f"{shown(address)} is no address of the form user@host; {key} is left to you"
                )
        if len(good) > 1 and key == "mailfrom":
            self.remark(line, f"a report has one sender; of several the first is taken, {good[0]}")
            del good[1:]
        if good:
            self.config[key] = ", ".join(good)
        elif not found and text.strip():
            self.remark(line, f"{shown(text)} holds no address; {key} is left to you")

    def relay(self, server: Server) -> None:
        """Add a relay, as safe as it can be made; what had to change is remarked."""
        if server.auth in relays.TOKEN_MECHANISMS and not server.token_command:
            self.remark(
                server.line,
                f"{server.auth.upper()} needs a command that prints a fresh token:"
                " set token-command in [[relay]]",
            )
            return
        table = {"url": self._url(server)}
        name = f"password-{len(self.secrets) + 1}" if self.secrets else "password"
        secret = self._login(server, table, name)
        if "fingerprint" in server.extra:  # pins the certificate, whoever has signed it
            server.extra.pop("ca-file", None)
        table.update(server.extra)
        placed = {**table, **({"password-file": f"/{name}"} if "password-file" in table else {})}
        try:
            relays.parse(placed, "the relay of this line is left out")
        except ConfigError as error:
            self.remark(server.line, str(error))
            return
        self.relays.append(table)
        if secret:
            self.secrets[name] = secret + "\n"

    def local(self, path: str, line: int) -> None:
        """Add a program that takes mail as sendmail does."""
        table = {"url": f"sendmail:{path}"}
        try:
            relays.parse(table, "the relay of this line is left out")
        except ConfigError as error:
            self.remark(line, str(error))
        else:
            self.relays.append(table)

    def fingerprint(self, text: str, line: int) -> dict[str, str]:
        """Give the ``fingerprint`` key for a SHA-256 digest; weaker digests are refused, and why."""
        match = _SHA256.fullmatch(text.strip())
        if match:
            digits = match[1].replace(":", "").upper()
            return {"fingerprint": "sha256:" + ":".join(digits[at : at + 2] for at in range(0, 64, 2))}
        kind = {32: "an MD5", 40: "a SHA-1"}.get(len(text.replace(":", "").strip()), "what is no SHA-256")
        self.remark(
            line,
            f"{kind} fingerprint cannot be carried over: only SHA-256 is safe against a forged certificate. "
            "`cronwrap doctor` shows the server's SHA-256 fingerprint",
        )
        return {}

    def ca_file(self, path: str, line: int) -> dict[str, str]:
        """Give the ``ca-file`` key for a path, if it is one that works from any directory."""
        if path.startswith(("/", "~/")):
            return {"ca-file": path}
        self.remark(line, f"{shown(path)} is no absolute path; set ca-file in [[relay]] yourself")
        return {}

    def timeout(self, text: str, line: int) -> dict[str, str]:
        """Give the ``timeout`` key for a number of seconds."""
        if (seconds := number(text)) and seconds <= table_reader.LONGEST_TIMEOUT:
            return {"timeout": f"{seconds}s"}
        self.remark(line, f"a timeout of {shown(text)} is not possible; cronwrap's own applies")
        return {}

    def mechanism(self, name: str, line: int) -> str:
        """Give what cronwrap calls a way of logging in; empty where the server's best is to be used."""
        name = name.lower()
        if name not in relays.MECHANISMS:
            self.remark(line, f"auth {shown(name)} is not spoken; the best that the server offers is used")
            return ""
        return name

    def _url(self, server: Server) -> str:
        scheme, port = self._scheme(server)
        host = f"[{server.host}]" if ":" in server.host else server.host
        return f"{scheme}://{host}:{port}"

    def _scheme(self, server: Server) -> tuple[str, int]:
        """Give scheme and port: 465 begins with TLS, 587 goes over to it (RFC 8314, 3.3 and 7.3)."""
        line, port = server.line, server.port
        if server.tls == "tls":
            if port == _SUBMISSION_PORT:
                self.remark(line, "port 587 begins in the clear and goes over to TLS: taken as submission://")
                return "submission", port
            return "smtps", port or _SMTPS_PORT
        if port == _SMTPS_PORT:
            self.remark(line, "port 465 begins with TLS, no STARTTLS: taken as smtps://")
            return "smtps", port
        if server.tls == "starttls":
            return "submission", port or _SMTP_PORT
        if server.local and not server.user:
            return "smtp", port or _SMTP_PORT
        if port in (None, _SMTP_PORT):
            port = _SUBMISSION_PORT if server.user else _SMTP_PORT
        self.remark(
            line,
            "mail went out in the clear, which cronwrap refuses"
            + (" with a password" if server.local else " off this host")
            + f": submission:// (STARTTLS) on port {port} is proposed instead; `cronwrap doctor` tells "
            "whether the server takes it",
        )
        return "submission", port

    def _login(self, server: Server, table: dict[str, str], name: str) -> str:
        """Add user and password source; gives the secret that belongs into the file ``name``, if known."""
        if not server.user:
            if server.password or server.password_command or server.token_command:
                self.remark(server.line, "a password without a user is of no use and is left out")
            return ""
        table["user"] = server.user
        if server.auth:
            table["auth"] = server.auth
        if server.token_command:
            table["token-command"] = server.token_command
            return ""
        if server.password_command:
            table["password-command"] = server.password_command
            return ""
        table["password-file"] = name
        if server.password and usable(server.password.replace("\t", " ")):  # a TAB is nothing special
            return server.password
        why = "the file has no password for this login"
        if server.password:
            why = "the password is not UTF-8 or holds a control character"
        self.remark(
            server.line,
            f"{why}: write it into the file `{name}` beside the configuration, closed to others (chmod 600)",
        )
        return ""


def is_address(text: str) -> bool:
    """Tell whether a text is a bare address, ``user@host``."""
    return bool(_ADDRESS.fullmatch(text))


def usable(text: str) -> bool:
    """Tell whether a text can be sent to a server and written to a file: Unicode, no control characters."""
    return not any(char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in text)


def shown(text: str) -> str:
    """Give a foreign value as a remark may quote it: printable, short. Never for secrets."""
    cut = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
    return "`" + "".join(char if char.isprintable() else "?" for char in cut) + "`"


def number(text: str) -> int:
    """Give a decimal number; 0 for what is none, or has so many digits that it is a slip of the pen."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def port_number(text: str) -> int | None:
    """Give the port that a text names, None when it is none."""
    names = {
        "smtp": _SMTP_PORT,
        "smtps": _SMTPS_PORT,
        "submission": _SUBMISSION_PORT,
        "submissions": _SMTPS_PORT,
    }
    found = names.get(text) or number(text)
    return found if 0 < found < 65536 else None


def host_and_port(text: str) -> tuple[str, str]:
    """Take ``HOST:PORT`` or ``[IPV6]:PORT`` apart; the port is empty when there is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port
