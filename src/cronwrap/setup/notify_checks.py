"""The targets of ``[[notify]]``, looked at and, on request, told something: for ``doctor``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cronwrap.channels.connect import offline_fault, send
from cronwrap.paths import user_name
from cronwrap.relay.wording import with_advice
from cronwrap.report.notification import TEST, compose
from cronwrap.settings.files import targets_in_force
from cronwrap.settings.load import Settings
from cronwrap.settings.notify import Target
from cronwrap.setup.check import Check

NAME = "notify"
ADVICE = "correct it in the configuration: man cronwrap-config"


def checks(settings: Settings) -> Iterator[Check]:
    """Give what is to be said of each target; nothing is connected to."""
    for target in targets_in_force(settings.paths):
        if why := target.fault or offline_fault(target):
            text, advice = with_advice(why, ADVICE)
            yield Check(name=NAME, ok=False, text=_named(target, text), advice=advice)
            continue
        on = ", ".join(target.on or settings["on"])
        text = f"{target.display} is told on {on}, of jobs {', '.join(target.jobs)}"
        if target.kind == "https" and not target.secret_file:
            text += " (unsigned: there is no secret-file)"
        yield Check(name=NAME, ok=True, text=text)


def send_tests(settings: Settings) -> Iterator[Check]:
    """Tell each target something, as a run would, and give what became of it."""
    host, user = os.uname().nodename, user_name()
    for target in targets_in_force(settings.paths):
        began = time.monotonic()
        identity = f"test-{os.urandom(8).hex()}.{target.key}"
        data = {
            "job": "cronwrap-doctor",
            "user": user,
            "host": host,
            "headline": "a test of cronwrap doctor --send: nothing has failed",
            "event": "success",
            "output": "",
            "key": f"cronwrap-doctor.{user}.{host}",
            "id": identity,
        }
        answer = send(target, identity, compose(TEST, time.time(), data), settings["redact.patterns"])
        text = f"{target.display} has taken a test" if answer.taken else _named(target, answer.words)
        yield Check(name=NAME, ok=answer.taken, text=text, seconds=time.monotonic() - began)


def _named(target: Target, text: str) -> str:
    return text if target.display in text else f"{target.display}: {text}"
