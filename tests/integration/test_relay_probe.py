"""Probes of real servers, step by step; and the way to a server's socket."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import time

import pytest

from cronwrap.relay import dial
from cronwrap.relay.probe import probe, reach
from cronwrap.settings import relays as endpoint
from support.relay import PASSWORD, USER


def at(server, **keys):
    table = {"url": server.url, "user": USER, "password": PASSWORD, "ca-file": server.authority.ca_file}
    return endpoint.parse(table | keys, "test")


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_good_relay_passes_every_step_and_gets_no_message(make_relay, tls):
    server = make_relay(tls=tls)
    steps = list(probe(at(server), USER, ("a@example.test", "b@example.test")))
    assert all(step.ok for step in steps), steps
    names = [step.name for step in steps]
    assert names == [
        *("resolve", "connect", "tls", "certificate", "greeting", "login", "size"),
        *("sender", "recipient", "recipient"),
    ]
    texts = dict(zip(names, (step.text for step in steps), strict=True))
    assert "days left" in texts["certificate"]
    assert texts["size"] == "takes messages of up to 32 MiB"
    assert server.messages == []
    assert server.counters.quits == 1


@pytest.mark.parametrize(
    ("keys", "failing", "words"),
    [
        ({"password": "wrong"}, "login", "app password"),
        ({"ca-file": "/nonexistent"}, "certificate", "ca-file"),
        ({"fingerprint": "ab" * 32}, "certificate", "fingerprint"),
        ({"url": "smtps://nowhere.invalid", "timeout": "5s"}, "resolve", "check"),
    ],
)
def test_a_probe_stops_at_the_first_fatal_step_with_advice(relay, keys, failing, words):
    last = list(probe(at(relay, **keys)))[-1]
    assert (last.name, last.ok) == (failing, False)
    assert words in f"{last.text} {last.advice}"


def test_a_refused_recipient_does_not_stop_the_others(relay):
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="gone")
    steps = list(probe(at(relay), USER, ("gone@example.test", "b@example.test")))
    assert [step.ok for step in steps[-3:]] == [True, False, True]


def test_a_refused_sender_is_the_last_step_and_hints_at_mailfrom(relay):
    relay.refuse("MAIL", "553 5.7.1 Not owned by user")
    last = list(probe(at(relay), "other@example.test", ("b@example.test",)))[-1]
    assert (last.name, last.ok) == ("sender", False)
    assert "mailfrom" in last.advice


@pytest.mark.parametrize("bad", ["a b@x.test", "a\r\nRSET@x.test", "jörg@x.test"])
def test_a_bad_address_is_not_sent_to_the_relay(relay, bad):
    assert not list(probe(at(relay), USER, (bad,)))[-1].ok


def test_a_certificate_near_its_end_is_announced(make_relay, authority):
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=3, hours=1)
    steps = list(probe(at(make_relay(certificate=authority.certificate(not_after=soon)))))
    (step,) = [step for step in steps if step.name == "certificate"]
    assert step.ok
    assert "3 days" in step.text
    assert "renewed" in step.advice


def test_a_port_is_told_reachable_or_not(relay):
    assert reach("localhost", relay.port).ok
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        step = reach("localhost", bound.getsockname()[1])
    assert not step.ok
    assert "refused" in step.text


def test_an_address_that_leads_nowhere_does_not_hold_up_the_next(relay, make_misbehaving):
    silent = make_misbehaving("connect", "hang")
    addresses = [(socket.AF_INET, ("127.0.0.1", silent.port)), (socket.AF_INET, ("127.0.0.1", relay.port))]
    started = time.monotonic()
    with asyncio.run(dial.connect(addresses, "test", 10)) as sock:
        assert sock.getpeername()[1] == relay.port
    assert time.monotonic() - started < 5


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch):
    released = []

    def hang(*_arguments, **_keys):
        while not released:
            time.sleep(0.01)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(dial.RelayFault, match="name service"):
        dial.resolve("slow.example.test", 465, 0.1)
    assert time.monotonic() - started < 5
    released.append(True)
