"""The beds that other tests lie in: a server that lies would make every test above it worthless."""

from __future__ import annotations

import base64
import contextlib
import gc
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time

import psutil
import pytest

from support import ports, servers
from support.cli import Cli
from support.guard import Guard, TrespassError, real_directories
from support.misbehaving import CELLS, Misbehaving
from support.relay import LOGIN_FIRST, PASSWORD, USER, Policy, Relay
from support.waiting import wait_until

TEXT = b"Subject: hello\r\n\r\n.a line with a dot\r\nlast line\r\n"


def client_context(authority):
    return ssl.create_default_context(cafile=authority.ca_file)


def connect(server, authority, timeout=5.0):
    return smtplib.SMTP_SSL("localhost", server.port, timeout=timeout, context=client_context(authority))


def send(server, authority, content=TEXT, recipients=("ops@example.test",), user=USER, password=PASSWORD):
    with connect(server, authority) as client:
        client.login(user, password)
        return client.sendmail(USER, list(recipients), content)


def test_the_relay_keeps_what_was_sent_to_the_octet(relay, authority):
    send(relay, authority)
    (mail,) = relay.wait_for(1)
    assert mail.content == TEXT
    assert (mail.sender, mail.recipients, mail.user) == (USER, ("ops@example.test",), USER)
    assert mail.tls.startswith("TLSv1.")
    assert mail.subject == "hello"
    assert mail.body.splitlines() == [".a line with a dot", "last line"]


def test_the_relay_speaks_starttls_and_wants_it_before_a_login(make_relay, authority):
    relay = make_relay(tls="starttls")
    with smtplib.SMTP("localhost", relay.port, timeout=5) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=client_context(authority))
        client.login(USER, PASSWORD)
        client.sendmail(USER, ["ops@example.test"], TEXT)
    assert relay.wait_for(1)[0].tls.startswith("TLSv1.")


def test_the_relay_wants_a_login(relay, authority):
    with connect(relay, authority) as client:
        assert client.docmd("EHLO", "here")[0] == 250
        assert client.docmd("MAIL", "FROM:<a@example.test>") == (530, LOGIN_FIRST[4:].encode())


def test_the_relay_refuses_a_wrong_password(relay, authority):
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send(relay, authority, password="wrong")
    assert (relay.counters.logins, relay.counters.failed_logins > 0) == (0, True)


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "LOGIN", "PLAIN"])
def test_the_relay_offers_just_the_mechanisms_it_was_given(make_relay, authority, mechanism):
    relay = make_relay(mechanisms=(mechanism,))
    with connect(relay, authority) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == [mechanism]
        client.login(USER, PASSWORD)
        client.sendmail(USER, ["ops@example.test"], TEXT)
    assert relay.wait_for(1)[0].mechanism == mechanism


@pytest.mark.parametrize(("token", "code"), [("ya29.a-token", 235), ("stolen", 535)])
def test_the_relay_knows_xoauth2(make_relay, authority, token, code):
    relay = make_relay(mechanisms=("XOAUTH2",))
    with connect(relay, authority) as client:
        client.ehlo()
        blob = f"user={USER}\x01auth=Bearer {token}\x01\x01"
        command = base64.b64encode(blob.encode()).decode()
        reply = client.docmd("AUTH", f"XOAUTH2 {command}")
        if reply[0] == 334:
            reply = client.docmd("")
        assert reply[0] == code


def test_a_relay_without_mechanisms_offers_no_login(make_relay, authority):
    with connect(make_relay(mechanisms=(), user=""), authority) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.sendmail(USER, ["ops@example.test"], TEXT) == {}


def test_the_relay_serves_no_more_connections_than_it_may(make_relay, authority):
    relay = make_relay(max_connections=1)
    with connect(relay, authority) as first:
        first.noop()
        with pytest.raises(smtplib.SMTPConnectError) as refusal:
            connect(relay, authority)
        assert refusal.value.smtp_code == 421
    send(relay, authority)
    assert (relay.counters.peak, relay.counters.refused) == (1, 1)


def test_the_relay_takes_no_more_messages_in_a_connection_than_it_may(make_relay, authority):
    relay = make_relay(max_messages=1)
    with connect(relay, authority) as client:
        client.login(USER, PASSWORD)
        client.sendmail(USER, ["ops@example.test"], TEXT)
        with pytest.raises(smtplib.SMTPResponseException) as refusal:
            client.sendmail(USER, ["ops@example.test"], TEXT)
        assert refusal.value.smtp_code == 421
    assert len(relay.messages) == 1


def test_a_rule_refuses_what_it_matches_as_often_as_it_says(relay, authority):
    relay.refuse("RCPT", "550 5.1.1 No such user", matching="gone@", times=1)
    refused = send(relay, authority, recipients=("ops@example.test", "gone@example.test"))
    assert refused == {"gone@example.test": (550, b"5.1.1 No such user")}
    assert send(relay, authority, recipients=("gone@example.test",)) == {}
    assert [mail.recipients for mail in relay.wait_for(2)] == [("ops@example.test",), ("gone@example.test",)]


