"""Claims about the message as a whole: envelope, header, body, details."""

import contextlib
import re
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cronwrap.mail import Report
from cronwrap.model import Mark, Outcome, Output, Verdict
from cronwrap.past import Past
from cronwrap.report import compose as message
from support.reports import FAILED, STARTED, files_of, outcome, output, parsed, report, text_of

ANYTHING = st.text(alphabet=st.characters(), max_size=60)


def compose(*tries, **more):
    return parsed(message.compose(report(*tries, **more)).content)


def details(mail):
    """Give what stands below the signature's line, as label and value; values of several lines in one."""
    found = {}
    label = ""
    for line in text_of(mail).rpartition("\n-- \n")[2].splitlines():
        label = line[:13].strip() or label
        found[label] = "\n".join(filter(None, (found.get(label), line[15:])))
    return found


def test_the_header_is_crond_s_and_our_own():
    mail = compose(output(b"x\n"))
    assert mail["From"] == '"(Cron Daemon)" <cron@example.com>'
    assert mail["To"] == "ops@example.com"
    assert mail["Subject"] == "Cron <alice@web1> backup --all /srv"
    assert mail["Date"].datetime.timestamp() == int(STARTED + 3.1)
    assert mail["Message-ID"] == "<20260302T030506-4711.cronwrap@web1.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Precedence"] == "bulk"
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert mail["X-Cronwrap-Job"] == "backup"
    assert mail["X-Cronwrap-Result"] == "exit 2"
    assert mail["MIME-Version"] == "1.0"


@pytest.mark.parametrize(
    ("job", "label"),
    [
        ("backup", "backup"),
        ("nightly backup", "nightly-backup"),
        ("/usr/bin/backup.sh", "usr-bin-backup.sh"),
        ("a..b.", "a.b"),
        ("\r\nBcc: x@y", None),
        ("резервная копия", None),
        ("x" * 5000, None),
        ("", "00000000"),
        (".", None),
        ("\ud800", None),
    ],
)
def test_the_list_id_is_a_dot_atom_whatever_the_job_is_called(job, label):
    mail = compose(job=job)
    found = mail["List-Id"]
    atoms = r"[A-Za-z0-9_+=-]+(\.[A-Za-z0-9_+=-]+)*"
    assert re.fullmatch(rf"<{atoms}\.alice\.web1\.cronwrap>", found)
    assert len(found) < 255
    if label:
        assert found == f"<{label}.alice.web1.cronwrap>"


def test_jobs_whose_names_have_nothing_for_a_list_id_have_different_ones():
    assert compose(job="день")["List-Id"] != compose(job="ночь")["List-Id"]


def test_only_the_five_variables_are_shown_and_only_when_set():
    shown = compose(output(b"x\n")).get_all("X-Cron-Env")
    assert shown == ["<SHELL=/bin/sh>", "<HOME=/home/alice>", "<PATH=/usr/bin:/bin>"]


def test_runs_of_a_job_on_a_host_are_one_thread():
    first = compose(output(b"x\n"))["References"]
    assert compose(output(b"y\n"), run_id="another")["References"] == first
    assert compose(job="other")["References"] != first
    assert compose(host="web2.example.com")["References"] != first
    assert compose(user="bob")["References"] != first


def test_the_message_id_is_the_run_s_own_and_the_same_every_time():
    again = report(output(b"x\n"))
    assert message.compose(again) == message.compose(again)
    assert compose(run_id="strange id <>")["Message-ID"] != compose(run_id="strange id ><")["Message-ID"]
    assert len(compose(run_id="x" * 65)["Message-ID"]) < 80


def test_the_subject_has_the_command_with_its_double_spaces():
    command = (
        "find /tmp  -mtime +7 -exec rm  {} ';' && echo 'done   with it all, at long last' | logger -t cleanup"
    )
    assert compose(command=command)["Subject"] == f"Cron <alice@web1> {command}"


