"""The way to a relay: by what name, from which address, and through which proxy."""

from __future__ import annotations

import socket
import sys
from urllib.parse import quote

import pytest

from cronwrap.errors import ConfigError
from cronwrap.mail import Envelope
from cronwrap.relay.connect import connect
from cronwrap.relay.probe import probe
from cronwrap.settings import relays as endpoint
from support import proxies
from support.relay import PASSWORD, USER

TO = "ops@example.test"
CONTENT = b"Subject: way\r\n\r\ntext\r\n"
KINDS = ("socks5", "socks4", "http")


@pytest.fixture
def make_proxy():
    started = []

    def make(kind, **more):
        started.append(proxies.Proxy(kind, **more))
        return started[-1].__enter__()

    yield make
    for proxy in started:
        proxy.__exit__(None, None, None)


def at(server, **keys):
    table = {"url": server.url, "user": USER, "password": PASSWORD, "ca-file": server.authority.ca_file}
    return endpoint.parse(table | keys, "test")


def send(relay):
    with connect(relay) as session:
        return session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT)


def login_for(proxy):
    password = "" if proxy.kind == "socks4" else f":{quote(proxies.PASSWORD, safe='')}"
    return f"{proxy.kind}://{proxies.USER}{password}@localhost:{proxy.port}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_message_goes_through_a_proxy_that_looks_the_name_up_and_sees_no_text(
    make_relay, make_proxy, kind, tls
):
    server, proxy = make_relay(tls=tls), make_proxy(kind)
    assert send(at(server, proxy=f"{kind}://localhost:{proxy.port}")).delivered == (TO,)
    assert proxy.asked == [("localhost", server.port)]
    assert b"Subject" not in proxy.carried
    assert server.messages[0].tls


@pytest.mark.parametrize("kind", KINDS)
def test_a_greeting_that_comes_together_with_the_proxys_answer_is_heard(make_relay, make_proxy, kind):
    server, proxy = make_relay(tls="starttls"), make_proxy(kind, together=True)
    assert send(at(server, proxy=f"{kind}://localhost:{proxy.port}")).delivered == (TO,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_wants_a_login_gets_it(relay, make_proxy, kind):
    proxy = make_proxy(kind, login=True)
    assert send(at(relay, proxy=login_for(proxy))).delivered
    fault = send(at(relay, proxy=f"{kind}://localhost:{proxy.port}")).relay_fault
    assert f"by {kind}://localhost:{proxy.port}" in fault
    assert "check proxy" in fault


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_lets_nobody_through_is_told_as_such(relay, make_proxy, kind):
    proxy = make_proxy(kind, refuse=True)
    delivery = send(at(relay, proxy=f"{kind}://localhost:{proxy.port}"))
    assert "the proxy says" in delivery.relay_fault
    assert dict(delivery.deferred).keys() == {TO}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_proxy_is_a_fault_of_the_relay(relay, make_misbehaving, kind):
    for server in (
        make_misbehaving("banner", "garbage", mode="starttls"),
        make_misbehaving("connect", "refuse"),
    ):
        fault = send(at(relay, proxy=f"{kind}://localhost:{server.port}").replace(timeout=2.0)).relay_fault
        assert "check proxy" in fault


def test_without_the_extra_the_fault_says_what_to_install(relay, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    assert "pip install 'cronwrap[proxy]'" in send(at(relay, proxy="socks5://localhost:1")).relay_fault


def test_doctor_tries_a_relay_through_its_proxy(relay, make_proxy):
    proxy = make_proxy("socks5")
    steps = list(probe(at(relay, proxy=f"socks5h://localhost:{proxy.port}"), USER, (TO,)))
    assert all(step.ok for step in steps), steps
    assert "looked up by" in steps[0].text


def test_the_password_of_a_proxy_is_shown_nowhere(cli, relay, make_proxy):
    proxy = make_proxy("socks5", login=True, refuse=True)
    cli.write_config(f'mailto = "{TO}"\n{relay.table}proxy = "{login_for(proxy)}"\n')
    result = cli("--", "false")
    told = [result, cli("config", "show"), cli("outbox", "list"), cli("doctor")]
    assert proxy.asked
    for shown in told:
        assert "pass%40word" not in shown.stdout + shown.stderr
        assert proxies.PASSWORD not in shown.stdout + shown.stderr
    assert f"socks5://localhost:{proxy.port}" in told[1].stdout


# EHLO, and the address


@pytest.mark.parametrize(
    ("helo", "said"),
    [
        ("web1.example.test", "web1.example.test"),
        ("[192.0.2.7]", "[192.0.2.7]"),
        ("web1", "[127.0.0.1]"),
        ("localhost.localdomain", "[127.0.0.1]"),
    ],
)
def test_the_name_in_ehlo_is_the_one_wanted_unless_it_means_nothing_elsewhere(make_misbehaving, helo, said):
    server = make_misbehaving()
    relay = endpoint.from_environment(server.environment).replace(helo=helo)
    send(relay)
    assert f"EHLO {said}" in server.conversations[0].lines


def test_a_connection_comes_from_the_address_that_is_wanted(relay, monkeypatch):
    bound = []
    bind = socket.socket.bind
    monkeypatch.setattr(
        socket.socket, "bind", lambda sock, where: (bound.append(where), bind(sock, where))[1]
    )
    assert send(at(relay, source="127.0.0.3")).delivered
    assert ("127.0.0.3", 0) in bound


@pytest.mark.parametrize(("source", "words"), [("192.0.2.7", "not this host's"), ("2001:db8::7", "kind of")])
def test_an_address_that_is_not_this_hosts_is_told(relay, source, words):
    fault = send(at(relay, source=source, url=f"smtps://127.0.0.1:{relay.port}")).relay_fault
    assert words in fault
    assert "set source" in fault


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("helo", value) for value in ("a b", "x\r\nMAIL", "[]", "é.example", "")),
        *(("source", value) for value in ("localhost", "1.2.3", "1.2.3.400", "::x")),
        *(
            ("proxy", value)
            for value in (
                "proxy:1080",
                "ftp://p",
                "socks5://",
                "socks5://p:0",
                "http://:x@p",
                "socks5://u:@p",
            )
        ),
    ],
)
def test_a_bad_value_is_told_by_its_key(key, value):
    with pytest.raises(ConfigError, match=key):
        endpoint.parse({"url": "smtps://h", key: value}, "test")


def test_a_file_with_the_password_of_a_proxy_names_a_secret():
    assert endpoint.parse({"url": "smtps://h", "proxy": "socks5://u:p@h"}, "test").names_secret
    assert not endpoint.parse({"url": "smtps://h", "proxy": "socks5://h"}, "test").names_secret
    with pytest.raises(ConfigError, match="proxy has no use"):
        endpoint.parse({"url": "smtp://localhost", "proxy": "socks5://h"}, "test")
