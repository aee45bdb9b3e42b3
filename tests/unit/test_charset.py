"""Octets in a legacy charset are text where the job's own locale says so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT, Mark, Output
from cronwrap.report import charset, compose
from support.reports import files_of, output, parsed, report, text_of

TEXTS = {
    "iso8859-1": "März, naïve façade\n",
    "iso8859-15": "5 € für Œuvre\n",
    "gb18030": "备份失败, 磁盘已满\n",
    "gbk": "备份失败\n",
    "big5": "備份失敗\n",
    "euc_jp": "バックアップに失敗しました\n",
    "shift_jis": "バックアップに失敗しました\n",
    "euc_kr": "백업 실패\n",
    "koi8-r": "Резервное копирование\n",
    "koi8-u": "Резервне копіювання ґ\n",
    "cp1251": "Резервное копирование\n",
    "iso8859-2": "Zálohování selhalo\n",
    "tis-620": "สำรองข้อมูล\n",
}
LOCALES = {
    "iso8859-1": "de_DE.ISO-8859-1",
    "iso8859-15": "de_DE.ISO-8859-15@euro",
    "gb18030": "zh_CN.GB18030",
    "gbk": "zh_CN.GBK",
    "big5": "zh_TW.BIG5",
    "euc_jp": "ja_JP.EUC-JP",
    "shift_jis": "ja_JP.SJIS",
    "euc_kr": "ko_KR.EUC-KR",
    "koi8-r": "ru_RU.KOI8-R",
    "koi8-u": "uk_UA.KOI8-U",
    "cp1251": "bg_BG.CP1251",
    "iso8859-2": "cs_CZ.ISO-8859-2",
    "tis-620": "th_TH.TIS-620",
}


def composed(*tries, **more):
    return parsed(compose.compose(report(*tries, **more)).content)


@pytest.mark.parametrize("codec", TEXTS)
def test_output_in_the_locale_s_charset_is_shown_as_text_and_needs_no_attachment(codec):
    mail = composed(output(TEXTS[codec].encode(codec)), environment={"LC_ALL": LOCALES[codec]})
    assert text_of(mail).startswith(f"exit status 2 after 3.1 s\n\n{TEXTS[codec]}\n-- \n")
    assert TEXTS[codec] in text_of(mail, "html")
    assert not files_of(mail)


@pytest.mark.parametrize(
    ("environment", "codec"),
    [
        ({"LANG": "de_DE"}, "iso8859-1"),
        ({"LANG": "de_DE@euro"}, "iso8859-15"),
        ({"LANG": "german"}, "iso8859-1"),
        ({"LANG": "ja_JP"}, "euc_jp"),
        ({"LANG": "japanese.euc"}, "euc_jp"),
        ({"LANG": "ja_JP.eucJP"}, "euc_jp"),
        ({"LANG": "uk_UA"}, "koi8-u"),
        ({"LANG": "de_DE.iso88591"}, "iso8859-1"),
        ({"LANG": "zh_CN.gb18030"}, "gb18030"),
        ({"LANG": "de_DE.UTF-8"}, ""),
        ({"LANG": "C"}, ""),
        ({"LANG": "C.UTF-8"}, ""),
        ({"LANG": "POSIX"}, ""),
        ({}, ""),
        ({"LC_ALL": "", "LC_CTYPE": "ru_RU.KOI8-R", "LANG": "de_DE"}, "koi8-r"),
        ({"LC_ALL": "de_DE", "LC_CTYPE": "ru_RU.KOI8-R"}, "iso8859-1"),
        ({"LC_ALL": "de_DE.UTF-8", "LC_CTYPE": "ru_RU.KOI8-R"}, ""),
        ({"LC_MESSAGES": "ru_RU.KOI8-R"}, ""),
        ({"LANG": "xx_XX.unicode_escape"}, ""),
        ({"LANG": "xx_XX.rot13"}, ""),
        ({"LANG": "xx_XX.ISO-2022-JP"}, ""),
        ({"LANG": "../../etc/passwd"}, ""),
        ({"LANG": "de_DE." + "x" * 5000}, ""),
    ],
)
def test_the_locale_names_its_charset_as_posix_and_glibc_have_it(environment, codec):
    assert charset.of_locale(environment) == codec


@given(st.dictionaries(st.sampled_from(charset.LOCALE_VARIABLES), st.text(max_size=30)))
@settings(deadline=None)
def test_any_locale_names_a_charset_or_none(environment):
    assert charset.of_locale(environment) in {"", *charset._MIME_NAMES}


def test_what_is_utf_8_is_that_whatever_the_locale_says():
    mail = composed(output("März\n".encode()), environment={"LANG": "de_DE.ISO-8859-1"})
    assert "\nMärz\n" in text_of(mail)
    assert not files_of(mail)


def test_octets_that_do_not_fit_the_locale_are_attached_and_shown_by_their_numbers():
    octets = b"M\xe4rz \xff\xff\n"
    for environment in ({"LANG": "ja_JP.EUC-JP"}, {"LANG": "de_DE.UTF-8"}, {}):
        mail = composed(output(octets), environment=environment)
        assert "\nM\\xe4rz \\xff\\xff\n" in text_of(mail)
        assert files_of(mail) == {"output.bin": octets}


def test_controls_of_a_legacy_charset_are_shown_and_attached_as_text_in_it():
    octets = b"M\xe4rz\x9b31m\n"
    mail = composed(output(octets), environment={"LANG": "de_DE"})
    assert "\nMärz\\x9b31m\n" in text_of(mail)
    [part] = mail.iter_attachments()
    assert (part.get_content_type(), part.get_content_charset()) == ("text/plain", "iso-8859-1")
    assert part.get_payload(decode=True) == octets


def test_vendors_extensions_go_by_the_plain_name():
    assert charset.read(output("①㈱".encode("cp932")), {"LANG": "ja_JP.SJIS"}).charset == "windows-31j"
    assert charset.read(output("똠".encode("cp949")), {"LANG": "ko_KR.EUC-KR"}).charset == "ks_c_5601-1987"
    assert charset.read(output("镕".encode("gbk")), {"LANG": "zh_CN.GB2312"}).charset == "gb18030"


def test_the_streams_stay_apart_and_a_character_in_two_pieces_is_whole():
    day = "日本".encode("euc_jp")
    kept = day[:1] + b"E:" + day[1:] + b"\n"
    marks = (
        Mark(offset=0, stream=STDOUT, elapsed=0.0),
        Mark(offset=1, stream=STDERR, elapsed=0.0),
        Mark(offset=3, stream=STDOUT, elapsed=0.0),
    )
    reading = charset.read(Output(head=kept, marks=marks), {"LANG": "ja_JP.eucJP"})
    assert reading.shown.head.decode() == "E:日本\n"
    assert [(mark.offset, mark.stream) for mark in reading.shown.marks] == [(0, 1), (0, 2), (2, 1)]


LINES = st.lists(st.text(st.characters(categories=("L", "N", "P")), max_size=12), max_size=8)


@given(LINES, st.integers(0, 200), st.integers(0, 200), st.sampled_from([*TEXTS, "utf-8"]))
@settings(deadline=None)
def test_no_character_is_broken_where_output_was_left_out(lines, head, tail, codec):
    sample = TEXTS.get(codec, "備份 ⚙ März 🎉\n")
    octets = ("\n".join(lines) + sample * 6).encode(codec, "replace")
    head = min(head, len(octets) // 2)
    tail = min(tail, len(octets) - head - 1)
    cut = Output(
        head=octets[:head],
        tail=octets[len(octets) - tail :],
        left_out_bytes=len(octets) - head - tail,
        stdout_bytes=len(octets),
    )
    reading = charset.read(cut, {"LANG": LOCALES.get(codec, "")})
    if reading.charset:
        assert len(reading.output.kept) + reading.output.left_out_bytes == len(octets)
        assert octets.startswith(reading.output.head)
        assert octets.endswith(reading.output.tail)
        assert len(cut.kept) - len(reading.output.kept) < 2 * charset.LONGEST_CHARACTER
        reading.shown.head.decode()
        reading.shown.tail.decode()


def test_utf_8_that_was_cut_within_characters_needs_no_attachment():
    octets = "é".encode() * 20
    cut = Output(head=octets[:11], tail=octets[-11:], left_out_bytes=18, stdout_bytes=40)
    mail = composed(cut)
    assert "éé\n[… 20 bytes, 0 lines left out …]\néé" in text_of(mail)
    assert "kept: the first 10 and the last 10 bytes" in text_of(mail)
    assert not files_of(mail)


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from([*LOCALES.values(), "de_DE.UTF-8"]))
@settings(deadline=None)
def test_any_octets_in_any_locale_make_a_mail(head, tail, locale):
    marks = (Mark(offset=0, stream=STDERR, elapsed=0.0), Mark(offset=len(head), stream=STDOUT, elapsed=0.0))
    for left_out in (0, 7):
        shown = Output(head=head, tail=tail if left_out else b"", left_out_bytes=left_out, marks=marks)
        composed(shown, environment={"LANG": locale})