def test_a_huge_command_is_cut_in_the_subject_and_whole_in_the_body():
    command = "echo " + "x" * 100_000
    mail = compose(command=command)
    assert mail["Subject"].endswith("x…")
    assert details(mail)["command"] == command


def test_a_command_cannot_add_to_the_header():
    mail = compose(command="true\r\nBcc: victim@example.com\n\nbody")
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Cron <alice@web1> true Bcc: victim@example.com  body"


def test_recipients_are_in_the_envelope_once_and_in_the_header_as_written():
    made = message.compose(
        report(recipients=("no one at all", '"Doe, Jo" <a@b.example>, root', "a@b.example"))
    )
    mail = parsed(made.content)
    assert made.envelope.recipients == ("a@b.example", "root@web1.example.com")
    assert [address.addr_spec for address in mail["To"].addresses] == list(made.envelope.recipients)
    assert mail["To"].addresses[0].display_name == "Doe, Jo"
    assert "recipient passed over" in text_of(mail)


def test_one_faulty_address_does_not_keep_the_others_beside_it_from_the_mail():
    made = message.compose(report(recipients=('a b, ok@b.example, x@y@z, "Doe, Jo" <jo@b.example>',)))
    assert made.envelope.recipients == ("ok@b.example", "jo@b.example")
    body = text_of(parsed(made.content))
    assert "recipient passed over: 'a b' is not an address" in body
    assert "recipient passed over: 'x@y@z' is not an address" in body


def test_a_recipient_that_the_settings_told_of_is_told_of_once():
    known = ("MAILTO: 'a b' is not an address: a space stands before the @ (use commas between addresses)",)
    body = text_of(parsed(message.compose(report(recipients=("a b, ok@b.example",), faults=known)).content))
    assert body.count("'a b' is not an address") == 1


@pytest.mark.parametrize("recipients", [(), ("",), ("no address at all",), ("a@b\r\nRCPT TO:<c@d>",)])
def test_a_report_without_a_usable_recipient_goes_to_the_user_at_this_host(recipients):
    made = message.compose(report(recipients=recipients))
    assert made.envelope.recipients == ("alice@web1.example.com",)


@pytest.mark.parametrize(
    ("sender", "used"),
    [
        ("cron@example.com", "cron@example.com"),
        ("root", "root@web1.example.com"),
        ("", "alice@web1.example.com"),
        ("not an address", "alice@web1.example.com"),
    ],
)
def test_the_return_path_is_never_empty(sender, used):
    made = message.compose(report(sender=sender))
    assert made.envelope.sender == used
    assert parsed(made.content)["From"].addresses[0].addr_spec == used


def test_the_first_line_says_what_happened_and_the_output_follows():
    text = text_of(compose(output(b"copying\n", b"disk full\n")))
    assert text.startswith(
        "exit status 2 after 3.1 s\n\ncopying\ndisk full\n\n-- \ncommand        backup --all /srv\n"
    )


def test_notes_and_faults_stand_between_headline_and_output():
    verdict = FAILED.replace(notes=("It has failed 3 times in a row.",))
    text = text_of(compose(output(b"x\n"), verdict=verdict, faults=("config.toml: no such key: mailot",)))
    blocks = text.split("\n\n")
    notes = "It has failed 3 times in a row.\ncronwrap: config.toml: no such key: mailot"
    assert blocks[:3] == ["exit status 2 after 3.1 s", notes, "x"]


def test_a_silent_failure_has_its_headline_and_its_details():
    assert text_of(compose(Output())).startswith("exit status 2 after 3.1 s\n\n-- \ncommand ")


def test_a_run_that_never_came_to_a_try_makes_a_report_too():
    verdict = Verdict(
        result="skipped", label="skipped", headline="not run: the same job still runs", failed=False
    )
    mail = compose(verdict=verdict)
    assert text_of(mail).startswith("not run: the same job still runs\n\n-- \n")
    assert "output" not in details(mail)


