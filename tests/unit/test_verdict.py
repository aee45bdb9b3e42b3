"""Every rule of alerting: what a run amounts to, and who is told."""

from __future__ import annotations

import itertools

import pytest

from cronwrap.model import Outcome, Output
from cronwrap.past import Past
from cronwrap.report.unfinished import abandoned, ended_after_all, not_run, skipped, still_running, stuck
from cronwrap.report.verdict import Policy, exit_status, judge, signal_name

NOW = 1_800_000_000.0


def outcome(**changes):
    fields = {"started": NOW - 3.1, "duration": 3.1, "exit_code": 0, **changes}
    if fields.get("signal") is not None or fields.get("error"):
        fields["exit_code"] = None
    return Outcome(**fields)


def spoke(*streams):
    """Give the fields of an outcome whose job wrote to these streams."""
    return {
        "output": Output(head=b"x", stdout_bytes=1 in streams, stderr_bytes=2 in streams),
        "spoke": bool(streams),
        "spoke_stderr": 2 in streams,
    }


@pytest.mark.parametrize(
    ("last", "rules", "headline"),
    [
        ({"exit_code": 2}, {}, "exit status 2 after 3 tries, 41.0 s"),
        ({"exit_code": 0}, {}, "ok after 3 tries, 41.0 s"),
        ({"signal": 9}, {}, "killed by signal 9 (SIGKILL) after 3 tries, 41.0 s"),
        (
            {"ended_by": "timeout", "ended_because": "--timeout 3 s", "signal": 15},
            {},
            "timeout after 3 tries, 41.0 s (--timeout 3 s)",
        ),
        (
            {"error": "backup: not found", "error_status": 127},
            {},
            "not started after 3 tries, 41.0 s: backup: not found",
        ),
        (
            {"exit_code": 0},
            {"min_duration": 5.0},
            "too short: 3.1 s, at least 5.0 s expected (exit status 0 after 3 tries, 41.0 s)",
        ),
        (
            {"exit_code": 0, "matched": ("ERROR",)},
            {},
            "output matches --fail-match: ERROR (exit status 0 after 3 tries, 41.0 s)",
        ),
    ],
)
def test_the_headline_of_several_tries_says_how_many_and_what_all_of_them_took(last, rules, headline):
    earlier = outcome(exit_code=1, started=NOW - 41), outcome(exit_code=1, started=NOW - 20)
    verdict = judge(outcome(**last), Policy(**rules), None, NOW, earlier)
    assert verdict.headline == headline


def test_tries_over_which_the_clock_was_set_back_took_what_they_took_together():
    earlier = (outcome(exit_code=1, started=NOW + 3600),)
    assert judge(outcome(exit_code=1), Policy(), None, NOW, earlier).headline.endswith("after 2 tries, 6.2 s")


RESULTS = [
    ({"exit_code": 0}, {}, ("ok", "ok", "ok after 3.1 s", 0)),
    ({"exit_code": 2}, {}, ("failed", "exit 2", "exit status 2 after 3.1 s", 2)),
    ({"exit_code": 24}, {"ok_codes": (0, 24)}, ("ok", "ok", "ok (exit status 24) after 3.1 s", 24)),
    ({"exit_code": 0}, {"ok_codes": (1,)}, ("failed", "exit 0", "exit status 0 after 3.1 s", 0)),
    ({"signal": 9}, {}, ("signal", "signal 9", "killed by signal 9 (SIGKILL) after 3.1 s", 137)),
    (
        {"ended_by": "timeout", "ended_because": "--timeout 3 s", "signal": 15},
        {},
        ("timeout", "timeout", "timeout after 3.1 s (--timeout 3 s)", 124),
    ),
    (
        {"ended_by": "idle timeout", "ended_because": "no output for 1 s", "exit_code": 0},
        {},
        ("timeout", "idle timeout", "idle timeout after 3.1 s (no output for 1 s)", 124),
    ),
    (
        {"ended_by": "memory", "ended_because": "too much", "signal": 15},
        {},
        ("failed", "memory", "memory after 3.1 s (too much)", 124),
    ),
    (
        {"error": "x: command not found", "error_status": 127},
        {},
        ("not-started", "not started", "not started: x: command not found", 127),
    ),
    (
        {},
        {"min_duration": 5.0},
        ("failed", "too short", "too short: 3.1 s, at least 5.0 s expected (exit status 0)", 0),
    ),
    (
        {},
        {"max_duration": 2.0},
        ("failed", "too long", "too long: 3.1 s, at most 2.0 s expected (exit status 0)", 0),
    ),
    (
        {"matched": ("ERROR: no",)},
        {},
        (
            "failed",
            "fail match",
            "output matches --fail-match: ERROR: no (exit status 0 after 3.1 s)",
            0,
        ),
    ),
]


@pytest.mark.parametrize(("happened", "policy", "expected"), RESULTS)
def test_each_end_has_its_result_label_headline_and_status(happened, policy, expected):
    run = outcome(**happened)
    verdict = judge(run, Policy(**policy), Past(), NOW)
    assert (verdict.result, verdict.label, verdict.headline, exit_status(run)) == expected
    assert verdict.failed == (verdict.result != "ok")
    assert bool(verdict.reasons) == verdict.failed


ENDS = {"ok": {}, "failed": {"exit_code": 1}}
SAID = {"silent": (), "stdout": (1,), "stderr": (2,)}
ONS = ["failure", "output", "stderr", "success", "recovery", "always", "never"]
PASTS = {
    "unknown": None,
    "none": Past(),
    "failing, told": Past(
        failures_in_a_row=2,
        failing_since=NOW - 7200,
        last_failure_mailed=NOW - 600,
        failures_since_mail=1,
    ),
    "failing, untold": Past(failures_in_a_row=1, failing_since=NOW - 60),
}


