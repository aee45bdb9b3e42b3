"""What every request must pass: host, visitor, origin, body, token; and the headers of every answer."""

from __future__ import annotations

import os

import pytest

from cronwrap.web.guard import BODY_LARGEST
from cronwrap.web.visitor import Door, Peer, Proxy
from support.web import Page

FORM = {"content-type": "application/x-www-form-urlencoded"}
OVER_LOOPBACK = Peer(uid=os.geteuid())


@pytest.fixture(scope="module")
def page():
    return Page()


@pytest.fixture(scope="module")
def by_key():
    return Page(peer=OVER_LOOPBACK)


def entered(page):
    answer = page.get(f"/?key={page.door.new_key()}")
    return answer.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "", "[::2]", "a b"]
)
def test_a_host_that_is_not_ours_is_misdirected(page, host):
    assert page.get("/", host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8377", "127.0.0.1:1", "[::1]:8377"])
def test_the_names_of_the_loopback_are_served(page, host):
    assert page.get("/", host=host).status == 200


def test_a_host_that_the_settings_name_is_served():
    assert Page(hosts=("cron.example.com",)).get("/", host="Cron.Example.com").status == 200


@pytest.mark.parametrize("path", ["/", "/?key=wrong", "/static/style.css", "/api/v1/status", "/nothing"])
def test_over_the_loopback_nothing_at_all_is_shown_without_a_key(by_key, path):
    answer = by_key.get(path)
    assert answer.status == 401
    assert len(answer.body) < 120
    assert os.uname().nodename not in answer.text


def test_a_key_works_once_and_becomes_a_cookie_that_no_script_sees(by_key):
    key = by_key.door.new_key()
    first, second = (by_key.get(f"/?key={key}") for _time in range(2))
    assert (first.status, first.location, second.status) == (303, "/", 401)
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert by_key.get("/", cookie=cookie.partition(";")[0]).status == 200


def test_a_browser_that_fetches_ahead_does_not_use_up_the_key(by_key):
    key = by_key.door.new_key()
    assert by_key.get(f"/?key={key}", sec_purpose="prefetch").status == 401
    assert by_key.get(f"/?key={key}").status == 303


def test_a_session_of_another_users_process_is_refused(by_key):
    cookie = entered(by_key)
    other = Page(peer=Peer(uid=4711))
    other.guard._door = by_key.door
    assert other.get("/", cookie=cookie).status == 403


def test_a_session_ends_after_its_time():
    door = Door()
    cookie = door.enter(door.new_key(), now=0.0)
    headers = {"cookie": [f"cronwrap-session={cookie}"]}
    assert door.visitor(OVER_LOOPBACK, headers, now=60.0).by == "key"
    with pytest.raises(Exception, match="401"):
        door.visitor(OVER_LOOPBACK, headers, now=60.0 + 13 * 3600)


def test_the_peer_of_a_socket_is_who_the_kernel_says(page):
    assert page.get("/").status == 200
    assert Page(peer=Peer(uid=None, unix=True)).get("/").status == 403


def test_a_page_of_a_user_is_no_other_users(monkeypatch):
    monkeypatch.setattr("cronwrap.web.visitor.os.geteuid", lambda: 4711)
    door = Door()
    assert door.visitor(Peer(uid=4711, unix=True), {}).user == "4711"
    assert not door.visitor(Peer(uid=0, unix=True), {}).root  # there is nobody else's there
    with pytest.raises(Exception, match="403"):
        door.visitor(Peer(uid=4712, unix=True), {})


def test_only_the_proxy_may_say_who_is_there():
    proxy = Proxy(uid=4711, header="x-remote-user")
    page = Page(peer=Peer(uid=os.geteuid(), unix=True), proxy=proxy)
    assert page.get("/", x_remote_user="nobody").status == 200  # it comes from us, and the header is nothing
    door = Door(proxy=proxy)
    door.uid = 0
    proxied = Peer(uid=4711, unix=True)
    assert door.visitor(proxied, {"x-remote-user": ["nobody"]}).user == "nobody"
    for named in ([], [""], ["nobody", "root"], ["no such user"], ["root"]):
        with pytest.raises(Exception, match="403"):
            door.visitor(proxied, {"x-remote-user": named})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:1"},
        {"origin": "null"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_change_that_comes_from_another_page_is_refused(page, headers):
    assert page.post("/nothing", **headers).status == 403
    assert page.json("POST", "/api/v1/nothing", {}, **headers).status == 403


def test_a_change_from_the_page_itself_passes(page):
    assert page.post("/nothing", origin="http://localhost", sec_fetch_site="same-origin").status == 404


@pytest.mark.parametrize("token", ["", "a.b", "\udcff", "x" * 100])
def test_a_form_without_its_token_is_refused(page, token):
    assert page.post("/nothing", token=token.encode(errors="replace").decode()).status == 403


def test_a_token_is_of_one_visitor_alone(page):
    other = Page()
    assert page.post("/nothing", token=other.token()).status == 403


def test_each_forms_token_is_another(page):
    assert page.token() != page.token()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/nothing", "text/plain"),
        ("/nothing", "application/json"),
        ("/nothing", "multipart/form-data; boundary=x"),
        ("/nothing", ""),
        ("/api/v1/nothing", "text/plain"),
        ("/api/v1/nothing", "application/x-www-form-urlencoded"),
        ("/api/v1/nothing", ""),
    ],
)
def test_a_body_of_another_kind_is_refused(page, path, kind):
    assert page.ask("POST", path, b"token=x", {"content-type": kind}).status == 415


def test_a_read_only_page_changes_nothing():
    page = Page(read_only=True)
    assert page.get("/").status == 200
    assert page.post("/nothing").status == 403
    assert page.json("POST", "/api/v1/nothing", {}).status == 403


@pytest.mark.parametrize("length", [str(BODY_LARGEST + 1), "-1", "x", "9" * 400])
def test_a_body_that_says_it_is_too_large_is_refused_unread(page, length):
    assert page.ask("POST", "/nothing", b"", {**FORM, "content-length": length}).status == 413


def test_a_body_that_grows_too_large_is_refused(page):
    assert page.ask("POST", "/nothing", b"x" * (BODY_LARGEST + 1), FORM).status == 413


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_a_method_that_is_not_there_changes_nothing(page, method):
    assert page.ask(method, "/", b"", FORM).status in {403, 405}


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/style.css", "/api/v1/status", "/api/v1/nothing"])
def test_every_answer_has_the_headers_that_keep_it_where_it_belongs(page, path):
    headers = page.get(path).headers
    policy = dict(part.partition(" ")[::2] for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert not any("unsafe" in value or "*" in value or "data:" in value for value in policy.values())
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_an_error_of_the_api_is_a_problem(page):
    answer = page.get("/api/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status == 404
