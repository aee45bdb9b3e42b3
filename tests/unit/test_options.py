"""The one table of options, the readers of their values, and the fast reader of a command line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.errors import UsageError
from cronwrap.settings import job_name as job_names
from cronwrap.settings import values
from cronwrap.settings.command_line import parse, quote
from cronwrap.settings.job_name import NAME_LIMIT, job_name
from cronwrap.settings.options import BY_KEY, OPTIONS, SECTIONS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90", 90), ("90s", 90), ("1.5s", 1.5), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1h30m", 5400)],
        *[(90, 90), (1.5, 1.5), ("0", 0), (" 5m ", 300), ("1d2h3m4s", 93784)],
        *[(".1", 0.1), (".5s", 0.5), ("1m.5s", 60.5), (2.0, 2), ("36500d", 36500 * 86400)],
    ],
)
def test_a_duration_is_read_as_the_manual_has_it(text, seconds):
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5x",
        "5 m",
        "-5",
        "1e3",
        "1.s",
        ".",
        ".s",
        "nan",
        "inf",
        "5m5",
        "\u0661s",
        True,
        None,
        [],
    ],
)
def test_what_is_no_duration_is_told_with_the_right_forms(text):
    with pytest.raises(ValueError, match="write 90, 90s"):
        values.duration(text)


@pytest.mark.parametrize("text", ["100000d", "36500d1s", "9" * 400 + "d", 1e300, 10**12])
def test_a_duration_beyond_measure_is_told_what_the_most_is(text):
    with pytest.raises(ValueError, match=r"is too long: the most is 36500d$"):
        values.duration(text)


@pytest.mark.parametrize("key", ["history.keep", "delivery.lifetime"])
def test_what_is_kept_for_days_must_say_so(key):
    read = next(option.read for option in SECTIONS if option.key == key)
    assert (read("90d"), read(" 1.5h ")) == (90 * 86400, 5400)
    for bare in (90, "90", " 90 ", 90.0):
        with pytest.raises(ValueError, match="lacks its unit: write 90d"):
            read(bare)
    with pytest.raises(ValueError, match="is not a duration"):
        read("soon")


@pytest.mark.parametrize(
    ("text", "octets"),
    [("512", 512), ("64K", 65536), ("1M", 1 << 20), ("2G", 2 << 30), ("1m", 1 << 20), (512, 512), ("0", 0)],
)
def test_a_size_is_in_powers_of_1024(text, octets):
    assert values.size(text) == octets


@pytest.mark.parametrize("text", ["", "M", "1.5M", "-1", "1KB", "9" * 20, True, None, 1.5])
def test_what_is_no_size_is_told_with_the_right_forms(text):
    with pytest.raises(ValueError, match="write 512, 64K"):
        values.size(text)


@pytest.mark.parametrize("text", ["9" * 16, "0" * 15 + "1K", "9" * 16 + "T"])
def test_a_size_beyond_measure_is_told_the_most(text):
    with pytest.raises(ValueError, match="too large: the most is 999999999999999T"):
        values.size(text)


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("0,24,100-103", (0, 24, 100, 101, 102, 103)),
        ([0, 24], (0, 24)),
        (5, (5,)),
        ("3, 1", (1, 3)),
        ("255", (255,)),
    ],
)
def test_exit_codes_are_numbers_and_ranges(value, codes):
    assert BY_KEY["ok-codes"].read(value) == codes


@pytest.mark.parametrize("value", ["", "256", "5-3", "a", "-1", "1-", [True], "0,,1", "1000-1"])
def test_what_is_no_exit_code_is_told(value):
    with pytest.raises(ValueError, match="exit code"):
        BY_KEY["ok-codes"].read(value)


@pytest.mark.parametrize(
    ("value", "events"),
    [
        ("failure,output", ("failure", "output")),
        (["Never"], ("never",)),
        ("skip , stderr", ("skip", "stderr")),
    ],
)
def test_events_are_a_list_by_commas_or_a_list(value, events):
    assert BY_KEY["on"].read(value) == events


def test_a_misspelt_event_is_told_with_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"did you mean failure\?; allowed: failure, output, stderr"):
        BY_KEY["on"].read("failur")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("after", value) for value in ("0", "-1", "x", True, "9" * 10)],
        *[("nice", value) for value in ("20", "-21", 1.5, "--5")],
        *[("retries", value) for value in ("-1", "1001")],
        *[("overlap", value) for value in ("", "block", 5, [])],
        *[("format", value) for value in ("html", None)],
        *[("ping", value) for value in ("ftp://x", "https://x y", 5)],
        *[("name", value) for value in ("", " ", "\u3000", "a\nb", "\x7f", "a\x9b", "x" * 201)],
        *[("chdir", value) for value in (5, "a\0b")],
        *[("live", value) for value in ("maybe", [], 2)],
        *[("mailto", value) for value in (5, "a b@c@d", "a@b\nBcc: x@y", ["a@b", 5])],
    ],
)
def test_a_bad_value_is_refused(key, value):
    with pytest.raises(ValueError, match=r"."):
        BY_KEY[key].read(value)


@pytest.mark.parametrize("value", ["1000001", "9" * 10, "9" * 5000, "-" + "9" * 20, 10**18])
def test_a_whole_number_that_is_too_large_is_told_the_bounds(value):
    with pytest.raises(ValueError, match="is not between 1 and 1000000"):
        BY_KEY["after"].read(value)


@pytest.mark.parametrize(
    ("word", "value"), [("1", True), ("yes", True), ("ON", True), (True, True), ("0", False), ("no", False)]
)
def test_booleans_have_the_usual_words(word, value):
    assert values.boolean(word) is value


@given(st.sampled_from([*OPTIONS, *SECTIONS]))
def test_each_option_has_one_name_in_three_forms(option):
    assert option.flag == f"--{option.key}"
    assert option.variable.isupper()
    assert option.variable.removeprefix("CRONWRAP_").replace("_", "-").lower() == option.key.replace(".", "-")
    assert option.help


# The command line -------------------------------------------------------------------------------


def test_all_after_the_first_double_dash_belongs_to_the_job():
    found = parse(["-n", "x", "--", "cmd", "--", "-n", "--timeout", "5", ""])
    assert found.words == ("cmd", "--", "-n", "--timeout", "5", "")
    assert found.flags == {"name": "x"}


@pytest.mark.parametrize(
    "words",
    [
        ["--timeout", "5m", "--", "x"],
        ["--timeout=5m", "--", "x"],
    ],
)
def test_a_value_stands_behind_a_flag_or_an_equals_sign(words):
    assert parse(words).flags == {"timeout": 300}


def test_a_short_flag_may_have_its_value_attached():
    assert parse(["-tops@x", "-C/tmp", "-c", "x"]).flags == {"mailto": "ops@x", "chdir": "/tmp"}


def test_repeatable_options_add_up_and_others_take_the_last():
    words = ["--fail-match", "a,b", "--fail-match", "c", "--nice", "1", "--nice=2", "-c", "x"]
    assert parse(words).flags == {"fail-match": ("a,b", "c"), "nice": 2}


def test_quiet_is_not_live_and_the_last_one_counts():
    assert parse(["--live", "--quiet", "-c", "x"]).flags == {"live": False}
    assert parse(["--quiet", "--live", "-c", "x"]).flags == {"live": True}


@pytest.mark.parametrize(
    "words", [[], ["status"], ["--help"], ["-h"], ["--version"], ["--config", "x", "status"]]
)
def test_what_is_not_the_command_form_is_left_to_the_surface(words):
    assert parse(words) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--"], "no command after --"),
        (["--", ""], "no command after --"),
        (["-c"], "-c needs a command text"),
        (["-cecho x"], "-c and its TEXT are two words"),
        (["-c", "x", "--", "y"], "exclude each other"),
        (["-c", "x", "y"], "quote the whole command"),
        (["--timeuot", "5", "--", "x"], "did you mean --timeout?"),
        (["--timeout", "soon", "--", "x"], "--timeout: 'soon' is not a duration"),
        (["--timeout"], "--timeout needs a value: --timeout D"),
        (["--quiet=1", "--", "x"], "takes no value"),
        (["-x", "--", "y"], "no such option: -x"),
    ],
)
def test_a_usage_error_says_what_is_wrong(words, said):
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert said in str(caught.value)


@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from(["--", "-c", "--on", "-n", "--nice=1", "--live"]), max_size=6
    )
)
def test_any_command_line_is_read_or_refused(words):
    try:
        found = parse(words)
    except UsageError:
        return
    assert found is None or found.words or found.text is not None


@given(st.text(max_size=30))
def test_quoting_is_what_a_shell_undoes(word):
    assert shlex.split(quote(word)) == [word]


@pytest.mark.parametrize(
    ("shell", "taken"),
    [("/bin/bash", "/bin/bash"), ("", "/bin/sh"), (None, "/bin/sh"), ("/usr/bin/cronwrap-shell", "/bin/sh")],
)
def test_a_text_is_run_by_the_shell_of_the_environment_but_never_by_our_own(shell, taken):
    environ = {} if shell is None else {"SHELL": shell}
    assert parse(["-c", "a | b"]).command(environ).argv == (taken, "-c", "a | b")


# Names ------------------------------------------------------------------------------------------


def test_an_empty_text_has_a_name_of_its_own():
    command = parse(["-c", ""]).command({})
    assert command.argv == ("/bin/sh", "-c", "")
    assert values.name(job_name(command.text))


def test_a_bare_word_is_its_own_name():
    assert job_name("backup") == "backup"


@given(st.lists(st.text(min_size=1, max_size=90), min_size=2, max_size=2, unique=True))
def test_two_commands_never_share_a_name(commands):
    first, second = map(job_name, commands)
    assert first != second


@given(st.text(min_size=1, max_size=300))
def test_a_derived_name_is_short_and_plain(command):
    name = job_name(command)
    assert 0 < len(name) <= NAME_LIMIT
    assert job_names._NAME.issuperset(name)
    assert BY_KEY["name"].read(name) == name
