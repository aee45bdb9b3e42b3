"""The secret of a relay, read at the moment it is used and never kept.

Every fault here is the account's, never the message's: ``TemporaryError``.
"""

from __future__ import annotations

import os
import stat

from cronwrap.errors import TemporaryError
from cronwrap.redact.redactor import redactor
from cronwrap.relay import program
from cronwrap.relay.repeated import Confidence
from cronwrap.relay.replies import readable
from cronwrap.settings.relays import Endpoint, exposed
from cronwrap.trust import opened

SECRET_LIMIT = 64 * 1024
"""Octets; OAuth tokens take a few thousand, a file beyond that is the wrong one."""
COMMAND_LIMIT = 30.0
"""Seconds for a password or token command: time for a request over the network, not for a prompt that
nobody can answer."""


def secret(endpoint: Endpoint, limit: float = 0.0) -> bytes:
    """Give the password or token of a relay; TemporaryError says why there is none.

    A command has ``limit`` seconds, or ``COMMAND_LIMIT`` if that is 0.
    """
    if endpoint.password is not None:
        return endpoint.password.encode()
    if endpoint.password_file:
        return from_file(endpoint.password_file, "password-file")
    if endpoint.password_env:
        return _from_environment(endpoint.password_env)
    if endpoint.password_command:
        return _from_command(endpoint.password_command, "password-command", limit)
    return _from_command(endpoint.token_command, "token-command", limit)


def from_file(path: str, key: str) -> bytes:
    """Give a secret file's content without one line end after it; ``key`` names it in the settings."""
    try:
        handle, others = opened(path)
        with open(handle, "rb") as file:
            # The opened file is judged, not the name: that can lead elsewhere a moment later.
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise TemporaryError(f"{key} {path} is no regular file")
            if fault := exposed(path, status):
                raise TemporaryError(f"{key} {fault}")
            if others:
                raise TemporaryError(f"{key} {path} is not used: {others}")
            content = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise TemporaryError(f"{key} {path}: {error.strerror}") from None
    ending = b"\r\n" if content.endswith(b"\r\n") else b"\n"
    return _checked(content.removesuffix(ending), f"{key} {path}")


def _from_environment(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise TemporaryError(f"password-env: the variable {name} is not set")
    return _checked(value, f"password-env {name}")


def _from_command(command: str, key: str, limit: float) -> bytes:
    """Give the first line that a shell command prints.

    The command line itself is not shown in errors: it may hold a secret.
    """
    try:
        limit = limit or COMMAND_LIMIT
        ran = program.run(["/bin/sh", "-c", command], b"", limit)
    except OSError as error:
        raise TemporaryError(f"{key} cannot be run: {error.strerror}") from None
    if ran.status is None:
        raise TemporaryError(f"{key} did not end within {limit:.3g} s")
    if ran.status:
        how = f"ended with status {ran.status}" if ran.status > 0 else f"died of signal {-ran.status}"
        # What it printed before it failed may be the secret, and its complaint may repeat it.
        confidence = Confidence("", ran.stdout.partition(b"\n")[0].strip())
        said = readable(redactor(()).text(confidence.without(ran.stderr.decode("utf-8", "replace"))))
        raise TemporaryError(f"{key} {how}" + (f": {said}" if said else ""))
    return _checked(ran.stdout.partition(b"\n")[0].removesuffix(b"\r"), f"the first line of {key}")


def _checked(value: bytes, source: str) -> bytes:
    if not value:
        raise TemporaryError(f"{source} is empty")
    if len(value) > SECRET_LIMIT:
        raise TemporaryError(f"{source} is over {SECRET_LIMIT} octets long: that is no password")
    if b"\0" in value:
        raise TemporaryError(f"{source} contains a NUL, which no login can carry")
    return value
