"""Plain words for what can go wrong with a relay as a whole, and what to do about it."""

from __future__ import annotations

import ssl

import aiosmtplib

from cronwrap.errors import TemporaryError
from cronwrap.relay.dial import RelayFault
from cronwrap.relay.replies import ACCOUNT, Reply, judge, readable
from cronwrap.settings.relays import Endpoint

MOMENTS = {
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


class LoginRefused(RelayFault):
    """The relay does not believe us; to repeat the login often may lock the account."""


def fault(endpoint: Endpoint, stage: str, error: BaseException) -> RelayFault:
    """Give the fault that an exception of a step stands for."""
    relay, moment = endpoint.display, MOMENTS[stage]
    tls = tls_error(error)
    if tls is not None:
        return RelayFault("tls", f"TLS with {relay} failed: {_tls_reason(tls)}", _tls_advice(endpoint, tls))
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reply = Reply(code=error.code, text=error.message)
        if not 200 <= error.code <= 599:
            said = readable(error.message)
            return RelayFault(
                stage, f"{relay} did not answer in SMTP {moment}: {said}", _port_advice(endpoint)
            )
        return RelayFault(stage, f"{relay} is not ready {moment}: {reply}", _refused_advice(reply, stage))
    if isinstance(error, TimeoutError) or "taking longer than" in str(error):
        text = f"no answer from {relay} within {endpoint.timeout:g} s {moment}"
        return RelayFault(stage, text, _port_advice(endpoint) if stage in ("tls", "greeting") else "")
    return RelayFault(stage, f"{relay} closed the connection {moment}")


def account_fault(endpoint: Endpoint, stage: str, reply: Reply) -> RelayFault:
    """Give the fault of a command that was refused because of who we are."""
    advice = "check user and password" if endpoint.user else "the relay wants a login: set user and password"
    return RelayFault(stage, f"{endpoint.display} refused us {MOMENTS[stage]}: {reply}", advice)


def as_fault(stage: str, error: TemporaryError) -> RelayFault:
    """Give an error of a lower layer the stage that it belongs to."""
    return error if isinstance(error, RelayFault) else RelayFault(stage, str(error))


def tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Give the error of TLS that lies beneath an exception, if one does."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__
    return None


def _tls_reason(error: ssl.SSLError) -> str:
    known = {
        "WRONG_VERSION_NUMBER": "the server does not speak TLS at this point",
        "UNSUPPORTED_PROTOCOL": "the server has no TLS newer than 1.1",
        "TLSV1_ALERT_PROTOCOL_VERSION": "the server has no TLS newer than 1.1",
    }
    reason = error.reason or ""
    return known.get(reason) or readable(reason.replace("_", " ").lower() or str(error))


def _tls_advice(endpoint: Endpoint, error: ssl.SSLError) -> str:
    return _port_advice(endpoint) if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE") else ""


def _port_advice(endpoint: Endpoint) -> str:
    if endpoint.kind == "smtps":
        return "check the port; where TLS starts later (587 as a rule) use submission://"
    if endpoint.kind == "submission":
        return "check the port; where TLS starts at once (465 as a rule) use smtps://"
    return "check host and port in the url"


def _refused_advice(reply: Reply, stage: str) -> str:
    if judge(reply) == ACCOUNT:
        return "the relay wants a login: set user and password"
    if stage == "greeting" and reply.code >= 500:
        return "it may refuse this host's address: use the provider's relay for submission (465 or 587)"
    return ""
