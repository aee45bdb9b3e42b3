"""From a judged run to a report on its way: redacted, composed, stored, put on record, handed over."""

from __future__ import annotations

import os
import sys
import time

from cronwrap.errors import StateError
from cronwrap.history.journal import COMMAND_MAX
from cronwrap.log import log
from cronwrap.mail import Report
from cronwrap.model import Outcome, Record
from cronwrap.outbox import dispatch
from cronwrap.outbox.store import Outbox
from cronwrap.past import Past
from cronwrap.pipeline import held_back, redacted
from cronwrap.pipeline.addressing import addressed, recipients, sender
from cronwrap.pipeline.context import RunContext, Tries, has_pythons_locale
from cronwrap.pipeline.held_back import Silence
from cronwrap.pipeline.run_entry import ending, write_down
from cronwrap.redact.redactor import Redactor, redactor
from cronwrap.report.compose import compose, output_digest
from cronwrap.report.verdict import OK, RUNNING
from cronwrap.settings.command_line import job_shell
from cronwrap.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cronwrap.history.journal import Entry
    from cronwrap.job.signals import Signals
    from cronwrap.mail import Message
    from cronwrap.model import Verdict
    from cronwrap.outbox.store import Prepared
    from cronwrap.pipeline.notifying import Facts, Told
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
    targets: tuple[Told, ...]
    names: tuple[str, str]
    """Job and command."""
    past: Past | None
    over: bool
    """Whether a mute or a pause has ended that this is told after."""


def report(run: RunContext, tries: Tries, judged: Judged, signals: Signals) -> None:
    """Report a run where that is due, and put it on record."""
    due = _due(run, tries, judged)
    entry, verdict, outcomes = tries.entry, due.verdict, due.tries.outcomes
    digest = output_digest(outcomes[-1].output) if entry and verdict.failed and outcomes else ""
    ended = ending(
        run.started, verdict, outcomes, mailed=verdict.mail, digest=digest, notified=bool(due.targets)
    )
    if len(outcomes) > 1 and not any(one.output.left_out_bytes for one in outcomes[:-1]):
        # Without secrets, as whoever follows the run has counted them.
        ended["earlier_bytes"] = sum(len(one.output.head) + len(one.output.tail) for one in outcomes[:-1])
    prepared, faults = _prepared(run, due, ended) if due.targets else ([], [])

    def foresee() -> None:
        """Have whoever finds this run dead know that its report is on its way."""
        if entry:
            entry.foresee(ended)

    words = _mail(run, due, foresee) if verdict.mail else ""
    if prepared and not verdict.mail:
        foresee()
    faults += _entered(run.settings, prepared) if prepared else []
    if entry:
        # For ``--remind`` a failure is mailed by its own mail alone.
        ended["mailed"] = words != PRINTED if verdict.mail else tries.told_running and not verdict.failed
        fault = write_down(entry, ended, outcomes)
        faults += [fault] if fault else []
    for fault in (*due.tries.faults, *faults):  # stored first, then told: who reads may be slow, or nobody
        say(fault)
        log(f"{run.job}: {fault}")
    answers = _notified(run.settings, prepared, signals) if prepared else list
    if verdict.mail:
        _hand_over(run.settings, run.run_id, words, signals)
    _hear_of(answers())


def _due(run: RunContext, tries: Tries, judged: Judged) -> Due:
    secrets = redactor(run.settings["redact.patterns"])
    outcomes = tuple(redacted.output(outcome, secrets) for outcome in tries.outcomes)
    verdict, told = _redacted_verdict(judged.verdict, secrets), judged.told
    names = secrets.text(run.job), secrets.command(run.command.text)
    if verdict.mail and not recipients(run.settings, run):
        verdict = verdict.replace(mail=False, quiet_reason="no recipients: MAILTO is empty")
    silence = Silence()
    if verdict.mail or told:
        silence = held_back.silence(run, ok=verdict.result == OK)
    faults = dict.fromkeys((*tries.faults, *secrets.faults))
    return Due(
        tries=tries.replace(outcomes=outcomes, faults=(*faults, *filter(None, (silence.fault,)))),
        verdict=silence.applied_to(verdict),
        targets=tuple(
            one.replace(verdict=_redacted_verdict(one.verdict, secrets)) for one in told if not silence.why
        ),
        names=names,
        past=judged.past,
        over=silence.over,
    )


