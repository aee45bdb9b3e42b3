"""Colours: left out of the text, shown in the HTML, and always readable."""

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.report import ansi, compose
from cronwrap.report.ansi import Pen, Style
from cronwrap.report.palette import BEHIND, CONTRAST, DARK, LIGHT, contrast, drawn, hexadecimal, readable, rgb
from support.reports import files_of, outcome, output, parsed, report, text_of

PARAMETERS = st.text(alphabet="0123456789;:", max_size=20)
COLOURS = st.none() | st.integers(0, 15) | st.tuples(*[st.integers(0, 255)] * 3)
STYLES = st.builds(
    Style,
    colour=COLOURS,
    background=COLOURS,
    **dict.fromkeys(("bold", "dim", "italic", "underline", "strike", "inverse"), st.booleans()),
)


def written(text):
    return list(Pen().write(text))


def composed(*tries, **more):
    return parsed(compose.compose(report(*tries, **more)).content)


@pytest.mark.parametrize(
    ("parameters", "style"),
    [
        ("1", Style(bold=True)),
        ("2", Style(dim=True)),
        ("3;4;9", Style(italic=True, underline=True, strike=True)),
        ("4:3", Style(underline=True)),
        ("4;4:0", Style()),
        ("7", Style(inverse=True)),
        ("31", Style(colour=1)),
        ("01;91", Style(bold=True, colour=9)),
        ("42;103", Style(background=11)),
        ("38;5;9", Style(colour=9)),
        ("38;5;196", Style(colour=(255, 0, 0))),
        ("38;5;244", Style(colour=(128, 128, 128))),
        ("48;5;21;1", Style(background=(0, 0, 255), bold=True)),
        ("38;2;1;2;3", Style(colour=(1, 2, 3))),
        ("38:2:1:2:3", Style(colour=(1, 2, 3))),
        ("38:2::1:2:3", Style(colour=(1, 2, 3))),
        ("38:5:196;4", Style(colour=(255, 0, 0), underline=True)),
        ("58;5;196;1", Style(bold=True)),
        ("58:2::255:0:0;1", Style(bold=True)),
        ("1;31;39;22", Style()),
        ("1;31;0", Style()),
        ("1;31;", Style()),
        ("", Style()),
        ("5;8;11;999", Style()),
        ("38;5", Style()),
        ("38;2;1;2", Style()),
        ("38;5;256", Style()),
        ("38", Style()),
        ("38;5:3", Style()),
        ("9" * 200, Style()),
    ],
)
def test_a_sequence_sets_this_style(parameters, style):
    assert ansi.changed(Style(), parameters) == style


@given(STYLES, PARAMETERS)
def test_any_parameters_give_a_style(style, parameters):
    assert isinstance(ansi.changed(style, parameters), Style)


@given(st.lists(st.tuples(st.text(alphabet="abc \n", max_size=5), PARAMETERS), max_size=8))
def test_of_coloured_text_the_text_is_left(pieces):
    coloured = "".join(f"\x1b[{parameters}m{text}" for text, parameters in pieces)
    assert "".join(text for text, _style in written(coloured)) == "".join(text for text, _ in pieces)


