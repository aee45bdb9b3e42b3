"""Postfix' main.cf as far as it is about a relayhost, and the table of logins, sasl_passwd.

Source: postconf(5) and postmap(1) 3.7; what `postconf -x` and `postmap -q` of 3.7.11 answered.
"""

from __future__ import annotations

import re

from cronwrap.setup.importers.beside import Siblings, continued, first_word, hashed, named, not_read
from cronwrap.setup.importers.draft import (
    ANY_CERTIFICATE,
    CA_DIRECTORY,
    CLIENT_CERTIFICATE,
    NO_PORT,
    Draft,
    Imported,
    Server,
    is_address,
    port_number,
    shown,
)

HOME = "/etc/postfix"
DEPTH = 20
"""Variables within variables that are followed; Postfix refuses a value that is made of itself."""
LONGEST = 64 * 1024
"""Characters that a value may grow to by variables within variables."""

_DOLLAR = "\ue000"
"""Stands for ``$$`` until all variables are put in."""
_SERVICES = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465, "urd": 465}
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\}|\((\w+)\)|(\w+))")
_TEXT_TABLES = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash")
_OTHER_TABLES = (
    "mysql",
    "pgsql",
    "ldap",
    "sqlite",
    "memcache",
    "tcp",
    "socketmap",
    "inline",
    "pcre",
    "regexp",
)
_NOT_CARRIED = {
    "sender_dependent_relayhost_maps": "a relay that depends on the sender is not known here: there is one",
    "sender_dependent_default_transport_maps": "a relay that depends on the sender is not known here",
    "transport_maps": "a way that depends on the recipient is not known here: all goes to the relay",
    "smtp_tls_policy_maps": "TLS is always required, and the certificate verified",
    "smtp_generic_maps": "addresses are not rewritten: write mailto and mailfrom as they are to go out",
    "sender_canonical_maps": "addresses are not rewritten: write mailfrom as it is to go out",
    "canonical_maps": "addresses are not rewritten: write mailto and mailfrom as they are to go out",
    "smtp_header_checks": "a report's headers are fixed",
    "always_bcc": "there is no hidden copy: add the address to mailto",
    "smtp_tls_CApath": CA_DIRECTORY,
    "smtp_tls_cert_file": CLIENT_CERTIFICATE,
    "smtp_tls_key_file": CLIENT_CERTIFICATE,
    "smtp_bind_address": "the connection comes from the address that the system chooses",
    "smtp_bind_address6": "the connection comes from the address that the system chooses",
    "smtp_helo_name": "the name said in EHLO is this host's own",
}
_LEVELS = ("may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure")
_VERIFIED = ("fingerprint", "verify", "secure", "dane", "dane-only")

Value = tuple[str, int]
"""What a parameter was set to, and in which line."""


class _Parameters:
    """The parameters of main.cf; of two settings of one the last holds."""

    def __init__(self, text: bytes) -> None:
        self.values: dict[str, Value] = {}
        self._left = 0
        for line, content in continued(text):
            name, equals, value = content.partition("=")
            if equals and name.strip():
                self.values[name.strip()] = value.strip(), line

    def get(self, name: str, otherwise: str = "") -> str:
        """Give a value with other parameters put into it."""
        text = self.values.get(name, (otherwise, 0))[0]
        self._left = LONGEST
        for _ in range(DEPTH):
            if "$" not in text:
                break
            text = _VARIABLE.sub(self._expanded, text)
        return text.replace(_DOLLAR, "$").strip()

    def line(self, name: str) -> int:
        """Give where a parameter is set; 0 when it is not."""
        return self.values.get(name, ("", 0))[1]

    def on(self, name: str) -> bool:
        """Tell whether a parameter says yes."""
        return self.get(name).lower() == "yes"

    def _expanded(self, variable: re.Match[str]) -> str:
        if variable[0] == "$$":
            return _DOLLAR
        value = self.values.get(variable[1] or variable[2] or variable[3], ("", 0))[0]
        self._left -= len(value)
        return value if self._left >= 0 else ""


