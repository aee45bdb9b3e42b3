"""Telling that a run still goes on: a process of its own, so that nothing wrong with it costs the job.

A fork has what the job said so far without a copy, and may wait for disks and relays as long as it likes.
"""

from __future__ import annotations

import os

from cronwrap.job.leftover import close_descriptor, open_descriptors
from cronwrap.job.signals import block_all, set_mask
from cronwrap.log import log
from cronwrap.model import Outcome
from cronwrap.outbox import lanes
from cronwrap.outbox.dispatch import send_here
from cronwrap.pipeline import held_back, notifying, redacted
from cronwrap.pipeline.addressing import recipients
from cronwrap.pipeline.context import Tries
from cronwrap.pipeline.reporting import PRINTED, Due, message_of, post, print_mail
from cronwrap.pipeline.run_entry import ending
from cronwrap.redact.redactor import redactor
from cronwrap.report.unfinished import still_running
from cronwrap.report.verdict import RUNNING
from cronwrap.state import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import NoReturn

    from cronwrap.model import Output
    from cronwrap.pipeline.context import RunContext
    from cronwrap.report.verdict import Policy
else:
    import _signal

COMPOSING = 600
"""Seconds for a mail to be composed and stored: a disk that hangs for longer leaves no process behind."""

TERMINALS = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGHUP, _signal.SIGTSTP)
"""What a terminal sends is for the run; the sender then has a session of its own."""


def tell(run: RunContext, policy: Policy, elapsed: float, output: Callable[[], Output]) -> tuple[int, int]:
    """Have it told after ``elapsed`` seconds; give the child's pid, and a pipe that says ``1`` once stored.

    OSError when there is no process to be had. ``output`` is called in the child alone.
    """
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    mask = block_all()  # no handler of ours may run in the child: it would write into our pipe of signals
    try:
        pid = os.fork()
        if not pid:
            _be_the_child(run, policy, elapsed, output, theirs)
    except OSError:
        os.close(ours)
        raise
    finally:
        set_mask(mask)
        os.close(theirs)
    return pid, ours


def _be_the_child(
    run: RunContext, policy: Policy, elapsed: float, output: Callable[[], Output], theirs: int
) -> NoReturn:
    try:
        _signal.set_wakeup_fd(-1)
        for number in (_signal.SIGTERM, _signal.SIGALRM, _signal.SIGUSR1, _signal.SIGUSR2):
            _signal.signal(number, _signal.SIG_DFL)
        for number in TERMINALS:
            _signal.signal(number, _signal.SIG_IGN)
        set_mask(set())
        _signal.alarm(COMPOSING)
        _let_go(theirs, printing=bool(run.settings["dry-run"]))
        outcome = Outcome(started=run.started, duration=elapsed, output=output())
        told = tell_here(run, outcome, policy)
        _signal.alarm(0)
        if told:
            os.write(theirs, b"1")
        os.close(theirs)
        if told and not run.settings["dry-run"]:
            send_here(run.settings)
    except BaseException as error:  # noqa: BLE001  # the last boundary of this process
        log(f"{run.job}: nobody could be told that it still runs: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _let_go(theirs: int, *, printing: bool) -> None:
    """Close what is the run's: its locks, and the job's pipes, must not outlive it by our doing."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        if not (printing and standard):
            os.dup2(null, standard)
    kept = {theirs, *descriptors()}
    for descriptor in open_descriptors():
        if descriptor > 2 and descriptor not in kept:
            close_descriptor(descriptor)


def tell_here(run: RunContext, outcome: Outcome, policy: Policy) -> bool:
    """Store, or print for ``--dry-run``, the mail that the run still goes on; False when there is none."""
    verdict = still_running(outcome.duration, policy)
    mail = verdict.mail and bool(recipients(run))
    told = notifying.due(run.settings, policy, lambda policy: still_running(outcome.duration, policy))
    if not mail and not told:
        return False
    silence = held_back.silence(run)
    if silence.why:
        return False
    secrets = redactor(run.settings["redact.patterns"])
    outcomes = (redacted.output(outcome, secrets),)
    faults = tuple(dict.fromkeys((*run.settings.faults, *secrets.faults)))
    due = Due(
        tries=Tries(outcomes=outcomes, entry=None, faults=faults),
        verdict=silence.applied_to(verdict),
        names=redacted.names(run, secrets),
        targets=told,
        over=silence.over,
    )
    if due.targets and not run.settings["dry-run"]:
        _notify(run, due)
    return mail and _mail(run, due)


def _notify(run: RunContext, due: Due) -> None:
    """Tell the targets of ``[[notify]]`` that a run still goes on."""
    verdict, outcomes = due.verdict, due.tries.outcomes
    so_far = {**ending(run.started, verdict, outcomes, mailed=verdict.mail), "ended": None}
    facts = notifying.facts_of_run(run, due.names, so_far, outcomes).replace(identity=_identity(run))
    prepared, faults = notifying.store(run.settings, due.targets, facts)
    for fault in faults:
        log(f"{run.job}: {fault}")
    lanes.begin(run.settings, [one.item.id for one in prepared])


def _mail(run: RunContext, due: Due) -> bool:
    """Store the mail, or print it for ``--dry-run``; give whether it is on its way."""
    message = message_of(run, due)
    if run.settings["dry-run"]:
        print_mail(message)
        return True
    stored = post(run.settings, _identity(run), message) != PRINTED
    if stored and due.over:
        held_back.told(run.settings.state_dir, run.job)
    return stored


def _identity(run: RunContext) -> str:
    return f"{run.run_id}-{RUNNING}"
