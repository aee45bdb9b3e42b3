"""Whom of ``[[notify]]`` a run is told to, and what; stored beside its mail, each for a target of its own.

Whoever has something to tell gives a function that judges it by a policy: ``judge``, ``skipped`` or
``abandoned`` of ``report.verdict``. Each target goes by the job's policy with its own ``on``, so all that
holds a mail back (``--after``, ``--remind``) holds a notification back as well.
"""

from __future__ import annotations

import os
import time

from cronwrap.errors import StateError
from cronwrap.history.as_object import as_object
from cronwrap.history.journal import COMMAND_MAX
from cronwrap.mail import Envelope, Message
from cronwrap.model import Record
from cronwrap.outbox import from_memory
from cronwrap.outbox.message_file import LANE_MARK
from cronwrap.outbox.store import Outbox
from cronwrap.report import notification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cronwrap.model import Outcome, Verdict
    from cronwrap.outbox.store import Prepared
    from cronwrap.pipeline.context import RunContext
    from cronwrap.report.verdict import Policy
    from cronwrap.settings.load import Settings

SENDER = "cronwrap"
"""An envelope has one; no target sees it."""


WITHIN = "CRONWRAP_NOTIFY_ID"
"""Set for the program of a target (``channels.execute``), which is not to be called by its own runs."""


class Told(Record):
    """One target that is to be told of a run."""

    key: str
    display: str
    """The target without its secrets."""
    verdict: Verdict


class Facts(Record):
    """What there is to tell, without secrets."""

    identity: str
    """The id of what is told of: the run's, as a rule."""
    run: dict[str, Any]
    """The columns of the run."""
    output: str = ""


def facts_of_run(
    run: RunContext, names: tuple[str, str], ended: dict[str, Any], outcomes: tuple[Outcome, ...]
) -> Facts:
    """Give what there is to tell of a run; ``names`` are job and command without their secrets."""
    job, command = names
    known = {"run": run.run_id, "host": run.host, "user": run.user, "started": run.started}
    return facts(run.run_id, {**known, "job": job, "command": command[:COMMAND_MAX], **ended}, outcomes)


def facts(identity: str, columns: dict[str, Any], outcomes: tuple[Outcome, ...]) -> Facts:
    """Give what there is to tell of a run with such columns, and the end of what its last try said."""
    if not (outcomes and outcomes[-1].output.total_bytes):
        return Facts(identity=identity, run=columns)
    from cronwrap.pipeline.monitor import end_of  # noqa: PLC0415  # a run that said nothing has no use for it

    output = end_of(outcomes[-1].output, notification.OUTPUT_LIMIT)
    return Facts(identity=identity, run=columns, output=output)


def due(settings: Settings, policy: Policy, decide: Callable[[Policy], Verdict]) -> tuple[Told, ...]:
    """Give the targets that are to be told, each once, with the verdict by what each wants to hear."""
    found: dict[str, Told] = {}
    if WITHIN in os.environ:
        return ()
    for key, display, on in _concerned(settings):
        if key not in found and (verdict := decide(policy.replace(on=on or policy.on))).mail:
            found[key] = Told(key=key, display=display, verdict=verdict)
    return tuple(found.values())


def _concerned(settings: Settings) -> Iterator[tuple[str, str, tuple[str, ...] | None]]:
    for key, display, on, jobs in settings.notify:
        if "*" in jobs or _matches(settings["name"], jobs):
            yield key, display, on


def _matches(job: str, globs: tuple[str, ...]) -> bool:
    from fnmatch import fnmatchcase  # noqa: PLC0415  # imports `re`

    return any(fnmatchcase(job, glob) for glob in globs)


def prepare(settings: Settings, told: tuple[Told, ...], facts: Facts) -> tuple[list[Prepared], list[str]]:
    """Write what the targets are told to disk, yet to enter the queue; give what went wrong.

    What cannot be written is sent from memory, as a mail is.
    """
    box, found, faults = Outbox(settings.state_dir), [], []
    for one in told:
        identity = f"{facts.identity}{LANE_MARK}{one.key}"
        message = _message(identity, one, facts)
        try:
            found.append(box.prepare(identity, message, time.time()))
        except StateError as error:
            why = from_memory.notify_from_memory(settings, identity, message)
            if why:
                faults.append(f"{one.display} could not be told: {error}; {why}")
    return found, faults


def enter(settings: Settings, prepared: list[Prepared]) -> list[str]:
    """Put into the queue what was prepared; give what went wrong."""
    box, faults = Outbox(settings.state_dir), []
    for one in prepared:
        try:
            box.enter(one)
        except StateError as error:
            faults.append(f"{one.item.envelope.recipients[0]} cannot be told: {error}")
    return faults


def store(settings: Settings, told: tuple[Told, ...], facts: Facts) -> tuple[list[Prepared], list[str]]:
    """Put what the targets are told into the queue at once; give what went wrong."""
    prepared, faults = prepare(settings, told, facts)
    return prepared, faults + enter(settings, prepared)


def _message(identity: str, told: Told, facts: Facts) -> Message:
    verdict, run = told.verdict, facts.run
    data = {
        **as_object(run),
        "headline": verdict.headline,
        "event": notification.event_of(verdict.events),
        "output": facts.output,
        "key": f"{run['job']}.{run['user']}.{run['host']}",
        "id": identity,
    }
    moment = run.get("ended") or time.time()
    return Message(
        envelope=Envelope(sender=SENDER, recipients=(told.display,)),
        content=notification.compose(notification.TYPE, moment, data),
        job=run["job"],
        subject=f"{run['job']}: {verdict.headline}",
    )
