"""``cronwrap-USER.prom`` for the node exporter's textfile collector: written whole, after each run.

On the way of a quiet run where metrics are wanted, so it imports little. Nothing here costs the job or its
report: what is wrong is logged once, and told by ``doctor``.
"""

from __future__ import annotations

import os
import time
from errno import EPERM

from cronwrap import __version__
from cronwrap.beside import Beside
from cronwrap.errors import StateError
from cronwrap.history import journal, totals
from cronwrap.metrics.exposition import Now, of_past, text
from cronwrap.state import NO_ANSWER, PAUSES, state
from cronwrap.state import put as write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.history.journal import Entry
    from cronwrap.metrics.exposition import Job

AGAIN = ".metrics.again"
"""In ``locks/``: somebody came who found another one writing."""
MOST_ROUNDS = 1000
"""Times that one process writes for those who came meanwhile; so many would have to end while it does."""
FAULT = "metrics.fault"
"""In the state directory: what was wrong with the directory last time, so that it is logged once."""
PATIENCE, PATIENCE_AGAIN = 3.0, 0.3
"""Seconds that a run waits for the directory: another machine may have it, which has gone. The second where
the last run waited in vain: each would end so much later."""
MODE = 0o644
"""The exporter is another user, whatever the umask."""
CRONTAB_AGE = 3600.0
"""Seconds after which the crontab is asked again even if its directory looks the same."""
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs", "/etc/cron.d", "/etc/crontab")
"""Their times of change tell that some crontab is new: Debian's, cronie's, BusyBox's, and the system's."""
_LOOKING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def update(
    directory: str, state_dir: str, user: str, own: Entry | None = None, *, lean: bool = False
) -> None:
    """Write the file as things are now; whoever comes while somebody writes leaves it to them.

    ``own`` is the record of the run that asks, if it is on record.
    ``lean``: from a run that is under way: neither the history's database nor the crontab is asked.
    """
    try:
        for _ in range(MOST_ROUNDS):
            if not _one_round(directory, state_dir, user, own, lean=lean):
                break
            if not os.access(AGAIN, os.F_OK, dir_fd=state(state_dir, "locks").fd):
                break
    except Exception as error:  # noqa: BLE001  # metrics cost nothing but themselves
        _remember(state_dir, _words(error, directory))
    else:
        if os.access(FAULT, os.F_OK, dir_fd=state(state_dir).fd):
            state(state_dir).unlink(FAULT)


def _words(error: Exception, directory: str) -> str:
    if isinstance(error, StateError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or directory}: {error.strerror or error}"
    return f"{directory}: {type(error).__name__}: {error}"


def _one_round(directory: str, state_dir: str, user: str, own: Entry | None, *, lean: bool) -> bool:
    """Write once, unless somebody else does, who is then told to do it again."""
    held = totals.lock(state_dir)
    locks = state(state_dir, "locks")
    try:
        if not held.take():
            if lean:
                return False
            os.close(locks.open(AGAIN, os.O_WRONLY | os.O_CREAT))
            # Whoever holds it looks for that when they have let go; if they have meanwhile, it is our turn.
            if not held.take():
                return False
        if os.access(AGAIN, os.F_OK, dir_fd=locks.fd):
            locks.unlink(AGAIN)
        known = totals.read(state_dir) if lean else totals.for_writing(state_dir, own)
        if known is not None:
            if not lean:
                _ask_crontab(known, user)
            content = _text(state_dir, user, known).encode()
            Beside(lambda: put(directory, file_name(user), content)).wait(_patience(state_dir))
            if not lean:
                totals.write(state_dir, known)
        return True
    finally:
        held.release()


def _patience(state_dir: str) -> float:
    """Give the seconds that the directory is waited for: hardly any where the last run waited in vain."""
    hung = os.access(FAULT, os.F_OK, dir_fd=state(state_dir).fd) and fault(state_dir).endswith(NO_ANSWER)
    return PATIENCE_AGAIN if hung else PATIENCE


def whole(state_dir: str, user: str) -> str:
    """Give the text as things are now, from the history as it is; StateError when that cannot be asked."""
    known = totals.current(state_dir, anew=True)
    _ask_crontab(known, user)
    return _text(state_dir, user, known)


def without_history(state_dir: str, user: str) -> str:
    """Give what can be told where the history cannot be asked."""
    return text({}, _now(state_dir, user, {"jobs": {}, "times": None}), __version__)


def file_name(user: str) -> str:
    """Give the name of a user's file; one that is no file's name is percent-encoded."""
    from cronwrap.state import file_name as plain  # noqa: PLC0415  # loaded by every run

    return f"cronwrap-{plain(user)}.prom"


# The text ----------------------------------------------------------------------------------------


