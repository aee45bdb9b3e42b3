"""A crontab in a form: what is left alone keeps its octets, its line ends among them."""

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cronwrap.crontab.difference import as_text, hunks
from cronwrap.crontab.edit import UneditableError, as_form, has_crlf, merged, shown, with_line
from cronwrap.crontab.lines import decode

CHARSETS = ("utf-8", "latin-1", "koi8-r", "utf-16-le", "shift_jis", "cp1252")
PIECES = (
    *("0 3 * * *\tbackup", "*/5 * * * * date +\\%F %in%put", "MAILTO=a@b", "# Grüße, привет, 日本", "", " "),
    *(
        "\u202eevil",
        "a\rb",
        "\x1b[31m",
        "\0",
        "\ufeff",
        "\U0010ff41",
        "👩\u200d👩",
        "a\u200db",
        "\x85",
        "\x0c",
    ),
    *("\u2028", "</textarea><script>", "&#13;&lt;", "\r", "\t", "\ufffe"),
)


@st.composite
def lines(draw):
    """Give a line without its end, in any charset or none."""
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=3)))
    octets = text.encode(draw(st.sampled_from(CHARSETS)), "replace")
    octets += draw(st.one_of(st.just(b""), st.binary(max_size=6)))
    return octets.replace(b"\n", b"")


@st.composite
def crontabs(draw, unique=False):
    """Give lines and their ends; ``unique``: ends as they come, and no two lines alike."""
    found = draw(st.lists(lines(), max_size=12))
    if unique:
        found = [line.rstrip(b"\r") + b"#%d" % number for number, line in enumerate(found)]
        ends = [draw(st.sampled_from([b"\n", b"\r\n"])) for _ in found]
    else:
        ends = [draw(st.sampled_from([b"\n", b"\r\n"]))] * len(found)
        # Of "a\r" and LF nobody can tell whether the CR belongs to the line or to its end.
        found = [line.rstrip(b"\r") if end == b"\n" else line for line, end in zip(found, ends, strict=True)]
    if found and found[-1] and draw(st.booleans()):
        ends[-1] = b""
    return list(zip(found, ends, strict=True))


def joined(pairs):
    return b"".join(line + end for line, end in pairs)


def browser(octets):
    """Give what a browser posts of a form's text that nobody touched (HTML, 4.10.11.6 and 13.2.3.5)."""
    page = f"<textarea>\n{html.escape(as_form(octets))}</textarea>"
    page = page.encode("utf-8").decode("utf-8")  # lone surrogates cannot be sent
    assert not re.search("[\0\r]", page)  # what its parser would change
    text = html.unescape(page[len("<textarea>\n") : -len("</textarea>")])
    return text.replace("\n", "\r\n")


@settings(max_examples=300)
@given(st.binary(max_size=80))
@example(b"a\r\r\n\xf4\x8f\xbd\x81\xed\xa0\x80\n\n")
def test_any_octets_come_back_from_a_form_as_they_were(octets):
    assert merged(octets, browser(octets)) == octets


def edit(data, pairs):
    """Change, remove and add some lines; give the form's text and what must become of it."""
    form = [as_form(line) for line, _ in pairs]
    meant = [(text, pair) for text, pair in zip(form, pairs, strict=True)]
    for number in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(meant)))
        new = (f"1 2 3 4 5 new {number} é", None)
        what = data.draw(st.sampled_from(["add", "remove", "change"]))
        meant[at : at + (what != "add")] = [] if what == "remove" else [new]
    posted = "\r\n".join(text for text, _ in meant)
    if meant and not (meant[-1][1] and meant[-1][1][1] == b""):
        posted += "\r\n"
    return posted, meant


@settings(max_examples=150)
@given(crontabs(unique=True), st.data())
def test_every_line_that_was_left_alone_keeps_its_octets_and_its_end(pairs, data):
    posted, meant = edit(data, pairs)
    found = merged(joined(pairs), posted)
    rest = found
    for text, pair in meant:
        wanted = text.encode() if pair is None else joined([pair])
        assert rest.startswith(wanted)
        rest = rest[len(wanted) :]
        if pair is None or pair[1] == b"":  # a new end, or one where there was none
            rest = re.sub(rb"\A\r?\n", b"", rest)
    assert not rest


