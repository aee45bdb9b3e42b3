"""Settings of other mail programs, read into the shape of our own configuration.

Pure: octets in, an ``Imported`` out; what a file's neighbours hold comes through a callable. Whatever the
octets are, the result is a configuration that cronwrap accepts, or remarks that say why there is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from cronwrap.errors import ConfigError
from cronwrap.setup.importers import mailrc, msmtprc, nullmailer, ssmtp
from cronwrap.setup.importers.draft import Imported

__all__ = ["KINDS", "SIZE_LIMIT", "Imported", "Siblings", "detect", "load"]

Siblings = Callable[[str], bytes | None]
"""Gives the content of a file beside the imported one, by its name; None when there is none."""

SIZE_LIMIT = 1 << 20
"""Octets; such files have some kilobytes, and ``/dev/zero`` must not fill the memory."""

_READERS = {
    "mail.rc": mailrc.read,
    "msmtprc": msmtprc.read,
    "ssmtp.conf": ssmtp.read,
    "revaliases": ssmtp.read_revaliases,
    "remotes": nullmailer.read,
}
KINDS = tuple(_READERS)
"""``mail.rc`` is Heirloom mailx's and S-nail's, ``revaliases`` sSMTP's, ``remotes`` nullmailer's."""

_NAMES = {
    "mailrc": "mail.rc",
    "s-nail.rc": "mail.rc",
    "nail.rc": "mail.rc",
    "heirloom-mailx.rc": "mail.rc",
}
_LOOKS = {
    "mail.rc": re.compile(rb"^\s*(?:(?:wysh\s+)?set|unset|account\s+\S+\s*\{)(?:\s|$)", re.MULTILINE),
    "msmtprc": re.compile(
        rb"^\s*(?:defaults\s*$|(?:account|host|from|auth|tls|tls_\w+|passwordeval|logfile|syslog)(?:\s+[^{\s=]|\s*$))",
        re.MULTILINE,
    ),
    "ssmtp.conf": re.compile(
        rb"^\s*(?:root|mailhub|rewritedomain|hostname|fromlineoverride|use(?:start)?tls|auth(?:user|pass|method))\s*=",
        re.MULTILINE | re.IGNORECASE,
    ),
    "remotes": re.compile(rb"^[^\s#=]+\s+(?:smtp|qmqp)(?:\s|$)", re.MULTILINE),
}


def detect(text: bytes, name: str = "") -> str:
    """Give the kind of a file by its name or, failing that, by its lines; ConfigError when it is none."""
    base = os.path.basename(name).removeprefix(".")
    base = _NAMES.get(base, base)
    if base in _READERS:
        return base
    if base == "config" and os.path.basename(os.path.dirname(name)) == "msmtp":
        return "msmtprc"
    counts = {kind: len(look.findall(text[:SIZE_LIMIT])) for kind, look in _LOOKS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    if not counts[best]:
        raise ConfigError(f"{name or 'the file'}: not recognised; name its kind, one of {', '.join(KINDS)}")
    return best


def load(text: bytes, kind: str, name: str, siblings: Siblings, account: str = "") -> Imported:
    """Read a file of a kind. ``account`` chooses one of several in it (mail.rc and msmtprc).

    ConfigError for an unknown kind and for a file larger than ``SIZE_LIMIT``.
    """
    if kind not in _READERS:
        raise ConfigError(f"{kind!r} is no kind of file that can be imported: {', '.join(KINDS)}")
    if len(text) > SIZE_LIMIT:
        raise ConfigError(f"{name}: larger than {SIZE_LIMIT} octets")
    return _READERS[kind](text, siblings, account)
