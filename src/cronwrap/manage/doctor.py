"""What doctor looks at, step by step, for a person or a program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from cronwrap.settings.load import Settings
from cronwrap.setup import cron_checks, mail_checks, metrics_checks, notify_checks
from cronwrap.setup.mail_checks import Check


def checks(settings: Settings, *, send: bool = False) -> Iterator[Check]:
    """Give each step as it is done; ``send``: a test message goes to the relay, and each target is told."""
    yield from mail_checks.checks(settings, os.environ)
    yield from notify_checks.checks(settings)
    yield from cron_checks.checks(settings)
    yield from metrics_checks.checks(settings)
    if send:
        yield mail_checks.send_test(settings)
        yield from notify_checks.send_tests(settings)


def public(check: Check) -> dict[str, Any]:
    """Give a step for programs."""
    return {
        "name": check.name,
        "ok": check.ok,
        "text": check.text,
        "advice": check.advice or None,
        "seconds": round(check.seconds, 4),
        "relay": check.relay or None,
    }
