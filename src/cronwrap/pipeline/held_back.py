"""What a run asks about pauses and mutes: whether it takes place, whether it may tell, what went unsaid.

A mute concerns whatever tells a person: mail, and other channels. A monitor (``--ping``) hears all the same:
to it silence is an alarm.
"""

from __future__ import annotations

import time

from cronwrap.errors import StateError
from cronwrap.history.tally import FAILED
from cronwrap.job import holds
from cronwrap.job.holds import Hold
from cronwrap.model import Record
from cronwrap.spans import count
from cronwrap.text import moment, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.history.skipped import HeldBack
    from cronwrap.model import Verdict
    from cronwrap.pipeline.context import RunContext

MUTED = "muted"
"""What the reason begins with why a run told nobody."""
PAUSED = "paused"
"""The same for why a run did not take place."""


class Silence(Record):
    """What a mute, or one that has ended, means for a report that is due."""

    why: str = ""
    """Why it must not go; empty when it may."""
    notes: tuple[str, ...] = ()
    """What went unsaid before, for the first report after."""
    over: bool = False
    """Whether something has ended that this report is the first after: ``told`` is to be called."""
    fault: str = ""

    def applied_to(self, verdict: Verdict) -> Verdict:
        """Give a verdict as far as this lets it be told, with what went unsaid before."""
        if self.why:
            return verdict.replace(mail=False, quiet_reason=self.why)
        return verdict.replace(notes=(*verdict.notes, *self.notes))


def until(hold: Hold) -> str:
    """Give how long a hold lasts, in words: ``until Mon 2026-03-02 08:00:00 +0100``."""
    if hold.until is not None:
        return f"until {moment(hold.until)}"
    if hold.until_ok:
        return "until it succeeds"
    return "until resumed" if hold.kind == holds.PAUSE else "until unmuted"


def paused(state_dir: str, job: str) -> tuple[str, str]:
    """Give why a run must not take place now, or an empty text; and what is wrong with a pause.

    A pause whose time has come ends here.
    """
    try:
        hold = holds.read(state_dir, holds.PAUSE, job)
    except (OSError, holds.Damaged) as error:
        return "", f"the job runs, though it may be paused: {_words(error)}"
    if hold is None:
        return "", ""
    now = time.time()
    if not hold.over(now):
        return f"{PAUSED} {until(hold)}{_by(hold)}", ""
    try:
        holds.end_pause(state_dir, hold, now)
    except StateError as error:
        return "", f"the pause has ended, but is not gone: {error}"
    return "", ""


def silence(run: RunContext, *, ok: bool = False) -> Silence:
    """Tell whether a run that is to be reported may be, and what its report says of what was held back.

    ``ok``: it ended well, which ends a mute that waits for that. Every channel to a person asks this.
    Whatever is wrong with the answer, the report goes.
    """
    try:
        return _silence(run.settings.state_dir, run.job, run.user, ok=ok)
    except Exception as error:  # noqa: BLE001  # a mute may cost no report that is not muted
        words = f"this is told, though the job may be muted: {type(error).__name__}: {error}"
        return Silence(fault=words)


def _silence(state_dir: str, job: str, user: str, *, ok: bool) -> Silence:
    try:
        mute = holds.read(state_dir, holds.MUTE, job)
        pause = holds.read(state_dir, holds.PAUSED, job)
    except (OSError, holds.Damaged) as error:
        return Silence(fault=f"this is told, though the job may be muted: {_words(error)}")
    if not mute and not pause:
        return Silence()
    if mute and active(state_dir, mute, user, ok=ok):
        return Silence(why=f"{MUTED} {until(mute)}{_by(mute)}")
    found = [unsaid(state_dir, hold, user) for hold in (mute, pause) if hold]
    return Silence(notes=tuple(note for note in found if note), over=True)


def active(state_dir: str, mute: Hold, user: str, *, ok: bool = False) -> bool:
    """Tell whether a mute still holds."""
    if mute.over(time.time()):
        return False
    if not mute.until_ok:
        return True
    return not ok and _last_success(state_dir, mute.job, user) < mute.asked


def told(state_dir: str, job: str) -> None:
    """Forget what went unsaid: a report that says it is on its way."""
    for kind in (holds.MUTE, holds.PAUSED):
        try:
            holds.remove(state_dir, kind, job)
        except StateError:
            continue  # it is said once more


def unsaid(state_dir: str, hold: Hold, user: str) -> str:
    """Give a sentence on what a pause or a mute held back; empty for nothing."""
    from cronwrap.history.skipped import held_back  # noqa: PLC0415  # imports `sqlite3`

    try:
        found = held_back(state_dir, hold.job, user, hold.since)
    except StateError:
        return f"This job was {_held(hold)}; what was held back is not known."
    words = _skips(found) if hold.kind != holds.MUTE else _mails(state_dir, hold, user, found)
    return f"This job was {_held(hold)}: {words}." if words else ""


def _held(hold: Hold) -> str:
    kind = MUTED if hold.kind == holds.MUTE else PAUSED
    ended = f" until {moment(hold.until)}" if hold.until is not None and hold.over(time.time()) else ""
    return f"{kind} from {moment(hold.since)}{ended}{_by(hold)}"


def _skips(found: tuple[HeldBack, ...]) -> str:
    skipped = [one for one in found if one.paused]
    if not skipped:
        return ""
    number = sum(one.number for one in skipped)
    verb = "run was" if number == 1 else "runs were"
    return f"{count(number)} {verb} skipped{_between(skipped)}"


def _mails(state_dir: str, mute: Hold, user: str, found: tuple[HeldBack, ...]) -> str:
    unmailed = [one for one in found if one.muted]
    failures = [one for one in unmailed if one.result in FAILED]
    others = sum(one.number for one in unmailed) - sum(one.number for one in failures)
    parts = []
    if failures:
        number = sum(one.number for one in failures)
        parts.append(f"{count(number, 'failure')} went unsaid{_between(failures)}")
    if others:
        parts.append(f"{count(others, 'other report')} went unsaid")
    if failures and (good := _last_success(state_dir, mute.job, user)) > max(one.last for one in failures):
        parts.append(f"it succeeded again, last at {moment(good)}")
    return "; ".join(parts)


def _between(found: list[HeldBack]) -> str:
    first, last = moment(min(one.first for one in found)), moment(max(one.last for one in found))
    return f", at {first}" if first == last else f", from {first} to {last}"


def _last_success(state_dir: str, job: str, user: str) -> float:
    from cronwrap.history.past import past  # noqa: PLC0415  # imports `sqlite3`

    try:
        return past(state_dir, job, user).last_success or 0.0
    except StateError:
        return 0.0


def _by(hold: Hold) -> str:
    return f" by {one_line(hold.by)}" if hold.by else ""


def _words(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