def _text(state_dir: str, user: str, known: dict[str, Any]) -> str:
    jobs = known["jobs"]
    now = _now(state_dir, user, known)
    # Kept from run to run with what it was made from: of many jobs one has changed.
    lines: dict[Job, Any] = known.setdefault("lines", {})
    past = {}
    for job in {*jobs, *now.running, *now.paused, *now.next}:
        of_job = jobs.get(job) or {**totals.NOTHING, "runs": {}}
        mark = sum(of_job["runs"].values())
        kept = lines.get(job)
        if kept is None or kept[0] != mark or kept[1] != of_job["ended"]:
            kept = lines[job] = (mark, of_job["ended"], of_past(job, of_job))
        past[job] = kept[2]
    return text(past, now, __version__)


def _now(state_dir: str, user: str, known: dict[str, Any]) -> Now:
    now = Now(totals.text(user))
    starts = {job: of_job["last"] for job, of_job in known["jobs"].items()}
    if journal.any_begun(state_dir):
        from cronwrap.history.records import running  # noqa: PLC0415  # while another one runs

        for fields in running(state_dir):
            job = (totals.text(fields["job"]), totals.text(fields["user"]))
            now.running[job] = now.running.get(job, 0) + 1
            starts[job] = max(starts.get(job, 0.0), float(fields["started"]))
    for name, (_, since, times) in ((known["times"] or {}).get("jobs") or {}).items():
        last = max(since, starts.get((name, now.user), 0.0))
        due = [moment for moment in times if moment > last]
        if due:
            now.next[name, now.user] = due[0]
    now.paused = _paused(state_dir, now.user)
    _look_at_outbox(state_dir, now)
    return now


def _paused(state_dir: str, user: str) -> dict[Job, bool]:
    """Give the jobs that are paused now."""
    try:
        names = state(state_dir, PAUSES).names()
    except OSError:
        return {}
    if not any(name.endswith(".pause") for name in names):
        return {}
    from cronwrap.job.holds import PAUSE, every  # noqa: PLC0415  # while a job is held back

    at = time.time()
    holds = [hold for hold in every(state_dir) if hold.kind == PAUSE and not hold.over(at)]
    return {(totals.text(hold.job), user): True for hold in holds}


def _look_at_outbox(state_dir: str, now: Now) -> None:
    try:
        waiting = any(state(state_dir, "outbox", place).names() for place in ("queue", "failed"))
    except OSError:
        return
    if not waiting:
        return
    from cronwrap.outbox.summary import summary  # noqa: PLC0415  # rare

    found = summary(state_dir, at := time.time())
    if found:
        now.outbox = {"queued": found.queued, "failed": found.failed}
        now.oldest = at - found.oldest_age if found.queued else None


def _ask_crontab(known: dict[str, Any], user: str) -> None:
    """Have the next times of the jobs from the crontab, if it may say something else than last time."""
    marks = tuple([_changed(path) for path in SPOOLS])
    times = known.get("times")
    at = time.time()
    if times and times["marks"] == marks and 0 <= at - times["asked"] < CRONTAB_AGE:
        return
    before = times["jobs"] if times else {}
    try:
        from cronwrap.metrics.upcoming import upcoming  # noqa: PLC0415  # hardly ever

        starts = {job: of_job["last"] for job, of_job in known["jobs"].items()}
        jobs = upcoming(user, starts, before, at)
    except Exception as error:  # noqa: BLE001  # no cronsim, no crontab(1), a crontab that is no text
        jobs, words = {}, f"{type(error).__name__}: {error}"
    else:
        words = ""
    known["times"] = {"marks": marks, "asked": at, "jobs": jobs, "fault": words}


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


# The file ----------------------------------------------------------------------------------------


def put(directory: str, name: str, content: bytes) -> None:
    """Write a file whole into the directory, open to all for reading; OSError when that cannot be done."""
    place = opened(directory)
    try:
        write_whole(place, name, content, f".{name}.new", MODE)  # no name that the exporter reads
    finally:
        os.close(place)


def opened(directory: str) -> int:
    """Open the directory; OSError when it is none, a link, or anybody's to change."""
    place = os.open(directory, _LOOKING)
    found = os.fstat(place)
    why = ""
    if found.st_uid not in (0, os.geteuid()):
        why = f"it belongs to another user (uid {found.st_uid})"
    elif found.st_mode & 0o002 and not found.st_mode & 0o1000:
        why = "anybody can write to it: chmod o-w, or +t"
    if why:
        os.close(place)
        raise PermissionError(EPERM, why, directory)
    return place


def fault(state_dir: str) -> str:
    """Give what was wrong when the file was to be written last, or an empty text."""
    try:
        handle = state(state_dir).open(FAULT)
    except OSError:
        return ""
    try:
        return os.read(handle, 4096).decode(errors="replace")
    finally:
        os.close(handle)


def _remember(state_dir: str, words: str) -> None:
    """Log a fault unless it is last time's. Where it cannot be kept no run can be, and that is told of."""
    if words == fault(state_dir):
        return
    try:
        handle = state(state_dir).open(FAULT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(handle, words.encode(errors="backslashreplace")[:4096])
        finally:
            os.close(handle)
    except OSError:
        return
    from cronwrap.log import log  # noqa: PLC0415  # rare

    log(f"metrics are not written: {words}")
