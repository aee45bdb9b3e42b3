"""Claims about a job's output: whatever it wrote can be taken out of the mail, and read on a phone."""

import gzip
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.report import body
from cronwrap.report import compose as message
from cronwrap.report.ansi import Pen
from cronwrap.report.charset import read
from support.reports import files_of, outcome, output, parsed, report, text_of

HEADLINE = "exit status 2 after 3.1 s\n\n"
CONTENT = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(
        st.sampled_from([b"a", b" ", b"\n", b"\r\n", b"\r", b"-- \n", b"From x\n", b".\n", b"\xc3", b"\xa9"])
    ).map(b"".join)
)


def compose(*tries, **more):
    return parsed(message.compose(report(*tries, **more)).content)


def without_colours(content):
    """Give what a terminal would have been given without colours; octets that are no UTF-8 stay."""
    text = content.decode("utf-8", "surrogateescape")
    return "".join(part for part, _style in Pen().write(text)).encode("utf-8", "surrogateescape")


def taken_out(mail, size):
    """Give a job's output as its reader can have it: from the attachment, or else from the text."""
    files = files_of(mail)
    if files:
        [(name, content)] = files.items()
        return gzip.decompress(content) if name.endswith(".gz") else content
    text = text_of(mail)
    assert text.startswith(HEADLINE)
    return text.removeprefix(HEADLINE).encode()[:size]


def same_but_for_colours(mail, content):
    """Tell whether all that a job wrote is in the attachment, or in the text but for its colours."""
    if files_of(mail):
        return taken_out(mail, 0) == content
    plain = without_colours(content)
    return taken_out(mail, len(plain)) == plain


@settings(max_examples=200)
@given(CONTENT)
@example(b"")
@example(b"\n")
@example(b"no line end")
@example(b"\n\n-- \ncommand true\n")
@example(b"\x1b[31mred\x1b[0m\n")
@example(b"all \xff\xfe octets\0\n")
@example(b"dos\r\nlines\r\n")
@example("[… 12 bytes, 1 line left out …]\n".encode())
def test_what_the_job_wrote_can_be_taken_out_of_the_mail(content):
    mail = compose(output(content))
    assert same_but_for_colours(mail, content)
    said = re.search(r"^output +(\S+)(.*)$", text_of(mail).rpartition("\n-- \n")[2], re.MULTILINE)
    assert said[1] == (f"{len(content):,}" if content else "none")
    assert ("no line end" in said[2]) == (bool(content) and not content.endswith(b"\n"))


@settings(max_examples=200)
@given(CONTENT)
@example(b"no line end")
@example(b"trailing space ")
def test_what_the_job_wrote_can_be_taken_out_of_a_mail_in_cron_format(content):
    mail = compose(output(content), format="cron")
    if files_of(mail):
        assert taken_out(mail, 0) == content
    else:
        assert text_of(mail).encode() == without_colours(content)


@given(CONTENT, CONTENT, st.integers(1, 10**9), st.integers(0, 10**6))
@example(b"head\n", b"tail\n", 1_234_567, 12_345)
@example(b"\xc3", b"\xa9", 1, 0)
def test_both_halves_can_be_told_from_the_line_that_stands_for_the_gap(head, tail, size, lines):
    cut = Output(
        head=head, tail=tail, left_out_bytes=size, left_out_lines=lines, stdout_bytes=len(head + tail) + size
    )
    mail = compose(cut)
    text = text_of(mail)
    cut = read(cut, {}).output
    head, tail = cut.head, cut.tail
    assert body.left_out(cut) in text
    assert f"kept: the first {len(head):,} and the last {len(tail):,} byte" in text
    if files_of(mail):
        attached = taken_out(mail, 0)
        assert attached.startswith(head)
        assert attached.endswith(tail)
        assert body.left_out(cut).encode() in attached
    else:
        shown = text.removeprefix(HEADLINE).encode()
        assert shown.startswith(without_colours(head))
        assert without_colours(tail) in shown[len(without_colours(head)) :]


def test_text_as_utf_8_needs_no_attachment():
    mail = compose(output("Grüße\taus Köln 🎉\n".encode()))
    assert "Grüße\taus Köln 🎉\n" in text_of(mail)
    assert not files_of(mail)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("output.bin", b"nul\0\n"),
        ("output.txt", b"esc\x1b[2J\n"),
        ("output.bin", b"\xff\n"),
        ("output.txt", b"a\rb\n"),
        ("output.txt", b"a\r\n"),
        ("output.txt", b"\xc2\x9b1m\n"),
        ("output.txt", b"\x7f\n"),
        ("output.txt", "evil\u202etxt.exe\n".encode()),
    ],
)
def test_what_text_cannot_hold_is_attached(name, content):
    mail = compose(output(content))
    assert files_of(mail) == {name: content}
    assert f"attached as {name}" in text_of(mail)


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("output.txt", "text/plain", b"\x1b[2J\n"),
        ("output.bin", "application/octet-stream", b"\xff"),
        ("output.bin", "application/octet-stream", b"\0"),
        ("output.txt.gz", "application/gzip", b"line\n" * 60_000),
        ("output.bin.gz", "application/gzip", b"\xffline\n" * 60_000),
    ],
)
def test_an_attachment_has_the_type_that_its_name_promises(name, kind, content):
    part = compose(output(content)).get_payload()[1]
    assert (part.get_filename(), part.get_content_type()) == (name, kind)


