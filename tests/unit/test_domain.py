# ruff: noqa: RUF001  # letters that look alike are what this is about
"""Domains with letters outside ASCII: IDNA 2008, never the other domain that IDNA 2003 makes of them."""

from __future__ import annotations

import unicodedata

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronwrap.address import addresses
from cronwrap.channels.same_host import ascii_address
from cronwrap.domain import to_ascii
from cronwrap.relay.smtp import mailbox
from cronwrap.settings.relays import parse

DEVIATIONS = [
    ("faß.example", "xn--fa-hia.example"),
    ("βόλος.com", "xn--nxasmm1c.com"),
    ("ΒΌΛΟΣ.com", "xn--nxasmq6b.com"),
    ("ශ්‍රී.com", "xn--10cl1a0b660p.com"),
    ("نامه‌ای.com", "xn--mgba3gch31f060k.com"),
]
"""Of UTS 46, 7, "Deviations"."""


@pytest.mark.parametrize(("name", "ascii_form"), DEVIATIONS)
def test_where_the_two_standards_differ_the_newer_one_holds(name, ascii_form):
    assert to_ascii(name) == ascii_form


@pytest.mark.parametrize(
    ("name", "ascii_form"),
    [
        ("Example.COM", "example.com"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
        ("l·l.cat", "xn--ll-0ea.cat"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ],
)
def test_what_people_write_is_mapped(name, ascii_form):
    assert to_ascii(name) == ascii_form


@pytest.mark.parametrize(
    "name",
    [
        "a\u200db.example",
        "a\u200cb.example",
        "a\u00adb\u00e9.example",
        "\u0301a.example",
        "☃.example",
        "a⒈com.example",
        "é_b.example",
        "-é.example",
        "é-.example",
        "ab--é.example",
        "aאb.example",
        "a·b.example",
        "é\ufe0f.example",
        "é" * 63 + ".example",
        ".".join(["éa"] * 60),
        "ﬀé.example",
    ],
)
def test_what_the_standard_does_not_allow_is_refused(name):
    with pytest.raises(ValueError, match=r"may not|hyphen|mark|too long|directions"):
        to_ascii(name)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_what_is_taken_is_what_the_idna_library_makes_of_it(label):
    """The library follows every table; where we take a name, it takes the same one."""
    try:
        found = to_ascii(label)
    except ValueError:
        return
    if label.isascii():
        return
    mapped = unicodedata.normalize("NFC", "".join(char.lower() for char in label))
    try:
        expected = idna.encode(mapped, uts46=True).decode()
    except idna.IDNAError:
        return  # it has the tables of a Unicode of its own, and knows more of joiners
    assert found.strip(".") == expected.strip(".")


@given(st.text(st.characters(whitelist_categories=("Ll", "Lo", "Nd")), min_size=1, max_size=8))
def test_no_plain_name_that_the_idna_library_takes_is_refused(label):
    try:
        expected = idna.encode(label).decode()
    except (idna.IDNAError, UnicodeError):
        return
    assert to_ascii(label) == expected


def test_the_name_counts_wherever_a_domain_is_written():
    relay = parse({"url": "smtps://faß.example"}, "here")
    assert (relay.host, relay.display) == ("xn--fa-hia.example", "smtps://xn--fa-hia.example:465")
    assert mailbox("ops@faß.example") == b"ops@xn--fa-hia.example"
    assert [one.spec for one in addresses("ops@faß.example", "host")] == ["ops@xn--fa-hia.example"]
    assert ascii_address("https://u:p@Faß.example:8000/x?y=ß") == "https://u:p@xn--fa-hia.example:8000/x?y=ß"
    for bad in ("smtps://☃.example", "smtps://a\u200db.example"):
        with pytest.raises(Exception, match=r"IDNA 2008|host name"):
            parse({"url": bad}, "here")