def _mail(run: RunContext, due: Due, foresee: Callable[[], None]) -> str:
    """Put the mail on its way; give an empty text when it is stored, else what became of it."""
    job, command = due.names
    message = compose(_report(run, due.tries, due.verdict, due.past).replace(job=job, command=command))
    words = post(run.settings, run.run_id, addressed(run.settings, message), foresee)
    run.posted.append(run.run_id)
    if due.over:
        held_back.told(run.settings.state_dir, run.job)
    return words


def _prepared(run: RunContext, due: Due, ended: dict[str, Any]) -> tuple[list[Prepared], list[str]]:
    """Write what targets are told to disk, yet to enter the queue; give what went wrong."""
    from cronwrap.pipeline import notifying  # noqa: PLC0415  # for those who have targets, as all below

    return notifying.prepare(run.settings, due.targets, _facts(run, due.tries, ended, due.names))


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


def _facts(run: RunContext, tries: Tries, ended: dict[str, Any], names: tuple[str, str]) -> Facts:
    """Give what a target is told; ``names`` are job and command without their secrets."""
    from cronwrap.pipeline.monitor import end_of  # noqa: PLC0415
    from cronwrap.pipeline.notifying import Facts  # noqa: PLC0415
    from cronwrap.report.notification import OUTPUT_LIMIT  # noqa: PLC0415

    known = {"run": run.run_id, "host": run.host, "user": run.user, "started": run.started}
    said = tries.outcomes[-1].output if tries.outcomes else None
    return Facts(
        identity=run.run_id,
        run={**known, "job": names[0], "command": names[1][:COMMAND_MAX], **ended},
        output=end_of(said, OUTPUT_LIMIT) if said and said.total_bytes else "",
    )


def _report(run: RunContext, tries: Tries, verdict: Verdict, past: Past | None) -> Report:
    now = time.time()
    only = tries.outcomes[-1].duration if len(tries.outcomes) == 1 else now - run.started
    return Report(
        run_id=run.run_id,
        job=run.job,
        command=run.command.text,
        user=run.user,
        host=run.host,
        sender=sender(run.settings, run),
        recipients=recipients(run.settings, run),
        verdict=verdict,
        outcomes=tries.outcomes,
        started=tries.outcomes[0].started if tries.outcomes else run.started,
        ended=now,
        duration=only,
        environment=_environment(),
        past=past or Past(),
        format=run.settings["format"],
        timestamps=run.settings["timestamps"],
        by_hand=run.by_hand,
        faults=(*tries.faults, *([words] if (words := Outbox(run.settings.state_dir).given_up()) else [])),
    )


def _environment() -> dict[str, str]:
    """Give the job's environment, as far as a report shows it or goes by it."""
    shell = job_shell(os.environ)
    found = {**os.environ, **({"SHELL": shell} if shell else {})}
    if has_pythons_locale(os.environ):
        del found["LC_CTYPE"]
    return found


def _redacted_verdict(verdict: Verdict, secrets: Redactor) -> Verdict:
    return verdict.replace(
        headline=secrets.text(verdict.headline), reasons=tuple(map(secrets.text, verdict.reasons))
    )


