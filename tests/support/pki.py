"""A throw-away certificate authority, and the contexts of servers that it vouches for."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from datetime import datetime

LOOPBACK_NAMES = ("localhost", "127.0.0.1")


class Certificate:
    """A server's certificate with its key."""

    def __init__(self, leaf: trustme.LeafCert) -> None:
        self.leaf = leaf

    def context(self) -> ssl.SSLContext:
        """Give a server's context that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.leaf.configure_cert(context)
        return context

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the DER form, as ``sha256:AB:CD:…``."""
        der = ssl.PEM_cert_to_DER_cert(self.leaf.cert_chain_pems[0].bytes().decode())
        return "sha256:" + hashlib.sha256(der).digest().hex(":").upper()

    def write(self, directory: str) -> tuple[str, str]:
        """Write certificate chain and key into a directory; give both paths."""
        chain, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
        with open(chain, "wb") as file:
            file.writelines(pem.bytes() for pem in self.leaf.cert_chain_pems)
        with open(key, "wb") as file:
            file.write(self.leaf.private_key_pem.bytes())
        os.chmod(key, 0o600)
        return chain, key


class Authority:
    """A certificate authority of its own; ``ca_file`` is what a client has to trust."""

    def __init__(self, directory: str | None = None) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="cronwrap-ca-")
        self.directory = directory or self._temporary.name
        self._ca = trustme.CA()
        self.ca_file = os.path.join(self.directory, "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def certificate(self, *names: str, not_after: datetime | None = None) -> Certificate:
        """Issue a certificate, by default for the loopback's names."""
        return Certificate(self._ca.issue_cert(*(names or LOOPBACK_NAMES), not_after=not_after))

    def close(self) -> None:
        """Remove what was written, unless a directory was given."""
        if self._temporary:
            self._temporary.cleanup()
