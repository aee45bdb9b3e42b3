"""Wrapping touches the jobs alone, says what it leaves, and comes off to the octet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.crontab.lines import decode, encode, jobs, parse
from cronwrap.crontab.shell import balanced, words
from cronwrap.crontab.wrap import LONGEST_COMMAND, unwrap, use_of, wrap
from cronwrap.errors import UsageError

PIECES = (
    *(b"* * * * * ", b"@daily ", b"root ", b"SHELL=/bin/bash\n", b"SHELL=/bin/zsh\n", b"ENV=/x\n", b"echo x"),
    *(b"cronwrap -- ", b"cronwrap -c '", b"'", b'"', b"\\", b"%", b"\\%", b" ", b"\t", b"#", b"tool a"),
    *(b"\n", b"\n* * * * * ", b"\r\n", b"\0", b"\xff", b"\xc3\xa9", b"=", b"*", b"~", b"$", b";", b"x" * 980),
)
OCTETS = st.one_of(st.binary(max_size=100), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))

FILE = """\
# m h dom mon dow
SHELL=/bin/sh
MAILTO="a@example.com"

*/5 *\t* * *\t /usr/bin/tool  --flag
0 3 * * mon  cd /srv && ./backup 'a b' >/dev/null
@daily mail -s "It's 10pm" joe%Joe,%%Where are your kids?%
"""

WRAPPED = """\
# m h dom mon dow
SHELL=/bin/sh
MAILTO="a@example.com"

