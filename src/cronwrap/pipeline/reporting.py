"""From a judged run to a report on its way: redacted, composed, stored, put on record, handed over."""

from __future__ import annotations

import os
import sys
import time

from cronwrap.errors import StateError
from cronwrap.log import log
from cronwrap.mail import Report
from cronwrap.model import Record
from cronwrap.outbox import dispatch
from cronwrap.outbox.store import Outbox
from cronwrap.past import Past
from cronwrap.pipeline import held_back, redacted
from cronwrap.pipeline.addressing import addressed, recipients, sender
from cronwrap.pipeline.context import RunContext, Tries
from cronwrap.pipeline.held_back import Silence
from cronwrap.pipeline.run_entry import ending, write_down
from cronwrap.redact.redactor import redactor
from cronwrap.report.compose import compose, output_digest
from cronwrap.report.verdict import OK
from cronwrap.settings.command_line import job_locale, job_shell
from cronwrap.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.job.signals import Signals
    from cronwrap.mail import Message
    from cronwrap.model import Verdict
    from cronwrap.outbox.store import Prepared
    from cronwrap.pipeline.notifying import Told
    from cronwrap.report.verdict import Policy
    from cronwrap.settings.load import Settings


PRINTED = "printed"
"""What became of a message that could be neither stored nor sent."""


class Judged(Record):
    """A run as it is to be told: by mail, and to the targets of ``[[notify]]``."""

    verdict: Verdict
    past: Past | None = None
    told: tuple[Told, ...] = ()


class Due(Record):
    """What is to be told of a run, without secrets, and as far as a mute lets it."""

    tries: Tries
    verdict: Verdict
    names: tuple[str, str]
    """Job and command."""
    targets: tuple[Told, ...] = ()
    past: Past | None = None
    over: bool = False
    """Whether a mute or a pause has ended that this is told after."""


def report(run: RunContext, tries: Tries, judged: Judged, signals: Signals) -> None:
    """Report a run where that is due, and put it on record."""
    due = _due(run, tries, judged)
    ended = _ended(run, due)
    prepared, faults = _prepared(run, due, ended) if due.targets else ([], [])
    words = _mail(run, due, ended) if due.verdict.mail else ""
    if prepared and not due.verdict.mail:
        _foresee(due, ended)
    faults += _entered(run.settings, prepared) if prepared else []
    faults += _put_on_record(due, ended, words)
    for fault in (*due.tries.faults, *faults):  # stored first, then told: who reads may be slow, or nobody
        say(fault)
        log(f"{run.job}: {fault}")
    answers = _notified(run.settings, prepared, signals) if prepared else list
    if due.verdict.mail:
        _hand_over(run.settings, run.run_id, words, signals)
    _hear_of(answers())


def _due(run: RunContext, tries: Tries, judged: Judged) -> Due:
    secrets = redactor(run.settings["redact.patterns"])
    outcomes = tuple(redacted.output(outcome, secrets) for outcome in tries.outcomes)
    verdict, told = redacted.verdict(judged.verdict, secrets), judged.told
    names = redacted.names(run, secrets)
    if verdict.mail and not recipients(run):
        verdict = verdict.replace(mail=False, quiet_reason="no recipients: MAILTO is empty")
    silence = Silence()
    if verdict.mail or told:
        silence = held_back.silence(run, ok=verdict.result == OK)
    faults = dict.fromkeys((*tries.faults, *secrets.faults))
    return Due(
        tries=tries.replace(outcomes=outcomes, faults=(*faults, *filter(None, (silence.fault,)))),
        verdict=silence.applied_to(verdict),
        names=names,
        targets=tuple(
            one.replace(verdict=redacted.verdict(one.verdict, secrets)) for one in told if not silence.why
        ),
        past=judged.past,
        over=silence.over,
    )