def test_a_style_holds_over_lines_and_pieces_until_it_is_reset():
    pen = Pen()
    assert list(pen.write("\x1b[31mone\n")) == [("one\n", Style(colour=1))]
    assert list(pen.write("two\x1b[mthree")) == [("two", Style(colour=1)), ("three", Style())]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[01;31m\x1b[Kgrep\x1b[m\x1b[K\n", "grep\n"),
        ("\x1b[1mtput\x1b(B\x1b[m", "tput"),
        ("\x1b[1mvt100\x1b[m\x0f", "vt100"),
    ],
)
def test_what_grep_gcc_and_tput_add_to_a_colour_is_no_text(text, left):
    assert "".join(part for part, _style in written(text)) == left
    assert not files_of(composed(output(text.encode())))


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"\x1b[2J", "␛[2J"),
        (b"\x1b[Kx", "␛[Kx"),
        (b"\x1b[?25l", "␛[?25l"),
        (b"\x1b[>4;2m", "␛[>4;2m"),
        (b"\x1b]0;title\x07", "␛]0;title␇"),
        (b"\x1b]8;;http://x.example/\x1b\\link\x1b]8;;\x1b\\", "␛]8;;http://x.example/␛\\link␛]8;;␛\\"),
        (b"\x1bP1$r0m\x1b\\", "␛P1$r0m␛\\"),
        (b"\x1b[31", "␛[31"),
        (b"\x1bc", "␛c"),
        (b"\xc2\x9b31mx", "\\x9b31mx"),
        (b"\x1b[" + b"1;" * 200 + b"mx", "␛[" + "1;" * 200 + "mx"),
        ("evil\u202etxt.exe".encode(), "evil\\u202etxt.exe"),
        ("\u2066a\u2069\u200bb\ufeff".encode(), "\\u2066a\\u2069\\u200bb\\ufeff"),
        ("pass\u200dword".encode(), "pass\\u200dword"),
    ],
)
def test_anything_else_that_a_terminal_obeys_or_hides_is_shown_and_attached(octets, shown):
    mail = composed(output(octets))
    assert f"\n\n{shown}\n" in text_of(mail)
    assert files_of(mail) == {"output.txt": octets}


@pytest.mark.parametrize(
    "text", ["👨\u200d👩\u200d👧\n", "\u0645\u06cc\u200c\u062e\u0648\n", "שלום\n", "é̂\n"]
)
def test_what_scripts_and_emoji_need_stays(text):
    mail = composed(output(text.encode()))
    assert text in text_of(mail)
    assert not files_of(mail)


def test_a_subject_and_the_details_turn_no_direction():
    mail = composed(command="rm evil\u202etxt.exe", job="\u2066job")
    assert mail["Subject"] == "Cron <alice@web1> rm evil\\u202etxt.exe"
    for kind in ("plain", "html"):
        assert not set("\u202e\u2066") & set(text_of(mail, kind))


def test_colours_are_left_out_of_the_text_shown_in_the_html_and_no_reason_for_an_attachment():
    mail = composed(output(b"\x1b[32mgood\x1b[0m\n", b"\x1b[1;31mbad\n\x1b[0m"))
    assert text_of(mail).startswith("exit status 2 after 3.1 s\n\ngood\nbad\n\n-- \n")
    page = text_of(mail, "html")
    assert "\x1b" not in page
    assert "␛" not in page
    assert re.search(r"<span class=\"\w+\" style=\"color:#\w+\">good</span>", page)
    assert re.search(r"<span class=\"\w+\" style=\"font-weight:700;color:#\w+;background:#\w+\">bad\n", page)
    assert not files_of(mail)


def test_a_screen_gets_the_text_without_colours_and_pictures_for_all_else():
    assert ansi.plain(b"\x1b[31mred\x1b[0m \x1b[2J\xff\r\n") == "red ␛[2J\\xff\n"


def test_the_cron_form_has_no_colours():
    mail = composed(output(b"\x1b[31mred\x1b[0m\n"), format="cron")
    assert text_of(mail) == "red\n"
    assert not files_of(mail)


def test_a_colour_set_in_what_is_hidden_holds_after_it():
    hidden = b"x\n" * 5000 + b"\x1b[31m" + b"x\n" * 10_000
    page = text_of(composed(output(hidden)), "html")
    assert re.search(r"alone …\]\n</span><span [^>]*color:#c4202b\">x\n", page)


def test_a_colour_ends_where_nobody_knows_what_was_left_out():
    cut = Output(head=b"\x1b[31mred\n", tail=b"tail\n", left_out_bytes=9, stdout_bytes=30)
    assert re.search(r"left out …\]\n</span>tail\n</pre>", text_of(composed(cut), "html"))


@given(st.integers(0, 12), st.integers(0, 12))
@settings(deadline=None)
def test_a_cut_never_shows_half_a_sequence(head, tail):
    sequence = b"\x1b[38;5;196m"
    content = b"x" * (4096 - head) + sequence + b"y" * 30_000 + sequence + b"z" * (3 * 4096 - tail)
    text = text_of(composed(output(content))).rpartition("\n-- \n")[0]
    assert not set("␛[;") & set(text.replace("[…", "").replace("…]", ""))