def test_the_details_tell_cost_and_place():
    tried = outcome(
        output(b"x" * 90, b"y" * 9 + b"\n"),
        cpu_seconds=1.5,
        max_rss_bytes=45 << 20,
        holders=("4712 sleep 1000",),
        ended_processes=("4713 evil\x1b[2J",),
    )
    shown = details(compose(outcomes=(tried,)))
    assert shown["host"] == "web1.example.com"
    assert shown["user"] == "alice"
    assert shown["started"].endswith("00")
    assert shown["duration"] == "3.1 s"
    assert shown["CPU time"] == "1.5 s"
    assert shown["peak memory"] == "45 MiB"
    assert shown["tries"] == "1: exit status 2 after 3.1 s"
    assert shown["still running"] == "4712 sleep 1000\n(held the output open; not ended)"
    assert shown["terminated"] == "4713 evil␛[2J"
    assert shown["output"] == "100 bytes, 10 of them on standard error"
    assert shown["run"] == "cronwrap show 20260302T030506-4711"


def test_hundreds_of_processes_are_counted_not_listed():
    shown = details(compose(outcomes=(outcome(holders=tuple(f"{n} x" for n in range(1000))),)))
    assert "and 970 more" in shown["still running"]


def test_the_report_knows_the_past():
    past = Past(
        results=("ok",) * 18 + ("skipped", "failed"),
        durations=(2.0, 3.0, 10.0),
        failures_in_a_row=3,
        failing_since=STARTED - 86400,
        last_success=STARTED + 3.1 - 7500,
    )
    shown = details(compose(output(b"x\n"), past=past))
    assert shown["last runs"] == "✓" * 17 + "·✗✗"
    assert shown["duration"] == "3.1 s (usually 3.0 s, from 2.0 s to 10.0 s in 3 runs)"
    assert shown["failures"].startswith("4 in a row since Sun 2026-03-01 ")
    assert shown["last success"].endswith(", 2 h 5 min before")


def test_the_first_run_of_all_says_nothing_of_a_past():
    shown = details(compose(output(b"x\n")))
    assert not {"last runs", "failures", "last success"} & set(shown)


def test_the_output_is_compared_with_the_last_failure_s():
    same = Past(last_failure_digest=message.output_digest(output(b"x\n")))
    assert details(compose(output(b"x\n"), past=same))["output"] == "2 bytes; the same as the last failure's"
    assert (
        details(compose(output(b"y\n"), past=same))["output"] == "2 bytes; different from the last failure's"
    )
    good = Verdict(result="ok", label="ok", headline="ok", failed=False)
    assert details(compose(output(b"x\n"), past=same, verdict=good))["output"] == "2 bytes"


def test_outputs_that_differ_only_in_what_was_left_out_have_different_digests():
    assert message.output_digest(Output(head=b"a", tail=b"b")) == message.output_digest(
        Output(head=b"a", tail=b"b")
    )
    assert message.output_digest(Output(head=b"a", tail=b"b", left_out_bytes=1)) != message.output_digest(
        Output(head=b"a", tail=b"b")
    )
    assert message.output_digest(Output(head=b"ab")) != message.output_digest(Output(head=b"a"))


def test_every_try_is_shown_under_its_own_heading():
    mail = compose(
        outcomes=(outcome(output(b"first\n")), outcome(output(b"second"), exit_code=None, signal=9))
    )
    text = text_of(mail)
    first, second = text.split("\n\n")[1:3]
    assert first == "--- try 1 of 2: exit status 2 after 3.1 s ---\nfirst"
    assert second == "--- try 2 of 2: signal 9 after 3.1 s ---\nsecond"
    shown = details(mail)
    assert shown["tries"] == "1: exit status 2 after 3.1 s\n2: signal 9 after 3.1 s"
    assert shown["output 2"] == "6 bytes, no line end at its end"


def test_an_end_that_was_not_kept_is_not_said_to_lack_its_line_end():
    gone = Output(head=b"0", left_out_bytes=9, left_out_lines=5, stdout_bytes=10)
    assert "no line end" not in details(compose(gone))["output"]


