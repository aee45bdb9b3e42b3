"""Secrets taken out of an output as it comes: the same as from the whole, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.redact.redactor import Redactor
from cronwrap.redact.streaming import HELD_MAX, Streaming, reach

TOKEN = b"ghp_abcdefghij1234567890abcd"
JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcDEF123"
BODY = b"MIIEowIBAAKCAQEA7bq1mHn0Zm1Xo0Ww9K0c6Yy1mZ5Zy5x8q0a1b2c3d4e5f6g\n"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + BODY * 3 + b"abCD12==\n-----END RSA PRIVATE KEY-----\n"
WORDS = [
    *(
        TOKEN,
        JWT,
        KEY,
        b"AKIAABCDEFGHIJKLMNOP ",
        b"https://user:s3cr3t@host/x ",
        b"sk-abcdefghijk1234567890ABCDEF ",
    ),
    *(b"Authorization: Bearer abc123defXYZ\n", b"\x1b[31mghp_abc\x1b[0mdefghij1234567890ab\n"),
    *(b"hello ", b"world\n", b"\n", b"..", b"task-", b"a1b2\n", b": ", b"// ", b"=", b"\t", b"--\n"),
]
SECRETS = [b"abcdefghij1234567890", b"IkpXVCJ9", b"MIIEowIBAAKCAQEA7bq1", b"s3cr3t", b"abc123defXYZ"]

cut = st.lists(st.integers(1, 40), min_size=1, max_size=6)
outputs = st.lists(st.tuples(st.sampled_from([STDOUT, STDOUT, STDERR]), st.sampled_from(WORDS)), max_size=8)


def pieces(words, cuts):
    """Give words in pieces as they may be read."""
    found = []
    for stream, word in words:
        at = 0
        while at < len(word):
            length = cuts[len(found) % len(cuts)]
            found.append((stream, word[at : at + length]))
            at += length
    return found


def whole(found, redactor):
    """Give what redaction makes of all of it at once."""
    marks, offset = [], 0
    for stream, octets in found:
        if not marks or marks[-1].stream != stream:
            marks.append(Mark(offset=offset, stream=stream, elapsed=0.0))
        offset += len(octets)
    content = b"".join(octets for _stream, octets in found)
    return redactor.redact_output(Output(head=content, marks=tuple(marks))).head


@settings(max_examples=60)
@given(outputs, cut)
def test_it_is_what_redaction_leaves_of_the_whole_however_it_comes(words, cuts):
    found = pieces(words, cuts)
    redactor = Redactor()
    streaming = Streaming(redactor)
    given_on = b""
    for stream, octets in found:
        streaming.feed(stream, 0.0, octets)
        given_on += streaming.take().head
        assert not any(secret in given_on for secret in SECRETS)
    given_on += streaming.take(last=True).head
    assert given_on == whole(found, redactor)
    assert streaming.lines == sum(octets.count(b"\n") for _stream, octets in found)


@pytest.mark.parametrize(
    "octets", [b"line\n", b"Continue? [y/N] ", b"Working ...", b"step1\nstep2\n", b"40%\r41%\r"]
)
def test_what_can_be_no_secret_comes_at_once(octets):
    streaming = Streaming(Redactor())
    streaming.feed(STDOUT, 0.0, octets)
    assert streaming.take().head == octets


@pytest.mark.parametrize("end", range(1, len(TOKEN)))
def test_a_token_is_held_back_from_its_first_character_on(end):
    streaming = Streaming(Redactor())
    streaming.feed(STDOUT, 0.0, b"the token is " + TOKEN[:end])
    assert streaming.take().head == b"the token is "
    streaming.feed(STDOUT, 0.0, TOKEN[end:] + b"\n")
    assert streaming.take().head == b"[redacted]\n"


def test_a_secret_that_the_other_stream_interrupts_is_none_the_less_taken_out():
    streaming = Streaming(Redactor())
    taken = b""
    for stream, octets in [(STDOUT, TOKEN[:10]), (STDERR, b"warning\n"), (STDOUT, TOKEN[10:] + b"\n")]:
        streaming.feed(stream, 0.0, octets)
        taken += streaming.take().head
    assert taken == b"[redacted]warning\n[redacted]\n"


def test_where_something_is_missing_what_may_be_half_a_secret_is_taken_for_one():
    streaming = Streaming(Redactor())
    streaming.feed(STDOUT, 0.0, b"before " + TOKEN[:14])
    assert streaming.take(cut=True).head == b"before [redacted]"
    streaming.gap(3)
    streaming.feed(STDOUT, 0.0, TOKEN[14:])
    assert streaming.take().head == b""
    streaming.feed(STDOUT, 0.0, b" after\n")
    assert streaming.take().head == b"[redacted] after\n"
    assert streaming.lines == 4


def test_a_line_without_an_end_is_not_held_back_without_an_end():
    streaming = Streaming(Redactor())
    for _ in range(2):
        streaming.feed(STDOUT, 0.0, b"ghp_" + b"a1" * HELD_MAX)
        taken = streaming.take()
    assert b"a1a1a1" not in taken.head
    assert streaming.take(last=True).head == b""


@pytest.mark.parametrize(
    ("pattern", "lead", "lines", "far"),
    [
        (r"token=\w+", b"token=", 0, False),
        (r"(?i)Password\s*[:=]\s*\S+", b"password", 2, False),
        (r"(?s)BEGIN.*?END", b"begin", 0, True),
        (r"(?i)\bbegin[^x]*end", b"begin", 0, True),
        (r"(?:\s+\w+)*", b"", 1, True),
        (r"keys?\s\w+", b"key", 1, False),
        (r"(?x) key \s \w+", b"", 1, False),
        (r"key\s\w+|pin\s\d+", b"", 2, False),
        ("a\nb", b"a", 0, True),
        (r"[\S ]+", b"", 0, True),
    ],
)
def test_a_pattern_reaches_as_far_back_as_it_can_match(pattern, lead, lines, far):
    found = reach(pattern)
    assert (found[0], found[1], found[2] > 0) == (lead, lines, far)


def test_lines_that_no_pattern_can_begin_in_come_at_once():
    patterns = (r"password\s*[:=]\s*\S+", r"(?s)BEGIN.*?END")
    streaming = Streaming(Redactor(patterns), patterns)
    streaming.feed(STDERR, 0.0, b"a warning\n")
    streaming.feed(STDOUT, 0.0, b"a line\n")
    assert streaming.take().head == b"a warning\na line\n"
    streaming.feed(STDOUT, 0.0, b"before\nBEGIN\n")
    assert streaming.take().head == b"before\n"
    streaming.feed(STDOUT, 0.0, b"hidden\n" * 3)
    assert streaming.take().head == b""
    streaming.feed(STDOUT, 0.0, b"END\nafter\n")
    assert streaming.take(last=True).head == b"[redacted]\nafter\n"


def test_a_pattern_over_a_line_end_is_kept_to_when_its_lines_come_one_by_one():
    patterns = (r"password\s*[:=]\s*\S+",)
    streaming = Streaming(Redactor(patterns), patterns)
    taken = b""
    for octets in (
        b"first\n",
        b"password",
        b":\n",
        b"\n",
        b"hun",
        b"ter2\n",
        b"second\n",
        b"third\n",
        b"x\n",
    ):
        streaming.feed(STDOUT, 0.0, octets)
        taken += streaming.take().head
        assert b"hun" not in taken
    taken += streaming.take(last=True).head
    assert taken == b"first\n[redacted]\nsecond\nthird\nx\n"