*/5 *\t* * *\t cronwrap -- /usr/bin/tool  --flag
0 3 * * mon  cronwrap -c 'cd /srv && ./backup '\\''a b'\\'' >/dev/null'
@daily cronwrap -c 'mail -s "It'\\''s 10pm" joe'%Joe,%%Where are your kids?%
"""


def command_after(text, **options):
    (job,) = jobs(parse(wrap(text, **options).text, system=options.get("system", False)))
    return job.command


def test_only_the_commands_change():
    assert wrap(FILE).text == WRAPPED
    assert unwrap(WRAPPED).text == FILE


@given(OCTETS, st.booleans(), st.sampled_from(["cronwrap", "/opt/a/cronwrap --timeout 2h -n 'a b'"]))
def test_wrapping_is_idempotent_and_comes_off_to_the_octet(octets, system, prefix):
    text = decode(octets)
    once = wrap(text, prefix=prefix, system=system)
    assert wrap(once.text, prefix=prefix, system=system).text == once.text
    unwrap(text, system=system)
    # A line that was wrapped by hand comes off as well, so it can only differ from what it was.
    if not any(use_of(job.command) for job in jobs(parse(text, system=system))):
        assert encode(unwrap(once.text, system=system).text) == octets


def test_a_crontab_with_a_user_column_is_wrapped_behind_it():
    text = "17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly\n"
    wrapped = wrap(text, system=True).text
    assert wrapped == "17 *\t* * *\troot    cronwrap -c 'cd / && run-parts --report /etc/cron.hourly'\n"
    assert unwrap(wrapped, system=True).text == text


def test_a_prefix_may_have_a_path_and_options():
    prefix = "/opt/x/bin/cronwrap --timeout 2h"
    wrapped = wrap("@daily tool\n@daily a;b\n", prefix=prefix)
    assert wrapped.text == f"@daily {prefix} -- tool\n@daily {prefix} -c 'a;b'\n"
    back = unwrap(wrapped.text)
    assert back.text == "@daily tool\n@daily a;b\n"
    assert [change.remark for change in back.changes] == ["options dropped: --timeout 2h"] * 2


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "tool", "cronwrap --", "cronwrap -c x", "cronwrap status", "cronwrap --nonsense"),
        *("cronwrap --timeout", "cronwrap -n a%b", "cronwrap; x", "cronwrap 'open", "cronwrap\n"),
        *("A=b cronwrap", "cronwrap --help"),
    ],
)
def test_a_prefix_that_would_not_run_the_job_is_refused(prefix):
    with pytest.raises(UsageError):
        wrap(FILE, prefix=prefix)


@pytest.mark.parametrize(
    "command",
    [
        "cronwrap -- tool",
        "/opt/x/cronwrap --timeout 2h -- tool",
        "cronwrap -c 'tool'",
        "'cronwrap' -c tool",
        "CRONWRAP_TIMEOUT=2h cronwrap -- tool",
        "cronwrap crontab audit",
        "cronwrap -- tool | tee log",
    ],
)
def test_a_wrapped_line_is_left_alone_without_a_word(command):
    result = wrap(f"@daily {command}\n")
    assert result.text == f"@daily {command}\n"
    assert [(change.changed, change.remark) for change in result.changes] == [(False, "")]


def test_chronic_is_a_job_like_any_other():
    assert command_after("@daily chronic tool\n") == "cronwrap -- chronic tool"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("SHELL=/usr/bin/fish\n@daily a b\n", "SHELL=/usr/bin/fish"),
        ("SHELL=/usr/bin/python3\n@daily print(1)\n", "wrap it by hand"),
        ("* * * * * * x\n", "sixth field"),
        ("@daily a\0b\n", "NUL"),
        ("@daily %text\n", "no command"),
    ],
)
def test_what_is_left_has_a_reason(text, part):
    result = wrap(text)
    assert result.text == text
    assert part in result.changes[0].remark


def test_a_shell_that_wraps_leaves_nothing_to_do():
    text = "SHELL=/usr/local/bin/cronwrap-shell\n@daily a | b\n"
    assert wrap(text).text == text


def test_a_line_that_cron_would_then_find_too_long_is_left():
    fits = "x" * (LONGEST_COMMAND - len("cronwrap -- "))
    assert command_after(f"@daily {fits}\n") == f"cronwrap -- {fits}"
    result = wrap(f"@daily {fits}x\n")
    assert result.text == f"@daily {fits}x\n"
    assert "999 octets" in result.changes[0].remark


def test_octets_are_counted_not_characters():
    half = "é" * (LONGEST_COMMAND // 2)
    assert not wrap(f"@daily {half}\n").changes[0].changed


@pytest.mark.parametrize("setting", ["SHELL=/bin/zsh", "ENV=/etc/shrc", "BASH_ENV=/root/.functions"])
def test_a_shell_that_may_know_the_command_better_runs_it(setting):
    assert command_after(f"{setting}\n@daily tool one\n") == "cronwrap -c 'tool one'"


@pytest.mark.parametrize(
    ("command", "unwrapped", "remark"),
    [
        ("cronwrap --  tool a", "tool a", ""),
        ("cronwrap -n x --quiet -- tool", "tool", "options dropped: -n x --quiet"),
        ("cronwrap -c tool", "tool", ""),
        ('cronwrap -c "a; b $HOME" -n x', "a; b $HOME", "options dropped: -n x"),
        ("cronwrap -- tool | tee log", "tool | tee log", ""),
        ("A=b cronwrap -- tool", "A=b tool", ""),
        (r"cronwrap -c 'date +\%F'%in", r"date +\%F%in", ""),
        ("cronwrap -n -- -- tool", "tool", "options dropped: -n --"),
    ],
)
def test_what_was_written_by_hand_comes_off_as_well(command, unwrapped, remark):
    result = unwrap(f"@daily {command}\n")
    assert result.text == f"@daily {unwrapped}\n"
    assert result.changes[0].remark == remark


@pytest.mark.parametrize(
    "command",
    [
        "cronwrap -c 'a' >log",
        r'cronwrap -c "a \"b\""',
        "cronwrap -c $X",
        "A=b cronwrap -c a",
        "cronwrap -c",
        "cronwrap --",
    ],
)
def test_what_cannot_be_taken_off_is_left_with_a_reason(command):
    result = unwrap(f"@daily {command}\n")
    assert result.text == f"@daily {command}\n"
    assert result.changes[0].remark


def test_a_subcommand_in_a_crontab_is_no_wrapped_job():
    assert unwrap("@daily cronwrap crontab audit\n").text == "@daily cronwrap crontab audit\n"


@given(st.text())
def test_words_and_balance_of_any_text_can_be_asked(text):
    found, end = words(text)
    assert 0 <= end <= len(text)
    assert all(text[word.start : word.end] for word in found)
    balanced(text)
