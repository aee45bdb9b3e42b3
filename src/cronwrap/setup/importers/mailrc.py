"""mail.rc and .mailrc of Heirloom mailx and S-nail.

Sources: mailx(1) of Heirloom mailx 12.5, "Option Settings"; s-nail(1) 14.9, "On URL syntax and credential
lookup" and "Internal variables".
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from cronwrap.setup.importers import netrc
from cronwrap.setup.importers.beside import Siblings
from cronwrap.setup.importers.draft import (
    ANOTHER_ACCOUNT,
    NO_PORT,
    UNVERIFIED,
    Draft,
    Imported,
    Server,
    host_and_port,
    port_number,
    shown,
    usable,
)
from cronwrap.setup.importers.lines import ranges
from cronwrap.setup.importers.mailrc_syntax import (
    EXPANDED,
    HOME,
    UnclosedQuoteError,
    home_path,
    logical_lines,
    old_style,
    shell_style,
)
from cronwrap.setup.importers.mailrc_variables import NOT_CARRIED, PATHS, Chain, Value, base_name

_MODIFIERS = ("wysh", "ignerr", "local", "global", "\\")
_SCHEMES = {
    "smtp": "",
    "smtps": "tls",
    "submission": "starttls",
    "submissions": "tls",
}
_TEST_PROGRAM = "test"
"""S-nail's pseudo-MTA, which prints the message."""
_DEFAULT_PORTS = {"submission": 587, "submissions": 465}


