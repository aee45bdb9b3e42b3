"""What comes over the wire: answers nobody asked for, certificates without names, names that lead away."""

from __future__ import annotations

import datetime as dt
import http.server
import os
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cronwrap.channels import ping
from cronwrap.mail import Envelope
from cronwrap.relay import dial
from cronwrap.relay.connect import connect
from cronwrap.settings.relays import parse

TO = "ops@example.test"
ANSWERS = {
    "greeting": "220 relay.example.test",
    "EHLO": "250 relay.example.test",
    "MAIL": "250 2.1.0 OK",
    "RCPT": "250 2.1.5 OK",
    "DATA": "354 go on",
    ".": "250 2.0.0 queued",
    "RSET": "250 2.0.0 OK",
    "QUIT": "221 2.0.0 bye",
}


class Scripted:
    """A relay on the loopback that says what it is told to, and keeps the messages that it was sent whole."""

    def __init__(self, context=None, **answers):
        self.answers = ANSWERS | answers
        self.context = context
        self.messages = []
        self.lines = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            try:
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
                with connection, connection.makefile("rwb") as stream:
                    self.talk(stream)
            except OSError:
                continue

    def say(self, stream, key):
        stream.write(b"".join(line.encode() + b"\r\n" for line in self.answers[key].split("\n")))
        stream.flush()

    def talk(self, stream):
        self.say(stream, "greeting")
        while line := stream.readline():
            self.lines.append(line)
            verb = line[:4].strip().decode().upper()
            self.say(stream, verb)
            if verb == "DATA" and self.answers["DATA"].startswith("354"):
                content = b""
                while (line := stream.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line
                self.messages.append(content)
                self.say(stream, ".")

    def close(self):
        self.socket.close()


@pytest.fixture
def scripted():
    servers = []

    def make(*arguments, **answers):
        servers.append(Scripted(*arguments, **answers))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def send(url, content=b"Subject: x\r\n\r\ntext\r\n", count=1, **keys):
    with connect(parse({"url": url, "timeout": "5s", **keys}, "test")) as session:
        return [
            session.send(Envelope(sender="cron@example.test", recipients=(TO,)), content)
            for _ in range(count)
        ]


def plain(server):
    return f"smtp://127.0.0.1:{server.port}"


def test_a_relay_that_answers_once_is_trusted_with_several_messages(scripted):
    server = scripted(EHLO="250-relay.example.test\n250-PIPELINING\n250 SIZE 1000000")
    assert [one.delivered for one in send(plain(server), count=3)] == [(TO,)] * 3


@pytest.mark.parametrize(
    "answers",
    [
        {"DATA": "354 go on\n250 2.0.0 queued", ".": "554 5.7.1 refused"},
        {"DATA": "354 go on\n250-2.0.0 queued\n250 really", ".": "554 5.7.1 refused"},
        {"RCPT": "250 OK\n354 go on\n250 queued", "DATA": "354 go on", ".": "554 5.7.1 refused"},
        {"MAIL": "250 OK\n250 OK", ".": "554 5.7.1 refused"},
        {"EHLO": "250 relay\n250 OK", ".": "554 5.7.1 refused"},
        {"greeting": "220 relay\n250 relay", ".": "554 5.7.1 refused"},
        {".": "250 2.0.0 queued\n554 5.7.1 refused"},
    ],
    ids=lambda answers: next(iter(answers)),
)
def test_an_answer_that_was_not_asked_for_ends_the_connection_and_the_message_stays(scripted, answers):
    server = scripted(**answers)
    (delivery,) = send(plain(server))
    assert (delivery.delivered, delivery.refused) == ((), ())
    assert [address for address, _why in delivery.deferred] == [TO]
    assert "not asked for" in delivery.deferred[0][1]
    assert b"QUIT\r\n" not in server.lines


def test_an_answer_that_comes_while_a_long_message_is_written_does_not_count(scripted):
    server = scripted(DATA="354 go on\n250 2.0.0 queued")
    (delivery,) = send(plain(server), content=b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * (1 << 20))
    assert delivery.delivered == ()


@pytest.mark.parametrize("names", [["192.0.2.7"], ["2001:db8::7", "192.0.2.7"]])
def test_a_plain_relay_is_refused_off_the_loopback_by_what_its_name_leads_to(scripted, monkeypatch, names):
    server = scripted()
    asked = []

    def elsewhere(host, port, **_how):
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in name else socket.AF_INET, 1, 6, "", (name, port)) for name in names
        ]

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    (delivery,) = send(f"smtp://localhost:{server.port}")
    assert asked == ["localhost"]
    assert f"leads off this host, to {names[0]}" in delivery.relay_fault
    assert server.lines == []


def test_of_the_addresses_of_a_plain_relay_only_those_on_the_loopback_are_tried():
    given = [(socket.AF_INET, (name, 25)) for name in ("192.0.2.7", "127.0.0.1", "127.8.8.8")]
    given += [
        (socket.AF_INET6, (name, 25, 0, 0))
        for name in ("::1", "::ffff:127.0.0.1", "::ffff:192.0.2.7", "fe80::1%lo")
    ]
    left = [where[0] for _family, where in dial.on_this_host(given, "smtp://x:25")]
    assert left == ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]


def certificate(directory, *, alternative):
    """Give a context and the path of a self-signed certificate whose common name is localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if alternative:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    both = os.path.join(directory, "both.pem")
    with open(both, "wb") as file:
        file.write(pem)
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    path = os.path.join(directory, "ca.pem")
    with open(path, "wb") as file:
        file.write(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, path


@pytest.mark.parametrize("alternative", [True, False])
def test_a_certificate_counts_by_its_alternative_names_alone(scripted, tmp_path, alternative):
    context, ca_file = certificate(tmp_path, alternative=alternative)
    server = scripted(context)
    (delivery,) = send(f"smtps://localhost:{server.port}", **{"ca-file": ca_file})
    assert bool(delivery.delivered) is alternative
    if not alternative:
        assert "certificate" in delivery.relay_fault
        assert server.lines == []


class Redirecting:
    """A monitor that sends its callers elsewhere."""

    def __init__(self, location):
        self.calls = calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                calls.append(self.path.partition("?")[0])
                target = location(self.server.server_port) if len(calls) == 1 else ""
                self.send_response(302 if target else 200)
                if target:
                    self.send_header("Location", target)
                self.end_headers()

            do_GET = do_POST = _answer  # noqa: N815  # http.server calls them so

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("host", "follows"), [("127.0.0.1", True), ("localhost", False), ("127.0.0.2", False)]
)
def test_a_ping_follows_no_redirect_to_another_host(monkeypatch, host, follows):
    monkeypatch.setattr(ping, "ATTEMPTS", 1)
    monkeypatch.setattr(ping, "_in_background", lambda work, **_how: work())
    with Redirecting(lambda port: f"http://{host}:{port}/elsewhere") as monitor:
        ping.Ping(f"http://127.0.0.1:{monitor.port}/check")
        assert monitor.calls == ["/check/start", *(["/elsewhere"] if follows else [])]
