"""Plain words for what can go wrong with a relay as a whole, and what to do about it."""

from __future__ import annotations

import ssl

import aiosmtplib

from cronwrap.errors import TemporaryError
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import ACCOUNT, Reply, judge, readable
from cronwrap.settings.relays import Endpoint

MOMENTS = {
    "connect": "before it answered",
    "tls": "at the start of TLS",
    "greeting": "before its greeting",
    "hello": "after EHLO",
    "login": "during the login",
    "reset": "after RSET",
    "sender": "after MAIL FROM",
    "recipient": "after RCPT TO",
    "data": "after DATA",
    "message": "after the message was sent",
}
"""When it went wrong, by the stage of a ``RelayFault``."""
SOURCES = {
    "login": "correct where [[relay]] has its password or token from",
    "certificate": "name a file of certificates in PEM form in ca-file, or leave it out",
    "settings": "correct it; cronwrap config check tells when it is right",
}
"""What to do about a fault in what a relay is used with, by the stage."""
ASK_OWNER = "should it stay so, ask the relay's owner what its log says"
TLS_ADVICE = "it and this host find no TLS in common: ask the server's owner what its log says"
HELLO_ADVICE = "it may not like the name in EHLO: set helo in [[relay]] to a name that leads to this host"
WRONG_PORT = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
TOO_OLD = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED")
"""Reasons of OpenSSL; the last two come from servers whose newest TLS is 1.1, or from how they sign in it."""


class LoginRefused(RelayFault):
    """The relay does not believe us; to repeat the login often may lock the account."""


def fault(endpoint: Endpoint, stage: str, error: BaseException) -> RelayFault:
    """Give the fault that an exception of a step stands for."""
    relay, moment = endpoint.display, MOMENTS[stage]
    tls = tls_error(error)
    if tls is not None:
        text = f"TLS with {relay} failed: {_tls_reason(tls)}"
        wrong_port = tls.reason in WRONG_PORT
        advice = _port_advice(endpoint) if wrong_port else _tls_advice(tls)
        return RelayFault("tls", text, advice, misplaced=wrong_port)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _of_reply(endpoint, stage, Reply(code=error.code, text=error.message))
    silent = isinstance(error, TimeoutError) or "taking longer than" in str(error)
    if silent:
        text = f"no answer from {relay} within {endpoint.timeout:g} s {moment}"
    else:
        text = f"{relay} closed the connection {moment}"
    # A server that waits for TLS hangs up in the end, too; one that was sent TLS too soon has other words.
    misplaced = stage in ("tls", "greeting") and (silent or endpoint.kind == "submission")
    return RelayFault(stage, text, _silence_advice(endpoint, stage), misplaced=misplaced)


def _of_reply(endpoint: Endpoint, stage: str, reply: Reply) -> RelayFault:
    relay, moment = endpoint.display, MOMENTS[stage]
    if 200 <= reply.code <= 599:
        text = f"{relay} is not ready {moment}: {reply}"
        return RelayFault(stage, text, _refused_advice(reply, stage))
    said = readable(reply.text)
    text = f"{relay} did not answer in SMTP {moment}: {said}"
    return RelayFault(stage, text, _port_advice(endpoint), misplaced=stage in ("tls", "greeting"))


def too_slow(endpoint: Endpoint, stage: str) -> RelayFault:
    """Give the fault of a relay that was not ready for a message in the time there was."""
    text = f"{endpoint.display} was not ready within {endpoint.opening:.3g} s; it was slow {MOMENTS[stage]}"
    return RelayFault(stage, text, _silence_advice(endpoint, stage))


def account_fault(endpoint: Endpoint, stage: str, reply: Reply) -> RelayFault:
    """Give the fault of a command that was refused because of who we are."""
    advice = "check user and password" if endpoint.user else "the relay wants a login: set user and password"
    return RelayFault(stage, f"{endpoint.display} refused us {MOMENTS[stage]}: {reply}", advice)


def as_fault(stage: str, error: TemporaryError) -> RelayFault:
    """Give an error of a lower layer the stage that it belongs to, and what to do."""
    if isinstance(error, RelayFault):
        return error
    return RelayFault(stage, *with_advice(str(error), SOURCES[stage]))


def with_advice(text: str, otherwise: str) -> tuple[str, str]:
    """Give the text of a fault and what to do, which is in some texts already: ``X is open: chmod 600 X``."""
    before, colon, command = text.rpartition(": ")
    if colon and command.startswith(("chmod ", "chown ", "mount ")):
        return before, command
    return text, otherwise


def tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Give the error of TLS that lies beneath an exception, if one does."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__
    return None


def _tls_reason(error: ssl.SSLError) -> str:
    known = dict.fromkeys(WRONG_PORT, "the server does not speak TLS at this point")
    known |= dict.fromkeys(TOO_OLD, "the server has no TLS newer than 1.1")
    reason = error.reason or ""
    return known.get(reason) or readable(reason.replace("_", " ").lower() or str(error))


def _tls_advice(error: ssl.SSLError) -> str:
    if error.reason in TOO_OLD:
        return "TLS 1.2 is the least: have the server brought up to date, or use another relay"
    return TLS_ADVICE


def _port_advice(endpoint: Endpoint) -> str:
    if endpoint.kind == "smtps":
        return "check the port; where TLS starts later (587 as a rule) use submission://"
    if endpoint.kind == "submission":
        return "check the port; where TLS starts at once (465 as a rule) use smtps://"
    return "check host and port in the url"


def _silence_advice(endpoint: Endpoint, stage: str) -> str:
    """Say what to do about a relay that does not answer, or hangs up."""
    if stage == "tls" and endpoint.kind == "submission":
        return f"{TLS_ADVICE}, and whether its TLS is older than 1.2"
    if stage in ("connect", "tls", "greeting"):
        return _port_advice(endpoint)
    if stage == "hello":
        return HELLO_ADVICE
    if stage == "login":
        return (
            "it may block this host, or not know how it was logged in to: try another auth, and ask its owner"
        )
    return ASK_OWNER


def _refused_advice(reply: Reply, stage: str) -> str:
    if judge(reply) == ACCOUNT:
        return "the relay wants a login: set user and password"
    if reply.code < 500:
        return "the relay says that this passes; should it stay, ask its owner"
    if stage == "greeting":
        return "it may refuse this host's address: use the provider's relay for submission (465 or 587)"
    if stage == "tls":
        return "it cannot do TLS there: use smtps:// if it has that, or ask its owner"
    return HELLO_ADVICE