def read(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read main.cf, with the table of logins that it names."""
    draft = Draft("main.cf")
    parameters = _Parameters(text)
    _convert(parameters, draft, siblings, None)
    return draft.imported()


def read_logins(text: bytes, siblings: Siblings, _account: str = "") -> Imported:
    """Read sasl_passwd, with the ``main.cf`` beside it or above; without one, the first login counts."""
    draft = Draft("sasl_passwd")
    conf = siblings("main.cf")
    if conf is None:
        conf = siblings("../main.cf")
    parameters = _Parameters(conf or b"")
    if not parameters.get("relayhost"):
        first = next((entry for entry in _table(text).items() if _is_server(entry[0])), None)
        if first:
            parameters.values["relayhost"] = first[0], first[1][1]
            draft.remark(
                first[1][1], "no relayhost is named beside this table; its first server is taken for it"
            )
    else:
        parameters.values = {name: (value, 0) for name, (value, _) in parameters.values.items()}
    _convert(parameters, draft, siblings, text)
    return draft.imported()


def _is_server(key: str) -> bool:
    """Tell whether a key can be a server; in a malformed line it may be a password."""
    return not is_address(key) and (key.startswith("[") or "." in key)


def _convert(parameters: _Parameters, draft: Draft, siblings: Siblings, table: bytes | None) -> None:
    relayhost = re.split(r"[\s,]+", parameters.get("relayhost"))[0]
    line = parameters.line("relayhost")
    if not relayhost:
        draft.remark(
            line, "no relayhost is named, so Postfix delivered by itself; add a [[relay]] of your own"
        )
    else:
        server = _server(relayhost, line, draft)
        _tls(parameters, server, draft)
        wanted = table is not None or parameters.on("smtp_sasl_auth_enable")
        if wanted:
            _login(parameters, server, relayhost, draft, _logins(parameters, draft, siblings, table))
        elif "smtp_sasl_password_maps" in parameters.values:
            why = "without smtp_sasl_auth_enable = yes Postfix does not log in, nor will cronwrap"
            draft.remark(parameters.line("smtp_sasl_password_maps"), f"smtp_sasl_password_maps: {why}")
        draft.relay(server)
    for name, why in _NOT_CARRIED.items():
        if parameters.get(name):
            draft.remark(parameters.line(name), f"{name}: {why}")
    _sender(parameters, draft, siblings)


def _server(relayhost: str, line: int, draft: Draft) -> Server:
    place = relayhost.removeprefix("smtp:") if relayhost.startswith("smtp:[") else relayhost
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        service = rest.removeprefix(":")
        host = host.removeprefix("IPv6:").removeprefix("ipv6:")
    else:
        host, _, service = place.partition(":")
        draft.remark(
            line,
            f"without brackets Postfix sends to the mail exchangers of {shown(host)} in the DNS; cronwrap to "
            f"the host of that name: put one of them into url if it is none",
        )
    port = _SERVICES.get(service.lower()) or port_number(service)
    if service and port is None:
        draft.remark(line, NO_PORT)
    return Server(line, host, port)


def _tls(parameters: _Parameters, server: Server, draft: Draft) -> None:
    level = parameters.get("smtp_tls_security_level").lower()
    asked = level in _LEVELS or (
        not level and (parameters.on("smtp_use_tls") or parameters.on("smtp_enforce_tls"))
    )
    if parameters.on("smtp_tls_wrappermode"):
        server.tls = "tls"
    elif asked:
        server.tls = "starttls"
    if not server.tls:
        return
    if pins := parameters.get("smtp_tls_fingerprint_cert_match").split():
        line = parameters.line("smtp_tls_fingerprint_cert_match")
        server.extra.update(draft.fingerprint(pins[0].rstrip(","), line))
        if len(pins) > 1:
            draft.remark(line, "one certificate is pinned; of several the first is taken")
    if path := parameters.get("smtp_tls_CAfile"):
        server.extra.update(draft.ca_file(path, parameters.line("smtp_tls_CAfile")))
    elif level not in _VERIFIED and "fingerprint" not in server.extra:
        draft.remark(server.line, f"at this level Postfix {ANY_CERTIFICATE}")


def _logins(
    parameters: _Parameters, draft: Draft, siblings: Siblings, table: bytes | None
) -> dict[str, Value]:
    """Give the logins by server; each as ``user:password`` with its line."""
    if table is not None:
        return _table(table)
    found: dict[str, Value] = {}
    line = parameters.line("smtp_sasl_password_maps")
    for one in re.split(r"[\s,]+", parameters.get("smtp_sasl_password_maps")):
        kind, colon, path = one.removeprefix("proxy:").partition(":")
        path = path.removeprefix("${config_directory}/").removeprefix("$config_directory/")
        if kind == "static" and path:
            found.setdefault("", (path, line))
        elif one and (not colon or kind in _TEXT_TABLES):
            text = named(siblings, path if colon else one, HOME)
            if text is not None:
                for key, value in _table(text).items():
                    found.setdefault(key, value)
            elif name := hashed(siblings, path if colon else one, HOME):
                draft.remark(line, not_read(name))
            else:
                what = shown(path or one) if (path or one).startswith("/") else "a table"
                draft.remark(line, f"{what} is not there, so its logins are not read")
        elif one:  # not shown: it may be a part of what static: or inline: holds
            what = f"a table of kind {kind}" if kind in _OTHER_TABLES else "a table of this kind"
            draft.remark(line, f"{what} is not read; `postmap -s` prints what some of them hold")
    return found


def _table(text: bytes) -> dict[str, Value]:
    """Give what stands behind each key; of two lines with one key postmap takes the last."""
    found: dict[str, Value] = {}
    for line, content in continued(text):
        key, *rest = content.split(maxsplit=1)
        found[key.lower()] = (rest[0].strip() if rest else ""), line
    return found


def _login(
    parameters: _Parameters, server: Server, relayhost: str, draft: Draft, logins: dict[str, Value]
) -> None:
    keys = (server.host.lower(), relayhost.lower(), f"[{server.host}]".lower(), "")
    key = next((key for key in keys if key in logins), None)
    if key is None:
        draft.remark(
            server.line, f"there is no login for {shown(relayhost)}; set user in [[relay]] if it wants one"
        )
        return
    user, colon, password = logins[key][0].partition(":")
    if not colon:
        draft.remark(server.line, "the login is not of the form user:password, and is left out")
        return
    server.user, server.password = user, password
    wanted = [name for name in re.split(r"[\s,]+", parameters.get("smtp_sasl_mechanism_filter")) if name]
    if server.user and len(wanted) == 1 and not wanted[0].startswith("!"):
        server.auth = draft.mechanism(wanted[0], parameters.line("smtp_sasl_mechanism_filter"))


def _sender(parameters: _Parameters, draft: Draft, siblings: Siblings) -> None:
    """Find a sender: what Postfix makes of root and the host's name, if no login is one."""
    if any(is_address(relay.get("user", "")) for relay in draft.relays):
        return
    origin = parameters.get("myorigin", "$myhostname")
    if origin.startswith("/"):
        origin = first_word(named(siblings, origin, "/etc"))
    if "." in origin and is_address(f"root@{origin}"):
        draft.config["mailfrom"] = f"root@{origin}"
        line = parameters.line("myorigin") or parameters.line("myhostname")
        draft.remark(line, f"the sender is one address for all users; root@{origin} is taken for mailfrom")