def test_a_try_that_cronwrap_ended_or_could_not_start_says_so():
    tries = (
        outcome(exit_code=None, signal=15, ended_by="timeout", ended_because="after 2 h"),
        outcome(exit_code=None, error="backup: not found", error_status=127),
    )
    shown = details(compose(outcomes=tries))
    assert shown["tries"] == "1: ended by cronwrap (timeout) after 2 h\n2: not started: backup: not found"


def test_the_cron_format_is_the_output_alone():
    mail = compose(output(b"copying\n", b"disk full\n"), format="cron", faults=("config.toml: broken",))
    assert mail.get_content_type() == "text/plain"
    assert text_of(mail) == "copying\ndisk full\n"
    assert mail["X-Cronwrap-Fault"] == "config.toml: broken"


def test_the_cron_format_keeps_a_missing_last_line_end_missing():
    assert text_of(compose(output(b"no end"), format="cron")) == "no end"


def test_the_cron_format_shows_why_a_job_was_not_started():
    tried = outcome(exit_code=None, error="backup: not found", error_status=127)
    assert text_of(compose(outcomes=(tried,), format="cron")) == "backup: not found\n"


def test_the_cron_format_attaches_what_text_cannot_hold():
    mail = compose(output(b"\x1b[2Jcleared\n"), format="cron")
    assert text_of(mail) == "␛[2Jcleared\n"
    assert files_of(mail) == {"output.txt": b"\x1b[2Jcleared\n"}
    assert mail.get_body(("html",)) is None


def test_the_report_format_has_plain_text_before_html_and_no_attachment_without_need():
    mail = compose(output(b"x\n"))
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_html_escapes_all_that_comes_from_outside():
    evil = "<script>alert('\"&')</script>"
    verdict = FAILED.replace(headline=evil, notes=(evil,))
    page = text_of(
        compose(
            output(b"", evil.encode()),
            outcomes=(
                outcome(output(b"", evil.encode()), holders=(evil,)),
                outcome(output(evil.encode()), error=evil),
            ),
            **dict.fromkeys(("job", "command", "user", "host", "run_id"), evil),
            verdict=verdict,
            faults=(evil,),
        ),
        "html",
    )
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;" in page


def test_html_marks_standard_error():
    page = text_of(compose(output(b"fine\n", b"broken\n")), "html")
    assert re.search(r"fine\n<span [^>]*>broken\n</span>", page)
    assert "standard error looks like this" in page
    assert "standard error" not in text_of(compose(output(b"fine\n")), "html")


def test_html_has_a_bar_for_every_duration_and_this_run():
    page = text_of(compose(output(b"x\n"), past=Past(durations=tuple(map(float, range(1, 31))))), "html")
    assert page.count("height:48px") == 1
    assert page.count("<div title=") == 20


def test_html_stays_small_when_the_streams_alternate():
    marks = tuple(Mark(offset=n, stream=n % 2 + 1, elapsed=0.0) for n in range(60_000))
    flood = Output(head=b"x" * 60_000, stdout_bytes=30_000, stderr_bytes=30_000, marks=marks)
    assert len(text_of(compose(flood), "html")) < 100_000


