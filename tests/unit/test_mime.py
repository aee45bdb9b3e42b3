"""Claims about header fields and body parts, checked with the standard library's parser."""

import email
import email.policy
import gzip
import locale

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cronwrap.report import mime

ANYTHING = st.text(alphabet=st.characters())
"""Every code point, lone surrogates included: what undecodable arguments become."""
PRINTABLE = st.text(alphabet=st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1)
ORDINARY = st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1)
ADDRESSES = st.tuples(PRINTABLE, st.sampled_from(["a@b.example", "x" * 64 + "@" + "y" * 60 + ".example"]))


def lines(field):
    assert field.endswith(b"\r\n")
    return field[:-2].split(b"\r\n")


def decoded(field):
    """Give a field's value as the standard library decodes it, after checking its form."""
    assert field.isascii()
    assert not any(octet < 0x20 and octet not in b"\r\n\t" for octet in field)
    for line in lines(field)[1:]:
        assert line.startswith(b" ")
        assert line.strip()
    message = email.message_from_bytes(field + b"\r\n", policy=email.policy.default)
    assert len(message.items()) == 1
    assert not message.defects
    [(_name, value)] = message.items()
    assert not value.defects
    return value


@given(ANYTHING)
@example("a\r\nBcc: victim@example.com\r\n\r\nbody")
@example("\r\n\r\n")
@example(" " * 200)
@example("=?utf-8?q?evil=0D=0ABcc:_x?=")
@example("x " * 3000)
@example("\udcff" * 5000)
@example("x" * 990)
@example("short " + "x" * 998)
def test_any_text_makes_one_field_of_short_lines_and_nothing_more(text):
    field = mime.field("Subject", text)
    decoded(field)
    for line in lines(field):
        assert len(line) <= (mime.LINE_WANTED if b" " in line.removeprefix(b"Subject:")[1:] else 998)


@pytest.mark.parametrize("value", [f"<PATH={'/opt/some/where:' * 40}/bin>", f"curl {'x' * 900}", "x" * 980])
def test_a_long_word_stays_plain_as_far_as_a_line_may_go(value):
    field = mime.field("X-Cron-Env", value)
    assert field.replace(b"\r\n", b"") == b"X-Cron-Env: " + value.encode()
    assert b"=?" in mime.field("X-Cron-Env", value + "x" * 999)


@given(PRINTABLE)
@example("a  b" * 60)
@example("two  spaces")
@example(" leading and trailing ")
@example("x" * 500)
@example("=?utf-8?q?not_decoded?=")
@example(
    "/usr/bin/find /var/tmp -mtime +7  -print0 | xargs -0 rm -f; echo done with the long way that is folded"
)
@example("日本語のコマンド" * 20)
@example("🎉" * 100)
def test_what_a_reader_decodes_is_the_text_to_the_last_space(text):
    assume(len(text) <= mime.VALUE_LIMIT)
    assert decoded(mime.field("Subject", text)) == text


@given(st.lists(st.sampled_from(["tar", "--exclude=/proc", "-czf", "/srv/backup.tgz", "é", "'a  b'"])))
def test_commands_survive_folding(words):
    text = "Cron <root@web1> " + " ".join(words)
    assume(text == text.strip())
    assert decoded(mime.field("Subject", text)) == text


@given(ORDINARY)
def test_a_short_ascii_value_is_written_as_it_is(text):
    assume(text == text.strip() and "=?" not in text and len(text) <= 60)
    assert mime.field("Subject", text) == f"Subject: {text}\r\n".encode()


def test_long_ascii_values_are_folded_between_words():
    field = mime.field("Subject", "Cron <root@web1> " + "word " * 30 + "end")
    assert len(lines(field)) == 3
    assert b"=?" not in field


def test_runs_of_spaces_are_never_folded():
    for field in (
        mime.field("Subject", "x" * 60 + "  " + "y" * 60),
        mime.field("Subject", "x  y " + "z " * 60 + "z"),
    ):
        assert all(line.lstrip().removeprefix(b"Subject: ").startswith(b"=?") for line in lines(field))


@given(PRINTABLE)
def test_no_encoded_word_splits_a_character(text):
    for line in lines(mime.field("Subject", "é" + text))[0:]:
        word = line.split(b" ")[-1]
        assert len(word) <= 75
        name = email.message_from_bytes(b"Subject: " + word + b"\r\n\r\n", policy=email.policy.default)
        assert "\ufffd" not in name["Subject"] or "\ufffd" in text


def test_a_line_break_becomes_a_space_and_a_tab_stays():
    assert decoded(mime.field("Subject", "a\r\nb\nc\td")) == "a b c\td"


def test_controls_become_pictures_and_undecodable_octets_replacement_characters():
    assert decoded(mime.field("Subject", "\x1b[31m\0\x7f")) == "␛[31m␀␡"
    assert decoded(mime.field("Subject", "caf\udce9")) == "caf\ufffd"


def test_octets_that_are_utf_8_after_all_are_shown_as_such():
    assert decoded(mime.field("Subject", "caf\udcc3\udca9")) == "café"


def test_a_value_that_is_too_long_is_cut_and_says_so():
    value = decoded(mime.field("Subject", "x" * 100_000))
    assert value == "x" * (mime.VALUE_LIMIT - 1) + "…"