def test_a_progress_bar_in_colours_is_shown_as_one():
    bar = b"".join(b"\r\x1b[32m%3d %%\x1b[0m" % percent for percent in range(101)) + b"\n"
    text = text_of(composed(output(b"start" + bar)))
    assert "start␍[… 100 versions of this line written over …]␍100 %\n" in text


def test_a_flood_of_colours_stays_small_and_is_still_whole():
    content = b"".join(b"\x1b[38;2;%d;%d;%dmx" % (n % 256, n // 256, 7) for n in range(900))
    mail = composed(output(content))
    page = text_of(mail, "html")
    assert re.sub(r"<[^>]*>", "", page).count("x" * 900) == 1
    assert len(page) < 102_000
    assert len(re.search("<style>.*</style>", page)[0]) < 8192
    assert not files_of(mail)


def test_each_stream_is_still_told_apart_in_a_colour():
    marks = (Mark(offset=0, stream=STDOUT, elapsed=0.0), Mark(offset=8, stream=STDERR, elapsed=0.0))
    shown = Output(head=b"\x1b[34mout" + b"err\x1b[0m\n", stdout_bytes=8, stderr_bytes=8, marks=marks)
    page = text_of(composed(outcomes=(outcome(shown),)), "html")
    assert re.search(rf"background:{LIGHT.stderr_block}\">err</span>", page)


USES = ("text", "grey", "red", "green", "amber")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("ground", ["page", "block"])
def test_every_colour_of_a_theme_can_be_read_on_its_page_and_in_its_blocks(theme, use, ground):
    assert contrast(rgb(getattr(theme, use)), rgb(getattr(theme, ground))) >= CONTRAST


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_standard_error_and_a_terminal_s_own_colours_can_be_read_in_every_theme(theme):
    assert contrast(rgb(theme.stderr), rgb(theme.stderr_block)) >= CONTRAST
    for colour, ground in product(theme.named, (theme.block, theme.stderr_block)):
        shown = readable(rgb(colour), rgb(ground))
        assert contrast(shown, rgb(ground)) >= CONTRAST
    differing = [colour for colour in theme.named if readable(rgb(colour), rgb(theme.block)) == rgb(colour)]
    assert len(differing) == 16  # chosen so that none has to be changed where most text stands


@pytest.mark.parametrize("bar", [LIGHT.bar, DARK.bar])
def test_the_bars_can_be_seen_as_aa_asks_of_graphics(bar):
    theme = LIGHT if bar == LIGHT.bar else DARK
    assert contrast(rgb(bar), rgb(theme.page)) >= 3


@given(STYLES, st.sampled_from([LIGHT, DARK]), st.booleans())
@settings(max_examples=300)
def test_any_style_can_be_read_in_every_theme(style, theme, stderr):
    words = dict(word.split(":") for word in drawn(style, theme, stderr=stderr).split(";") if word)
    block, usual = (theme.stderr_block, theme.stderr) if stderr else (theme.block, theme.text)
    ground = full(words.get("background", block))
    assert contrast(rgb(full(words.get("color", usual))), rgb(ground)) >= CONTRAST
    assert "background" not in words or "color" in words


@given(STYLES, st.booleans())
def test_what_has_a_colour_in_one_theme_has_it_in_the_other(style, stderr):
    light, dark = (drawn(style, theme, stderr=stderr) for theme in (LIGHT, DARK))
    assert [word.split(":")[0] for word in light.split(";")] == [
        word.split(":")[0] for word in dark.split(";")
    ]


def full(colour):
    return colour if len(colour) == 7 else "#" + "".join(digit * 2 for digit in colour[1:])


def test_white_on_red_stays_white_on_red():
    style = ansi.changed(Style(), "97;41")
    assert (
        drawn(style, LIGHT, stderr=False)
        == drawn(style, DARK, stderr=False)
        == f"color:#fff;background:{BEHIND[1]}"
    )
    assert hexadecimal((255, 255, 255)) == "#fff"
