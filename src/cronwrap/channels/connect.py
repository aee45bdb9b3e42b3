"""A target of ``[[notify]]``, whatever its kind, behind ``send``; what each kind needs is imported by it."""

from __future__ import annotations

import os

from cronwrap.channels.answer import Answer
from cronwrap.errors import TemporaryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.settings.notify import Target


def send(target: Target, identity: str, body: bytes, patterns: tuple[str, ...] = ()) -> Answer:
    """Give what became of one attempt, within ``target.timeout``; nothing the target does is raised.

    ``identity`` is the notification's id; ``patterns`` are the user's own of what is secret.
    """
    if target.fault:
        return Answer(words=target.fault, target_fault=True)
    if target.kind == "exec":
        from cronwrap.channels import execute  # noqa: PLC0415

        return execute.send(target, identity, body, patterns)
    if target.kind == "apprise":
        from cronwrap.channels import apprise  # noqa: PLC0415

        return apprise.send(target, identity, body, patterns)
    from cronwrap.channels import webhook  # noqa: PLC0415  # asyncio and ssl
    from cronwrap.redact.redactor import redactor  # noqa: PLC0415

    answer = webhook.send(target, identity, body)
    return answer.replace(words=redactor(patterns).text(answer.words)) if answer.words else answer


def offline_fault(target: Target) -> str:
    """Say what is wrong with what a target needs on this host; nothing is connected to."""
    if target.kind == "exec":
        return "" if os.access(target.address, os.X_OK) else f"{target.display} is no program that can be run"
    if target.kind == "apprise":
        from importlib.util import find_spec  # noqa: PLC0415

        from cronwrap.channels.apprise import INSTALL  # noqa: PLC0415

        return "" if find_spec("apprise") else f"{target.display}: {INSTALL}"
    from cronwrap.channels import webhook  # noqa: PLC0415
    from cronwrap.relay import certificate  # noqa: PLC0415

    try:
        if target.secret_file:
            webhook.secret(target)
        if target.way.ca_file and not target.way.fingerprint:
            certificate.context(target.way)
    except TemporaryError as error:
        return str(error)
    return ""
