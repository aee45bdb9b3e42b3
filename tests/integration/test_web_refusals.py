"""Who may not do what: every route and method of the application, by its own table, for each who may not."""

from __future__ import annotations

import os
import re
from functools import partial

import pytest
from starlette.routing import Mount, Route

from cronwrap.web.deeds import DEEDS
from cronwrap.web.visitor import Peer, Proxy
from support.web import Page

SAFE = ("GET", "HEAD")
METHODS = (*SAFE, "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
VALUES = {
    "user": "nobody-here",
    "job": "a job",
    "run": "20260101T000000-0000abcd",
    "id": "user:x",
    "state": "0" * 64,
    "deed": "pause|retry",
}
"""What stands in the addresses of routes, the first that fits; a new part of one has to have its own here."""
STRANGER = 4711
"""A user id that is nobody's on the machines where tests run, or at least not ours."""


def part(route, match):
    """Give what stands in an address for a part of a route's path."""
    kind = route.param_convertors[match[1]].regex
    return next(value for value in VALUES[match[1]].split("|") if re.fullmatch(kind, value))


def routes():
    """Give each address of the application, filled in, with the methods it has."""
    found = {}
    for route in Page().guard._application.routes:
        if isinstance(route, Mount):
            found[f"{route.path}/style.css"] = {*SAFE}
            continue
        assert isinstance(route, Route)
        path = re.sub(r"\{(\w+)(?::\w+)?\}", partial(part, route), route.path)
        found.setdefault(path.replace(" ", "%20"), set()).update(route.methods)
    return found


ROUTES = routes()


def every():
    """Give each address with each method there is, served or not."""
    return [(path, method, method in methods) for path, methods in ROUTES.items() for method in METHODS]


def ask(page, method, path, **headers):
    """Ask as the page itself would: a form for pages, JSON for programs, with all that they need."""
    if method in SAFE:
        return page.ask(method, path, b"", headers)
    if path.startswith("/api/"):
        kind = {"content-type": "application/json"}
        return page.ask(method, path, b"{}", {**kind, **headers})
    return page.ask(method, path, f"token={page.token()}".encode(), {"content-type": FORM, **headers})


FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def page():
    return Page()


def shows_nothing(answer):
    """Tell whether an answer has nothing of the machine in it."""
    return len(answer.body) < 200 and os.uname().nodename.encode() not in answer.body


def test_another_user_is_let_in_nowhere(page):
    other = Page(peer=Peer(uid=STRANGER, unix=True))
    other.guard._door.uid = other.door.uid = 4712  # the page is not root's, who may look
    other.token = page.token
    for path, method, _served in every():
        answer = ask(other, method, path)
        assert answer.status == 403, (method, path)
        assert shows_nothing(answer), (method, path)


def test_a_name_that_is_not_ours_is_served_nowhere(page):
    for path, method, _served in every():
        answer = ask(page, method, path, host="rebound.example")
        assert answer.status == 421, (method, path)
        assert shows_nothing(answer), (method, path)


def test_over_the_loopback_nothing_is_shown_without_the_key():
    without = Page(peer=Peer(uid=os.geteuid()))
    without.token = lambda: "x"
    for path, method, _served in every():
        for headers in ({}, {"cookie": "cronwrap-session=guessed"}):
            answer = ask(without, method, path, **headers)
            assert answer.status == 401, (method, path)
            assert shows_nothing(answer), (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:1", "host": "localhost:8377"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_origin_changes_nothing_anywhere(page, headers):
    for path, method, _served in every():
        if method not in SAFE:
            assert ask(page, method, path, **headers).status in (403, 405), (method, path)


def test_without_its_token_no_form_changes_anything(page):
    for path, method, served in every():
        if method in SAFE or path.startswith("/api/") or not served:
            continue
        token = page.token()
        other = token[:-1] + ("1" if token.endswith("0") else "0")
        for body in (b"", b"token=", b"token=guessed", b"token=a.b", f"token={other}".encode()):
            answer = page.ask(method, path, body, {"content-type": FORM})
            assert answer.status == 403, (method, path, body)


def test_a_body_of_another_type_changes_nothing_anywhere(page):
    for path, method, served in every():
        if method in SAFE or not served:
            continue
        for kind in ("", "text/html", "multipart/form-data; boundary=x", "application/jsonx", "text/plain"):
            if kind == "text/plain" and method == "PUT":
                continue  # a crontab: no page of another origin can send that unasked
            answer = page.ask(method, path, b"token=" + page.token().encode(), {"content-type": kind})
            assert answer.status == 415, (method, path, kind)


def test_a_read_only_page_changes_nothing_anywhere():
    page = Page(read_only=True)
    for path, method, _served in every():
        if method not in SAFE:
            assert ask(page, method, path).status in (403, 405), (method, path)


def test_a_body_that_is_too_large_gets_nowhere(page):
    for path, method, served in every():
        if method not in SAFE and served:
            answer = ask(page, method, path, content_length=str(10**9))
            assert answer.status == 413, (method, path)


def test_what_is_another_users_is_as_what_is_not_there():
    """Root's page, asked by one user for another's: nothing tells of that user, or acts as them."""
    page = Page(peer=Peer(uid=os.geteuid(), unix=True))
    acted = []
    page.actor.uid = 0
    page.actor._child = acted.append
    visitor = page.door.visitor
    page.door.visitor = lambda *about: visitor(*about).replace(root=False)
    page.token = lambda: page.door.token(page.door.visitor(page.peer, {}))
    seen = set()
    for path, method, served in every():
        if served and VALUES["user"] in path:
            paths = (path.replace(VALUES["user"], name) for name in ("daemon", "nix"))
            root, nobody = (ask(page, method, one) for one in paths)
            assert root.status == 404, (method, path)
            # The foot of each page has the clock, which may go on in between.
            bodies = [re.sub(rb"\d\d:\d\d:\d\d", b"", answer.body) for answer in (root, nobody)]
            assert (root.status, bodies[0]) == (nobody.status, bodies[1]), (method, path)
            seen.add(method)
    for path, method, served in every():
        if served:
            for query in ("?user=daemon", "?user=root&job=x"):
                assert ask(page, method, path + query).status < 500, (method, path)
    assert acted == []
    assert seen >= {"GET", "POST"}


def test_the_proxy_alone_may_say_who_the_visitor_is():
    headers = {"x_remote_user": "daemon"}
    page = Page(proxy=Proxy(uid=STRANGER, header="x-remote-user"))
    assert page.get("/api/v1/status", **headers).status == 200  # the header is nothing to us
    by_proxy = Page(proxy=Proxy(uid=STRANGER, header="x-remote-user"), peer=Peer(uid=STRANGER, unix=True))
    by_proxy.token = lambda: "x"
    for path, method, _served in every():
        assert ask(by_proxy, method, path).status == 403, (method, path)
        assert ask(by_proxy, method, path, x_remote_user="root").status == 403, (method, path)


def test_no_method_that_is_not_served_does_anything_and_no_get_is_of_a_deed_that_changes(page):
    for path, method, served in every():
        if not served:
            assert ask(page, method, path).status in (404, 405, 415), (method, path)
    for route in page.guard._application.routes:
        if isinstance(route, Route) and "GET" in route.methods and route.name.startswith("api."):
            assert not DEEDS[route.name.removeprefix("api.")].changes


def test_every_answer_has_the_headers_that_keep_a_browser_in_bounds(page):
    for path, method, _served in every():
        answer = ask(page, method, path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, (method, path)
        assert "unsafe" not in policy, (method, path)
        assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
        assert not {"access-control-allow-origin", "server"} & answer.headers.keys(), (method, path)
        assert answer.headers["cache-control"], (method, path)