def _ended(run: RunContext, due: Due) -> dict[str, Any]:
    """Give what is written down of how the run ended."""
    verdict, outcomes = due.verdict, due.tries.outcomes
    failed = due.tries.entry and verdict.failed and outcomes
    digest = output_digest(outcomes[-1].output) if failed else ""
    notified = bool(due.targets)
    ended = ending(run.started, verdict, outcomes, mailed=verdict.mail, digest=digest, notified=notified)
    if len(outcomes) > 1 and not any(one.output.left_out_bytes for one in outcomes[:-1]):
        # Without secrets, as whoever follows the run has counted them.
        ended["earlier_bytes"] = sum(len(one.output.head) + len(one.output.tail) for one in outcomes[:-1])
    return ended


def _foresee(due: Due, ended: dict[str, Any]) -> None:
    """Have whoever finds this run dead know that its report is on its way."""
    if due.tries.entry:
        due.tries.entry.foresee(ended)


def _mail(run: RunContext, due: Due, ended: dict[str, Any]) -> str:
    """Put the mail on its way; give an empty text when it is stored, else what became of it."""
    words = post(run.settings, run.run_id, message_of(run, due), lambda: _foresee(due, ended))
    run.posted.append(run.run_id)
    if due.over:
        held_back.told(run.settings.state_dir, run.job)
    return words


def _put_on_record(due: Due, ended: dict[str, Any], words: str) -> list[str]:
    """Put on record how the run ended, and whether it is told by mail; give what went wrong."""
    entry, verdict = due.tries.entry, due.verdict
    if not entry:
        return []
    # For ``--remind`` a failure is mailed by its own mail alone.
    ended["mailed"] = words != PRINTED if verdict.mail else due.tries.told_running and not verdict.failed
    fault = write_down(entry, ended, due.tries.outcomes)
    return [fault] if fault else []


def _prepared(run: RunContext, due: Due, ended: dict[str, Any]) -> tuple[list[Prepared], list[str]]:
    """Write what targets are told to disk, yet to enter the queue; give what went wrong."""
    from cronwrap.pipeline import notifying  # noqa: PLC0415  # for those who have targets, as all below

    facts = notifying.facts_of_run(run, due.names, ended, due.tries.outcomes)
    return notifying.prepare(run.settings, due.targets, facts)


def _entered(settings: Settings, prepared: list[Prepared]) -> list[str]:
    from cronwrap.pipeline import notifying  # noqa: PLC0415

    return notifying.enter(settings, prepared)


def _notified(settings: Settings, prepared: list[Prepared], signals: Signals) -> Callable[[], list[str]]:
    """Have targets told; give what waits to hear what became of it."""
    from cronwrap.outbox import lanes  # noqa: PLC0415

    senders = lanes.begin(settings, [one.item.id for one in prepared])
    return lambda: lanes.wait_for(settings, senders, signals)


def _hear_of(answers: list[str]) -> None:
    """Say what became of notifications that did not go at once."""
    for words in answers:
        if words.startswith(("kept", "failed")):
            say(f"a notification {'is ' if words.startswith('kept') else ''}{words}")


def message_of(run: RunContext, due: Due) -> Message:
    """Give the mail that tells of a run."""
    return addressed(run.settings, compose(_report(run, due)))


def _report(run: RunContext, due: Due) -> Report:
    now, tries = time.time(), due.tries
    job, command = due.names
    only = tries.outcomes[-1].duration if len(tries.outcomes) == 1 else now - run.started
    return Report(
        run_id=run.run_id,
        job=job,
        command=command,
        user=run.user,
        host=run.host,
        sender=sender(run),
        recipients=recipients(run),
        verdict=due.verdict,
        outcomes=tries.outcomes,
        started=tries.outcomes[0].started if tries.outcomes else run.started,
        ended=now,
        duration=only,
        environment=environment(),
        past=due.past or Past(),
        format=run.settings["format"],
        timestamps=run.settings["timestamps"],
        by_hand=run.by_hand,
        faults=(*tries.faults, *([words] if (words := Outbox(run.settings.state_dir).given_up()) else [])),
    )


def environment() -> dict[str, str]:
    """Give the job's environment, as far as a report shows it or goes by it."""
    shell = job_shell(os.environ)
    found = {**os.environ, "SHELL": shell or None, "LC_CTYPE": job_locale(os.environ)}
    return {name: value for name, value in found.items() if value is not None}


