"""Every stage of a conversation with every fault it can have: what is kept, and within what time."""

from __future__ import annotations

import time

import pytest

from cronwrap.mail import Envelope
from cronwrap.relay import conversation, look
from cronwrap.relay import smtp as relay_smtp
from cronwrap.relay.connect import connect
from cronwrap.settings import relays as endpoint
from support.misbehaving import CELLS, FAULTS

CONTENT = b"Subject: fault\r\n\r\ntext\r\n"
TO = ("a@example.test", "b@example.test")
TIMEOUT = 0.5
BOUND = 4.0
"""Seconds: several timeouts and a farewell, far below the time of a test that hangs."""

MODES = [(stage, fault, "implicit") for stage, fault in CELLS] + [
    (stage, fault, "starttls")
    for stage, fault in (*CELLS, *(("starttls", fault) for fault in FAULTS))
    if stage in ("banner", "starttls", "tls")
]
"""After TLS both modes are the same."""
BEFORE_THE_MESSAGE = ("connect", "banner", "tls", "starttls", "ehlo", "auth")
PERMANENT_AT = ("mail", "rcpt", "data", "dot")


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(conversation, "FINAL_REPLY_LIMIT", TIMEOUT)
    monkeypatch.setattr(conversation, "FAREWELL_LIMIT", TIMEOUT)
    monkeypatch.setattr(look, "LOOK_LIMIT", TIMEOUT)


def attempt(server):
    relay = endpoint.from_environment(server.environment).replace(timeout=TIMEOUT)
    started = time.monotonic()
    with connect(relay) as session:
        delivery = session.send(Envelope(sender="cron@example.test", recipients=TO), CONTENT)
    assert time.monotonic() - started < BOUND
    return delivery


def words_of(delivery):
    words = [why for _address, why in (*delivery.deferred, *delivery.refused)]
    assert all(why.isprintable() and "secret" not in why for why in words)
    return words


@pytest.mark.parametrize(("stage", "fault", "mode"), MODES)
def test_each_fault_is_kept_or_delivered_as_its_stage_demands(make_misbehaving, stage, fault, mode):
    server = make_misbehaving(stage, fault, mode=mode, drip_interval=0.05)
    delivery = attempt(server)
    if stage == "quit":
        assert (delivery.delivered, delivery.deferred, delivery.refused) == (TO, (), ())
        return
    assert not delivery.delivered
    assert words_of(delivery)
    if stage in PERMANENT_AT and fault == "5xx":
        assert tuple(address for address, _why in delivery.refused) == TO
        assert not delivery.relay_fault
        return
    assert tuple(address for address, _why in delivery.deferred) == TO
    assert not delivery.refused
    lost_at_once = stage == "mail" and fault != "4xx"
    assert bool(delivery.relay_fault) == (stage in BEFORE_THE_MESSAGE or lost_at_once)
    unknown = stage == "dot" and fault not in ("4xx", "refuse")
    assert ("not known whether" in delivery.deferred[0][1]) == unknown


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_a_fault_of_one_message_leaves_the_next_one_a_new_connection(make_misbehaving, stage):
    server = make_misbehaving(stage, "drop", times=1)
    relay = endpoint.from_environment(server.environment)
    envelope = Envelope(sender="cron@example.test", recipients=TO)
    with connect(relay) as session:
        first = session.send(envelope, CONTENT)
        assert dict(first.deferred).keys() == set(TO)
        if stage == "mail":
            assert session.send(envelope, CONTENT).relay_fault == first.relay_fault
            return
        assert session.send(envelope, CONTENT).delivered == TO
    assert len(server.accepted) == 1


def test_a_server_that_drips_for_ever_ends_with_the_attempt(make_misbehaving, monkeypatch):
    monkeypatch.setattr(relay_smtp, "ATTEMPT_LIMIT", 0.5)
    monkeypatch.setattr(conversation, "FINAL_REPLY_LIMIT", 60)
    server = make_misbehaving("dot", "drip", drip_interval=0.02)
    delivery = attempt(server)
    assert dict(delivery.deferred).keys() == set(TO)
    assert "more than 0.5 s" in delivery.deferred[0][1]
    assert "not known whether" in delivery.deferred[0][1]
    assert not delivery.relay_fault


def test_an_opening_that_takes_too_long_is_the_relays_fault(make_misbehaving, monkeypatch):
    monkeypatch.setattr(relay_smtp, "ATTEMPT_LIMIT", 0.2)
    assert attempt(make_misbehaving("banner", "hang")).relay_fault


def test_an_endless_line_does_not_fill_the_memory(make_misbehaving):
    server = make_misbehaving("rcpt", "endless")
    attempt(server)
    assert server.conversations[0].sent < 64 << 20
