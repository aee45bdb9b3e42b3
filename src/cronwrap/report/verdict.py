"""What a run amounts to, and whom it is worth telling: every rule of alerting, in one place, pure."""

from __future__ import annotations

from cronwrap.model import Outcome, Record, Verdict
from cronwrap.spans import ago, count, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cronwrap.past import Past

OK, FAILED, SIGNAL, TIMEOUT = "ok", "failed", "signal", "timeout"
NOT_STARTED, SKIPPED, STOPPED, ABANDONED = "not-started", "skipped", "stopped", "abandoned"
RUNNING, STUCK = "running", "stuck"


class Policy(Record):
    """When a run is a failure, and when somebody is told; the options of the same names."""

    on: tuple[str, ...] = ("failure", "output")
    ok_codes: tuple[int, ...] = (0,)
    min_duration: float | None = None
    max_duration: float | None = None
    after: int = 1
    remind: float | None = None


def exit_status(outcome: Outcome) -> int:
    """Give cronwrap's own exit status for an outcome (SPEC 2)."""
    return outcome.exit_status


def judge(
    outcome: Outcome, policy: Policy, past: Past | None, now: float, earlier: tuple[Outcome, ...] = ()
) -> Verdict:
    """Judge a run by its last try; ``earlier`` are those before it.

    ``past`` is None when nothing is known of it; each rule that needs it then falls to the side of
    telling. ``now`` is Unix time.
    """
    verdict = _result(outcome, policy, _several(outcome, earlier))
    events = ["failure" if verdict.failed else "success"]
    if outcome.spoke:
        events.append("output")
    if outcome.spoke_stderr:
        events.append("stderr")
    if not verdict.failed and past and past.failures_in_a_row:
        # The end of what nobody was told of is no news, unless failures are not to be told at all.
        silent = not {"failure", "always"} & {*policy.on}
        events += ["recovery"] if past.last_failure_mailed or silent else []
    return decide(verdict.replace(events=tuple(events)), policy, past, now)


def asker(by: str) -> str:
    """Give who asked for an end, without the uid."""
    return by.partition(" (")[0]


def _several(outcome: Outcome, earlier: tuple[Outcome, ...]) -> str:
    """Give what several tries took, the pauses between them included: ``3 tries, 41 s``; empty for one."""
    if not earlier:
        return ""
    whole = outcome.started + outcome.duration - earlier[0].started
    tried = sum(one.duration for one in (*earlier, outcome))
    return f"{len(earlier) + 1} tries, {duration(max(whole, tried))}"  # a clock may be set back meanwhile


# What it is -------------------------------------------------------------------------------------


def _result(outcome: Outcome, policy: Policy, several: str) -> Verdict:
    """Give result, label, headline and reasons; ``several`` says what several tries took."""
    took = several or duration(outcome.duration)
    if outcome.error:
        headline = f"not started{f' after {several}' if several else ''}: {outcome.error}"
        return failure(NOT_STARTED, "not started", headline, outcome.error)
    if outcome.ended_by == "stop":
        words = f"stopped {outcome.ended_because} with cronwrap stop"
        headline = f"stopped {asker(outcome.ended_because)} after {took}"
        return failure(STOPPED, "stopped", headline, words)
    if outcome.ended_by:
        result = TIMEOUT if "timeout" in outcome.ended_by else FAILED
        because = f"({outcome.ended_because})"
        headline = f"{outcome.ended_by} after {took} {because}"
        return failure(result, outcome.ended_by, headline, f"{outcome.ended_by} {because}")
    if outcome.signal is not None:
        words = f"killed by signal {outcome.signal} ({signal_name(outcome.signal)})"
        return failure(SIGNAL, f"signal {outcome.signal}", f"{words} after {took}", words)
    code = outcome.exit_code or 0
    if code not in policy.ok_codes:
        words = f"exit status {code}"
        return failure(FAILED, f"exit {code}", f"{words} after {took}", words)
    return _fine_exit(outcome, policy, code, several)


