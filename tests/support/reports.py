"""Reports to compose messages from, and the standard library's reading of what came out."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

from cronwrap.mail import Report
from cronwrap.model import STDERR, STDOUT, Mark, Outcome, Output, Verdict
from cronwrap.past import Past

STARTED = 1_772_420_706.0  # 2 March 2026, 03:05:06 UTC

FAILED = Verdict(
    result="failed", label="exit 2", headline="exit status 2 after 3.1 s", failed=True, mail=True
)


def output(stdout: bytes = b"", stderr: bytes = b"", **more) -> Output:
    """Give an output in which everything on standard output came first."""
    marks = [Mark(offset=0, stream=STDOUT, elapsed=0.5)] if stdout else []
    marks += [Mark(offset=len(stdout), stream=STDERR, elapsed=3.0)] if stderr else []
    fields = {
        "head": stdout + stderr,
        "stdout_bytes": len(stdout),
        "stderr_bytes": len(stderr),
        "marks": tuple(marks),
    }
    return Output(**(fields | more))


def outcome(shown: Output | None = None, **more) -> Outcome:
    """Give one try that ended with status 2."""
    fields = {"started": STARTED, "duration": 3.1, "exit_code": 2, "output": shown or Output()}
    return Outcome(**(fields | more))


def report(*tries: Output, **more) -> Report:
    """Give a report of a failed run with these outputs, one a try."""
    fields = {
        "run_id": "20260302T030506-4711",
        "job": "backup",
        "command": "backup --all /srv",
        "user": "alice",
        "host": "web1.example.com",
        "sender": "cron@example.com",
        "recipients": ("ops@example.com",),
        "verdict": FAILED,
        "outcomes": tuple(map(outcome, tries)),
        "started": STARTED,
        "ended": STARTED + 3.1,
        "duration": 3.1,
        "environment": {
            "SHELL": "/bin/sh",
            "HOME": "/home/alice",
            "PATH": "/usr/bin:/bin",
            "TOKEN": "hunter2",
        },
        "past": Past(),
    }
    return Report(**(fields | more))


def parsed(content: bytes) -> EmailMessage:
    """Read a message as a mail program does, after checking that it is fit for any relay's wire."""
    assert content.isascii()
    assert b"\0" not in content
    assert content.endswith(b"\r\n")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects
    assert not [part.defects for part in message.walk() if part.defects]
    return message


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    """Give the text of the body, its line ends as line feeds."""
    part = message.get_body((kind,))
    return part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")


def files_of(message: EmailMessage) -> dict[str, bytes]:
    """Give the attachments by name."""
    return {part.get_filename(): part.get_payload(decode=True) for part in message.iter_attachments()}
