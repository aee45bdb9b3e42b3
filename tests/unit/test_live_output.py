"""The output so far on disk: bounded, read to the octet from any offset, and gone with the run."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.history import live_output
from cronwrap.history import so_far as of_the_dead
from cronwrap.history.live_output import Reader, Writer, sweep
from cronwrap.history.so_far import so_far
from cronwrap.model import STDERR, STDOUT, Mark, Output

RUN = "20260302T020506-4711abcd"


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "state")


def said(octets, stream=STDOUT):
    return Output(head=octets, marks=(Mark(offset=0, stream=stream, elapsed=1.0),) if octets else ())


class Written:
    """What was written, as it is expected to come back."""

    def __init__(self, place, limit):
        self.writer = Writer(place, RUN, limit)
        self.lines = self.offset = 0

    def write(self, octets, stream=STDOUT):
        self.lines += octets.count(b"\n")
        self.offset += len(octets)
        self.writer.write(said(octets, stream), self.lines)

    def skip(self, octets, lines=0):
        self.lines += lines
        self.offset += octets
        self.writer.skip(octets, self.lines)


def files(place):
    try:
        return sorted(os.listdir(os.path.join(place, "output")))
    except FileNotFoundError:
        return []


def all_of(reader, offset=0):
    pieces, skipped = [], 0
    while True:
        part = reader.read(offset)
        pieces += part.pieces
        skipped += part.skipped
        if part.next == offset:
            return pieces, skipped, part
        offset = part.next


def test_it_is_read_from_any_offset_while_it_is_written(place):
    written = Written(place, 1 << 20)
    written.write(b"one\n")
    reader = Reader(place, RUN)
    assert reader.read(0).pieces == ((STDOUT, b"one\n"),)
    written.write(b"two\n", STDERR)
    part = reader.read(4)
    assert (part.pieces, part.next, part.skipped, part.ended) == (((STDERR, b"two\n"),), 8, 0, False)
    assert reader.read(8).pieces == ()
    assert reader.read(2).pieces == ((STDOUT, b"e\n"), (STDERR, b"two\n"))
    written.writer.end(3)
    part = reader.read(8)
    assert (part.pieces, part.ended, part.status) == ((), True, 3)
    reader.close()
    assert files(place) == []


def test_it_is_closed_to_others_and_gone_with_the_run(place):
    written = Written(place, 1 << 20)
    written.write(b"x" * 100)
    for name in files(place):
        assert stat.S_IMODE(os.stat(os.path.join(place, "output", name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.join(place, "output")).st_mode) == 0o700
    written.writer.end(0)
    assert files(place) == []


def test_who_reads_slowly_gets_the_end_of_a_run_that_has_gone(place):
    """It has parts to read yet that were made after its last look."""
    written = Written(place, 64 * 1024)
    written.write(b"a" * 1000)
    reader = Reader(place, RUN)
    assert reader.read(0).next == 1000
    written.write(b"b" * 60_000)
    written.writer.end(7)
    assert files(place)
    pieces, skipped, part = all_of(reader, 1000)
    assert (b"".join(octets for _stream, octets in pieces), skipped) == (b"b" * 60_000, 0)
    assert (part.ended, part.status) == (True, 7)
    reader.close()
    assert files(place) == []


def test_who_falls_behind_is_told_how_much_is_not_there_any_more(place):
    written = Written(place, 64 * 1024)
    written.write(b"h" * 10)
    reader = Reader(place, RUN)
    assert reader.read(0).next == 10
    for number in range(50):
        written.write(b"%04d" % number * 1000)
    pieces, skipped, _part = all_of(reader, 10)
    octets = b"".join(octets for _stream, octets in pieces)
    assert skipped > 0
    assert len(octets) + skipped == 50 * 4000
    assert octets.endswith(b"0049" * 1000)
    size = sum(os.stat(os.path.join(place, "output", name)).st_size for name in files(place))
    assert size < 64 * 1024 * 5 // 4


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"), st.text("ab\n", min_size=1, max_size=3000).map(str.encode), st.booleans()
        ),
        st.tuples(st.just("skip"), st.integers(1, 5000), st.booleans()),
        st.tuples(st.just("read"), st.just(0), st.booleans()),
    ),
    max_size=20,
)


@settings(max_examples=40)
@given(steps, st.sampled_from([0, 1, 100, 5000, 20_000]))
def test_what_is_read_and_what_is_skipped_is_all_there_was_in_order(tmp_path_factory, steps, limit):
    place = str(tmp_path_factory.mktemp("live"))
    written = Written(place, limit)
    reader = Reader(place, RUN)
    everything = b""
    offset, got = 0, b""
    for what, how, flag in [*steps, ("read", 0, True), ("read", 0, True), ("read", 0, True)]:
        if what == "write":
            written.write(how, STDERR if flag else STDOUT)
            everything += how
        elif what == "skip":
            written.skip(how)
            everything += b"#" * how
        else:
            pieces, _skipped, part = all_of(reader, offset)
            begin = offset
            for _stream, octets in pieces:
                begin = everything.index(octets, begin)
                begin += len(octets)
            got += b"".join(octets for _stream, octets in pieces)
            offset = part.next
    assert offset == len(everything.rstrip(b"#"))
    assert len(got) <= len(everything)
    output = so_far(place, RUN)
    if output:
        assert everything.startswith(output.head)
        # Behind the last line that tells of a hole, which the cut may have left any part of.
        behind = output.tail.rpartition(b"]\n")[2].removeprefix(b"\n")
        assert everything.rstrip(b"#").endswith(behind)
        assert len(output.tail) <= limit // 2
        assert output.total_bytes == len(everything.rstrip(b"#"))
        assert len(output.kept) + output.left_out_bytes >= output.total_bytes
    written.writer.end(0)
    reader.read(offset)
    reader.close()


def test_a_full_disk_costs_what_came_meanwhile_and_is_told(place, monkeypatch):
    written = Written(place, 1 << 20)
    written.write(b"before\n")
    real, full = os.pwrite, [True]

    def pwrite(fd, data, offset):
        if full[0]:
            real(fd, bytes(data)[:5], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(live_output.os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space"):
        written.write(b"lost\n")
    full[0] = False
    written.write(b"after\n")
    reader = Reader(place, RUN)
    pieces, skipped, _part = all_of(reader)
    assert (pieces, skipped) == ([(STDOUT, b"before\n"), (STDOUT, b"after\n")], len(b"lost\n"))
    reader.close()
    output = so_far(place, RUN)
    assert (output.head, output.tail) == (b"before\n", b"after\n")
    assert (output.left_out_bytes, output.left_out_lines, output.stdout_bytes) == (5, 1, 18)


@pytest.mark.parametrize("octet", range(0, 60, 7))
def test_a_frame_that_a_power_cut_has_torn_ends_what_is_known(place, octet):
    written = Written(place, 1 << 20)
    written.write(b"whole\n")
    size = os.stat(os.path.join(place, "output", f"{RUN}.0")).st_size
    written.write(b"a line that is torn by the power cut, in one way or another\n")
    with open(os.path.join(place, "output", f"{RUN}.0"), "r+b") as file:
        file.seek(size + octet)
        file.write(b"\xa5")
    assert so_far(place, RUN).head == b"whole\n"
    reader = Reader(place, RUN)
    assert all_of(reader)[0] == [(STDOUT, b"whole\n")]
    reader.close()


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_whatever_lies_there_is_read_without_harm(tmp_path_factory, octets):
    place = str(tmp_path_factory.mktemp("live"))
    written = Written(place, 1 << 20)
    written.write(b"x\n")
    with open(os.path.join(place, "output", f"{RUN}.0"), "wb") as file:
        file.write(octets)
    so_far(place, RUN)
    reader = Reader(place, RUN)
    reader.read(0)
    reader.close()


def test_what_the_killed_left_is_swept_once_their_runs_are_off_the_record(place):
    written = Written(place, 1 << 20)
    written.write(b"x\n")
    runs = os.path.join(place, "runs")
    os.makedirs(runs, mode=0o700)
    begun = os.path.join(runs, f"{RUN}.0123abcd")
    with open(begun, "wb"):
        pass
    sweep(place)
    assert files(place)
    os.rename(begun, f"{begun}.end")
    reader = Reader(place, RUN)
    sweep(place)
    assert files(place), "somebody reads it yet"
    reader.close()
    sweep(place)
    assert files(place) == []


@pytest.mark.parametrize("last", [1, 12, 13, 14, 20, 40, 41, 42, 43, 60])
def test_the_words_of_a_hole_are_never_cut(last):
    frames = [of_the_dead.Frame(0, 0, 0.0, 1, b"first"), of_the_dead.Frame(905, 0, 1.0, 1, b"then the last")]
    tail = of_the_dead._output(frames, 5, last).tail
    words = b"\n[... 900 bytes left out ...]\n"
    assert tail.startswith((words, b"then"[-last:])) or b"left out" not in tail
    assert b"left out" not in tail or words in tail