def post_still_running(run: RunContext, outcome: Outcome, policy: Policy) -> bool:
    """Store, or print for ``--dry-run``, the mail that the run still goes on; False when there is none."""
    from cronwrap.pipeline import notifying  # noqa: PLC0415
    from cronwrap.report.unfinished import still_running  # noqa: PLC0415

    verdict = still_running(outcome.duration, policy)
    mail = verdict.mail and bool(recipients(run.settings, run))
    told = notifying.due(run.settings, policy, lambda policy: still_running(outcome.duration, policy))
    if not mail and not told:
        return False
    silence = held_back.silence(run)
    if silence.why:
        return False
    verdict = silence.applied_to(verdict)
    secrets = redactor(run.settings["redact.patterns"])
    tries = Tries(
        outcomes=(redacted.output(outcome, secrets),),
        entry=None,
        faults=tuple(dict.fromkeys((*run.settings.faults, *secrets.faults))),
    )
    job, command = secrets.text(run.job), secrets.command(run.command.text)
    if told and not run.settings["dry-run"]:
        _notify_still_running(run, tries, verdict, told, (job, command))
    if not mail:
        return False
    message = compose(_report(run, tries, verdict, None).replace(job=job, command=command))
    if run.settings["dry-run"]:
        from cronwrap.report.preview import readable  # noqa: PLC0415  # imports `email`

        sys.stdout.buffer.write(readable(message.content).encode(errors="surrogateescape"))
        sys.stdout.flush()
        return True
    identity = f"{run.run_id}-{RUNNING}"
    stored = post(run.settings, identity, addressed(run.settings, message)) != PRINTED
    if stored and silence.over:
        held_back.told(run.settings.state_dir, run.job)
    return stored


def _notify_still_running(
    run: RunContext, tries: Tries, verdict: Verdict, told: tuple[Told, ...], names: tuple[str, str]
) -> None:
    """Tell the targets of ``[[notify]]`` that a run still goes on."""
    from cronwrap.outbox import lanes  # noqa: PLC0415
    from cronwrap.pipeline import notifying  # noqa: PLC0415

    so_far = {**ending(run.started, verdict, tries.outcomes, mailed=verdict.mail), "ended": None}
    facts = _facts(run, tries, so_far, names).replace(identity=f"{run.run_id}-{RUNNING}")
    prepared, faults = notifying.prepare(run.settings, told, facts)
    for fault in (*faults, *notifying.enter(run.settings, prepared)):
        log(f"{run.job}: {fault}")
    lanes.begin(run.settings, [one.item.id for one in prepared])


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


def report_abandoned(run: RunContext, entries: list[Entry]) -> None:
    """Report the runs of this job whose cronwrap died, as failures, each once, with their output so far."""
    from cronwrap.history.live_output import remove  # noqa: PLC0415
    from cronwrap.history.records import why_abandoned  # noqa: PLC0415
    from cronwrap.report.unfinished import abandoned  # noqa: PLC0415
    from cronwrap.report.verdict import ABANDONED  # noqa: PLC0415

    for entry in entries:
        fields = entry.fields
        entry.on_end = lambda run_id=fields["run"]: remove(run.settings.state_dir, run_id)
        if entry.end is not None:
            _complete(run, entry, entry.end)
            continue
        why, began = why_abandoned(fields), float(fields["started"])
        verdict = abandoned(why, on=run.settings["on"])
        outcomes = _output_of_the_dead(run, fields)
        identity = f"{fields['run']}-{ABANDONED}"  # it may have left a report of its own before it died
        silence = held_back.silence(run)
        verdict = silence.applied_to(verdict) if verdict.mail else verdict
        told = not silence.why and _notify_abandoned(run, fields, why, outcomes)
        mailed = verdict.mail and bool(recipients(run.settings, run))
        if mailed:
            message = compose(
                Report(
                    run_id=fields["run"],
                    job=fields["job"],
                    command=fields["command"],
                    user=fields["user"],
                    host=fields["host"],
                    sender=sender(run.settings, run),
                    recipients=recipients(run.settings, run),
                    verdict=verdict,
                    outcomes=outcomes,
                    started=began,
                    ended=time.time(),
                    duration=max(0.0, time.time() - began),
                    by_hand=bool(fields.get("by_hand")),
                    environment=_environment(),
                )
            )
            mailed = post(run.settings, identity, addressed(run.settings, message)) != PRINTED
            if silence.over:
                held_back.told(run.settings.state_dir, run.job)
        write_down(entry, ending(began, verdict, outcomes, mailed=mailed, notified=told), outcomes)