# On its way -------------------------------------------------------------------------------------


def post(
    settings: Settings, identity: str, message: Message, before: Callable[[], None] = lambda: None
) -> str:
    """Store a message; where that fails, send it from memory; where that fails too, print it.

    Gives an empty text when it is stored, else what became of it. ``before`` is for ``Outbox.store``.
    """
    try:
        Outbox(settings.state_dir).store(identity, message, time.time(), before)
    except StateError as error:
        say(str(error))
        log(str(error))
        from cronwrap.outbox import from_memory  # noqa: PLC0415  # rare

        why = from_memory.send_from_memory(settings, message)
        if not why:
            return "delivered"
        words = f"the report could be neither stored nor sent ({why}); it follows"
        say(words)
        log(f"{words}: {message.subject}")
        _last_resort(message)
        return PRINTED
    return ""


def _last_resort(message: Message) -> None:
    """Give a message to standard error, for crond or the journal, and its text to the system log."""
    from cronwrap.report.preview import readable  # noqa: PLC0415  # imports `email`

    text = readable(message.content)
    try:
        sys.stderr.buffer.write(text.encode(errors="replace") + b"\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # standard error is closed or full as well: the system log is what is left
    for line in text.splitlines():
        log(line)


def _hand_over(settings: Settings, identity: str, words: str, signals: Signals) -> None:
    """Have a stored report sent, and say so in one line when it has to wait."""
    if words:
        return
    if not settings.relays:
        say(no_relay(settings, "report"))
        return
    try:
        words = dispatch.dispatch(settings, identity, signals)
    except OSError as error:
        words = f"kept: {error.strerror}"
    if words.startswith(("kept", "failed")):
        say(f"the report {'is ' if words.startswith('kept') else ''}{words}")


def no_relay(settings: Settings, what: str) -> str:
    """Say that there is no relay for a report or a message, and what to do."""
    kept = f"the {what} is kept in the outbox"
    if settings.faults:  # a relay may be among what could not be used
        return f"no relay can be used: {kept}; see cronwrap config check, or set one up with: cronwrap init"
    return f"no relay is configured: {kept}; set one up with: cronwrap init"


def rehearse(run: RunContext, tries: Tries, policy: Policy) -> int:
    """Print the mail that a run would have caused; keep nothing."""
    from cronwrap.report.unfinished import ended_after_all  # noqa: PLC0415
    from cronwrap.report.verdict import exit_status, judge  # noqa: PLC0415

    secrets = redactor(run.settings["redact.patterns"])
    outcomes = tuple(redacted.words(outcome, secrets) for outcome in tries.outcomes)
    *earlier, last = outcomes
    verdict = redacted.verdict(judge(last, policy, None, time.time(), tuple(earlier)), secrets)
    verdict = ended_after_all(verdict, policy) if tries.told_running else verdict
    outcomes = tuple(redacted.output(outcome, secrets) for outcome in outcomes)
    names = redacted.names(run, secrets)
    tries = tries.replace(outcomes=outcomes, faults=tuple(dict.fromkeys((*tries.faults, *secrets.faults))))
    for fault in tries.faults:
        say(fault)
    if not verdict.mail:
        say(f"no mail: {verdict.quiet_reason}")
    elif not recipients(run):
        say("no mail: MAILTO is empty")
    else:
        print_mail(message_of(run, Due(tries=tries, verdict=verdict, names=names)))
    return exit_status(last)


def print_mail(message: Message) -> None:
    """Print a mail as it can be read, for ``--dry-run``."""
    from cronwrap.report.preview import readable  # noqa: PLC0415  # imports `email`

    sys.stdout.buffer.write(readable(message.content).encode(errors="surrogateescape"))
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell the person, or crond, one line on standard error; nobody when that is closed."""
    line = harmless(text, one=True)
    try:
        os.write(2, f"cronwrap: {line}\n".encode(errors="backslashreplace"))
    except OSError:
        return
