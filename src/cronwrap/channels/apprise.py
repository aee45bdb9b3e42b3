"""A notification by Apprise, which knows a hundred services: in an interpreter of its own, within a time.

Its plugins are many people's, import what they like and wait as long as they like. So they are loaded by a
process that can be ended, never by a run, and not by the process that sends either.
"""

from __future__ import annotations

import json
import os
import sys

from cronwrap.channels import execute
from cronwrap.channels.answer import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from cronwrap.settings.notify import Target

EX_UNAVAILABLE, EX_CONFIG, EX_TEMPFAIL = 69, 78, 75
INSTALL = "Apprise is missing; install what it needs: pip install 'cronwrap[notify]'"
UNKNOWN = "Apprise does not know such an address: see its documentation for the form of the url"
KINDS = {"failure": "failure", "stuck": "failure", "success": "success", "recovery": "success"}
"""Apprise's kinds of notifications by our events; the others are ``warning``."""
BODY_LIMIT = 4000
"""Characters; what a service does not take Apprise cuts, or sends as several."""


def send(target: Target, identity: str, body: bytes, patterns: tuple[str, ...]) -> Answer:
    """Give what became of one attempt."""
    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys; sys.path.append({place!r}); from cronwrap.channels import apprise; apprise.main()"
    content = json.dumps({"url": target.address, **wording(json.loads(body))}).encode()
    secret = target.address.partition("://")[2]
    answer = execute.run(target, [sys.executable, "-P", "-c", code], identity, content, patterns)
    hidden = [part for part in secret.replace("?", "/").replace("@", "/").split("/") if len(part) > 3]
    words = answer.words
    for part in sorted([secret, *hidden], key=len, reverse=True):
        words = words.replace(part, "…")
    return answer.replace(words=words)


def wording(message: dict[str, object]) -> dict[str, str]:
    """Give title, body and kind of a notification for people."""
    data = message.get("data")
    run = data if isinstance(data, dict) else {}
    event = str(run.get("event", ""))
    lines = [str(run.get("headline", "")), str(run.get("output", ""))[-BODY_LIMIT:]]
    return {
        # The same for failure and recovery: services tell by it what belongs together.
        "title": f"{run.get('job', 'cronwrap')} on {run.get('host', 'this host')}",
        "body": "\n\n".join(line for line in lines if line.strip()) or event,
        "kind": KINDS.get(event, "warning"),
    }


def main() -> NoReturn:
    """Be the process that loads Apprise; standard input has the URL and what is to be said."""
    sys.exit(_notify())


def _notify() -> int:
    told = json.load(sys.stdin)
    try:
        import apprise  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError:
        sys.stderr.write(INSTALL)
        return EX_UNAVAILABLE
    with apprise.LogCapture(level=apprise.logging.WARNING) as heard:
        sender = apprise.Apprise()
        if not sender.add(told["url"]):
            sys.stderr.write(UNKNOWN)
            return EX_CONFIG
        if sender.notify(title=told["title"], body=told["body"], notify_type=told["kind"]):
            return 0
        sys.stderr.write(heard.getvalue())
    return EX_TEMPFAIL