class Interpreter:
    """Runs the commands of a file as far as they set variables."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.variables: dict[str, Value] = {}
        self.accounts: dict[str, list[tuple[int, str]]] = {}
        self.selected: list[str] = []
        """The accounts that the file itself has chosen."""
        self.other_lines: list[int] = []
        """Lines that have to do with reading mail."""
        self.alias_lines: list[int] = []
        self._block: list[tuple[int, str]] | None = None
        self._conditions: list[bool] = []

    def run(self, commands: list[tuple[int, str]]) -> None:
        """Run commands, each with its line number."""
        for line, text in tuple(commands):  # a block that is not closed may be the one that is run
            if self._block is None:
                rest = text
                while rest:
                    rest = self._command(line, rest)
            elif text == "}":
                self._block = None
            else:
                self._block.append((line, text))

    def end(self) -> None:
        """Close what the end of the file has left open."""
        self._block = None
        self._conditions.clear()

    def _command(self, line: int, text: str) -> str:
        """Run the first command of a line; gives what follows it after a semicolon."""
        name, rest = _split(text)
        shell = self._shell_quoting
        while name in _MODIFIERS:
            shell = shell or name == "wysh"
            name, rest = _split(rest)
        if self._condition(line, name, rest):
            return ""
        if name in ("define", "def") and rest.endswith("{"):
            self._block = []
        elif len(name) >= 2 and "account".startswith(name) and rest:
            self._account(line, rest)
        elif (len(name) >= 2 and "set".startswith(name)) or (len(name) >= 3 and "unset".startswith(name)):
            return self._set(line, rest, shell=shell, on=name[0] == "s")
        elif name == "source":
            self.draft.remark(line, "another file is read here; import that one as well")
        elif name in ("alias", "a", "group"):
            self.alias_lines.append(line)
        else:
            self.other_lines.append(line)
        return ""

    @property
    def _shell_quoting(self) -> bool:
        """Tell whether ``v15-compat`` has a value, which makes S-nail quote as the shell does."""
        return bool(self.variables.get("v15-compat", ("", 0))[0])

    def _condition(self, line: int, name: str, rest: str) -> bool:
        """Follow ``if … else … endif``; tells whether the command is to be passed over.

        ``if send`` holds for whoever sends, as cronwrap does. Other conditions cannot be known here.
        """
        if name == "if":
            send = rest in ("s", "S", "send")
            known = send or rest.lower() in ("r", "receive", "t", "term", "terminal", "0", "false")
            if not known:
                self.draft.remark(
                    line, "what depends on this condition is left out: it is known to mailx alone"
                )
            self._conditions.append(send)
        elif name == "else" and self._conditions:
            self._conditions[-1] = not self._conditions[-1]
        elif name == "elif" and self._conditions:
            self._conditions[-1] = False
        elif name == "endif" and self._conditions:
            self._conditions.pop()
        else:
            return not all(self._conditions)
        return True

    def _account(self, line: int, rest: str) -> None:
        name = rest.removesuffix("{").strip()
        if rest.endswith("{"):
            self._block = self.accounts.setdefault(name, [])
            self._block.clear()
        elif name in self.accounts:
            self.selected.append(name)
            # Taken out while it runs: an account that selects itself would never end.
            commands = self.accounts.pop(name)
            self.run(commands)
            self.accounts[name] = commands
        else:
            self.draft.remark(line, f"there is no account {shown(name)} in this file")

    def _set(self, line: int, rest: str, *, shell: bool, on: bool) -> str:
        try:
            words, following = shell_style(rest) if shell else (old_style(rest), "")
        except UnclosedQuoteError:
            self.draft.remark(line, "a quote is not closed; the line has no effect in S-nail, and none here")
            return ""
        if on and not any(base_name(word.partition("=")[0].removeprefix("no")) for word in words):
            self.other_lines.append(line)
        for word in words:
            name, equals, value = word.partition("=")
            if not on:
                self.variables.pop(name, None)
            elif not equals and name.startswith("no") and len(name) > 2:
                self.variables.pop(name[2:], None)
            elif base_name(name) in PATHS and EXPANDED not in value:
                self.variables[name] = home_path(value), line
            elif (EXPANDED in value or HOME in value) and base_name(name):
                self.draft.remark(line, f"{shown(name)} depends on a variable of mailx or the environment")
            elif name:
                self.variables[name] = value, line
        return following


def read(text: bytes, siblings: Siblings, account: str = "") -> Imported:
    """Read a file; of several accounts ``account``, or the one that mailx would use, or the first."""
    draft = Draft("mail.rc")
    interpreter = Interpreter(draft)
    interpreter.run(list(logical_lines(text)))
    interpreter.end()
    _choose(interpreter, account)
    _convert(interpreter.variables, draft, siblings)
    if interpreter.alias_lines:
        more = f" ({ranges(interpreter.alias_lines)})" if len(interpreter.alias_lines) > 1 else ""
        draft.remark(
            interpreter.alias_lines[0],
            f"aliases are not known to cronwrap: write the address itself into mailto{more}",
        )
    if interpreter.other_lines:
        draft.remark(
            0, f"{ranges(interpreter.other_lines)}: not about sending mail, and of no use to cronwrap"
        )
    return draft.imported()


def _choose(interpreter: Interpreter, wanted: str) -> None:
    """Put one account's settings over those that hold for all."""
    accounts, draft = interpreter.accounts, interpreter.draft
    chosen = wanted
    if not wanted and not _names_server(interpreter.variables):
        with_server = [name for name in accounts if _account_names_server(accounts[name], draft)]
        chosen = "default" if "default" in with_server else next(iter(with_server), "")
    if chosen and chosen not in accounts:
        draft.remark(0, f"there is no account {shown(chosen)} in this file")
    for name, commands in list(accounts.items()):
        if name == chosen:
            interpreter.run(commands)
        elif name not in interpreter.selected and commands and _account_names_server(commands, draft):
            draft.remark(
                commands[0][0],
                f"account {shown(name)} {ANOTHER_ACCOUNT}",
            )


def _account_names_server(commands: list[tuple[int, str]], draft: Draft) -> bool:
    trial = Interpreter(Draft(draft.kind))
    trial.run(commands)
    return _names_server(trial.variables)


def _names_server(variables: dict[str, Value]) -> bool:
    return any(variables.get(name, ("", 0))[0] for name in ("smtp", "mta", "sendmail"))


def _convert(variables: dict[str, Value], draft: Draft, siblings: Siblings) -> None:
    sender = ""
    if "from" in variables:
        draft.addresses("mailfrom", *variables["from"])
        sender = draft.config.get("mailfrom", "")
    name = next((name for name in ("smtp", "mta", "sendmail") if variables.get(name, ("", 0))[0]), "")
    if name:
        _transport(Chain(variables, [sender], draft), siblings, *variables[name])
    else:
        draft.remark(
            0,
            "no server is named here, so mailx used this host's sendmail; add a [[relay]], or run "
            "`cronwrap init`",
        )
    for variable, (_, line) in variables.items():
        base = base_name(variable)
        if base in NOT_CARRIED:
            draft.remark(line, f"{shown(variable)}: {NOT_CARRIED[base]}")


