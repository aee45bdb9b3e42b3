"""The variables of mail.rc that are about sending, their suffixes, and what becomes of them.

Sources: as for ``mailrc``; s-nail(1), "On URL syntax and credential lookup", has the order of suffixes.
"""

from __future__ import annotations

from cronwrap.setup.importers.draft import CA_DIRECTORY, CLIENT_CERTIFICATE, OPENSSL, Draft, shown

NOT_CARRIED = {
    "nss-config-dir": "certificates in an NSS database are not read; if it holds a private CA, write that "
    "out with `certutil -L -d DIR -n NAME -a` and name the file with ca-file",
    "ssl-ca-dir": CA_DIRECTORY,
    "tls-ca-dir": CA_DIRECTORY,
    "ssl-cert": CLIENT_CERTIFICATE,
    "ssl-key": CLIENT_CERTIFICATE,
    "ssl-method": OPENSSL,
    "ssl-cipher-list": OPENSSL,
    "tls-config-pairs": OPENSSL,
    "smtp-hostname": "the name said in EHLO is this host's own",
    "hostname": "the name said in EHLO is this host's own",
    "socks-proxy": "there is no way through a proxy",
    "netrc-pipe": "a .netrc that a command prints is not read: name that command with password-command",
    "replyto": "a report has no Reply-To; answers go to its sender",
    "reply-to": "a report has no Reply-To; answers go to its sender",
    "autobcc": "there is no hidden copy: add the address to mailto",
    "autocc": "there is no standing copy: add the address to mailto",
    "mta-aliases": "aliases are not known: write the address itself",
    "mta-arguments": "a sendmail program gets the usual arguments alone",
    "sendmail-arguments": "a sendmail program gets the usual arguments alone",
    "smime-sign": "reports are not signed",
    "smime-sign-cert": "reports are not signed",
}
_LOGIN = ("smtp-auth-password", "smtp-auth-user", "smtp-auth", "password", "user", "netrc-lookup")
_SERVER = (
    "smtp-use-starttls",
    "ssl-verify",
    "tls-verify",
    "ssl-ca-file",
    "tls-ca-file",
    "tls-fingerprint-digest",
    "tls-fingerprint",
)
_CHAINS = (*_LOGIN, *_SERVER, *NOT_CARRIED)
"""Variables that exist with a suffix too, ``-USER@HOST`` or ``-HOST``."""

PATHS = ("mta", "sendmail", "ssl-ca-file", "tls-ca-file")
"""Variables in which S-nail puts the home directory in the place of ``~`` and ``$HOME``."""

Value = tuple[str, int]
"""What a variable was set to, and in which line."""


class Chain:
    """Looks variables up as mailx does: with the most special suffix first, then without."""

    def __init__(self, variables: dict[str, Value], suffixes: list[str], draft: Draft) -> None:
        self.variables, self.suffixes, self.draft = variables, suffixes, draft

    def get(self, *names: str) -> Value | None:
        """Give what a variable, of one name or another, is set to for this sender and server."""
        suffixes = [f"-{suffix}" for suffix in self.suffixes if suffix]
        for variable in (f"{name}{suffix}" for suffix in (*suffixes, "") for name in names):
            if variable in self.variables:
                return self.variables[variable]
        return None

    def on(self, name: str) -> bool:
        """Tell whether a binary option is set: its presence counts, whatever its value."""
        return self.get(name) is not None

    def remark_unused(self) -> None:
        """Name the settings that are for other senders or servers than the one taken."""
        for variable, (_, line) in self.variables.items():
            base = base_name(variable)
            suffix = variable[len(base) + 1 :]
            if base in (*_LOGIN, *_SERVER) and suffix and suffix not in self.suffixes:
                self.draft.remark(line, f"{shown(variable)}: for another sender or server than the one taken")


def base_name(name: str) -> str:
    """Give a variable's name without its suffix; the empty text for one that is not about sending."""
    plain = (*_CHAINS, "from", "smtp", "mta", "sendmail", "socket-connect-timeout", "v15-compat")
    if name in plain:
        return name
    starts = [base for base in plain if name.startswith(f"{base}-")]
    return max(starts, key=len, default="")
