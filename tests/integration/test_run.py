"""The command form as users and crond call it: what is judged, mailed, said and left alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys

import pytest

from cronwrap import bundle_writer
from support.cli import CRONWRAP_SHELL, SCRIPTS

HEAD = 'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n'


@pytest.fixture
def job(cli, relay):
    """The installed cronwrap with a relay configured."""
    cli.write_config(HEAD + relay.table)
    return cli


def history(cli, *words):
    return [json.loads(line) for line in cli("history", "--json", *words).stdout.splitlines()]


# What cannot be understood ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--timout", "3", "--", "true"), "no such option: --timout: did you mean --timeout?"),
        (("--timeout", "soon", "--", "true"), "--timeout: 'soon' is not a duration: write 90, 90s"),
        (("--fail-match", "(", "--", "true"), "--fail-match: '(' is not a regular expression"),
        (("--mailto", "a b@c", "--", "true"), "--mailto: "),
        (("--mailto", "a@b@c", "--", "true"), "--mailto: "),
        (("--on", "faliure", "--", "true"), "did you mean failure?"),
        (("--ok-codes", "300", "--", "true"), "--ok-codes: "),
        (("--max-output", "lots", "--", "true"), "is not a size: write 512, 64K, 1M or 2G"),
        (("--nice", "100", "--", "true"), "not between -20 and 19"),
        (("--name", "", "--", "true"), "not a job name"),
        (("--", ""), "no command after --"),
        (("--",), "no command after --"),
        (("-c",), "-c needs a command text"),
        (("-c", "true", "false"), "quote the whole command as one word"),
        (("-c", "true", "--", "false"), "exclude each other"),
        (("true",), "no such subcommand: 'true'; a command stands behind --\n  cronwrap -- true\n"),
        (("statsu",), "did you mean status?"),
        (("--live=yes", "--", "true"), "--live takes no value"),
        (("--name",), "--name needs a value"),
        (("--timeout", "2h", "status"), "--timeout belongs to the command form"),
    ],
)
def test_a_command_line_that_cannot_be_understood_is_two_lines_and_status_2(cli, words, said):
    result = cli(*words)
    assert result.status == 2
    assert said in result.stderr
    wrong, form = result.stderr.splitlines()
    assert wrong.startswith("cronwrap: ")
    assert form.startswith("  cronwrap ")
    assert result.out == b""


def test_the_job_behind_a_mistake_is_not_run_and_somebody_is_told(job, relay, tmp_path):
    trace = tmp_path / "ran"
    assert job("--no-such", "--", "touch", str(trace)).status == 2
    assert not trace.exists()
    (mail,) = relay.messages
    assert "no such option: --no-such" in mail.body.splitlines()[0]
    assert mail.parsed["X-Cronwrap-Result"] == "not started"
    assert mail.subject.endswith(f"> cronwrap --no-such -- touch {trace}")


def test_a_mistake_in_a_line_without_the_dashes_is_mailed_too(job, relay):
    assert job("/usr/bin/backup", "--all").status == 2
    assert "cronwrap -- /usr/bin/backup" in relay.messages[0].body


@pytest.mark.parametrize(
    "words",
    [
        ("--mailto", "own@example.test", "--name", "sync", "--timeuot", "5m", "--", "true"),
        ("--timeuot", "5m", "--mailto=own@example.test", "-n", "sync", "--", "true"),
        ("--timeout", "soon", "-town@example.test", "-nsync", "-c", "--mailto=other@example.test"),
        ("--live=yes", "-t", "own@example.test", "-nsync", "--", "true", "-t", "other@example.test"),
    ],
)
def test_a_mistake_is_told_to_whom_the_line_itself_names(job, relay, words):
    assert job(*words).status == 2
    (mail,) = relay.messages
    assert mail.recipients == ("own@example.test",)
    assert mail.parsed["X-Cronwrap-Job"] == "sync"


def test_a_mistake_in_a_line_that_wants_no_mail_is_not_mailed(job, relay):
    assert job("--mailto", "", "--timeuot", "5m", "--", "true").status == 2
    assert job("--dry-run", "--timeuot", "5m", "--", "true").status == 2
    assert relay.messages == []


@pytest.mark.parametrize("words", [("statsu", "--json"), ("history", "--fialed"), ("--json", "status")])
def test_a_mistake_in_what_was_to_be_a_subcommand_is_mailed_to_nobody(job, relay, words):
    assert job(*words).status == 2
    assert relay.messages == []


def test_a_mistake_on_a_terminal_is_mailed_to_nobody(job, relay):
    assert job.terminal("--timeuot", "5m", "--", "true").wait() == 2
    assert relay.messages == []


def test_options_of_a_command_without_dashes_say_nothing_about_its_mail(job, relay):
    assert job("backup", "--mailto", "other@example.test").status == 2
    assert relay.messages[0].recipients == ("ops@example.test",)


def test_secrets_are_taken_out_of_what_is_told_about_a_mistake(cli, relay):
    cli.write_config(HEAD + relay.table + "[redact]\npatterns = ['code \\d+']\n")
    assert cli("--timeuot", "5m", "-c", "open --door 'code 4711'").status == 2
    assert b"4711" not in relay.messages[0].content


# The configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mailto = [", "config.toml: "),
        ('tiemout = "2h"', "unknown key 'tiemout'"),
        ('[defaults]\ntimeuot = "2h"', "defaults: unknown key 'timeuot': did you mean timeout?"),
        ('[defaults]\ntimeout = "soon"', "defaults.timeout: 'soon' is not a duration"),
        ("[defaults]\ntimeout = true", "defaults.timeout: true is not a duration"),
        ('[jobs.x]\non = ["nothing"]', "jobs.x.on: 'nothing' is not an event"),
        ("[delivery]\ninlin = 3", "unknown key 'inlin': did you mean inline?"),
        ('[[relay]]\nurl = "http://x"', "relay 1"),
        ("defaults = 3", "expected a table, found a number"),
        ('[redact]\npatterns = ["("]', "redact.patterns: '(' is not a regular expression"),
    ],
)
def test_a_broken_configuration_is_named_and_the_job_runs(cli, text, said):
    path = cli.write_config(text + "\n")
    result = cli("--mailto", "", "--", "sh", "-c", "exit 7")
    assert result.status == 7
    assert path in result.stderr
    assert said in result.stderr


def test_a_fault_of_the_configuration_is_in_the_mail_too(cli, relay):
    cli.write_config(HEAD + relay.table + "[defaults]\nnonsense = 1\n")
    cli("--", "false")
    assert "defaults: unknown key 'nonsense'" in relay.messages[0].body


def test_a_secret_that_others_can_read_is_not_used(cli, relay):
    path = cli.write_config(HEAD + relay.table, mode=0o644)
    result = cli("--", "false")
    assert result.status == 1
    assert f"chmod 600 {path}" in result.stderr
    assert relay.messages == []
    os.chmod(path, 0o600)
    assert cli("outbox", "flush").status == 0
    assert len(relay.messages) == 1


def test_a_missing_configuration_that_was_named_is_a_fault(cli):
    result = cli("--config", "/nonexistent/x.toml", "--mailto", "", "--", "true")
    assert (result.status, result.stderr) == (0, "cronwrap: /nonexistent/x.toml: No such file or directory\n")


# Who is told of what ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "script", "mailed"),
    [
        ((), "true", False),
        ((), "echo hi", True),
        ((), "exit 1", True),
        (("--on", "failure"), "echo hi", False),
        (("--on", "stderr"), "echo hi", False),
        (("--on", "stderr"), "echo hi >&2", True),
        (("--on", "success"), "true", True),
        (("--on", "always"), "true", True),
        (("--on", "never"), "exit 1", False),
        (("--ok-codes", "0,3-5"), "exit 4", False),
        (("--fail-match", "^ERR"), "echo INFO; echo ERROR", True),
        (("--on", "failure", "--fail-match", "^ERR"), "echo INFO; echo ERROR", True),
        (("--on", "failure", "--fail-match", "^ERR"), "echo INFO", False),
        (("--ignore-match", "^INFO"), "echo INFO", False),
        (("--ignore-match", "^INFO"), "echo INFO; echo more", True),
        (("--min-duration", "1h"), "true", True),
        (
            (
                "--max-duration",
                "1ms",
            ),
            "true",
            None,
        ),
        (("--mailto", ""), "exit 1", False),
    ],
)
def test_what_is_mailed(job, relay, options, script, mailed):
    result = job(*options, "--", "sh", "-c", script)
    if mailed is None:  # no such duration
        assert result.status == 2
    else:
        assert (result.stderr, len(relay.messages)) == ("", int(mailed))


def test_the_environment_of_the_crontab_beats_the_file_and_the_flag_beats_both(job, relay):
    job("--", "false", MAILTO="env@example.test", MAILFROM="from@example.test")
    job("--mailto", "flag@example.test", "--", "false", MAILTO="env@example.test")
    first, second = relay.messages
    assert (first.recipients, first.sender) == (("env@example.test",), "from@example.test")
    assert second.recipients == ("flag@example.test",)


def test_an_empty_mailto_is_no_mail_but_the_run_is_on_record(job, relay):
    assert job("-n", "quiet", "--", "false", MAILTO="").stderr == ""
    assert relay.messages == []
    (run,) = history(job)
    assert (run["job"], run["result"], run["mailed"]) == ("quiet", "failed", False)


def test_settings_of_the_job_beat_the_defaults(cli, relay):
    cli.write_config(
        HEAD + relay.table + '[defaults]\nok-codes = [1]\n[jobs.special]\nok-codes = "2"\non = "failure"\n'
    )
    cli("--", "sh", "-c", "exit 1")
    cli("-n", "special", "--", "sh", "-c", "exit 2")
    assert relay.messages == []
    cli("-n", "special", "--", "sh", "-c", "exit 1")
    assert len(relay.messages) == 1


def test_a_changed_configuration_holds_at_once(cli, relay):
    cli.write_config(HEAD + relay.table)
    cli("--", "false")
    cli.write_config(HEAD.replace("ops@", "new@") + relay.table)
    cli("--", "false")
    assert [mail.recipients for mail in relay.messages] == [("ops@example.test",), ("new@example.test",)]


def test_a_line_that_is_wrapped_already_is_not_wrapped_again_by_the_shell(job, relay):
    def shell(text):
        process = job.start("-c", text, program=CRONWRAP_SHELL, env={"SHELL": CRONWRAP_SHELL})
        return process.wait(30)

    line = "cronwrap -n once -- sh -c 'echo said by $SHELL; exit 3'"
    assert shell(f"PATH={SCRIPTS}:$PATH; {line}") == 3
    assert shell(f"cd / && {SCRIPTS}/{line} # managed by cronwrap") == 3
    assert shell(f"{SCRIPTS}/{line}") == 3
    assert [mail.parsed["X-Cronwrap-Job"] for mail in relay.messages[-1:]] == ["once"]
    assert len(relay.messages) == 3
    assert "said by /bin/sh" in relay.messages[-1].body


# The mail ---------------------------------------------------------------------------------------


def test_the_cron_form_is_the_output_alone(job, relay):
    job("--format", "cron", "--", "sh", "-c", "echo a; echo b >&2")
    assert relay.messages[0].body == "a\nb\n"


def test_timestamps_stand_before_each_line(job, relay):
    job("--timestamps", "--", "sh", "-c", "echo a; echo b")
    assert re.search(r"^\[ *\d+\.\d+\] a\n\[ *\d+\.\d+\] b$", relay.messages[0].body, re.MULTILINE)


def test_a_command_that_is_not_found_is_127_and_mailed(job, relay):
    result = job("--", "no-such-program", "x")
    assert result.status == 127
    assert relay.messages[0].body.startswith("not started: no-such-program: command not found")


def test_a_file_that_cannot_be_executed_is_126_and_mailed(job, relay, tmp_path):
    path = tmp_path / "data"
    path.write_text("x")
    assert job("--", str(path)).status == 126
    assert relay.messages[0].parsed["X-Cronwrap-Result"] == "not started"


@pytest.mark.parametrize(
    "text",
    [
        b"printf 'a\\r\\nBcc: evil@example.test\\r\\n'; false",
        b"printf '\\033[31mred\\000\\377'; false",
        b"echo 'two\nlines'; false",
        b"echo \xff\xfe; false",
        b"echo '" + b"x" * 100_000 + b"'; false",
    ],
)
def test_no_command_or_output_breaks_or_injects_into_a_mail(job, relay, text):
    result = job("-c", text)
    assert result.status == 1
    (mail,) = relay.messages
    assert mail.recipients == ("ops@example.test",)
    assert mail.parsed["Bcc"] is None
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert mail.content.isascii()
    assert mail.parsed.defects == []


def test_a_mailto_with_a_line_break_injects_nothing(job, relay):
    result = job("--", "false", MAILTO="a@example.test\nBcc: evil@example.test")
    assert result.status == 1
    (mail,) = relay.messages
    assert "evil@example.test" not in mail.recipients
    assert mail.parsed["Bcc"] is None


def test_a_mailto_with_one_faulty_address_reaches_the_others(job, relay):
    result = job("--", "echo", "hi", MAILTO="bad address, ok@example.test")
    mail = relay.messages[-1]
    assert mail.recipients == ("ok@example.test",)
    assert "'bad address' is not an address" in mail.body
    assert "'bad address' is not an address" in result.stderr


def test_the_output_survives_octet_by_octet(job, relay):
    job("--", sys.executable, "-c", "import os; os.write(1, bytes(range(256)) * 300)")
    (part,) = relay.messages[0].parsed.iter_attachments()
    assert part.get_content() == bytes(range(256)) * 300


def test_secrets_are_taken_out_before_anything_is_stored_or_sent(cli, relay):
    cli.write_config(HEAD + relay.table + "[redact]\npatterns = ['token=\\S+']\n")
    cli("-n", "s", "--", "sh", "-c", "echo token=hush; echo https://me:hunter2@example.test/; exit 1")
    text = relay.messages[0].content.decode() + relay.messages[0].body + relay.messages[0].subject
    shown = cli("show").stdout + cli("history", "--json").stdout
    for secret in ("hush", "hunter2"):
        assert secret not in text
        assert secret not in shown


# Without a relay, and in rehearsal --------------------------------------------------------------


def test_without_a_relay_the_report_is_kept_and_one_line_says_so(cli):
    result = cli("--", "false")
    assert result.status == 1
    assert result.stderr.count("\n") == 1
    assert "cronwrap init" in result.stderr
    (line,) = cli("outbox", "--json").stdout.splitlines()
    assert json.loads(line)["state"] == "queued"


def test_a_rehearsal_prints_the_mail_and_keeps_nothing(job, relay):
    result = job("--dry-run", "--", "sh", "-c", "echo hi; exit 3")
    assert result.status == 3
    assert "Subject: Cron <" in result.stdout
    assert "exit status 3 after" in result.stdout
    assert "hi" in result.stdout
    assert relay.messages == []
    left = [name for _, _, names in os.walk(job.state) for name in names if name != "settings.cache"]
    assert left == []


def test_a_server_that_never_answers_bounds_the_run(cli, make_misbehaving):
    server = make_misbehaving("banner", "hang")
    cli.env |= {**server.environment, "CRONWRAP_DELIVERY_INLINE": "1s", "MAILTO": "ops@example.test"}
    result = cli("--", "false", timeout=10)
    assert result.status == 1
    assert json.loads(cli("outbox", "--json").stdout)["state"] == "queued"


def test_an_unknown_certificate_is_kept_with_what_to_do(cli, relay):
    cli.env |= {**relay.environment, "MAILTO": "ops@example.test"}
    del cli.env["CRONWRAP_RELAY_CA_FILE"]
    result = cli("--", "false")
    assert "fingerprint" in result.stderr
    assert "sha256:" in result.stderr
    assert relay.messages == []


# The past ---------------------------------------------------------------------------------------


def test_failures_are_mailed_from_the_nth_in_a_row_on_and_the_recovery_after_that(job, relay):
    def run(script):
        job("-n", "j", "--after", "2", "--on", "failure,recovery", "--", "sh", "-c", script)
        return len(relay.messages)

    assert [run("exit 1"), run("exit 1"), run("true"), run("true")] == [0, 1, 2, 2]
    assert relay.messages[1].body.startswith("recovered after 2 failures")
    assert relay.messages[1].parsed["X-Cronwrap-Result"] == "recovered"


def test_reminders_come_at_most_once_in_their_time(job, relay):
    for _ in range(3):
        job("-n", "j", "--remind", "1h", "--", "false")
    assert len(relay.messages) == 1


def test_a_run_whose_cronwrap_was_killed_is_reported_once(job, relay, wait_until, tmp_path):
    started = tmp_path / "started"
    process = job.start("-n", "j", "--", "sh", "-c", f"touch {started}; exec sleep 600")
    wait_until(started.exists)
    wait_until(lambda: history(job) and history(job)[0]["result"] == "running")
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(2):
        job("-n", "j", "--", "true")
    (mail,) = relay.wait_for(1)
    assert mail.body.startswith("abandoned: cronwrap was killed while it ran")
    assert mail.parsed["X-Cronwrap-Result"] == "abandoned"
    run = history(job)[-1]["run"]
    assert f"\nrun            cronwrap show {run}\n" in mail.body
    assert "-abandoned." in mail.parsed["Message-ID"]
    assert "\nended " not in mail.body
    assert "\nduration " not in mail.body
    assert [run["result"] for run in history(job)] == ["ok", "ok", "abandoned"]


def test_a_run_is_recorded_with_what_spec_names(job):
    job("-n", "j", "--", "sh", "-c", "echo hi; exit 3")
    (run,) = history(job)
    assert set(run) == {
        "run",
        "job",
        "command",
        "host",
        "user",
        "started",
        "ended",
        "duration",
        "result",
        "exit_code",
        "signal",
        "tries",
        "reasons",
        "output_bytes",
        "cpu_seconds",
        "max_rss_bytes",
        "mailed",
    }
    assert (run["exit_code"], run["tries"], run["output_bytes"], run["mailed"]) == (3, 1, 3, True)


def test_a_history_that_cannot_be_used_neither_stops_the_job_nor_its_report(job, relay):
    job("--", "true")
    path = os.path.join(job.state, "history.db")
    with open(path, "wb") as stream:
        stream.write(b"no database" * 1000)
    assert job("--", "false").status == 1
    assert "history" in relay.messages[0].body
    assert job("--", "false").status == 1


def test_a_state_directory_that_cannot_be_written_neither_stops_the_job_nor_its_report(job, relay):
    with open(job.state, "w") as stream:
        stream.write("a file where the directory should be")
    result = job("--", "false")
    assert result.status == 1
    assert "cannot be written" in result.stderr
    assert len(relay.messages) == 1


# What a quiet run costs -------------------------------------------------------------------------

QUIET = """
import sys
sys.argv[1:] = ["--", "true"]
before = set(sys.modules)
import cronwrap.__main__ as main
main.leave = lambda status: None
status = main.main()
print(status, *sorted(set(sys.modules) - before))
"""

LOADED = {
    "__future__",
    "_ctypes",
    "_posixsubprocess",
    "atexit",
    "cronwrap",
    "errno",
    "fcntl",
    "gc",
    "itertools",
    "marshal",
    "pwd",
    "resource",
    "select",
    *(f"cronwrap.{name}" for name in (*bundle_writer.MODULES, *bundle_writer.AFTER)),
}


def test_a_quiet_run_loads_these_modules_and_no_others(job):
    # A file is cached once it is a few seconds old; what is loaded without one is the same.
    del job.env["CRONWRAP_DELIVERY_BACKGROUND"]  # an option would have their table loaded
    job("--", "true", CRONWRAP_CONFIG="")  # the first one makes the history
    process = job.start("-c", QUIET, program=sys.executable, stdout=-1, env={"CRONWRAP_CONFIG": ""})
    status, *loaded = process.communicate()[0].decode().split()
    assert status == "0"
    # What reads output is there before a job starts where it is not in a file beside: test_bundle.py.
    assert set(loaded) - LOADED == {f"cronwrap.{name}" for name in bundle_writer.SPOKEN}
    assert "_posixsubprocess" in loaded  # by which the job is started without a copy of our memory
    assert {name for name in LOADED if name.startswith("cronwrap")} <= set(loaded)


COSTLY = {
    "contextlib",
    "bisect",
    "struct",
    "json",
    "email",
    "re",
    "enum",
    "dataclasses",
    "typing",
    "subprocess",
}
"""What no run that fails has a use for, be there an output to report and a history to ask."""


def test_a_run_that_fails_and_is_reported_loads_none_of_the_costly_modules(job):
    del job.env["CRONWRAP_DELIVERY_BACKGROUND"]
    job("--", "false", CRONWRAP_CONFIG="")  # the first one makes the history
    text = QUIET.replace('"true"', '"sh", "-c", "echo said; exit 3"')
    process = job.start("-c", text, program=sys.executable, stdout=-1, stderr=-1, env={"CRONWRAP_CONFIG": ""})
    status, *loaded = process.communicate()[0].decode().split()
    assert status == "3"
    assert {"cronwrap.report.compose", "_sqlite3"} <= set(loaded)
    assert set(loaded) & COSTLY == set()
