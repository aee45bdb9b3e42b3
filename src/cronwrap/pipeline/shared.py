"""What a run asks of the fleet before and while its job runs: `--once`, `--scope fleet`, `--unreachable`.

Loaded by those runs alone. The asking is done by a process of its own (``fleet.keeper``): what does not
answer is left alone after ``ANSWER`` seconds, and then ``--unreachable`` says what becomes of the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from typing import IO

from cronwrap.fleet.peers import peers
from cronwrap.fleet.wake import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cronwrap.job.signals import Signals
    from cronwrap.pipeline.context import RunContext

ANSWER = 4.5
"""Seconds without an answer after which it is decided without the database: within five (SPEC 10)."""
LIFE = 30.0
"""Seconds of a lease: so long a host that has died keeps others out."""
RENEW = LIFE / 3
AGAIN = LIFE / 12
"""Seconds to the next renewal after one that failed."""
COMMAND = ("-P", "-m", "cronwrap.fleet.keeper")
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The keeper's (``fleet.keeper``)."""
FAREWELL = 1.0
"""Seconds in which a lease is given back where no process may outlive the run."""
LATE = 3600.0
"""Seconds after a time of the crontab in which a start still belongs to it."""
LINE_LIMIT = 65536


class Fleet:
    """One run's word with the fleet."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._keeper: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._until = self._next = 0.0
        self._fence = 0
        self._why = ""
        """Why the last renewal failed."""
        self.fault = ""
        """What is to be told in the report: the lease was lost."""
        self.why_not = ""
        """Why the run must not take place; empty when it may."""
        self.interrupted = 0
        """The signal that came while it waited, or 0."""

    # Before the job -----------------------------------------------------------------------------

    def claim(self, run: RunContext, signals: Signals) -> RunContext:
        """Claim the crontab's minute, or the start's, for this run alone (``--once``); see ``why_not``."""
        minute = crontabs_minute(run)
        answer = self._ask(signals, do="claim", minute=minute)
        if answer["what"] == "won":
            return run
        if answer["what"] == "held":
            self.why_not = f"{answer['host']} runs it (--once; run {answer['run']})"
            return run
        return self._without(run, str(answer["why"]), f"{minute:.0f}")

    def lease(self, run: RunContext, signals: Signals) -> RunContext:
        """Take the lease of the job in the whole fleet, as ``--overlap`` says; see ``why_not``."""
        how, limit = run.settings["overlap"], run.settings["overlap-wait"]
        answer = self._ask(signals, do="lease", seconds=LIFE, how=how, limit=limit)
        if answer["what"] == "leased":
            self._until, self._next = answer["asked"] + LIFE, answer["asked"] + RENEW
            self._fence = answer["fence"]
            return run.replace(fence=answer["fence"])
        self.close()
        if answer["what"] == "held":
            waited = "" if how == "skip" else f" after {limit:g} s of waiting"
            self.why_not = f"the same job still runs{waited} on {answer['host']} (run {answer['run']})"
            return run
        return self._without(run, str(answer["why"]), "")

    def _without(self, run: RunContext, why: str, tick: str) -> RunContext:
        """Decide without the database, as ``--unreachable`` says; what was decided goes on record."""
        if self.interrupted:
            self.why_not = f"signal {self.interrupted} came while it waited for the fleet"
            return run
        how = run.settings["unreachable"]
        if run.settings.fleet is None:  # no outage: somebody believes that one host alone runs it
            from cronwrap.settings.fleet import NO_FLEET  # noqa: PLC0415  # a mistake is rare

            faults = (*run.settings.faults, NO_FLEET)
            run = run.replace(settings=run.settings.replace(faults=tuple(dict.fromkeys(faults))))
        note = f"the fleet could not be asked (--unreachable {how}): {why}"
        if how == "elect":
            mine, known = peers(run.settings.state_dir, run.settings.fleet)
            chosen = elected(f"{run.job}\0{run.user}\0{tick}", {mine, *known})
            note += f"; {chosen} comes first of {len({mine, *known})}"
            how = "run" if chosen == mine else "skip"
        if how == "skip":
            self.why_not = note
            return run
        return run.replace(note="; ".join(filter(None, (run.note, note))))

    # While the job runs -------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Tell whether a lease is held that is to be renewed."""
        return self._until > 0.0

    def until(self, moment: float | None, now: float) -> float:
        """Give the moment (monotonic) of the next look at the lease, if it is before ``moment``."""
        left = max(0.05, min(self._next, self._until) - time.clock_gettime(CLOCK))
        return now + left if moment is None else min(moment, now + left)

    def look(self) -> str:
        """Renew the lease when that is due; give why the job is to end for another run, or an empty text."""
        now = time.clock_gettime(CLOCK)
        ask = ""
        for answer in self._arrived():
            if answer["what"] == "renewed":
                self._until = answer["asked"] + LIFE
                ask = "another run asks for its end (--overlap kill, fleet)" if answer["wanted"] else ask
            elif answer["what"] == "lost":
                self._lost(f"it was given to run {answer['run']} on {answer['host']}")
            elif answer["what"] == "failed":
                self._next = min(self._next, now + AGAIN)
                self._why = str(answer["why"])
        if self.holds and now >= self._until:
            self._lost(f"it could not be renewed: {self._why or 'the database does not answer'}")
        if self.holds and now >= self._next:
            self._next = now + RENEW
            try:
                self._send(do="renew", seconds=LIFE, fence=self._fence)
            except OSError as error:  # no process, no memory: the job goes on
                self._next, self._why = now + AGAIN, str(error.strerror)
        return ask

    def wait(self, seconds: float, signals: Signals) -> int:
        """Wait between two tries, as ``Signals.wait`` does, and renew the lease meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if number := signals.wait(min(left, AGAIN) if self.holds else left):
                return number
            if self.holds:
                self.look()
        return 0

    def _lost(self, why: str) -> None:
        self._until = 0.0
        self.fault = f"the lease of this job was lost while it ran, another host may have run it too: {why}"

    def close(self) -> None:
        """Give back what is held, or has just been given; the keeper does it, and nobody waits for that."""
        keeper, self._keeper = self._keeper, None
        held, self._until = self.holds, 0.0
        if not keeper:
            return
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    continue
        if held and (os.getpid() == 1 or not self._run.settings["delivery.background"]):
            try:
                keeper.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                keeper.kill()

    # The keeper ---------------------------------------------------------------------------------

    def _ask(self, signals: Signals, **request: Any) -> dict[str, Any]:
        """Give the answer to a request; ``failed`` when there is none in time, or a signal came."""
        end = time.monotonic() + ANSWER
        try:
            self._send(**request)
        except OSError as error:
            return {"what": "failed", "why": error.strerror}
        while True:
            for answer in self._arrived():
                if answer["what"] != "waits":
                    return answer
                end = time.monotonic() + ANSWER
            left = end - time.monotonic()
            if left <= 0:
                return self._given_up(f"no answer within {ANSWER:g} s")
            if not self._keeper or self._keeper.poll() is not None:
                return self._given_up("the process that was to ask has died")
            self._wait(signals, left)
            if self.interrupted:
                return self._given_up("")

    def _wait(self, signals: Signals, seconds: float) -> None:
        poll = select.poll()
        poll.register(signals.descriptor, select.POLLIN)
        if self._keeper and self._keeper.stdout:
            poll.register(self._keeper.stdout, select.POLLIN)
        poll.poll(seconds * 1000 + 1)
        self.interrupted = signals.asked_to_end()

    def _given_up(self, why: str) -> dict[str, Any]:
        self.close()
        return {"what": "failed", "why": why}

    def _send(self, **request: Any) -> None:
        if self._keeper is None or self._keeper.poll() is not None:
            self._unread = b""
            self._keeper = subprocess.Popen(
                [sys.executable, *COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(self._run.settings),
                start_new_session=True,  # what ends the job's group is not for it
            )
            os.set_blocking(_pipe(self._keeper.stdout).fileno(), False)
        whole = {**request, "job": self._run.job, "user": self._run.user, "run": self._run.run_id}
        try:
            os.write(_pipe(self._keeper.stdin).fileno(), json.dumps(whole).encode() + b"\n")
        except BrokenPipeError:
            return  # it has died: whoever waits for its answer finds that out

    def _arrived(self) -> list[dict[str, Any]]:
        """Give the answers that are there."""
        if not self._keeper:
            return []
        try:
            self._unread += os.read(_pipe(self._keeper.stdout).fileno(), LINE_LIMIT)
        except BlockingIOError:
            pass
        *lines, self._unread = self._unread.split(b"\n")
        return [json.loads(line) for line in lines]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError
    return pipe


def shared(run: RunContext, signals: Signals) -> tuple[Fleet, RunContext]:
    """Give a run's word with the fleet, and the run: its minute is claimed if ``--once`` asks for that.

    A person who runs a job by hand means here and now.
    """
    fleet = Fleet(run)
    if run.settings["once"] and not run.by_hand:
        run = fleet.claim(run, signals)
    return fleet, run


def elected(what: str, hosts: set[str]) -> str:
    """Give the host that comes first by a hash (rendezvous hashing): every host finds the same one."""

    def weight(host: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{what}\0{host}".encode(errors="surrogateescape")).digest(), host

    return max(hosts, key=weight)


def crontabs_minute(run: RunContext) -> float:
    """Give the time of the crontab that this start belongs to; else the start, rounded down to a minute.

    A host whose cron was slow, or whose clock is a little off, so finds the minute that the others find.
    """
    rounded = run.started // 60 * 60
    try:
        from cronwrap.crontab.host_zone import host_zone  # noqa: PLC0415
        from cronwrap.crontab.named import jobs_of, last_time  # noqa: PLC0415

        zone = host_zone()
        jobs = [one.job for one in jobs_of(run.user)[0] if run.job in one.names]
        times = [last_time(job, run.started, zone) for job in jobs]
    except Exception:  # noqa: BLE001  # no cronsim, no crontab(1): the start itself has to do
        return rounded
    return max((at for at in times if at is not None and run.started - at < LATE), default=rounded)