def _transport(chain: Chain, siblings: Siblings, text: str, line: int) -> None:
    draft = chain.draft
    if text.startswith(("/", "~", "$", "file://")):
        path = home_path(text.removeprefix("file://"))
        if path.startswith("$"):
            draft.remark(line, f"{shown(path)} depends on a variable of mailx or the environment")
        else:
            draft.local(path, line)
        return
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "smtp", text
    scheme = scheme.lower()
    if scheme not in _SCHEMES or not rest or text == _TEST_PROGRAM:
        draft.remark(
            line, "this way of sending is no SMTP server and no program; add a [[relay]] of your own"
        )
        return
    login, at, address = rest.rpartition("@")
    host, digits = host_and_port(address.partition("/")[0])
    port = port_number(digits)
    if digits and port is None:
        draft.remark(line, NO_PORT)
    server = Server(line, host, port or _DEFAULT_PORTS.get(scheme), tls=_SCHEMES[scheme])
    chain.suffixes += _addressed(_decoded(login.partition(":")[0]), host, port)
    _login(server, chain, login if at else "", siblings)
    chain.suffixes += _addressed(server.user, host, port)
    if not server.tls and chain.on("smtp-use-starttls"):
        server.tls = "starttls"
    _verification(server, chain)
    if "socket-connect-timeout" in chain.variables:
        server.extra.update(draft.timeout(*chain.variables["socket-connect-timeout"]))
    draft.relay(server)
    chain.remark_unused()


def _login(server: Server, chain: Chain, given: str, siblings: Siblings) -> None:
    """Fill in the login, from the URL or the variables; smtp-auth=none means none."""
    auth = chain.get("smtp-auth")
    if auth and auth[0].lower() == "none":
        return
    encoded_user, colon, encoded_password = given.partition(":")
    user = _decoded(encoded_user) or _first(chain, "smtp-auth-user", "user")
    lookup = chain.get("netrc-lookup")
    entry = netrc.find(siblings, server.host, server.port, user) if user or lookup else None
    if entry:
        user = user or entry[1].user
    elif lookup:
        chain.draft.remark(lookup[1], "netrc-lookup: there is no login for this server in a .netrc beside")
    if user and not usable(user):
        chain.draft.remark(
            server.line, "the user is not UTF-8 or holds a control character; no login is set up"
        )
        return
    server.user = user
    # A password may stand under the login itself, password-USER@HOST: only now is that known.
    chain.suffixes += _addressed(user, server.host, server.port)
    server.password = _decoded(encoded_password) if colon else _first(chain, "smtp-auth-password", "password")
    if entry and user and not server.password and entry[1].password:
        server.password = entry[1].password
        chain.draft.remark(server.line, f"the password for this login is taken from {entry[0]}")
    if auth and user:
        server.auth = chain.draft.mechanism(*auth)


def _verification(server: Server, chain: Chain) -> None:
    draft = chain.draft
    if (verify := chain.get("tls-verify", "ssl-verify")) and verify[0].lower() in ("ignore", "warn"):
        draft.remark(verify[1], UNVERIFIED)
    if ca_file := chain.get("tls-ca-file", "ssl-ca-file"):
        server.extra.update(draft.ca_file(home_path(ca_file[0]), ca_file[1]))
    if pin := chain.get("tls-fingerprint"):
        digest = chain.get("tls-fingerprint-digest")
        if digest and digest[0].upper() == "SHA256":
            server.extra.update(draft.fingerprint(*pin))
        else:
            draft.remark(
                pin[1],
                "the fingerprint is no SHA-256 one (S-nail's own default is BLAKE2); `cronwrap doctor` shows "
                "the server's",
            )


def _addressed(user: str, host: str, port: int | None) -> list[str]:
    """Give the suffixes of variables for a login, the most special first."""
    hosts = [f"{host}:{port}", host] if port else [host]
    return [f"{user}@{place}" for place in hosts if user] + hosts


def _first(chain: Chain, *names: str) -> str:
    return next((value[0] for value in map(chain.get, names) if value and value[0]), "")


def _decoded(text: str) -> str:
    """Undo percent-encoding (RFC 3986, 2.1); a stray % stays."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _split(text: str) -> tuple[str, str]:
    """Give a command's name and its arguments."""
    name, *rest = text.split(maxsplit=1) or ("",)
    return name, rest[0] if rest else ""