def _output_of_the_dead(run: RunContext, fields: dict[str, Any]) -> tuple[Outcome, ...]:
    """Give what a run whose cronwrap died had said, as far as it was put where others can read it."""
    from cronwrap.history.so_far import so_far  # noqa: PLC0415

    output = so_far(run.settings.state_dir, fields["run"])
    if output is None:
        return ()
    return (Outcome(started=float(fields["started"]), duration=0.0, output=output),)


def _notify_abandoned(
    run: RunContext, fields: dict[str, Any], why: str, outcomes: tuple[Outcome, ...]
) -> bool:
    """Tell the targets of ``[[notify]]`` of a run whose cronwrap died; give whether there are any."""
    from cronwrap.pipeline import notifying  # noqa: PLC0415
    from cronwrap.pipeline.monitor import end_of  # noqa: PLC0415
    from cronwrap.pipeline.notifying import Facts  # noqa: PLC0415
    from cronwrap.report.notification import OUTPUT_LIMIT  # noqa: PLC0415
    from cronwrap.report.unfinished import abandoned  # noqa: PLC0415
    from cronwrap.report.verdict import ABANDONED, Policy  # noqa: PLC0415

    policy = Policy(on=run.settings["on"])
    told = notifying.due(run.settings, policy, lambda policy: abandoned(why, on=policy.on))
    ended = ending(float(fields["started"]), abandoned(why, on=policy.on), outcomes, mailed=False)
    said = outcomes[-1].output if outcomes else None
    output = end_of(said, OUTPUT_LIMIT) if said and said.total_bytes else ""
    facts = Facts(identity=f"{fields['run']}-{ABANDONED}", run={**fields, **ended}, output=output)
    prepared, faults = notifying.prepare(run.settings, told, facts)
    for fault in (*faults, *notifying.enter(run.settings, prepared)):
        say(fault)
        log(f"{run.job}: {fault}")
    return bool(told)


def _complete(run: RunContext, entry: Entry, end: dict[str, Any]) -> None:
    """Put on record how a run ended that died when its report was to go into the queue, and see it there."""
    try:
        Outbox(run.settings.state_dir).complete(entry.fields["run"])
        entry.finish(end)
    except StateError as error:
        log(str(error))
        entry.release()  # the next run sees to it


def rehearse(run: RunContext, tries: Tries, policy: Policy) -> int:
    """Print the mail that a run would have caused; keep nothing."""
    from cronwrap.report.preview import readable  # noqa: PLC0415  # imports `email`
    from cronwrap.report.unfinished import ended_after_all  # noqa: PLC0415
    from cronwrap.report.verdict import exit_status, judge  # noqa: PLC0415

    secrets = redactor(run.settings["redact.patterns"])
    outcomes = tuple(redacted.words(outcome, secrets) for outcome in tries.outcomes)
    *earlier, last = outcomes
    verdict = _redacted_verdict(judge(last, policy, None, time.time(), tuple(earlier)), secrets)
    verdict = ended_after_all(verdict, policy) if tries.told_running else verdict
    outcomes = tuple(redacted.output(outcome, secrets) for outcome in outcomes)
    job, command = secrets.text(run.job), secrets.command(run.command.text)
    tries = tries.replace(outcomes=outcomes, faults=tuple(dict.fromkeys((*tries.faults, *secrets.faults))))
    for fault in tries.faults:
        say(fault)
    if not verdict.mail:
        say(f"no mail: {verdict.quiet_reason}")
    elif not recipients(run.settings, run):
        say("no mail: MAILTO is empty")
    else:
        message = compose(_report(run, tries, verdict, None).replace(job=job, command=command))
        sys.stdout.buffer.write(readable(message.content).encode(errors="surrogateescape"))
        sys.stdout.flush()
    return exit_status(last)


def say(text: str) -> None:
    """Tell the person, or crond, one line on standard error; nobody when that is closed."""
    line = harmless(text, one=True)
    try:
        os.write(2, f"cronwrap: {line}\n".encode(errors="backslashreplace"))
    except OSError:
        return