@pytest.fixture
def unclosed(monkeypatch):
    """Give the complaints about what was not closed, once all that is dead has been collected."""
    complaints = []
    gc.collect()
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: complaints.append(str(seen.exc_value)))

    def collect():
        gc.collect()
        return complaints

    return collect


@pytest.mark.parametrize("tls", ["implicit", "starttls", "none"])
def test_a_relay_that_ends_leaves_nothing_open_of_clients_that_are_just_coming(authority, unclosed, tls):
    relay = Relay(authority, Policy(tls=tls))
    with relay:
        held = threading.Event()
        relay.loop.call_soon_threadsafe(held.wait)
        clients = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(5)]
        # It accepts them in the very turn in which it is told to end.
        relay.loop.call_soon_threadsafe(relay.loop.stop)
        held.set()
    del relay
    assert unclosed() == []
    for client in clients:
        client.close()


class BoundedClient(smtplib.SMTP_SSL):
    """smtplib's client, cut off after a while: its own timeout starts anew with every octet."""

    def _get_socket(self, host, port, timeout):
        sock = super()._get_socket(host, port, timeout)
        self.cut = threading.Timer(timeout + 0.1, lambda: socket.socket.shutdown(sock, socket.SHUT_RDWR))
        self.cut.start()
        return sock

    def close(self):
        if cut := getattr(self, "cut", None):
            cut.cancel()
        super().close()


def attempt(server, authority, timeout=0.3):
    """Send as smtplib does; give the error, if any."""
    try:
        context = client_context(authority)
        with BoundedClient("localhost", server.port, timeout=timeout, context=context) as client:
            client.login("cron@example.test", "secret")
            client.sendmail(USER, ["ops@example.test"], TEXT)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return error
    return None


def test_the_misbehaving_server_behaves_unless_told_otherwise(make_misbehaving, authority):
    server = make_misbehaving()
    assert attempt(server, authority) is None
    (talk,) = server.conversations
    assert server.accepted == [TEXT.replace(b"\r\n.a", b"\r\n..a")]
    assert [verb for verb in talk.verbs if verb.isalpha()] == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(("stage", "fault"), CELLS)
def test_each_fault_stops_a_client_at_its_stage(make_misbehaving, authority, stage, fault):
    for timeout in (0.3, 3.0):
        server = make_misbehaving(stage, fault, drip_interval=0.02)
        began = time.monotonic()
        error = attempt(server, authority, timeout)
        assert time.monotonic() - began < 10
        got_there = any(talk.message for talk in server.conversations) == (stage in ("dot", "quit"))
        if got_there:
            break  # else a busy machine had too little time for it
    assert got_there
    assert bool(server.accepted) == (stage == "quit")
    assert stage == "quit" or error is not None


@pytest.mark.parametrize(("stage", "fault"), [("starttls", "4xx"), ("tls", "drop")])
def test_starttls_can_be_refused_and_its_handshake_dropped(make_misbehaving, authority, stage, fault):
    server = make_misbehaving(stage, fault, mode="starttls")
    with smtplib.SMTP("localhost", server.port, timeout=2) as client:
        with pytest.raises((OSError, smtplib.SMTPException)) as error:
            client.starttls(context=client_context(authority))
        assert getattr(error.value, "smtp_code", None) == (454 if stage == "starttls" else None)
        client.close()


def test_the_misbehaving_server_recovers_after_as_many_connections_as_it_says(make_misbehaving, authority):
    server = make_misbehaving("banner", "drop", times=2)
    assert [attempt(server, authority) is None for _ in range(3)] == [False, False, True]


def in_a_handshake():
    return any(frame.f_code.co_name == "do_handshake" for frame in sys._current_frames().values())


def test_a_misbehaving_server_that_ends_does_not_wait_for_clients_in_the_middle_of_tls(authority, unclosed):
    server = Misbehaving(authority, "quit", "hang").__enter__()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"\x16\x03\x01\x02")  # the beginning of a hello
        wait_until(in_a_handshake)
        began = time.monotonic()
        server.__exit__()
        assert time.monotonic() - began < 5
    del server
    assert unclosed() == []


def test_a_cell_that_does_not_exist_is_refused(authority):
    with pytest.raises(ValueError, match="no such cell"):
        Misbehaving(authority, "connect", "garbage")


def test_the_installed_program_runs_in_an_environment_of_its_own(cli):
    shown = cli.start("-c", "env", program="/bin/sh", stdout=subprocess.PIPE).communicate()[0].decode()
    variables = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert variables["HOME"] == cli.home
    assert variables["CRONWRAP_STATE_DIR"] == cli.state
    assert os.stat(cli.config).st_mode & 0o777 == 0o600
    assert "MAILTO" not in variables


