"""Logins of ``.netrc``, and of ``.authinfo``, which has the same form.

Sources: s-nail(1) 14.9, "The .netrc file"; msmtp(1) 1.8, "Files"; ftp(1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cronwrap.setup.importers.beside import Siblings
from cronwrap.setup.importers.lines import lines, split_words

NAMES = (".netrc", "netrc", ".authinfo", "authinfo", "~/.netrc")
"""Where to look, in this order; whoever keeps ``msmtprc`` in ``.config`` has the logins in the home."""

_BLANKS = " \t\r\f\v"


@dataclass
class Login:
    """One entry."""

    machine: str
    user: str = ""
    password: str = ""
    port: str = ""


def find(siblings: Siblings, host: str, port: int | None, user: str) -> tuple[str, Login] | None:
    """Give the file and the login for a server: the user's own, or the only one when no user is known.

    ``default`` stands for any machine, and is of no use here: it would give a password to any server.
    """
    for name in NAMES:
        text = siblings(name)
        if text is None:
            continue
        found = [login for login in logins(text) if _for(login, host.lower(), port)]
        found = [login for login in found if not login.machine.startswith("*")] or found
        if user:
            found = [login for login in found if login.user == user]
        if found and (user or len(found) == 1):
            return name, found[0]
    return None


def _for(login: Login, host: str, port: int | None) -> bool:
    machine, _, digits = login.machine.lower().partition(":")
    wanted = login.port or digits
    if wanted.isdigit() and port and wanted != str(port):
        return False
    if machine.startswith("*."):
        return host.endswith(machine[1:]) and "." not in host.removesuffix(machine[1:])
    return machine == host


def logins(text: bytes) -> list[Login]:
    """Give the entries of a file; macros are passed over."""
    found: list[Login] = []
    words = _words(text)
    for word in words:
        if word == "machine":
            found.append(Login(next(words, "")))
        elif word == "default":
            found.append(Login(""))
        elif word in ("login", "user", "account", "password", "port", "protocol"):
            value = next(words, "")
            if found and word in ("login", "user"):
                found[-1].user = value
            elif found and word == "password":
                found[-1].password = value
            elif found and word == "port":
                found[-1].port = value
    return [login for login in found if login.machine]


def _words(text: bytes) -> Iterator[str]:
    macro = False
    for _, line in lines(text):
        if macro:  # as long as no line is empty
            macro = bool(line.strip())
        elif not line.lstrip().startswith("#"):
            words = split_words(line, _BLANKS.__contains__, lambda quote, _after: quote != "'", '"')
            macro = "macdef" in words
            yield from words[: words.index("macdef")] if macro else words