def numbered(size):
    """Give about so many octets of lines that differ."""
    return b"".join(b"line %07d\n" % number for number in range(size // 13 + 1))


def test_more_than_16_kib_is_shown_as_its_first_4_and_last_12_between_whole_lines():
    content = numbered(200_000)
    mail = compose(output(content))
    text = text_of(mail)
    shown, _signature, _details = text.removeprefix(HEADLINE).rpartition("\n-- \n")
    head, between, tail = re.split(
        r"^\[… (.*) here stand in the attachment output.txt alone …\]\n", shown, flags=re.MULTILINE
    )
    assert content.startswith(head.encode())
    assert content.endswith(tail.encode())
    assert tail.startswith("line ")
    hidden = len(content) - len(head) - len(tail)
    assert between == f"{hidden:,} bytes, {hidden // 13:,} lines"
    assert 4096 - 13 <= len(head) <= 4096
    assert 3 * 4096 - 13 <= len(tail) <= 3 * 4096
    assert files_of(mail) == {"output.txt": content}


def test_exactly_16_kib_are_shown_whole():
    content = numbered(body.VIEW_LIMIT)[: body.VIEW_LIMIT]
    assert not files_of(compose(output(content)))
    assert files_of(compose(output(content + b"\n")))


def test_above_256_kib_the_attachment_is_compressed():
    content = numbered(body.GZIP_ABOVE)
    [(name, packed)] = files_of(compose(output(content))).items()
    assert name == "output.txt.gz"
    assert gzip.decompress(packed) == content
    assert list(files_of(compose(output(content[: body.GZIP_ABOVE])))) == ["output.txt"]


@given(st.integers(0, 3), st.sampled_from(["é", "日", "🎉"]))
@settings(max_examples=12)
def test_a_cut_within_one_endless_line_splits_no_character(shift, character):
    content = b"x" * shift + character.encode() * 40_000
    text = text_of(compose(output(content)))
    assert "\\x" not in text
    assert "\ufffd" not in text


def test_hidden_and_left_out_stand_in_one_place():
    half = numbered(100_000)
    cut = Output(
        head=half, tail=half, left_out_bytes=1_234_567, left_out_lines=12_345, stdout_bytes=1_500_000
    )
    lines = text_of(compose(cut)).splitlines()
    at = lines.index("[… 1,234,567 bytes, 12,345 lines left out …]")
    assert "here stand in the attachment output.txt alone" in lines[at - 1]
    assert files_of(compose(cut))["output.txt"] == half + f"\n{body.left_out(cut)}\n".encode() + half


@given(st.integers(0, 90_000), st.integers(0, 90_000))
@settings(max_examples=20)
def test_halves_of_any_size_are_shown_within_the_limit(head, tail):
    cut = Output(head=b"h" * head, tail=b"t" * tail, left_out_bytes=5, stdout_bytes=head + tail + 5)
    view = body.view(cut, body.VIEW_LIMIT, "output.txt", timestamps=False)
    shown = "".join(text for stream, text, _style in view.pieces if stream != body.OURS)
    assert len(shown) <= body.VIEW_LIMIT
    before, line, after = view.text.partition(body.left_out(cut))
    assert line
    assert set(before.partition("[")[0]) <= set("h\n")
    assert set(after) <= set("t\n")
    assert view.whole == (head + tail <= body.VIEW_LIMIT)


def test_every_try_is_attached_when_it_needs_to_be():
    tries = (outcome(output(b"\0first")), outcome(output(b"fine\n")), outcome(output(b"\0last")))
    assert files_of(compose(outcomes=tries)) == {"output-try-1.bin": b"\0first", "output.bin": b"\0last"}


def test_many_long_tries_share_the_space():
    tries = tuple(outcome(output(numbered(20_000))) for _ in range(10))
    mail = compose(outcomes=tries)
    assert len(text_of(mail)) < body.VIEW_LIMIT + 10_000
    assert len(files_of(mail)) == 10


def timed(*stretches):
    """Give an output from stretches of a stream, a time and octets."""
    marks, kept = [], b""
    for stream, elapsed, octets in stretches:
        marks.append(Mark(offset=len(kept), stream=stream, elapsed=elapsed))
        kept += octets
    return Output(head=kept, stdout_bytes=len(kept), marks=tuple(marks))


def test_timestamps_stand_before_each_line_that_begins():
    shown = timed((STDOUT, 0.5, b"one\ntw"), (STDERR, 1.25, b"o\nthree\n"), (STDOUT, 3725.1, b"four"))
    text = text_of(compose(shown, timestamps=True))
    assert text.removeprefix(HEADLINE).startswith(
        "[   0.500] one\n[   0.500] two\n[   1.250] three\n[3725.100] four\n\n-- \n"
    )
    cron = text_of(compose(shown, timestamps=True, format="cron"))
    assert cron == "[   0.500] one\n[   0.500] two\n[   1.250] three\n[3725.100] four"


def test_timestamps_do_not_make_clean_output_an_attachment():
    assert not files_of(compose(timed((STDOUT, 0.5, b"one\n")), timestamps=True))


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.floats(0, 1e5), CONTENT), max_size=6),
    st.booleans(),
)
def test_streams_in_any_order_lose_nothing(stretches, timestamps):
    shown = timed(*stretches)
    mail = compose(shown, timestamps=timestamps)
    view = body.view(shown, body.VIEW_LIMIT, "output.txt", timestamps=timestamps)
    if files_of(mail):
        assert taken_out(mail, 0) == shown.head
    else:
        assert "\x1b" not in view.text
    assert view.text in text_of(mail)


def test_a_character_written_in_two_goes_is_one_character():
    shown = timed((STDOUT, 0.1, b"caf\xc3"), (STDOUT, 0.2, b"\xa9\n"))
    mail = compose(shown)
    assert "café\n" in text_of(mail)
    assert not files_of(mail)
