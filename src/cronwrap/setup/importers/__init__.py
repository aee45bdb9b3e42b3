"""Settings of other mail programs, read into the shape of our own configuration.

Pure: octets in, an ``Imported`` out; what a file's neighbours hold comes through a callable. Whatever the
octets are, the result is a configuration that cronwrap accepts, or remarks that say why there is none.
"""

from __future__ import annotations

from cronwrap.errors import ConfigError
from cronwrap.setup.importers import dma, esmtprc, exim, mailrc, msmtprc, nullmailer, postfix, ssmtp
from cronwrap.setup.importers.beside import Siblings
from cronwrap.setup.importers.draft import Imported
from cronwrap.setup.importers.recognise import KINDS, detect

__all__ = ["KINDS", "SIZE_LIMIT", "Imported", "Siblings", "detect", "load"]

SIZE_LIMIT = 1 << 20
"""Octets; such files have some kilobytes, and ``/dev/zero`` must not fill the memory."""

_READERS = {
    "mail.rc": mailrc.read,
    "msmtprc": msmtprc.read,
    "ssmtp.conf": ssmtp.read,
    "revaliases": ssmtp.read_revaliases,
    "remotes": nullmailer.read,
    "dma.conf": dma.read,
    "auth.conf": dma.read_logins,
    "main.cf": postfix.read,
    "sasl_passwd": postfix.read_logins,
    "update-exim4.conf.conf": exim.read,
    "passwd.client": exim.read_logins,
    "esmtprc": esmtprc.read,
}


def load(text: bytes, kind: str, name: str, siblings: Siblings, account: str = "") -> Imported:
    """Read a file of a kind. ``account`` chooses one of several in it (mail.rc, msmtprc, esmtprc).

    ConfigError for an unknown kind and for a file larger than ``SIZE_LIMIT``.
    """
    if kind not in _READERS:
        raise ConfigError(f"{kind!r} is no kind of file that can be imported: {', '.join(KINDS)}")
    if len(text) > SIZE_LIMIT:
        raise ConfigError(f"{name}: larger than {SIZE_LIMIT} octets")
    return _READERS[kind](text, siblings, account)
