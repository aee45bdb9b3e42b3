"""What others can do with a run while it goes on: follow its output, and ask for its end.

``run`` calls these where they are needed, which in a quiet run is nowhere.
"""

from __future__ import annotations

from binascii import crc32

from cronwrap.history import stopping
from cronwrap.history.stopping import Place
from cronwrap.lock import Beside
from cronwrap.pipeline.run_entry import beginning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.history.journal import Entry
    from cronwrap.job.overlap import Guard
    from cronwrap.job.publisher import Publisher
    from cronwrap.job.signals import Signals
    from cronwrap.model import Outcome
    from cronwrap.pipeline.context import RunContext

ANSWER = 1.0
"""Seconds for the state directory to say who asked for a run's end: the job waits to hear of a signal."""


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
    among = None if run.settings["dry-run"] else place(run)
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
