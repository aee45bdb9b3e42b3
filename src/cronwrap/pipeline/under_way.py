"""What others can do with a run while it goes on: follow it, ask for its end; its word with the fleet.

``run`` calls these where they are needed, which in a quiet run is nowhere.
"""

from __future__ import annotations

import os
from binascii import crc32

from cronwrap.beside import Beside, answered
from cronwrap.history import stopping
from cronwrap.history.journal import unlink
from cronwrap.history.stopping import Place
from cronwrap.log import log
from cronwrap.pipeline.context import name_of_mark
from cronwrap.pipeline.run_entry import beginning, finish
from cronwrap.state import NEW, RUNS, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.history.journal import Entry
    from cronwrap.job.overlap import Guard
    from cronwrap.job.publisher import Publisher
    from cronwrap.job.signals import Signals
    from cronwrap.model import Outcome, Verdict
    from cronwrap.pipeline.context import RunContext, Tries
    from cronwrap.pipeline.shared import Fleet

ANSWER = 1.0
"""Seconds for the state directory to say who asked for a run's end: the job waits to hear of a signal."""

TOUCH = ".doctor-touch"
"""What the names begin with of files that are made to see whether that can be done; the sweep knows them."""


def asked_by(run: RunContext, guard: Guard) -> tuple[str, str]:
    """Give, when SIGTERM has come, whether somebody asked for the run's end: ``ended_by``, and the reason."""
    if by := stopped_by(run):
        return "stop", by
    asker: str = Beside(guard.asked_by).wait(ANSWER)
    return ("overlap", f"asked for by run {asker} of the same job") if asker else ("", "")


def stopped_by(run: RunContext) -> str:
    """Give who asked for the run's end by ``cronwrap stop``, or an empty text; to be asked once.

    TimeoutError where the disk does not answer: the signal goes to the job then, as any other.
    """
    by: str = Beside(lambda: stopping.asked(run.settings.state_dir, run.run_id)).wait(ANSWER)
    if by:
        stopping.withdraw(run.settings.state_dir, run.run_id)
    return by


def asked_while_it_waited(run: RunContext, last: Outcome) -> Outcome:
    """Give the last try of a run whose wait for the next one was ended: stopped, where that was asked."""
    by = stopped_by(run)
    return last.replace(ended_by="stop", ended_because=by) if by else last


def wait_for_its_time(run: RunContext, signals: Signals) -> int:
    """Wait as ``--jitter`` says; give the signal that asked for an end meanwhile, or 0."""
    among = None if run.settings["dry-run"] or in_reach(run) else place(run)
    try:
        return signals.wait(_jitter(run))
    finally:
        if among:
            among.leave()


def _jitter(run: RunContext) -> float:
    """Give the seconds to wait first: a part of ``--jitter`` that is the same on one host for one job."""
    seed = f"{run.host}\0{run.user}\0{run.job}".encode(errors="surrogateescape")
    return float(run.settings["jitter"]) * crc32(seed) / (1 << 32)


def place(run: RunContext) -> Place:
    """Give the run a place among those that wait, where ``cronwrap stop`` finds it."""
    return Place(run.settings.state_dir, beginning(run))


def publish(run: RunContext, earlier: list[Outcome], others: set[int]) -> Publisher | None:
    """Give what publishes a run's output from now on, as ``published`` does."""
    from cronwrap.pipeline.published import published  # noqa: PLC0415  # who is only asked to end has no use

    return published(run, earlier, others)


def leave(run: RunContext, publisher: Publisher | None, entry: Entry | None, last: Outcome) -> None:
    """Have the output so far go with the run, once that is on record as ended."""
    if last.ended_by == "stop":
        stopped_by(run)  # somebody may have asked again meanwhile
    if not publisher:
        return
    publisher.status = last.exit_status
    if entry:
        entry.on_end = publisher.end
    else:
        publisher.end()


def in_reach(run: RunContext) -> str:
    """Give an empty text, or in words that the file system of the state does not answer."""
    try:
        answered(run.settings.state_dir, lambda: _touch(run.settings.state_dir))
    except TimeoutError as error:
        return f"{run.settings.state_dir}: {error.strerror}"
    return ""


def _touch(state_dir: str) -> None:
    """Have the file system answer, to one who reads and writes, if only to say no."""
    name = f"{TOUCH}.{os.getpid()}"
    try:
        directory = state(state_dir, make=True)
        os.close(directory.create(name))
        directory.unlink(name)
    except OSError:
        return


def within_reach(run: RunContext, tries: Tries, guard: Guard) -> Tries:
    """Let the next run go, and give what is to be told of a run whose state cannot be reached at its end."""
    try:
        Beside(guard.leave).wait()
    except TimeoutError:
        pass  # locks alone may hang
    fault = in_reach(run)
    if not fault:
        return tries
    from cronwrap.history.late import LateEntry  # noqa: PLC0415  # rare

    late = LateEntry(tries.entry) if tries.entry else None
    told = any(fault in words for words in tries.faults)
    return tries.replace(entry=late, faults=tries.faults if told else (*tries.faults, fault))


def unmark_late(run: RunContext) -> None:
    """Take the word of a run back once that can be done: it ended, and is no run that died."""
    from cronwrap.history.late import later  # noqa: PLC0415  # rare

    def take_back() -> None:
        for name in (mark := name_of_mark(run), mark.removeprefix(NEW)):
            unlink(state(run.settings.state_dir, RUNS), name)

    later(take_back)


def end_late(run: RunContext, tries: Tries, verdict: Verdict, error: OSError) -> None:
    """Have a quiet run put on record as ended once that can be done, and say that it is not."""
    from cronwrap.history.late import LateEntry  # noqa: PLC0415  # rare
    from cronwrap.pipeline.reporting import say  # noqa: PLC0415

    fault = f"this run is not on record as ended: {run.settings.state_dir}: {error.strerror}"
    say(fault)
    log(f"{run.job}: {fault}")
    if tries.entry:
        finish(LateEntry(tries.entry), verdict, tries.outcomes)


def shared(run: RunContext, signals: Signals) -> tuple[Fleet | None, RunContext]:
    """Give a run's word with the fleet, and the run as the fleet has it; what fails here costs no more."""
    try:
        from cronwrap.pipeline.shared import shared as asked  # noqa: PLC0415

        return asked(run, signals)
    except Exception as error:  # noqa: BLE001  # a module that has gone: the job runs, and its record says so
        return None, run.replace(note=f"the fleet was not asked: {type(error).__name__}: {error}")
