"""The output of a job as HTML: text alone, whatever it says and however it comes in pieces."""

from __future__ import annotations

import html
import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT
from cronwrap.web.pages.output import Paper, sheet

HOSTILE = [
    b"<script>alert(1)</script>",
    b"</pre><img src=x onerror=alert(1)>",
    b"\"><b title='x'>&amp;&#60;b&#62;",
    b"\x1b]0;title\x07\x1b[2J\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
    b"\x00\x08\x0b\x7f\x9b31m\xc2\x9b31m",
    "\u202eevil\u202c\u200b\u2028\ufeff".encode(),
    b"\xff\xfe\xc3(\xf0\x9f",
    b"\x1b[31mred\x1b[0m\x1b[44;1mblue\x1b[0m\x1b[38;2;1;2;3mrgb\x1b[0m\x1b[48;5;200mx\x1b[0m",
    b"50%\r60%\r70%\r\n",
    "é\u4e2d\U0001f600".encode(),
]
TAG = re.compile(r'<span class="[a-z0-9 ]*">|</span>')
pieces = st.lists(
    st.tuples(st.sampled_from((STDOUT, STDERR)), st.sampled_from(HOSTILE) | st.binary(max_size=20)),
    max_size=6,
)


def shown(said):
    paper = Paper()
    return "".join([*(paper.take(stream, octets) for stream, octets in said), paper.end()])


def text_of(markup):
    """Give the text; anything but our own spans is left in it."""
    return html.unescape(TAG.sub("", markup))


@given(pieces)
@settings(max_examples=100)
def test_there_is_no_markup_but_spans_and_nothing_that_acts(said):
    markup = shown(said)
    without = TAG.sub("", markup)
    assert not {"<", ">", '"', "'"} & {*without}
    acts = ("Cc", "Cf", "Zl", "Zp")
    assert [c for c in html.unescape(without) if unicodedata.category(c) in acts and c not in "\t\n"] == []


@given(said=st.sampled_from([octets for octets in HOSTILE if b"\r" not in octets]), data=st.data())
@settings(max_examples=60)
def test_where_a_piece_ends_makes_no_difference(said, data):
    at = data.draw(st.integers(0, len(said)))
    assert text_of(shown([(STDOUT, said[:at]), (STDOUT, said[at:])])) == text_of(shown([(STDOUT, said)]))


def test_streams_and_colours_are_classes():
    assert shown([(STDOUT, b"a\x1b[31mb\x1b[0m"), (STDERR, b"c\x1b[1;44md")]) == (
        'a<span class="f1">b</span><span class="err">c</span><span class="err g4 bold">d</span>'
    )
    assert Paper().gap(2048) == '<span class="gap">\n[… 2.0 KiB left out …]\n</span>'


def test_what_is_held_back_is_counted_for_whoever_goes_on_from_there():
    paper = Paper()
    assert paper.take(STDOUT, "caf\u00e9".encode()[:-1]) == "caf"
    assert (paper.held, Paper().held) == (1, 0)
    assert paper.take(STDOUT, "\u00e9".encode()[1:] + b"\x1b[3") == "\u00e9"
    assert paper.held == 3


def test_the_sheet_has_every_class(pytestconfig):
    rules = sheet()
    for name in (*(f"f{n}" for n in range(16)), *(f"g{n}" for n in range(16)), "err", "bold", "strike"):
        assert f".{name}{{" in rules
    with open(pytestconfig.rootpath / "src/cronwrap/web/static/output.css", encoding="ascii") as file:
        assert file.read() == rules
