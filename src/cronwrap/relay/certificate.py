"""TLS of a relay: what is trusted, and words for a certificate that is not.

There is no switch that turns verification off. ``ca-file`` replaces the system's authorities,
``fingerprint`` replaces authorities altogether: it names the one certificate that is right, so its
names and dates do not matter.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
import stat
import time
from typing import Any

from cronwrap.errors import TemporaryError
from cronwrap.model import Record
from cronwrap.relay.replies import readable
from cronwrap.settings.relays import Endpoint
from cronwrap.trust import NOT_REGULAR

EXPIRED, NOT_YET_VALID = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID of openssl-verify(1)."""
WRONG_NAME, WRONG_ADDRESS = 62, 64
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
NAMES_SHOWN = 5
"""A certificate of a large provider has dozens of names."""
DAY = 86400
LARGEST = 16 << 20
"""Octets of a file of authorities; those of all the world have a quarter of a million."""


class Certificate(Record):
    """What a person wants to know of a server's certificate."""

    fingerprint: str
    """SHA-256 of its DER form, ``sha256:AB:CD:…``, as it is written into the configuration."""
    issuer: str = ""
    names: tuple[str, ...] = ()
    """Host names and addresses that it is for."""
    expires: float = 0.0
    """Unix time; 0 when the certificate could not be read."""

    @property
    def days_left(self) -> int:
        """Give the whole days until it expires; negative after that."""
        return int((self.expires - time.time()) // DAY)

    def __str__(self) -> str:
        if not self.expires:
            return "of a kind that cannot be read"
        names = ", ".join(self.names[:NAMES_SHOWN]) + (", …" if len(self.names) > NAMES_SHOWN else "")
        ends = "expired" if self.days_left < 0 else "expires"
        date = time.strftime("%Y-%m-%d", time.gmtime(self.expires))
        return f"issued by {self.issuer} for {names or 'no name'}, {ends} {date}"


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """Give what TLS has to fulfil for a relay; TemporaryError when its ca-file cannot be used."""
    if endpoint.fingerprint:
        return lenient_context()
    if fault := _no_authorities(endpoint.ca_file):
        raise TemporaryError(fault)
    try:
        made = ssl.create_default_context(cafile=endpoint.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        why = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise TemporaryError(f"ca-file {endpoint.ca_file}: {why}") from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.hostname_checks_common_name = False  # a name is a subject alternative name (RFC 9525, 6.3)
    if endpoint.ca_file:
        # What the user names is trusted as it is: an intermediate authority or the server's own
        # certificate, and one made without the extensions that public authorities must set.
        made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        made.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return made


def _no_authorities(ca_file: str) -> str:
    """Say why a file of authorities must not be opened; empty when it may be, or OpenSSL says it better.

    OpenSSL would wait for a pipe, and read a device to its end; its own variable names such a file, too.
    """
    name = f"ca-file {ca_file}" if ca_file else f"SSL_CERT_FILE {os.environ.get('SSL_CERT_FILE', '')}"
    try:
        found = os.stat(ca_file or os.environ.get("SSL_CERT_FILE", ""))
    except OSError:
        return ""
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        return f"{name}: {NOT_REGULAR}"
    return f"{name}: larger than {LARGEST >> 20} MiB" if found.st_size > LARGEST else ""


def lenient_context() -> ssl.SSLContext:
    """Give TLS without trust, for a certificate that is compared with a fingerprint, or only looked at.

    Whoever uses it has to ask ``pin_fault`` or hang up before anything else is sent.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def pin_fault(endpoint: Endpoint, der: bytes) -> tuple[str, str]:
    """Say why a certificate is not the one that the fingerprint names, and what to do; or nothing."""
    if hmac.compare_digest(hashlib.sha256(der).hexdigest(), endpoint.fingerprint):
        return "", ""
    found = describe(der)
    return (
        f"the certificate of {endpoint.display} is not the pinned one; it is {found}",
        f'if the server has a new one, ask its owner whether fingerprint = "{found.fingerprint}" is right',
    )


def describe(der: bytes) -> Certificate:
    """Give what is known of a certificate in DER form, whoever made it."""
    fingerprint = "sha256:" + hashlib.sha256(der).digest().hex(":").upper()
    try:
        fields = _decoded(der)
        issuer = {name: value for part in fields.get("issuer", ()) for name, value in part}
        named = issuer.get("commonName") or issuer.get("organizationName") or "nobody"
        return Certificate(
            fingerprint=fingerprint,
            issuer=readable(str(named)),
            names=tuple(readable(str(name)) for _kind, name in fields.get("subjectAltName", ())),
            expires=ssl.cert_time_to_seconds(fields["notAfter"]),
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return Certificate(fingerprint=fingerprint)


def _decoded(der: bytes) -> dict[str, Any]:
    """Give the fields of a certificate that nobody vouches for.

    ``getpeercert()`` gives them for verified certificates only. This is the function beneath it, in
    CPython since 2.6 and used by its own tests; it reads a file. Where it is missing or fails the
    fingerprint, which is what one needs to go on, is still shown.
    """
    import tempfile  # noqa: PLC0415  # 3 ms, and most certificates are good

    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(ssl.DER_cert_to_PEM_cert(der))
        file.flush()
        decode = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]  # noqa: SLF001  # see above
        fields: dict[str, Any] = decode(file.name)
        return fields


def untrusted(endpoint: Endpoint, error: ssl.SSLCertVerificationError, der: bytes | None) -> tuple[str, str]:
    """Say why a certificate is not trusted and whose it is, and what to do."""
    code = error.verify_code
    found = describe(der) if der else None
    pin = f'if the server is the right one, pin it with fingerprint = "{found.fingerprint if found else "…"}"'
    if code == EXPIRED:
        what, advice = "has expired", f"have it renewed; until then, {pin}"
    elif code == NOT_YET_VALID:
        what, advice = "is not valid yet", "check this host's clock"
    elif code in (WRONG_NAME, WRONG_ADDRESS):
        what, advice = f"is not for {endpoint.host}", f"use a name that it is for in the url; or, {pin}"
    else:
        what = f"is not trusted ({error.verify_message})"
        advice = f"if its authority is a private one, name that in ca-file; or, {pin}"
    return f"the certificate of {endpoint.display} {what}" + (f"; it is {found}" if found else ""), advice