@settings(max_examples=100)
@given(crontabs(), st.data())
def test_a_new_line_ends_as_the_others_do(pairs, data):
    posted, meant = edit(data, pairs)
    end = pairs[0][1] if len(pairs) > 1 else next((end for _, end in pairs if end), b"\n")
    wanted = [(text.encode() if pair is None else pair[0], end) for text, pair in meant]
    if meant and meant[-1][1] and meant[-1][1][1] == b"":
        wanted[-1] = (wanted[-1][0], b"")
    assert merged(joined(pairs), posted) == joined(wanted)


def test_thousands_of_lines_are_compared_in_no_time():
    octets = b"".join(b"# %d\r\n" % (number % 7) for number in range(8000))
    text = as_form(octets)
    assert merged(octets, "first\n" + text.replace("# 3", "# three") + "last") == (
        b"first\r\n" + octets.replace(b"# 3", b"# three") + b"last\r\n"
    )


def test_line_ends_become_plain_when_that_is_asked_for():
    assert (has_crlf(b"a\r\n"), has_crlf(b"a\rb\n")) == (True, False)
    assert merged(b"a\r\nb\nc", "a\r\nb\r\nc", plain_ends=True) == b"a\nb\nc"


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"x\n"), (b"a\n", b"a\nx\n"), (b"a", b"a\nx\n"), (b"a\r\n", b"a\r\nx\n")]
)
def test_a_line_is_added_behind_the_last_one(before, after):
    assert with_line(before, "x") == after


def test_what_is_no_text_is_refused():
    with pytest.raises(UneditableError):
        merged(b"", "\ud800")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 3 * * *\ttool\n", "0 3 * * *\ttool"),
        ("a\rb\r\n", "a␍b␍"),
        ("\udce9\u202e\x1b[31m\x85", "\\xe9\\u202e␛[31m\\x85"),
        ("x" * 4001, "x" * 4000 + " … (1 characters more)"),
    ],
)
def test_what_cannot_be_seen_is_written_out(line, told):
    assert shown(line) == told


def applied(old, found):
    """Give the octets that a difference makes of a crontab, by its numbers and kinds."""
    before = old.split("\n")
    out, at = [], 0
    for hunk in found:
        start = hunk["old_start"] - (1 if hunk["old_count"] else 0)
        out += before[at:start]
        for line in hunk["lines"]:
            if line["kind"] != "added":
                assert before[line["old"] - 1] == line["text"]
            if line["kind"] != "removed":
                assert line["new"] == len(out) + 1
                out.append(line["text"])
        at = start + hunk["old_count"]
    return out + before[at:]


@settings(max_examples=150)
@given(*[st.lists(st.sampled_from(["a", "b", "c", "0 3 * * * tool"]), max_size=20)] * 2, st.integers(0, 3))
def test_a_difference_tells_all_that_changed_and_little_else(before, after, context):
    old, new = ("".join(f"{line}\n" for line in some) for some in (before, after))
    found = hunks(old.encode(), new.encode(), context)
    assert applied(old, found) == new.split("\n")
    for hunk in found:
        kinds = [line["kind"] for line in hunk["lines"]]
        same = len(kinds) - len("".join(kind[0] for kind in kinds).lstrip("s"))
        assert same <= context
        assert set(kinds) != {"same"}
    assert (found == []) == (before == after)


def test_line_ends_count_in_a_difference():
    found = hunks(b"a\r\nb", b"a\nb\n")
    assert as_text(found, "old", "new") == (
        "--- old\n+++ new\n@@ -1,2 +1,2 @@\n-a␍\n-b\n\\ No newline at end of file\n+a\n+b\n"
    )


def test_two_large_crontabs_that_share_nothing_are_told_apart():
    old, new = (b"".join(b"%s %d\n" % (name, number) for number in range(3000)) for name in (b"a", b"b"))
    (hunk,) = hunks(old, new)
    assert (hunk["old_count"], hunk["new_count"]) == (3000, 3000)
    assert hunks(decode(old).encode(), old) == []
