"""Lines against patterns: the same answer however the output arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cronwrap.job import matching
from cronwrap.job.matching import LINE_LIMIT, MATCHES_KEPT, Matcher
from cronwrap.model import STDERR, STDOUT


def looked_at(pieces, fail=(), ignore=(), stream=STDOUT):
    matcher = Matcher(fail, ignore)
    for piece in pieces:
        matcher.feed(stream, piece)
    matcher.finish()
    return matcher


def test_a_pattern_is_found_anywhere_in_a_line():
    assert looked_at([b"all fine\nan ERROR here\n"], fail=["ERROR"]).matched == ["an ERROR here"]


def test_a_line_in_two_pieces_is_one_line():
    assert looked_at([b"an ERR", b"OR here\nx"], fail=["ERROR"]).matched == ["an ERROR here"]


def test_the_streams_are_not_mixed_up_within_a_line():
    matcher = Matcher(["ERROR"], [])
    matcher.feed(STDOUT, b"ERR")
    matcher.feed(STDERR, b"OR\n")
    matcher.finish()
    assert matcher.matched == []
    assert matcher.counted == {STDOUT, STDERR}


def test_a_last_line_without_a_line_end_is_looked_at():
    assert looked_at([b"fine\nERROR"], fail=["^ERROR$"]).matched == ["ERROR"]


def test_a_line_end_of_another_system_is_no_part_of_the_line():
    assert looked_at([b"ERROR\r\n"], fail=["^ERROR$"]).matched == ["ERROR"]


def test_ignored_lines_do_not_count_as_output():
    assert looked_at([b"debug 1\ndebug 2\n"], ignore=["^debug"]).counted == set()
    assert looked_at([b"debug 1\nhello\n"], ignore=["^debug"]).counted == {STDOUT}


def test_an_ignored_line_can_still_be_a_failure():
    matcher = looked_at([b"debug: ERROR\n"], fail=["ERROR"], ignore=["^debug"])
    assert (matcher.counted, matcher.matched) == (set(), ["debug: ERROR"])


def test_octets_that_are_no_text_can_be_matched_around():
    assert len(looked_at([b"\xff\xfe ERROR \x80\n"], fail=["ERROR"]).matched) == 1


def test_few_matches_are_kept_each_whole_so_that_secrets_can_be_found_in_them():
    matched = looked_at([b"ERROR" + b"x" * 1000 + b"\n"] * 100, fail=["ERROR"]).matched
    assert [len(line) for line in matched] == [1005] * MATCHES_KEPT


def test_a_match_inside_a_line_that_was_cut_does_not_begin_with_half_a_word():
    line = b"x" * LINE_LIMIT + b"RESTOFATOKEN ERROR\n"
    assert looked_at([line], fail=["ERROR"]).matched == ["… ERROR"]


def test_a_line_without_an_end_does_not_fill_the_memory():
    matcher = Matcher(["needle$"], [])
    for _ in range(64):
        matcher.feed(STDOUT, b"x" * LINE_LIMIT)
        assert len(matcher.rest[STDOUT]) <= LINE_LIMIT
    matcher.feed(STDOUT, b"needle\n")
    assert len(matcher.matched) == 1


@given(st.text("ab\n\r", max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_how_the_output_arrives_changes_nothing(text, cuts):
    data = text.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in pairwise(places)]
    whole = looked_at([data], fail=["^ab$", "aaa"], ignore=["^b*$"])
    piecewise = looked_at(pieces, fail=["^ab$", "aaa"], ignore=["^b*$"])
    assert (whole.matched, whole.counted) == (piecewise.matched, piecewise.counted)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.binary(max_size=40))
def test_long_lines_are_cut_the_same_way_however_they_arrive(sizes, data):
    limit, matching.LINE_LIMIT = matching.LINE_LIMIT, 8
    try:
        pieces, rest = [], data
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        whole = looked_at([data], fail=["^a", "b$", "\0"], ignore=["x"])
        piecewise = looked_at([*pieces, rest], fail=["^a", "b$", "\0"], ignore=["x"])
    finally:
        matching.LINE_LIMIT = limit
    assert (whole.matched, whole.counted) == (piecewise.matched, piecewise.counted)
