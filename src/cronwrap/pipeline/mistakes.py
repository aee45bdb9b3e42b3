"""What becomes of a mistake: of the user's in a command line, or of ours."""

from __future__ import annotations

import os

from cronwrap.log import log
from cronwrap.mail import Report
from cronwrap.model import Command
from cronwrap.pipeline.addressing import addressed, recipients, sender
from cronwrap.pipeline.context import new_run
from cronwrap.pipeline.reporting import post, say
from cronwrap.redact.redactor import redactor
from cronwrap.report.compose import compose
from cronwrap.report.unfinished import not_run
from cronwrap.report.verdict import Policy
from cronwrap.settings.command_line import quote
from cronwrap.settings.load import load
from cronwrap.settings.options import take
from cronwrap.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cronwrap.outbox.dispatch import Sender
    from cronwrap.pipeline.context import RunContext
    from cronwrap.redact.redactor import Redactor


def report_mistake(text: str, form: str, given: Sequence[str], *, mailed: bool) -> None:
    """Report a command line that cannot be understood: what is wrong, and its right form.

    The job behind it is not run; with ``mailed`` whoever its reports go to is told by mail as well.
    """
    say(text)
    tell_form(form)
    if not mailed:
        return
    words = " ".join(map(quote, ["cronwrap", *given]))
    settings = load(understood(given), os.environ, words)
    if settings["dry-run"]:
        return
    secrets = redactor(settings["redact.patterns"])
    words, text = secrets.command(words), secrets.text(text)
    form = secrets.command(form)
    run = new_run(Command(argv=("cronwrap",), text=words), settings)
    why = f"the command line cannot be understood: {text}: {form}"
    senders = _notify(run, words, why) if settings.notify else []
    to = recipients(run) if settings.relays and settings["mailto"] is not None else ()
    if to:
        _mail(run, to, why, secrets)
    if senders:
        from cronwrap.job.signals import Signals  # noqa: PLC0415
        from cronwrap.outbox import lanes  # noqa: PLC0415

        lanes.wait_for(settings, senders, Signals(terminal=False))


def _mail(run: RunContext, to: tuple[str, ...], why: str, secrets: Redactor) -> None:
    report = Report(
        run_id=run.run_id,
        job=run.job,
        command=run.command.text,
        user=run.user,
        host=run.host,
        sender=sender(run),
        recipients=to,
        verdict=not_run(why, Policy(on=("always",))),
        outcomes=(),
        started=run.started,
        ended=run.started,
        duration=0.0,
        environment=dict(os.environ),
        faults=(*run.settings.faults, *secrets.faults),
    )
    if not post(run.settings, run.run_id, addressed(run.settings, compose(report))):
        from cronwrap.job.signals import Signals  # noqa: PLC0415
        from cronwrap.outbox.dispatch import dispatch  # noqa: PLC0415

        dispatch(run.settings, run.run_id, Signals(terminal=False))


def _notify(run: RunContext, words: str, why: str) -> list[Sender]:
    """Tell those who want to hear of failures; give the processes that do."""
    from cronwrap.outbox import lanes  # noqa: PLC0415
    from cronwrap.pipeline import notifying  # noqa: PLC0415
    from cronwrap.pipeline.run_entry import ending  # noqa: PLC0415

    policy = Policy(on=run.settings["on"])
    told = notifying.due(run.settings, policy, lambda policy: not_run(why, policy))
    ended = ending(run.started, not_run(why, policy), (), mailed=False)
    facts = notifying.facts_of_run(run, (run.job, words), ended, ())
    prepared, faults = notifying.store(run.settings, told, facts)
    for fault in faults:
        say(fault)
        log(fault)
    return lanes.begin(run.settings, [one.item.id for one in prepared])


def tell_form(form: str) -> None:
    """Give the right form a line of its own, to be taken over as it stands."""
    try:
        os.write(2, f"  {harmless(form, one=True)}\n".encode(errors="backslashreplace"))
    except OSError:
        return


def understood(words: Sequence[str]) -> dict[str, Any]:
    """Give what can be understood of a faulty command line's options: they may say whom to tell, and how."""
    flags: dict[str, Any] = {}
    left, after_mistake = list(words), False
    while left and left[0] != "--":
        word = left.pop(0)
        if word == "-c":
            del left[:1]
        elif word.startswith("-") and len(word) > 1:
            try:
                take(word, left, flags)
            except ValueError:
                after_mistake = True  # the next word may be its value
                continue
        elif not after_mistake:
            break  # a command; what follows is its own
        after_mistake = False
    return flags


def report_bug(error: BaseException) -> None:
    """Report an error of our own: a line for the person, the details for the log."""
    import traceback  # noqa: PLC0415

    lines = "".join(traceback.format_exception(error)).splitlines()
    logged = min(map(log, lines))  # each is logged, whether the one before was or not
    where = (
        "details are in the system log" if logged else lines[-2].strip() if len(lines) > 1 else "no details"
    )
    say(f"internal error: {type(error).__name__}: {error} ({where})")
