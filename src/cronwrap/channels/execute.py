"""A notification for a user's own program: JSON on its standard input, its exit status the answer."""

from __future__ import annotations

import os

import psutil

from cronwrap.channels.answer import Answer
from cronwrap.redact.redactor import redactor
from cronwrap.relay import program
from cronwrap.relay.local import PERMANENT_STATUSES, PROGRAM_STATUSES
from cronwrap.relay.replies import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.settings.notify import Target

MARK = "CRONWRAP_NOTIFY_ID"
"""The variable that has the notification's id; whatever the program starts is known by it."""
HANDED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "TZ", "USER")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def send(target: Target, identity: str, body: bytes, patterns: tuple[str, ...]) -> Answer:
    """Give what became of one attempt, by the program's exit status."""
    return run(target, [target.address], identity, body, patterns)


def run(target: Target, words: list[str], identity: str, body: bytes, patterns: tuple[str, ...]) -> Answer:
    """Run a program for a target; ``patterns`` are the user's own of what is secret."""
    try:
        ran = program.run(words, body, target.timeout, environment=_environment(identity))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Answer(words=f"{target.display} cannot be run: {why}", target_fault=True)
    if ran.status is None:
        _end_the_rest(identity)
    heard = (ran.stderr or ran.stdout).decode("utf-8", "replace")
    said = readable(redactor(patterns).text(heard))
    return judged(target, ran.status, f": {said}" if said else "")


def judged(target: Target, status: int | None, said: str) -> Answer:
    """Give what an exit status means, by sysexits(3); what is not known there may pass.

    A script ends as its curl(1) did, and most of what that says is about the network.
    """
    if status == 0:
        return Answer(taken=True)
    if status is None:
        words = f"{target.display} did not end within {target.timeout:g} s, and was ended{said}"
        return Answer(words=words, target_fault=True)
    meaning = PERMANENT_STATUSES.get(status) or PROGRAM_STATUSES.get(status)
    how = f"died of signal {-status}" if status < 0 else f"ended with status {status}"
    words = f"{target.display} {how}" + (f" ({meaning})" if meaning else "") + said
    return Answer(words=words, final=status in PERMANENT_STATUSES, target_fault=status in PROGRAM_STATUSES)


def _environment(identity: str) -> dict[str, str]:
    """Give a small environment: what a job's has may be secret, and is nothing a hook should go by."""
    found = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    return {"PATH": PATH, "SHELL": "/bin/sh", **found, MARK: identity}


def _end_the_rest(identity: str) -> None:
    """End what a program has started in sessions of its own, by the id that it handed on to them."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == identity:
                process.kill()
        except (psutil.Error, OSError):
            continue
