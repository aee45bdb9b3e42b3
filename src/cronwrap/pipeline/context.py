"""What is settled about a run before its job starts, and what became of its tries."""

from __future__ import annotations

import os
import sys
import time

from cronwrap.model import Record
from cronwrap.paths import user_name
from cronwrap.redact import may_hold_secrets, without_secrets
from cronwrap.state import NEW, PAUSES, RUNS, process_started, state, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.channels.ping import Ping
    from cronwrap.history.journal import Entry
    from cronwrap.model import Command, Outcome, Verdict
    from cronwrap.past import Past
    from cronwrap.report.verdict import Policy
    from cronwrap.settings.load import Settings


BY_HAND = "CRONWRAP_BY_HAND"
"""The variable by which ``cronwrap run`` marks a run; no job gets to see it."""
REDACTOR = "cronwrap.redact.redactor"
COMMAND_LIMIT = 2048
"""Characters of a command that are left with the word of a run: a block of the disk has them all."""


class RunContext(Record):
    """What is settled about a run before its job starts."""

    run_id: str
    command: Command
    settings: Settings
    host: str
    started: float
    """Unix time."""
    posted: list[str]
    """Has the run's id once its report, if one is due, is stored, sent or printed, and it is on record."""
    by_hand: bool = False
    """Whether a person asked for it (``cronwrap run``)."""
    fence: int | None = None
    """The number of its lease in the fleet (``--scope fleet``)."""
    note: str = ""
    """What its record is to say of the fleet besides."""

    @property
    def job(self) -> str:
        """Give the job's name."""
        return str(self.settings["name"])

    @property
    def user(self) -> str:
        """Give the name of the user it runs as; no job waits for that: a directory server may be asked."""
        return user_name()


class Tries(Record):
    """What became of a run's tries, and what was noticed beside."""

    outcomes: tuple[Outcome, ...]
    entry: Entry | None
    """The run's place in the journal; None when it could not be put there."""
    faults: tuple[str, ...]
    ping: Ping | None = None
    told_running: bool = False
    """Whether a report is on its way that said, while it ran, that it still runs."""
    note: str = ""
    """What the record says of the fleet besides (``RunContext.note``)."""


def new_identity() -> tuple[str, float]:
    """Give a run's id, which sorts by time and is unique, and the Unix time."""
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.localtime(now))
    return f"{stamp}-{os.urandom(4).hex()}", now


def new_run(command: Command, settings: Settings, identity: tuple[str, float] | None = None) -> RunContext:
    """Give what is settled about a run before its job starts."""
    run_id, now = identity or new_identity()
    return RunContext(
        run_id=run_id,
        command=command,
        settings=settings,
        host=os.uname().nodename,
        started=now,
        posted=[],
        by_hand=BY_HAND in os.environ,
    )


def in_its_place(run: RunContext, name: str) -> bool:
    """Leave word of the run, unless its job may be paused, or others come first; tell whether it may be."""
    if may_be_paused(run, name):
        return True
    if run.settings["overlap"] == "allow":
        mark(run)
    return False


def may_be_paused(run: RunContext, name: str) -> bool:
    """Tell whether to look for a pause of the job with this file name: one open(2), which fails as a rule.

    A run by hand takes place all the same: whoever asks for it means now.
    """
    try:
        place = state(run.settings.state_dir).fd
    except OSError:
        return False  # nobody can have paused anything there
    try:
        os.close(os.open(f"{PAUSES}/{name}.pause", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place))
    except FileNotFoundError:
        return False
    except OSError:
        pass  # whoever looks closer says what is wrong
    return not run.by_hand


def mark(run: RunContext) -> None:
    """Leave word of a run before its job can start: should cronwrap be killed before it is on record.

    A file of a few lines, which no disk is waited for. What cannot be written is told of by ``begin``.
    """
    job = run.job.replace("\n", " ")
    command, patterns = run.command.text, run.settings["redact.patterns"]
    if may_hold_secrets(command, patterns):
        # What hides secrets is not loaded for this alone: the job's name stands for the command then.
        command = without_secrets(command, patterns) if REDACTOR in sys.modules else job
    try:
        # The fourth was the user, whose state this is: to ask for the name may take time.
        fields = (
            os.getpid(),
            process_started("self"),
            run.host,
            "",
            run.started,
            job,
            command[:COMMAND_LIMIT],
        )
        handle = state(run.settings.state_dir, RUNS, make=True).create(name_of_mark(run))
        try:
            os.write(handle, "\n".join(map(str, fields)).encode(errors="surrogateescape"))
        finally:
            os.close(handle)
    except (OSError, ValueError):
        return


def unmark(run: RunContext) -> bool:
    """Take the word back, of a run that is not on record and has ended all the same, or is not watched.

    False when nobody knows whether it is there: the file system does not answer.
    """
    try:
        state(run.settings.state_dir, RUNS).unlink(name_of_mark(run))
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def name_of_mark(run: RunContext) -> str:
    """Give the name of the file that is left before the job may run."""
    return f"{NEW}{run.run_id}.{tag(run.job)}"


def policy_of(settings: Settings) -> Policy:
    """Give what is to be told of, for mail."""
    from cronwrap.report.verdict import Policy  # noqa: PLC0415

    return Policy(
        on=settings["on"],
        ok_codes=settings["ok-codes"],
        min_duration=settings["min-duration"],
        max_duration=settings["max-duration"],
        after=settings["after"],
        remind=settings["remind"],
    )


def judged(tries: Tries, policy: Policy, past: Past | None) -> Verdict:
    """Give what tries amount to, as far as is known of the runs before."""
    from cronwrap.report.verdict import judge  # noqa: PLC0415

    verdict = judge(tries.outcomes[-1], policy, past, time.time(), tries.outcomes[:-1])
    if tries.note:
        verdict = verdict.replace(reasons=(*verdict.reasons, tries.note))
    if not tries.told_running:
        return verdict
    from cronwrap.report.unfinished import ended_after_all  # noqa: PLC0415

    return ended_after_all(verdict, policy)