def expected_mail(end, said, on, past, after, remind):
    """State the rules once more, in other words than the code."""
    if "never" in on:
        return False
    if "always" in on:
        return True
    failed = end == "failed"
    happened = {"failure"} if failed else {"success"}
    happened |= {"output"} if said != "silent" else set()
    happened |= {"stderr"} if said == "stderr" else set()
    told = past == "failing, told" or (past == "failing, untold" and not {"failure", "always"} & {*on})
    happened |= {"recovery"} if not failed and told else set()
    if not happened & set(on):
        return False
    if failed and "failure" in on and past != "unknown":
        earlier = {"none": 0, "failing, told": 2, "failing, untold": 1}[past]
        if earlier + 1 < after:
            return False
        if past == "failing, told" and remind and remind > 600:
            return False
    return True


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("end", ENDS)
def test_whether_a_mail_is_due_over_every_combination(end, past):
    sets = [combination for size in (0, 1, 2) for combination in itertools.combinations(ONS, size)]
    for said, on, after, remind in itertools.product(SAID, sets, (1, 2, 4), (None, 60.0, 3600.0)):
        run = outcome(**ENDS[end], **spoke(*SAID[said]))
        verdict = judge(run, Policy(on=on, after=after, remind=remind), PASTS[past], NOW)
        wanted = expected_mail(end, said, on, past, after, remind)
        assert verdict.mail == wanted, (end, said, on, past, after, remind)
        assert bool(verdict.quiet_reason) != verdict.mail


def test_a_reminder_tells_how_many_failures_it_stands_for_and_since_when():
    past = Past(
        failures_in_a_row=5,
        failing_since=NOW - 7200,
        last_failure_mailed=NOW - 3600,
        failures_since_mail=3,
    )
    verdict = judge(outcome(exit_code=1), Policy(remind=3600.0), past, NOW)
    assert verdict.mail
    assert verdict.notes == ("Failure 6 in a row, failing for 2 h.", "This mail stands for 4 failures.")


def test_a_clock_that_was_set_back_does_not_silence_a_job():
    past = Past(failures_in_a_row=1, last_failure_mailed=NOW + 86400)
    assert judge(outcome(exit_code=1), Policy(remind=3600.0), past, NOW).mail


def test_a_recovery_tells_how_long_and_how_many():
    verdict = judge(outcome(), Policy(on=("recovery",)), PASTS["failing, told"], NOW)
    assert (verdict.mail, verdict.label) == (True, "recovered")
    assert verdict.headline == "recovered after 2 failures over 2 h: ok after 3.1 s"


def test_who_wants_to_hear_of_recoveries_alone_hears_of_each():
    assert judge(outcome(), Policy(on=("recovery",)), PASTS["failing, untold"], NOW).mail
    assert not judge(outcome(), Policy(on=("recovery", "failure")), PASTS["failing, untold"], NOW).mail


def test_a_recovery_from_failures_nobody_was_told_of_is_no_event():
    assert "recovery" not in judge(outcome(), Policy(), PASTS["failing, untold"], NOW).events


def test_ignored_output_is_no_output():
    run = outcome(output=Output(head=b"noise\n", stdout_bytes=6), spoke=False)
    assert not judge(run, Policy(), Past(), NOW).mail


@pytest.mark.parametrize(
    ("on", "mail"), [(("skip",), True), (("failure", "output"), False), (("always",), True)]
)
def test_a_skip_is_mailed_only_when_asked_for(on, mail):
    verdict = skipped("the same job still runs", Policy(on=on))
    assert (verdict.mail, verdict.result, verdict.label, verdict.failed) == (
        mail,
        "skipped",
        "skipped",
        False,
    )


def test_abandoned_and_not_run_are_failures():
    assert abandoned("gone", ("failure",)).mail
    assert abandoned("gone", ("failure",)).result == "abandoned"
    assert not_run("why", Policy()).failed


def test_signals_are_named():
    assert [signal_name(number) for number in (9, 15, 6, 50)] == ["SIGKILL", "SIGTERM", "SIGABRT", "SIG50"]


def test_whoever_is_told_of_failures_is_told_that_a_job_still_runs_or_is_stuck():
    for on in (("failure",), ("running", "stuck"), ("always",)):
        assert still_running(7200.0, Policy(on=on)).mail
        assert stuck("why", Policy(on=on), 3, ()).mail
    for on in (("output", "success"), ("failure", "never")):
        assert not still_running(7200.0, Policy(on=on)).mail
        assert not stuck("why", Policy(on=on), 3, ()).mail
    assert still_running(7200.0, Policy()).headline == "still running after 2 h"


@pytest.mark.parametrize(
    ("on", "last", "mail"),
    [
        (("failure", "output"), spoke(1), False),
        (("failure", "output"), {"exit_code": 1}, True),
        (("failure", "recovery"), {}, True),
        (("failure", "success"), {}, True),
        (("always",), {}, True),
        (("recovery", "never"), {}, False),
    ],
)
def test_the_end_of_a_run_that_was_told_of_is_news_only_for_who_asks(on, last, mail):
    policy = Policy(on=on)
    verdict = ended_after_all(judge(outcome(**last), policy, None, NOW), policy)
    assert verdict.mail is mail
    assert bool(verdict.quiet_reason) is not mail
