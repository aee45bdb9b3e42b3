"""What is kept of a job's output, against a model that keeps everything."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.job.capture import MARKS_LIMIT, POUR, SAMPLE, Capture, _newlines
from cronwrap.job.matching import Matcher
from cronwrap.model import STDERR, STDOUT, Mark, Output

PIECES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.text("ab\n", min_size=1, max_size=40).map(str.encode)),
    max_size=30,
)
LIMITS = st.integers(0, 120)


def captured(limit, pieces, *, timed=False, matcher=None):
    """Feed pieces through one buffer that is re-used, as the supervisor does."""
    capture = Capture(limit, timed=timed, matcher=matcher)
    buffer = bytearray(64)
    for moment, (stream, data) in enumerate(pieces):
        buffer[: len(data)] = data
        capture.add(stream, buffer, len(data), float(moment))
        buffer[:] = b"#" * len(buffer)
    return capture.output()


@given(st.lists(st.integers(0, POUR), max_size=40), st.integers(1, 9), st.integers(2 * POUR, 3 * POUR))
def test_what_pours_is_kept_and_counted_as_if_it_had_been_taken_piece_by_piece(lengths, reads, limit):
    start = b"\n" * 2 * limit
    capture, everything, left = Capture(limit), bytearray(start), list(lengths)
    capture.add(STDOUT, bytearray(start), len(start), 0.0)

    def readv(_descriptor, views):
        if not left:
            raise BlockingIOError
        data = (b"a\n" + bytes([65 + len(left)]) * POUR)[: min(left.pop(0), len(views[0]))]
        views[0][: len(data)] = data
        everything.extend(data)
        return len(data)

    while left:
        capture.pour(STDOUT, 0, readv, reads)
        for stream, data in ((STDERR, b"e\n"), (STDOUT, b"o")):
            capture.add(stream, bytearray(data), len(data), 1.0)
            everything += data
    assert [capture.pour(stream, 0, readv, reads) for stream in (0, STDERR)] == [0, 0]
    assert Capture(limit).pour(0, 0, readv, reads) == 0
    output = capture.output()
    assert (output.head, output.tail) == (everything[: limit - limit // 2], everything[-(limit // 2) :])
    assert output.total_bytes == len(everything)
    assert output.left_out_lines == everything.count(b"\n") - output.kept.count(b"\n")


@pytest.mark.parametrize("how", [{"timed": True}, {"matcher": Matcher(["x"], [])}])
def test_what_must_be_seen_as_it_arrives_is_not_poured(how):
    assert captured_whole(STDOUT).pour(STDOUT, 0, lambda *_: 5, 1) == 5
    assert captured_whole(STDOUT, **how).pour(STDOUT, 0, lambda *_: pytest.fail("read"), 1) == 0


def captured_whole(stream, **how):
    """Give a capture of a stream that has gone beyond both halves."""
    capture = Capture(4 * POUR, **how)
    capture.add(stream, bytearray(b"x" * 6 * POUR), 6 * POUR, 0.0)
    return capture


def told(output, what):
    """Give for each octet that was kept what its mark says: its ``stream``, or its time (``elapsed``)."""
    offsets = [mark.offset for mark in output.marks]
    ends = [*offsets[1:], len(output.kept)][: len(offsets)]
    return [
        getattr(mark, what)
        for mark, end in zip(output.marks, ends, strict=True)
        for _ in range(end - mark.offset)
    ]


@given(LIMITS, PIECES)
def test_what_is_kept_is_the_first_half_and_the_last_half(limit, pieces):
    everything = b"".join(data for _, data in pieces)
    output = captured(limit, pieces)
    if len(everything) <= limit:
        assert (output.head, output.tail) == (everything, b"")
    else:
        first, last = limit - limit // 2, limit // 2
        assert output.head == everything[:first]
        assert output.tail == everything[len(everything) - last :]


@given(LIMITS, PIECES)
def test_what_was_left_out_is_counted_exactly(limit, pieces):
    everything = b"".join(data for _, data in pieces)
    output = captured(limit, pieces)
    gap = everything[len(output.head) : len(everything) - len(output.tail)]
    assert (output.left_out_bytes, output.left_out_lines) == (len(gap), gap.count(b"\n"))
    assert output.stdout_bytes == sum(len(data) for stream, data in pieces if stream == STDOUT)
    assert output.stderr_bytes == sum(len(data) for stream, data in pieces if stream == STDERR)
    assert output.total_bytes == len(everything)


@given(st.lists(st.sampled_from([0, 1, 30, 60, 500, SAMPLE]), max_size=40), st.integers(0, 999))
def test_line_ends_are_counted_alike_however_long_lines_are(lengths, start):
    data = bytearray(b"".join(b"x" * length + b"\n" for length in lengths))
    end = len(data) - start // 2
    assert _newlines(data, start, end) == bytes(data[start:end]).count(b"\n")


@given(LIMITS, PIECES, st.booleans())
def test_the_marks_tell_the_stream_of_each_octet_kept(limit, pieces, timed):
    streams = [stream for stream, data in pieces for _ in data]
    output = captured(limit, pieces, timed=timed)
    kept = streams[: len(output.head)] + streams[len(streams) - len(output.tail) :]
    assert told(output, "stream") == kept
    offsets = [mark.offset for mark in output.marks]
    assert offsets == sorted(set(offsets))
    assert offsets[:1] == ([0] if output.kept else [])


@given(LIMITS, PIECES)
def test_timed_marks_tell_when_each_octet_kept_arrived(limit, pieces):
    moments = [float(moment) for moment, (_, data) in enumerate(pieces) for _ in data]
    output = captured(limit, pieces, timed=True)
    kept = moments[: len(output.head)] + moments[len(moments) - len(output.tail) :]
    assert told(output, "elapsed") == kept


@given(LIMITS, PIECES)
def test_the_matcher_sees_everything_whatever_is_kept(limit, pieces):
    matcher = Matcher(["^aba$"], [])
    captured(limit, pieces, matcher=matcher)
    matcher.finish()
    wanted = sum(
        b"".join(data for of, data in pieces if of == stream).split(b"\n").count(b"aba")
        for stream in (STDOUT, STDERR)
    )
    assert len(matcher.matched) == min(wanted, 5)


@pytest.mark.parametrize(("limit", "head", "tail"), [(0, b"", b""), (1, b"a", b""), (2, b"a", b"z")])
def test_the_smallest_limits_hold(limit, head, tail):
    output = captured(limit, [(STDOUT, b"a\nmore\nz")])
    assert (output.head, output.tail) == (head, tail)
    assert output.left_out_bytes == 8 - limit
    assert output.left_out_lines == 2


def test_no_output_is_no_output():
    assert captured(10, []) == Output()


def test_marks_of_one_stream_are_one_stretch():
    output = captured(100, [(STDOUT, b"one\n"), (STDOUT, b"two\n"), (STDERR, b"three\n")])
    assert output.marks == (
        Mark(offset=0, stream=STDOUT, elapsed=0.0),
        Mark(offset=8, stream=STDERR, elapsed=2.0),
    )


def test_memory_is_bounded_whatever_is_written():
    capture = Capture(1 << 20)
    buffer = bytearray(b"0123456789abcde\n" * 4096)
    tracemalloc.start()
    try:
        for _ in range(1024):  # 64 MiB
            capture.add(STDOUT, buffer, len(buffer), 0.0)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    output = capture.output()
    assert len(output.kept) == 1 << 20
    assert output.left_out_bytes == (64 << 20) - (1 << 20)


def test_a_limit_far_beyond_the_output_costs_nothing():
    tracemalloc.start()
    try:
        output = captured(1 << 40, [(STDOUT, b"hello\n")])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert output.kept == b"hello\n"


def test_a_job_that_alternates_for_ever_fills_no_memory_with_marks():
    pieces = [(STDOUT, b"o"), (STDERR, b"e")] * (2 * MARKS_LIMIT)
    output = captured(8 * MARKS_LIMIT, pieces)
    assert output.kept == b"oe" * (2 * MARKS_LIMIT)
    assert len(output.marks) <= 2 * MARKS_LIMIT
    assert told(output, "stream")[:MARKS_LIMIT] == [STDOUT, STDERR] * (MARKS_LIMIT // 2)


@given(PIECES, LIMITS, st.lists(st.booleans(), min_size=30, max_size=30), st.booleans())
def test_what_came_since_a_position_and_what_is_gone_is_all_there_was(pieces, limit, looks, timed):
    """Whoever follows gets each octet once, with its stream, or is told that it has gone."""
    capture = Capture(limit, timed=timed)
    everything, streams = b"", b""
    got, got_streams = b"", b""
    lines = 0

    def follow():
        nonlocal got, got_streams, lines
        while len(got) < capture.total:
            gone, all_lines, found = capture.since(len(got))
            got += b"#" * gone
            got_streams += b"#" * gone
            for stream, _elapsed, octets in found:
                got += octets
                got_streams += bytes((stream,)) * len(octets)
            lines = all_lines if gone else lines
            assert gone or found

    for (stream, data), look in zip(pieces, looks, strict=False):
        capture.add(stream, bytearray(data), len(data), 0.0)
        everything += data
        streams += bytes((stream,)) * len(data)
        if look:
            follow()
    follow()
    assert len(got) == len(everything)
    assert all(a in (b, ord("#")) for a, b in zip(got, everything, strict=True))
    assert all(a in (b, ord("#")) for a, b in zip(got_streams, streams, strict=True))
    assert b"#" not in got[: limit - limit // 2]
    assert lines <= everything.count(b"\n")
