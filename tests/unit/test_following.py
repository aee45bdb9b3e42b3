"""What a run says from any offset on: the same octets while it lasts and once it has ended."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.history import live_output
from cronwrap.history.kept_output import KEEP_BYTES, Kept, pack, unpack
from cronwrap.history.live_output import Reader, Writer
from cronwrap.history.run import Run
from cronwrap.manage import following
from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.web.deeds import kept_open

RUN = "20260302T020506-4711abcd"
ENDED = Run(run=RUN, job="job", command="true", host="h", user="u", started=1.0, ended=2.0, result="ok")


def output(*stretches):
    marks, content = [], b""
    for stream, octets in stretches:
        marks.append(Mark(offset=len(content), stream=stream, elapsed=0.0))
        content += octets
    return Output(head=content, marks=tuple(marks))


def placed(pieces, offset=0):
    """Give the octets of each stream by their offsets, and check that nothing is told twice or unsaid."""
    found = {}
    for kind, behind, octets in pieces:
        begin = behind - (int(octets) if kind == following.GAP else len(octets))
        assert begin == offset, "a hole that was not told"
        if kind != following.GAP:
            found |= {begin + at: (kind, octets[at : at + 1]) for at in range(len(octets))}
        offset = behind
    return found


stretches = st.lists(
    st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(min_size=1, max_size=40)), min_size=1, max_size=6
)


@given(said=stretches, data=st.data())
@settings(max_examples=60)
def test_what_is_remembered_stands_at_the_offsets_that_it_had_while_the_run_was_under_way(said, data):
    whole = output(*said)
    offset = data.draw(st.integers(0, len(whole.head) + 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cronwrap.history.kept_output.KEEP_BYTES", 30)
        kept = unpack(pack(whole))
    every = [following.ERR if stream == STDERR else following.OUT for stream, octets in said for _ in octets]
    ended = ENDED.replace(output_bytes=len(whole.head))
    found = placed(following.remembered(ended, kept, offset), offset)
    for at, (kind, octet) in found.items():
        assert (kind, octet) == (every[at], whole.head[at : at + 1])
    left_out = range(len(kept.head), len(kept.head) + kept.left_out_bytes)
    assert found.keys() == set(range(offset, len(whole.head))) - set(left_out)


def test_a_reader_is_told_of_a_hole_before_what_follows_it_even_if_that_is_the_end(tmp_path):
    writer = Writer(str(tmp_path / "state"), RUN, 100)
    reader = Reader(str(tmp_path / "state"), RUN)
    writer.write(Output(head=b"abc", marks=(Mark(offset=0, stream=STDOUT, elapsed=0.0),)), 0)
    writer.skip(7, 0)
    writer.end(3)
    parts = [reader.read(0), reader.read(3)]
    reader.close()
    assert [(part.pieces, part.skipped, part.next, part.ended) for part in parts] == [
        (((STDOUT, b"abc"),), 0, 3, False),
        ((), 7, 10, True),
    ]
    assert parts[1].status == 3


def test_a_run_that_ended_while_nobody_read_is_told_from_the_history_and_of_one_nobody_knows_only_the_end(
    tmp_path, monkeypatch
):
    state = str(tmp_path / "state")
    monkeypatch.setattr(following, "find", lambda *_about: ENDED)
    monkeypatch.setattr(following, "output_of", lambda *_about: unpack(pack(output((STDOUT, b"rest")))))
    running = ENDED.replace(result="running")
    pieces = list(following.followed(state, running, 1))
    assert pieces[-2:] == [(following.OUT, 4, b"est"), (following.END, 4, b"0")]
    assert {piece[0] for piece in pieces[:-2]} == {following.WAIT}
    monkeypatch.undo()
    assert list(following.followed(state, ENDED, 9)) == [(following.END, 9, b"")]


def test_offsets_into_the_output_of_several_tries_are_not_made_up():
    kept = unpack(pack(output((STDOUT, b"the last try"))))
    tried = ENDED.replace(tries=3, output_bytes=12)
    assert list(following.remembered(tried, kept, 5)) == [(following.LOST, 5, b"")]
    assert placed(following.remembered(tried, kept, 0))


def test_the_last_of_several_tries_stands_behind_what_the_earlier_ones_have_said():
    kept = unpack(pack(output((STDOUT, b"the last try"))))
    tried = ENDED.replace(tries=3, output_bytes=12, earlier_bytes=20)
    assert list(following.remembered(tried, kept, 5)) == [
        (following.GAP, 20, b"15"),
        (following.OUT, 32, b"the last try"),
    ]
    assert list(following.remembered(tried, kept, 24)) == [(following.OUT, 32, b"last try")]
    assert list(following.remembered(tried, kept, 32)) == []


def test_offsets_behind_what_was_left_out_are_not_made_up_where_secrets_were_taken_out():
    kept = Kept(head=b"head", tail=b"[redacted]", left_out_bytes=100, stretches=((0, STDOUT),))
    ended = ENDED.replace(output_bytes=140)
    assert list(following.remembered(ended, kept, 50)) == [(following.LOST, 50, b"")]
    assert placed(following.remembered(ended, kept, 3), 3)  # what it said first stands where it stood


def test_who_goes_away_lets_go_of_the_files(tmp_path, monkeypatch):
    state = str(tmp_path / "state")
    writer = Writer(state, RUN, 100)
    monkeypatch.setattr(following.records, "running", lambda *_about: [{"run": RUN}])
    pieces = following.followed(state, ENDED.replace(result="running"))
    assert next(pieces)[0] == following.WAIT
    pieces.close()
    writer.end(0)
    assert live_output.parts(live_output.state(state, live_output.OUTPUT), RUN) == []


def test_only_so_much_of_each_end_is_remembered():
    kept = unpack(pack(output((STDOUT, b"x" * (3 * KEEP_BYTES)))))
    kinds = [(kind, behind) for kind, behind, _ in following.remembered(ENDED, kept, 10)]
    assert kinds == [
        (following.OUT, KEEP_BYTES),
        (following.GAP, 2 * KEEP_BYTES),
        (following.OUT, 3 * KEEP_BYTES),
    ]


def test_what_a_run_has_said_is_read_from_the_disk_as_long_as_anybody_keeps_it_there(tmp_path):
    state = str(tmp_path / "state")
    writer = Writer(state, RUN, 400_000)
    keeper = Reader(state, RUN)
    said = bytes(range(256)) * 800
    writer.write(output((STDOUT, said)), said.count(b"\n"))
    writer.end(7)
    pieces = list(following.followed(state, ENDED, 100_000))
    assert b"".join(octets for kind, _, octets in pieces if kind == following.OUT) == said[100_000:]
    assert pieces[-1] == (following.END, len(said), b"7")
    keeper.close()


def test_who_has_followed_has_the_output_kept_for_a_while_after_the_end_and_no_longer(tmp_path, monkeypatch):
    state = str(tmp_path / "state")
    directory = live_output.state(state, live_output.OUTPUT, make=True)
    live_output.state(state, "runs", make=True)
    monkeypatch.setattr(kept_open, "LOOK_EVERY", 3600.0)
    writer = Writer(state, RUN, 100)
    writer.write(output((STDOUT, b"abc")), 0)
    kept_open.keep(state, RUN, now=10.0)
    kept_open.keep(state, f"{RUN}x", now=10.0)  # there is none: nothing to keep
    writer.end(0)
    kept_open.look(now=10.0 + kept_open.GRACE)
    assert live_output.parts(directory, RUN) == [0]
    kept_open.look(now=11.0 + kept_open.GRACE)
    assert live_output.parts(directory, RUN) == []


def test_no_more_outputs_are_kept_open_than_so_many(tmp_path, monkeypatch):
    state = str(tmp_path / "state")
    monkeypatch.setattr(kept_open, "LOOK_EVERY", 3600.0)
    monkeypatch.setattr(kept_open, "MOST", 2)
    for number in range(4):
        Writer(state, f"{RUN}{number}", 100)
        kept_open.keep(state, f"{RUN}{number}", now=10.0 + number)
    assert [run for _state, run in kept_open._held] == [f"{RUN}2", f"{RUN}3"]
    kept_open.look(now=1e9)
    assert kept_open._held == {}
