"""Whatever jobs, commands, outputs and mails say is text: on every page, by the application's own routes."""

from __future__ import annotations

import itertools
import json
import os
import re
from urllib.parse import quote

import pytest
from starlette.routing import Mount

from cronwrap.paths import user_name
from support.web import Page
from support.web_document import Document
from support.web_state import MARK, crontab_of_names, hostile


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The page over a hostile state; names of jobs, ids of runs, of mails, of crontabs."""
    place = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        state = str(place / "state")
        patch.setenv("CRONWRAP_STATE_DIR", state)
        patch.setenv("PATH", f"{crontab_of_names(str(place))}:{os.environ['PATH']}")
        jobs, runs, mails = hostile(state)
        page = Page()
        tables = page.get("/api/v1/crontabs")
        ids = [item["id"] for item in tables.json()["items"]] if tables.status == 200 else []
        yield page, {"job": jobs, "run": runs, "user": [user_name()], "state": ["0" * 64]}, mails, ids


def filled(path, values):
    """Give the addresses that a route's path stands for."""
    names = [name for name in ("user", "job", "run", "id", "state") if f"{{{name}" in path]
    for row in itertools.product(*(values[name] for name in names)):
        found = path
        for name, value in zip(names, row, strict=True):
            part = quote(value.encode("utf-8", "surrogateescape"), safe="")
            found = re.sub(rf"\{{{name}(?::\w+)?\}}", part.replace("\\", r"\\"), found)
        yield found


def addresses(page, values, mails, tables):
    for route in page.guard._application.routes:
        if isinstance(route, Mount) or "GET" not in route.methods:
            continue
        ids = mails if "outbox" in route.path else tables
        known = {**values, "id": ids}
        yield from (found for found in filled(route.path, known) if "{" not in found)


def test_nothing_that_a_job_a_crontab_or_a_mail_says_is_more_than_text_on_any_page(world):
    page, values, mails, tables = world
    seen = 0
    for path in addresses(page, values, mails, tables):
        answer = page.get(path)
        assert answer.status < 500, (path, answer.body[-300:])
        if answer.status == 303:  # to the only crontab that a user has
            assert (answer.body, "content-type" in answer.headers) == (b"", False), path
            continue
        kind = answer.headers["content-type"].partition(";")[0]
        if kind == "text/html":
            document = Document(answer.text)
            assert document.faults == [], path
            seen += MARK in document.text
        elif kind == "application/json":
            json.loads(answer.body.decode("ascii"))
        else:
            assert kind in ("text/plain", "text/event-stream", "application/problem+json"), path
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert seen > len(values["run"])  # it was shown, as text


def test_what_is_asked_for_comes_back_as_text(world):
    page, values, _mails, _tables = world
    for name in values["job"][:-1]:
        word = quote(name.encode(), safe="")
        for asked in (
            "?q={}",
            "?said={}",
            "runs?job={}",
            "nothing/{}",
            "?{}=1",
            "runs?since={}",
            "?order={}",
        ):
            path = "/" + asked.format(word)
            answer = page.get(path)
            assert answer.status < 500, path
            assert Document(answer.text).faults == [], path


def test_the_checker_finds_what_it_looks_for():
    for text in (
        "<img src=x onerror=y>",
        "<script>x</script>",
        "<a href='javascript:x'>",
        "<b>\u202e</b>",
        "<p style='x'>",
        "</b>",
        "<!--x-->",
        "<b title='\x1b'>",
    ):
        assert Document(text).faults, text
    assert Document("<p>a&lt;b <b class='x'>c</b><textarea>\u202e</textarea></p>").faults == []
