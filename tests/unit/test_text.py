"""Claims about the words for people."""

import unicodedata
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap import spans, text
from cronwrap.crontab import host_zone


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.0042, "0.004 s"),
        (0.0994, "0.099 s"),
        (0.0996, "0.10 s"),
        (0.25, "0.25 s"),
        (0.996, "1.0 s"),
        (3.14, "3.1 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "1 d"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, words):
    assert spans.duration(seconds) == words


@given(st.floats(min_value=0, max_value=1e9))
def test_a_duration_never_shows_a_full_unit_as_sixty_of_the_smaller(seconds):
    words = spans.duration(seconds).split()
    for number, unit in zip(words[::2], words[1::2], strict=True):
        assert float(number) < {"s": 60, "min": 60, "h": 24, "d": 1e9}[unit]


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_199, "10 KiB"),
        (1_048_575, "1.0 MiB"),
        (1_468_006, "1.4 MiB"),
        (47_185_920, "45 MiB"),
        (2**70, "1,024 EiB"),
    ],
)
def test_a_size_is_in_powers_of_1024(octets, words):
    assert text.size(octets) == words


def test_a_count_brings_its_noun_in_the_right_form():
    assert spans.count(1, "line") == "1 line"
    assert spans.count(1_234_567, "byte") == "1,234,567 bytes"
    assert spans.count(12_345) == "12,345"


def test_ago_tells_the_past_from_the_future_and_never_rounds_up():
    assert spans.ago(0.4) == "just now"
    assert spans.ago(59.9) == "59 s ago"
    assert spans.ago(7199) == "1 h ago"
    assert spans.ago(3 * 86400) == "3 d ago"
    assert spans.ago(-300) == "in 5 min"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("UTC0", "Mon 2026-03-02 03:05:06 +0000"),
        ("CET-1", "Mon 2026-03-02 04:05:06 +0100"),
        ("NST3:30", "Sun 2026-03-01 23:35:06 -0330"),
    ],
)
def test_a_moment_is_local_with_its_offset(zone, name, shown):
    zone(name)
    assert text.moment(1_772_420_706) == shown


@given(st.floats(allow_nan=False))
def test_any_moment_can_be_shown(unix):
    assert text.moment(unix)


def test_usual_gives_median_and_range():
    assert text.usual(()) == ""
    assert text.usual((2.0,)) == "2.0 s in the one before"
    assert text.usual((4.0, 2.0, 3.0)) == "3.0 s, from 2.0 s to 4.0 s in 3 runs"
    assert text.median((1.0, 2.0, 3.0, 10.0)) == 2.5


def test_a_strip_has_a_sign_for_each_result():
    results = ("ok", "failed", "signal", "timeout", "not-started", "skipped", "abandoned", "running")
    assert text.strip(results) == "✓✗✗✗✗·?…"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"plain \xc3\xa9\tx\n", "plain é\tx\n"),
        (b"\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        (b"a\0b\x7f\x08", "a␀b␡␈"),
        (b"\xff\xc3\x28", "\\xff\\xc3("),
        (b"\xc2\x9b31m", "\\x9b31m"),
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b"10%\r100%\n", "10%␍100%\n"),
        (
            b"".join(b"%d%%\r" % n for n in range(101)) + b"\n",
            "0%␍[… 99 versions of this line written over …]␍100%\n",
        ),
        (b"10%\x1b[2K\r20%\r\x1b[K30%\n", "10%␍20%␍30%\n"),
        (b"1\r2\r3\r4\r5\r", "1␍[… 3 versions of this line written over …]␍5"),
        ("\u2028".encode(), "\\u2028"),
    ],
)
def test_what_a_terminal_would_act_on_becomes_visible(octets, shown):
    assert text.visible(octets) == shown


@given(st.binary() | st.text(alphabet=st.characters()))
def test_visible_text_holds_no_control_characters_and_can_be_encoded(content):
    shown = text.visible(content)
    shown.encode()
    harmless = [
        character
        for character in shown
        if character in "\t\n" or ord(character) >= 0xA0 or " " <= character <= "~"
    ]
    assert len(harmless) == len(shown)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"))))
def test_text_that_is_harmless_stays_as_it_is(content):
    assert text.visible(content.encode()) == content
    assert text.one_line(content) == content


def test_undecodable_arguments_are_shown_by_their_octets():
    assert text.visible(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"
    assert text.one_line("\ud800") == "\\ud800"


@given(st.binary() | st.text(alphabet=st.characters()), st.integers(min_value=1, max_value=20))
def test_one_line_is_one_line_and_short(content, limit):
    shown = text.one_line(content, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1


def test_a_line_break_becomes_one_space():
    assert text.one_line("a\r\nb\nc\rd\u2028e\tf") == "a b c d e f"


def test_what_is_cut_ends_in_an_ellipsis():
    assert text.shorten("abcdef", 6) == "abcdef"
    assert text.shorten("abcdefg", 6) == "abcde…"


@given(st.one_of(st.text(), st.binary()))
def test_nothing_harmless_moves_a_cursor_turns_the_direction_or_hides(content):
    for one in (False, True):
        shown = text.harmless(content, one=one)
        assert all(
            char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
            for char in shown
        )
        assert text.harmless(shown, one=one) == shown
        assert not one or "\n" not in shown


@pytest.mark.parametrize(
    "char", ["\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00ad", "\u3164", "\u034f"]
)
def test_what_is_not_seen_is_named(char):
    assert text.harmless(f"a{char}b") == f"a\\u{ord(char):04x}b"
    assert text.harmless("größer, 大きい, שלום") == "größer, 大きい, שלום"


@pytest.mark.parametrize("name", ["XXX25:99", "A-167", "UTC0", "bogus"])
def test_a_moment_is_told_to_programs_in_whatever_time_zone(zone, name):
    zone(name)
    told = text.iso(1_800_000_000.5)
    assert datetime.fromisoformat(told).timestamp() == 1_800_000_000.5
    assert host_zone.host_zone()