def test_a_terminal_is_one(cli):
    terminal = cli.terminal("-c", "tty; stty size; read line; echo got $line", program="/bin/sh")
    terminal.read_until(b"24 80")
    terminal.write(b"typed\n")
    assert terminal.wait() == 0
    assert b"/dev/pts/" in terminal.shown
    assert b"got typed" in terminal.shown


def running(processes):
    """Give those that are neither gone nor zombies, whatever becomes of them meanwhile."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_what_a_test_leaves_behind_is_found_and_ended(tmp_path, wait_until):
    program = Cli(str(tmp_path))
    program.start("-c", "sleep 60 & sleep 60 & :", program="/bin/sh").wait()
    left = wait_until(lambda: program.processes() if len(program.processes()) == 2 else [])
    program.close()
    wait_until(lambda: not running(left))


def test_wait_until_gives_up(wait_until):
    with pytest.raises(AssertionError, match="never did not come true"):
        wait_until(lambda: False, timeout=0.01, what="never")


class Tiny(servers.Program):
    """A server of the kind that is told its port; ``first`` is what it does before it listens."""

    name = "tiny"
    first = "pass"

    def command(self):
        text = f"import socket, sys, time; {self.first}; s = socket.create_server(('127.0.0.1', {self.port}))"
        return [sys.executable, "-I", "-S", "-c", f"{text}; time.sleep(60)"]


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_found_free_is_given_once_and_no_client_gets_it():
    found = [ports.free_port() for _ in range(3)]
    assert len(set(found)) == 3
    text = "from support import ports; print(*(ports.free_port() for _ in range(len(ports.PORTS) // 50)))"
    other = subprocess.run(
        [sys.executable, "-c", text], cwd=os.path.dirname(os.path.dirname(ports.__file__)),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not {*map(int, other.stdout.split())} & {*found}
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        given = range(*map(int, file.read().split()))
    assert not {*found} & {*given}


def test_a_server_whose_port_was_taken_meanwhile_starts_at_another(authority, monkeypatch, taken):
    free = ports.free_port()
    offered = [taken, free]
    monkeypatch.setattr(ports, "free_port", lambda: offered.pop(0))
    with Tiny(authority) as server:
        assert server.port == free


def test_a_server_that_was_slow_once_is_started_anew(authority, monkeypatch, tmp_path):
    monkeypatch.setattr(servers, "START_LIMIT", 1.0)
    mark = tmp_path / "mark"
    slow = f"import os; os.path.exists('{mark}') or (open('{mark}', 'w').close(), time.sleep(60))"
    monkeypatch.setattr(Tiny, "first", slow)
    with Tiny(authority) as server:
        assert ports.listens(server.port)


def test_a_server_that_cannot_start_says_what_it_has_logged_and_is_not_tried_for_ever(authority, monkeypatch):
    monkeypatch.setattr(Tiny, "first", "sys.exit('no such thing: ' + 'x' * 3)")
    with pytest.raises(ports.NotStartedError, match="no such thing: xxx") as caught, Tiny(authority):
        pass
    assert str(caught.value).count("ended with status 1") == ports.ATTEMPTS


@pytest.fixture
def guard(tmp_path):
    """A second guard over a directory below tmp_path, not installed as a hook."""
    guard = Guard((str(tmp_path / "forbidden"),))
    guard.active = True
    return guard


def test_the_guard_sees_the_forbidden_directory_and_nothing_else(guard, tmp_path):
    guard._hook("open", (str(tmp_path / "allowed"), "r", 0))
    guard._hook("open", (3, "r", 0))
    with pytest.raises(TrespassError):
        guard._hook("open", (str(tmp_path / "forbidden/config.toml"), "r", 0))
    assert len(guard.settle()) == 1
    assert guard.settle() == []


def test_the_guard_sees_what_a_child_process_makes(guard, tmp_path):
    subprocess.run(
        [sys.executable, "-c", "import os, sys; os.mkdir(sys.argv[1])", tmp_path / "forbidden"], check=True
    )
    assert guard.settle() == [f"made {tmp_path / 'forbidden'}"]


def test_the_guard_keeps_this_process_on_the_loopback(request):
    with socket.socket() as sock, pytest.raises(TrespassError):
        sock.connect(("192.0.2.1", 25))
    with pytest.raises(TrespassError):
        open("/etc/cronwrap/config.toml", encoding="utf-8")
    installed = next(value for value in request.config.stash._storage.values() if isinstance(value, Guard))
    assert len(installed.settle()) == 2


def test_the_guard_knows_root_and_the_user():
    assert {"/etc/cronwrap", "/var/lib/cronwrap"} < set(real_directories())
