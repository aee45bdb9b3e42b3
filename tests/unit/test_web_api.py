"""The API's parts: events, what a request may say, the document made of the table of routes."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDERR, STDOUT
from cronwrap.web.api import events
from cronwrap.web.api.openapi import PATH_PART, document
from cronwrap.web.api.parameters import FLAG, LIMIT, NAME, TEXT, Parameter, of_body, of_query
from cronwrap.web.api.table import ROUTES
from cronwrap.web.deeds.base import Refused

KNOWN = (
    Parameter(name="job", kind=NAME, about=""),
    Parameter(name="q", kind=TEXT, about=""),
    Parameter(name="failed", kind=FLAG, about=""),
    Parameter(name="limit", kind=LIMIT, about=""),
)


def sent(pieces, **options):
    """Give the events for some pieces, taken apart as a browser does (HTML, 9.2.6)."""

    async def every():
        for piece in pieces:
            yield piece

    async def all_of():
        return b"".join([octets async for octets in events.events(every(), **{"apart": False, **options})])

    found = []
    for block in asyncio.run(all_of()).decode().split("\n\n")[:-1]:
        lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            found.append((fields.get("event", ""), int(fields["id"]), fields["data"]))
    return found


@given(st.lists(st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(max_size=30_000)), max_size=4))
@settings(max_examples=30)
def test_events_carry_every_octet_and_their_ids_are_the_offsets_behind_them(said):
    pieces, offset = [], 5
    for stream, octets in said:
        pieces.append((offset, stream, octets))
        offset += len(octets)
    at, received = 5, b""
    for name, behind, data in sent(pieces):
        octets = base64.b64decode(data, validate=True)
        at += len(octets)
        received += octets
        assert (name, behind) == ("", at)
        assert octets
    assert received == b"".join(octets for _, octets in said)


def test_what_is_no_octets_is_told_by_events_of_other_names_and_the_streams_where_that_is_asked_for():
    pieces = [
        (0, STDERR, b"ab"),
        {"gap": 7, "next": 9},
        (9, STDOUT, b"c"),
        {"lost": True, "next": 10},
        {"end": True, "status": None, "next": 10},
    ]
    assert sent(pieces, apart=True) == [
        ("stderr", 2, "YWI="),
        ("gap", 9, "7"),
        ("stdout", 10, "Yw=="),
        ("lost", 10, "what follows is not to be had by its offset"),
        ("end", 10, '{"status": null}'),
    ]


def test_silence_is_broken_by_comments_that_no_browser_tells_of():
    async def silent():
        for _ in range(3):
            yield 0, 0, b""

    async def all_of(beat):
        return [octets async for octets in events.events(silent(), apart=False, beat=beat)]

    assert asyncio.run(all_of(0.0))[1:] == [events.COMMENT] * 3
    assert asyncio.run(all_of(60.0)) == [events.BEGINNING]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("nobody", "1")], "may not have 'nobody'"),
        ([("job", "a"), ("job", "b")], "more than once"),
        ([("failed", "yes")], "neither true nor false"),
        ([("limit", "0")], "no whole number from 1"),
        ([("limit", "\u0661")], "no whole number"),
        ([("limit", "9" * 5000)], "no whole number"),
        ([("q", "x" * 1001)], "more than 1000"),
        ([("q", "a\x00b")], "no text has"),
        ([("q", "a\rb")], "no text has"),
        ([("q", "a\ud800")], "no text has"),
    ],
)
def test_a_query_that_says_what_it_may_not_is_refused_with_words(pairs, words):
    with pytest.raises(Refused) as refused:
        of_query(pairs, KNOWN)
    assert refused.value.status == 400
    assert words in refused.value.detail
    refused.value.detail.encode("ascii")


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"1", b"null", b"{", b"\xff{}", b'{"job": 1}', b'{"job": null}', b'{"job": ["a"]}'),
        *(b'{"failed": "a"}', b'{"job": "a", "job": "b"}', b'{"job": NaN}', b'{"job": "\\ud800"}', b"{}{}"),
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_object_of_known_members_is_refused(body):
    with pytest.raises(Refused) as refused:
        of_body(body, KNOWN)
    assert refused.value.status == 400


@pytest.mark.parametrize("value", ["1", '"x"', "null", "{}"])
def test_a_member_that_nobody_knows_is_told_as_that_whatever_its_value(value):
    with pytest.raises(Refused, match="The body may not have 'bogus'"):
        of_body(f'{{"bogus": {value}}}'.encode(), KNOWN)


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: json.dumps({"q": text}).encode()))
@settings(max_examples=100)
def test_no_body_gets_further_than_a_refusal_or_its_values(body):
    try:
        found = of_body(body, KNOWN)
    except Refused:
        return
    assert found.keys() <= {"job", "q", "failed", "limit"}


def test_what_may_be_said_is_read_as_what_it_is():
    assert of_query([("failed", "true"), ("limit", "20"), ("job", "é<b>")], KNOWN) == {
        "failed": True,
        "limit": 20,
        "job": "é<b>",
    }
    assert of_body(b' {"failed": false, "q": ""}', KNOWN) == {"failed": False, "q": ""}
    assert of_body(b"", KNOWN) == {}


def test_the_document_has_every_route_and_every_word_that_it_refers_to():
    found = document()
    described = {(method.upper(), path) for path, ways in found["paths"].items() for method in ways}
    assert described == {(route.method, PATH_PART.sub(r"{\1}", route.path)) for route in ROUTES}
    schemas = found["components"]["schemas"].keys()
    for name in json.dumps(found).split('"#/components/schemas/')[1:]:
        assert name.partition('"')[0] in schemas


def test_an_empty_value_in_a_query_says_nothing_and_late_jobs_are_found_by_either_word():
    known = next(route for route in ROUTES if route.deed == "jobs.list").query
    empty = [(parameter.name, "") for parameter in known]
    assert of_query(empty, known) == {}
    assert of_query([("state", "missed"), ("limit", "")], known) == {"state": "missed"}
    with pytest.raises(Refused, match="Said twice"):
        of_query([("limit", ""), ("limit", "1")], known)
