"""Messages through real servers: TLS, logins, refusals, one connection for many messages."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest

from cronwrap.mail import Envelope
from cronwrap.relay import smtp as relay_smtp
from cronwrap.relay.connect import connect
from cronwrap.settings import relays as endpoint
from support.pki import Authority
from support.relay import PASSWORD, TOKEN, USER

CONTENT = b"Subject: Cron <root@host> backup\r\n\r\n.first\r\n..second\r\n\r\nlast\r\n"
TO = "ops@example.test"


def at(server, **keys):
    """Give the endpoint of a server, with other keys of [[relay]] (None takes one away)."""
    table = {"url": server.url, "user": USER, "password": PASSWORD, "ca-file": server.authority.ca_file}
    table |= {key.replace("_", "-"): value for key, value in keys.items()}
    if server.url.startswith("smtp:"):
        table = {"url": server.url}
    return endpoint.parse({key: value for key, value in table.items() if value is not None}, "test")


def send(relay, *recipients, content=CONTENT, sender=USER):
    with connect(relay) as session:
        return session.send(Envelope(sender=sender, recipients=recipients or (TO,)), content)


@pytest.mark.parametrize("tls", ["implicit", "starttls", "none"])
def test_a_message_arrives_octet_for_octet(make_relay, tls):
    server = make_relay(tls=tls, user=USER if tls != "none" else "")
    delivery = send(at(server))
    assert (delivery.delivered, delivery.refused, delivery.deferred) == ((TO,), (), ())
    (mail,) = server.messages
    assert (mail.content, mail.sender, mail.recipients) == (CONTENT, USER, (TO,))
    assert bool(mail.tls) == (tls != "none")
    assert server.counters.quits == 1


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_each_mechanism_logs_in(make_relay, mechanism):
    server = make_relay(mechanisms=("CRAM-MD5", "LOGIN", "PLAIN"))
    assert send(at(server, auth=mechanism)).delivered
    assert server.messages[0].mechanism == mechanism.upper()


@pytest.mark.parametrize(
    ("offered", "taken"), [(("LOGIN", "PLAIN", "CRAM-MD5"), "CRAM-MD5"), (("LOGIN", "PLAIN"), "PLAIN")]
)
def test_the_strongest_common_mechanism_is_taken(make_relay, offered, taken):
    server = make_relay(mechanisms=offered)
    assert send(at(server)).delivered
    assert server.messages[0].mechanism == taken


def test_a_token_logs_in_by_xoauth2(make_relay):
    server = make_relay(mechanisms=("PLAIN", "XOAUTH2"))
    assert send(at(server, password=None, token_command=f"echo {TOKEN}")).delivered
    assert server.messages[0].mechanism == "XOAUTH2"


def test_a_refused_token_shows_the_relays_reason_once(make_relay):
    server = make_relay(mechanisms=("PLAIN", "XOAUTH2"))
    fault = send(at(server, password=None, token_command="echo stale")).relay_fault
    assert '"status":"401"' in fault
    assert "token-command" in fault
    assert "stale" not in fault
    assert server.counters.failed_logins == 1


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("CRAM-MD5", "PLAIN", "LOGIN")])
def test_a_wrong_password_is_tried_exactly_once_in_a_session(make_relay, mechanisms):
    server = make_relay(mechanisms=mechanisms)
    with connect(at(server, password="wrong")) as session:
        for _ in range(3):
            delivery = session.send(Envelope(sender=USER, recipients=(TO, "b@example.test")), CONTENT)
            assert dict(delivery.deferred).keys() == {TO, "b@example.test"}
            assert "app password" in delivery.relay_fault
            assert delivery.login_refused
    assert (server.counters.failed_logins, server.counters.connections) == (1, 1)
    assert not server.messages


def test_a_relay_that_repeats_the_login_does_not_get_the_password_into_the_error(make_relay):
    server = make_relay(mechanisms=("PLAIN",))
    server.refuse("AUTH", f"501 5.5.2 cannot understand {PASSWORD}")
    fault = send(at(server)).relay_fault
    assert PASSWORD not in fault
    assert "501" in fault


def test_no_login_offered_is_told_in_plain_words(make_relay):
    server = make_relay(user="", mechanisms=())
    fault = send(at(server)).relay_fault
    assert "offers no login" in fault
    assert not server.messages


def test_an_unknown_mechanism_alone_is_told_with_what_is_offered(make_relay):
    server = make_relay(mechanisms=("XOAUTH2",))
    fault = send(at(server)).relay_fault
    assert "XOAUTH2" in fault
    assert "PLAIN" in fault
    assert server.counters.failed_logins == 0


def test_without_starttls_nothing_is_sent_in_clear(make_relay):
    server = make_relay(tls="none", user="")
    relay = at(server).replace(kind="submission", user=USER, password=PASSWORD)
    fault = send(relay).relay_fault
    assert "STARTTLS" in fault
    assert (server.messages, server.counters.failed_logins) == ([], 0)


# Certificates


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("stranger")))


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_strangers_certificate_is_refused_and_shown_with_what_to_do(make_relay, stranger, tls):
    certificate = stranger.certificate()
    server = make_relay(certificate=certificate, tls=tls)
    fault = send(at(server)).relay_fault
    for words in ("not trusted", "issued by trustme", "localhost", "expires 3000-01-01", "ca-file"):
        assert words in fault
    assert f'fingerprint = "{certificate.fingerprint}"' in fault
    assert "\n" not in fault
    assert (server.messages, server.counters.failed_logins, server.counters.logins) == ([], 0, 0)


def test_an_expired_certificate_is_refused_with_its_date(make_relay, authority):
    then = dt.datetime(2021, 3, 4, tzinfo=dt.UTC)
    server = make_relay(certificate=authority.certificate(not_after=then))
    fault = send(at(server)).relay_fault
    assert "has expired" in fault
    assert "2021-03-04" in fault


def test_a_certificate_for_another_name_is_refused_with_its_names(make_relay, authority):
    server = make_relay(certificate=authority.certificate("mail.example.test", "other.example.test"))
    fault = send(at(server)).relay_fault
    assert "is not for localhost" in fault
    assert "mail.example.test, other.example.test" in fault


def test_the_system_does_not_vouch_for_a_private_authority(make_relay):
    server = make_relay()
    assert "ca-file" in send(at(server, ca_file=None)).relay_fault


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_fingerprint_replaces_authority_name_and_date(make_relay, stranger, tls):
    then = dt.datetime(2021, 3, 4, tzinfo=dt.UTC)
    certificate = stranger.certificate("mail.example.test", not_after=then)
    server = make_relay(certificate=certificate, tls=tls)
    plain = certificate.fingerprint.removeprefix("sha256:").replace(":", "").lower()
    for written in (certificate.fingerprint, plain):
        assert send(at(server, ca_file=None, fingerprint=written)).delivered


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_another_certificate_than_the_pinned_one_is_refused_before_the_login(make_relay, authority, tls):
    server = make_relay(tls=tls)
    pinned = authority.certificate().fingerprint
    fault = send(at(server, fingerprint=pinned)).relay_fault
    assert "not the pinned one" in fault
    assert server.certificate.fingerprint in fault
    assert (server.counters.logins, server.counters.failed_logins) == (0, 0)


def test_a_server_with_old_tls_alone_is_refused(make_relay, authority):
    old = authority.certificate().context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    server = make_relay(context=old)
    assert "TLS" in send(at(server)).relay_fault
    assert not server.messages


def test_the_servers_own_certificate_will_do_as_ca_file(make_relay, tmp_path):
    server = make_relay()
    path = tmp_path / "leaf.pem"
    path.write_bytes(server.certificate.leaf.cert_chain_pems[0].bytes())
    assert send(at(server, ca_file=str(path))).delivered


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_unusable_ca_file_is_named(make_relay, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    fault = send(at(make_relay(), ca_file=str(path))).relay_fault
    assert f"ca-file {path}" in fault
    assert "name a file of certificates in PEM form in ca-file" in fault


def test_tls_from_the_first_byte_at_a_plain_port_is_told_as_that(make_relay):
    server = make_relay(tls="starttls")
    relay = at(server).replace(kind="smtps")
    assert "submission://" in send(relay).relay_fault


# Refusals


def test_a_partial_refusal_delivers_to_the_others(relay):
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="gone")
    relay.refuse("RCPT", "451 4.7.1 Greylisted", matching="later")
    delivery = send(at(relay), "a@example.test", "gone@example.test", "later@example.test", "b@example.test")
    assert delivery.delivered == ("a@example.test", "b@example.test")
    assert delivery.refused == (("gone@example.test", "550 5.1.1 No such user"),)
    assert delivery.deferred == (("later@example.test", "451 4.7.1 Greylisted"),)
    assert not delivery.relay_fault
    assert relay.messages[0].recipients == ("a@example.test", "b@example.test")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "kept"),
    [("451 4.3.0 Later", "deferred"), ("554 5.7.1 Never", "refused"), ("552 5.2.2 Mailbox full", "deferred")],
)
def test_a_refusal_is_the_messages_own_and_the_next_one_goes_through(relay, verb, reply, kept):
    relay.refuse(verb, reply, times=1)
    with connect(at(relay)) as session:
        first, second = (session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT) for _ in range(2))
    ((address, words),) = getattr(first, kept)
    assert address == TO
    assert reply in words
    assert (first.delivered, first.relay_fault) == ((), "")
    assert second.delivered == (TO,)
    assert relay.counters.connections == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["530 5.7.0 Authentication required", "503 5.5.1 AUTH first"])
def test_a_demand_for_a_login_is_the_accounts_fault(relay, verb, reply):
    relay.refuse(verb, reply)
    delivery = send(at(relay))
    assert (delivery.refused, dict(delivery.deferred).keys()) == ((), {TO})
    assert "user and password" in delivery.relay_fault


def test_552_after_an_accepted_recipient_means_too_many(relay):
    relay.refuse("RCPT", "552 Too many recipients", matching="b@")
    delivery = send(at(relay), "a@example.test", "b@example.test")
    assert delivery.delivered == ("a@example.test",)
    assert dict(delivery.deferred).keys() == {"b@example.test"}


@pytest.mark.parametrize("reply", ["552 5.3.4 Message too big for system", "552 size", "554 5.3.4 too big"])
@pytest.mark.parametrize("verb", ["MAIL", "DATA"])
def test_a_refused_size_is_told_from_a_refused_sender(relay, verb, reply):
    relay.refuse(verb, reply)
    delivery = send(at(relay))
    assert (delivery.refused, delivery.deferred) == ((), ())
    assert dict(delivery.too_large) == {TO: reply}


def test_a_refused_sender_hints_at_mailfrom(relay):
    relay.refuse("MAIL", "553 5.7.1 Sender address rejected: not owned by user")
    assert "mailfrom" in dict(send(at(relay)).refused)[TO]


def test_too_large_a_message_is_not_even_offered_and_told_with_both_sizes(make_relay):
    server = make_relay(size_limit=100)
    delivery = send(at(server), content=b"x" * 200 + b"\r\n")
    ((_address, why),) = delivery.too_large
    assert delivery.size_limit == 100
    assert "202" in why
    assert "100" in why


def test_control_characters_of_a_reply_do_not_reach_the_terminal(relay):
    relay.refuse("RCPT", "550 5.1.1 \x1b[31mred\x07\x9bx")
    ((_address, why),) = send(at(relay)).refused
    assert why.isprintable()


@pytest.mark.parametrize(
    "bad", ["a\r\nDATA@example.test", "a b@example.test", "a>@x.test", "a@\ud800.test", "a@"]
)
def test_an_address_that_would_break_the_envelope_is_refused_alone(relay, bad):
    delivery = send(at(relay), TO, bad)
    assert delivery.delivered == (TO,)
    assert dict(delivery.refused).keys() == {bad}


def test_an_address_outside_ascii_needs_smtputf8_and_its_domain_does_not(make_relay):
    server = make_relay(hide=("SMTPUTF8",))
    delivery = send(at(server), "jörg@example.test", "joerg@exämple.test")
    assert delivery.delivered == ("joerg@exämple.test",)
    assert "SMTPUTF8" in dict(delivery.refused)["jörg@example.test"]
    assert server.messages[0].recipients == ("joerg@xn--exmple-cua.test",)


def test_a_recipient_named_twice_gets_one_copy(relay):
    assert send(at(relay), TO, TO).delivered == (TO,)
    assert relay.messages[0].recipients == (TO,)


EIGHT_BITS = (
    "Subject: Grüße\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\nÄpfel\r\n"
).encode()


def test_eight_bits_are_announced_where_they_are_taken(relay):
    assert send(at(relay), content=EIGHT_BITS).delivered
    assert relay.messages[0].content == EIGHT_BITS
    assert "BODY=8BITMIME" in relay.messages[0].options


def test_eight_bits_are_recoded_where_they_are_not_taken(make_relay):
    server = make_relay(hide=("8BITMIME",))
    assert send(at(server), content=EIGHT_BITS).delivered
    (mail,) = server.messages
    assert mail.content.isascii()
    assert mail.body.split() == ["Äpfel"]
    assert not any("BODY" in option for option in mail.options)


def test_lone_line_ends_cannot_smuggle_a_second_message(relay):
    smuggled = b"Subject: a\r\n\r\none\n.\nMAIL FROM:<x@x.test>\r.\r\ntwo"
    assert send(at(relay), content=smuggled).delivered
    assert relay.messages[0].content == b"Subject: a\r\n\r\none\r\n.\r\nMAIL FROM:<x@x.test>\r\n.\r\ntwo\r\n"
    assert len(relay.messages) == 1


# One connection for many


def test_one_connection_carries_many_messages(relay):
    with connect(at(relay)) as session:
        for _ in range(3):
            assert session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT).delivered
    assert (relay.counters.connections, relay.counters.logins, relay.counters.quits) == (1, 1, 1)


def test_after_so_many_messages_a_new_connection_is_made(relay, monkeypatch):
    monkeypatch.setattr(relay_smtp, "MESSAGES_PER_CONNECTION", 2)
    with connect(at(relay)) as session:
        for _ in range(5):
            assert session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT).delivered
    assert (relay.counters.connections, relay.counters.quits) == (3, 3)


def test_421_on_a_used_connection_opens_another_one(make_relay):
    server = make_relay(max_messages=1)
    with connect(at(server)) as session:
        for _ in range(3):
            assert session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT).delivered
    assert server.counters.connections == 3


def test_a_connection_dropped_between_messages_is_opened_again(relay):
    with connect(at(relay)) as session:
        assert session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT).delivered
        for protocol in relay._protocols:
            relay.loop.call_soon_threadsafe(protocol.transport.abort)
        assert session.send(Envelope(sender=USER, recipients=(TO,)), CONTENT).delivered
    assert relay.counters.connections == 2


def test_421_on_a_fresh_connection_is_the_relays_fault(relay):
    relay.refuse("MAIL", "421 4.7.0 Come back tomorrow")
    assert "Come back tomorrow" in send(at(relay)).relay_fault


def test_nothing_is_opened_before_the_first_message(relay):
    with connect(at(relay)):
        pass
    assert relay.counters.connections == 0


def test_a_relay_with_a_fault_is_not_used(relay):
    delivery = send(at(relay).replace(fault="/etc/x is open to others: chmod 600 /etc/x"))
    assert delivery.relay_fault == "/etc/x is open to others; chmod 600 /etc/x"
    assert relay.counters.connections == 0


def test_a_host_that_does_not_exist_is_told_by_name():
    relay = endpoint.parse({"url": "smtps://no-such-host.invalid", "timeout": "5s"}, "test")
    fault = send(relay).relay_fault
    assert "no-such-host.invalid" in fault