OUTPUTS = st.builds(
    Output,
    head=st.binary(max_size=80),
    tail=st.binary(max_size=80),
    left_out_bytes=st.integers(0, 10**12),
    left_out_lines=st.integers(0, 10**9),
    stdout_bytes=st.integers(0, 10**12),
    stderr_bytes=st.integers(0, 10**12),
    marks=st.lists(st.integers(0, 160), max_size=5).map(
        lambda offsets: tuple(Mark(offset=at, stream=at % 2 + 1, elapsed=at / 7) for at in sorted(offsets))
    ),
)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
SPANS = st.floats(min_value=-10, max_value=1e12)
TRIES = st.builds(
    Outcome,
    started=TIMES,
    duration=SPANS,
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    error=ANYTHING,
    ended_by=ANYTHING,
    ended_because=ANYTHING,
    holders=st.lists(ANYTHING, max_size=2).map(tuple),
    ended_processes=st.lists(ANYTHING, max_size=2).map(tuple),
    cpu_seconds=SPANS,
    max_rss_bytes=st.none() | st.integers(0, 2**63),
    output=OUTPUTS,
)
VERDICTS = st.builds(
    Verdict,
    result=st.sampled_from(["ok", "failed", "signal", "skipped", "abandoned"]),
    label=ANYTHING,
    headline=ANYTHING,
    failed=st.booleans(),
    notes=st.lists(ANYTHING, max_size=2).map(tuple),
)
PASTS = st.builds(
    Past,
    results=st.lists(st.sampled_from(["ok", "failed", "anything"]), max_size=25).map(tuple),
    durations=st.lists(SPANS, max_size=25).map(tuple),
    failures_in_a_row=st.integers(0, 10**6),
    failing_since=st.none() | TIMES,
    last_success=st.none() | TIMES,
    last_failure_digest=ANYTHING,
)
REPORTS = st.builds(
    Report,
    **dict.fromkeys(("run_id", "job", "command", "user", "host", "sender"), ANYTHING),
    recipients=st.lists(ANYTHING, max_size=2).map(tuple),
    verdict=VERDICTS,
    outcomes=st.lists(TRIES, max_size=2).map(tuple),
    started=TIMES,
    ended=TIMES,
    duration=SPANS,
    environment=st.dictionaries(st.sampled_from(["SHELL", "HOME", "PATH", "LOGNAME", "USER", "X"]), ANYTHING),
    past=PASTS,
    format=st.sampled_from(["report", "cron"]),
    timestamps=st.booleans(),
    faults=st.lists(ANYTHING, max_size=2).map(tuple),
)


@settings(max_examples=150)
@given(REPORTS)
def test_any_report_makes_a_valid_message(made_from):
    made = message.compose(made_from)
    mail = parsed(made.content)
    once = (
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "References",
        "List-Id",
        "X-Cronwrap-Job",
        "X-Cronwrap-Result",
    )
    names = [name.lower() for name in mail]
    for name in once:
        assert names.count(name.lower()) == 1
        # Python's reader fails at an encoded word of nothing, as an address may look like.
        with contextlib.suppress(IndexError):
            assert len(mail.get_all(name)) == 1
    assert not {"bcc", "cc"} & {name.lower() for name in mail}
    assert made.envelope.recipients
    for address in (made.envelope.sender, *made.envelope.recipients):
        assert address.isascii()
        assert address.isprintable()
        assert "@" in address
    made.subject.encode()
    assert len(made.subject.splitlines()) <= 1


@given(ANYTHING)
@example("\n" * 30)
@example("-- \n")
def test_any_command_is_shown_in_the_details(command):
    compose(command=command)


SLOW = [
    "email",
    "re",
    "json",
    "enum",
    "dataclasses",
    "typing",
    "html",
    "hashlib",
    "collections",
    "subprocess",
]
COMPOSING = """
import sys
sys.path.insert(0, sys.argv[1])
from cronwrap.report import html
from cronwrap.report import compose as message
from cronwrap.mail import Report
from cronwrap.model import Outcome, Output, Verdict
verdict = Verdict(result="failed", label="exit 1", headline="exit status 1 after 1 s", failed=True)
tried = Outcome(started=0.0, duration=1.0, exit_code=1, output=Output(head=b"\\x1b\\xff" * 200000))
message.compose(Report(run_id="1", job="j", command="c", user="u", host="h", sender="a@b", verdict=verdict,
    recipients=("N <a@b>",), outcomes=(tried,), started=0.0, ended=1.0, duration=1.0, environment={}))
print(*sys.modules)
"""


def test_composing_imports_nothing_that_is_slow():
    source = message.__file__.rpartition("/cronwrap/")[0]
    command = [sys.executable, "-I", "-S", "-c", COMPOSING, source]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "cronwrap.report.mime" in loaded
    assert not set(SLOW) & set(loaded)