def test_an_empty_value_is_an_empty_field():
    assert mime.field("X-Cronwrap-Job", "") == b"X-Cronwrap-Job:\r\n"


@given(st.lists(ADDRESSES, min_size=1, max_size=12))
@example(
    [
        ("Doe, John", "a@b.example"),
        ("", "x@y.example"),
        ('a"b\\c', "a@b.example"),
        ("J. Müller", "j@x.example"),
    ]
)
@example([("\r\nBcc: victim@example.com", "a@b.example")])
def test_names_and_addresses_come_back_from_an_address_field(pairs):
    field = mime.address_field("To", pairs)
    value = decoded(field)
    assert [address.addr_spec for address in value.addresses] == [spec for _name, spec in pairs]
    assert max(map(len, lines(field))) <= 140  # the longest address stands alone


@pytest.mark.parametrize(
    "name", ["Ops", "Doe, John", 'a "b" \\c', "Jörg Müller", "日本" * 60, "J. Doe", "=?x?="]
)
def test_a_display_name_is_decoded_to_what_it_was(name):
    value = decoded(mime.address_field("To", [(name, "a@b.example")]))
    # This parser puts a space between the encoded words of a phrase, against RFC 2047, 6.2.
    assert value.addresses[0].display_name.replace(" ", "") == name.replace(" ", "")


def test_the_date_is_local_and_english_whatever_the_locale(zone, monkeypatch):
    zone("CET-1")
    asked = []
    monkeypatch.setattr(locale, "setlocale", lambda *_args: asked.append(1))
    assert mime.date(1_772_420_706) == "Mon, 02 Mar 2026 04:05:06 +0100"
    assert not asked


@given(st.floats(min_value=0, max_value=4e9))
def test_any_date_can_be_read_back(unix):
    value = decoded(f"Date: {mime.date(unix)}\r\n".encode())
    assert value.datetime.timestamp() == int(unix)


def read_part(part):
    message = email.message_from_bytes(b"MIME-Version: 1.0\r\n" + part, policy=email.policy.default)
    assert not message.defects
    return message


TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\r"))


@given(TEXT)
@example("From here\nFrom there\n.\n..\n")
@example("From From From x\n")
@example("é" * 20 + " From " * 30 + "\n")
@example("x" * 999 + "\n")
@example("x" * 76)
@example("é" + "x" * 75)
@example("trailing \t\nspaces \n")
@example("=20\n=\n")
@example("\0\x1b\n")
def test_any_text_comes_back_from_its_part(text):
    part = mime.text_part(text)
    assert part.isascii()
    assert part.endswith(b"\r\n")
    assert max(map(len, part.split(b"\r\n"))) <= (998 if b"7bit" in part else 76)
    body = part.partition(b"\r\n\r\n")[2]
    assert b"\r\nFrom " not in b"\r\n" + body
    assert read_part(part).get_payload(decode=True).decode().replace("\r\n", "\n") == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "7bit"),
        ("plain\n", "7bit"),
        ("no line end", "quoted-printable"),
        ("From me\n", "quoted-printable"),
        ("x" * 999 + "\n", "quoted-printable"),
        ("mostly ascii, é\n", "quoted-printable"),
        ("日本語" * 40 + "\n", "base64"),
    ],
)
def test_the_encoding_is_the_plainest_that_is_safe(text, encoding):
    assert read_part(mime.text_part(text))["Content-Transfer-Encoding"] == encoding


@given(st.binary(max_size=2000))
def test_an_attachment_holds_exactly_its_octets(content):
    part = read_part(mime.attachment("output.txt", content, "application/octet-stream"))
    assert part.get_payload(decode=True) == content
    assert part.get_filename() == "output.txt"
    assert part.get_content_disposition() == "attachment"


@given(st.binary(max_size=2000))
def test_gzip_can_be_unpacked_and_is_the_same_every_time(content):
    assert gzip.decompress(mime.gzip(content)) == content
    assert mime.gzip(content) == mime.gzip(content)


@given(st.lists(st.sampled_from(["From ", "é", "x" * 30, " ", "\n", "."])))
def test_text_with_lines_of_any_length_is_never_encoded_too_long(pieces):
    test_any_text_comes_back_from_its_part.hypothesis.inner_test("".join(pieces))


def test_a_boundary_occurs_in_no_part():
    evil = mime.text_part("--=_seed_0\n--=_seed_0--\n--=_seed_1\n")
    inner = mime.multipart("alternative", [evil, mime.text_part("second\n")], "seed")
    message = read_part(mime.multipart("mixed", [inner, mime.attachment("a", b"x", "text/plain")], "seed"))
    texts, file = message.iter_parts()
    shown = [part.get_payload(decode=True) for part in texts.iter_parts()]
    assert shown == [b"--=_seed_0\r\n--=_seed_0--\r\n--=_seed_1\r\n", b"second\r\n"]
    assert file.get_payload(decode=True) == b"x"


@given(st.binary(max_size=200))
@example(b"")
@example(bytes(0xFFFF))
@example(bytes(0xFFFF * 2 + 1))
def test_what_is_packed_without_zlib_is_gzip_all_the_same(content):
    assert gzip.decompress(mime._gzip_stored(content)) == content