def _fine_exit(outcome: Outcome, policy: Policy, code: int, several: str) -> Verdict:
    """Judge a run with an exit code that is no failure by what else may make it one."""
    status = f"exit status {code}"
    took = duration(outcome.duration)
    ended = f"{status} after {several}" if several else status
    if policy.min_duration is not None and outcome.duration < policy.min_duration:
        words = f"too short: {took}, at least {duration(policy.min_duration)} expected"
        return failure(FAILED, "too short", f"{words} ({ended})", words)
    if policy.max_duration is not None and outcome.duration > policy.max_duration:
        words = f"too long: {took}, at most {duration(policy.max_duration)} expected"
        return failure(FAILED, "too long", f"{words} ({ended})", words)
    if outcome.matched:
        words = f"output matches --fail-match: {outcome.matched[0]}"
        return failure(FAILED, "fail match", f"{words} ({status} after {several or took})", words)
    if outcome.unmatched:  # nobody knows whether it failed: that is told, too
        words = f"output could not be judged: {outcome.unmatched}"
        return failure(FAILED, "fail match", f"{words} ({status} after {several or took})", words)
    note = f" ({status})" if code else ""
    return Verdict(result=OK, label="ok", headline=f"ok{note} after {several or took}", failed=False)


def failure(result: str, label: str, headline: str, reason: str) -> Verdict:
    """Give the verdict on a run that failed for one reason."""
    return Verdict(result=result, label=label, headline=headline, failed=True, reasons=(reason,))


def signal_name(number: int) -> str:
    """Give the name of a signal: ``SIGKILL``; ``SIG35`` for one that has none."""
    import _signal  # noqa: PLC0415  # `signal` would build an enum

    for name in dir(_signal):
        if name.startswith("SIG") and not name.startswith("SIG_") and getattr(_signal, name) == number:
            return name
    return f"SIG{number}"


# Whom it is worth telling -----------------------------------------------------------------------


def decide(verdict: Verdict, policy: Policy, past: Past | None, now: float) -> Verdict:
    """Settle whether a mail is due, and what it has to say of the runs before."""
    on = policy.on
    if "never" in on:
        return verdict.replace(quiet_reason="--on never")
    if "always" in on:
        return _noted(verdict, past, now, mail=True)
    wanted = [event for event in verdict.events if event in on]
    if not wanted:
        return verdict.replace(quiet_reason="nothing to report")
    if "failure" in wanted and past is not None:
        # A failure that is held back is held back whole: its output is no reason of its own.
        if past.failures_in_a_row + 1 < policy.after:
            held = f"failure {past.failures_in_a_row + 1} in a row, --after {policy.after}"
            return verdict.replace(quiet_reason=held)
        told = past.last_failure_mailed
        # A clock that was set back must not silence a job until the old time has come again.
        if policy.remind is not None and told is not None and 0 <= now - told < policy.remind:
            return verdict.replace(quiet_reason=f"told {ago(now - told)}, --remind {duration(policy.remind)}")
    return _noted(verdict, past, now, mail=True)


def _noted(verdict: Verdict, past: Past | None, now: float, *, mail: bool) -> Verdict:
    notes: list[str] = []
    if past and verdict.failed and past.failures_in_a_row:
        since = f", failing for {duration(now - past.failing_since)}" if past.failing_since else ""
        notes.append(f"Failure {past.failures_in_a_row + 1} in a row{since}.")
        unsaid = past.failures_since_mail if past.last_failure_mailed else past.failures_in_a_row
        if unsaid:
            notes.append(f"This mail stands for {count(unsaid + 1, 'failure')}.")
    if "recovery" in verdict.events and past:
        lasted = f" over {duration(now - past.failing_since)}" if past.failing_since else ""
        failures = f"{count(past.failures_in_a_row, 'failure')}{lasted}"
        verdict = verdict.replace(
            label="recovered", headline=f"recovered after {failures}: {verdict.headline}"
        )
    return verdict.replace(mail=mail, notes=tuple(notes))
