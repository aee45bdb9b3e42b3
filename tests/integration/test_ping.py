"""A monitor is told of start and end; whatever it does, the job neither waits nor fails."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import select
import socket
import threading
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest

from cronwrap import __version__
from cronwrap.channels import ping


class Monitor:
    """Notes who called; fails as often as ``failing`` says, is ``silent`` for ever or ``slow`` at first.

    ``moved`` sends callers on, by a status and an address.
    """

    def __init__(self, *, failing=0, silent=False, slow=False, moved=None):
        self.calls = []
        self.headers = []
        self.release = threading.Event()
        monitor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                parts = urlsplit(self.path)
                if slow and parts.path.endswith("/start"):
                    monitor.release.wait(0.3)
                monitor.calls.append((parts.path, parse_qs(parts.query), text))
                monitor.headers.append(self.headers)
                if moved and not parts.path.startswith("/moved"):
                    self.send_response(moved[0])
                    self.send_header("Location", f"{moved[1]}/moved{self.path}")
                    self.end_headers()
                    return
                if silent:
                    monitor.release.wait(30)
                    return
                self.send_response(503 if len(monitor.calls) <= failing else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/check"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def make_monitor():
    monitors = []

    def make(**how):
        monitors.append(Monitor(**how))
        return monitors[-1]

    yield make
    for monitor in monitors:
        monitor.close()


def paths(monitor):
    return [path for path, _, _ in monitor.calls]


@pytest.mark.parametrize(
    ("line", "end"), [("exit 0", "/check"), ("exit 3", "/check/3"), ("kill -9 $$", "/check/137")]
)
def test_start_and_end_are_told_in_this_order_with_the_status(cli, make_monitor, wait_until, line, end):
    monitor = make_monitor()
    cli("--ping", monitor.url, "--on", "never", "--", "sh", "-c", line)
    wait_until(lambda: len(monitor.calls) == 2)
    assert paths(monitor) == ["/check/start", end]
    (start,), (stop,) = (query["rid"] for _, query, _ in monitor.calls)
    assert start == stop
    assert uuid.UUID(start).version == 4
    assert uuid.UUID(start).variant == uuid.RFC_4122


def test_a_start_that_takes_long_is_still_told_before_the_end(cli, make_monitor, wait_until):
    monitor = make_monitor(slow=True)
    cli("--ping", monitor.url, "--", "true")
    wait_until(lambda: len(monitor.calls) == 2)
    assert paths(monitor) == ["/check/start", "/check"]


def test_a_failure_with_status_0_is_told_as_a_failure(cli, make_monitor, wait_until):
    monitor = make_monitor()
    words = "--fail-match", "ERROR", "--on", "never", "--", "echo", "ERROR"
    assert cli("--ping", monitor.url, *words).status == 0
    wait_until(lambda: len(monitor.calls) == 2)
    assert paths(monitor)[1] == "/check/fail"
    assert "--fail-match" in monitor.calls[1][2]


def test_an_address_with_parameters_keeps_them(cli, make_monitor, wait_until):
    monitor = make_monitor()
    cli("--ping", f"{monitor.url}?create=1", "--", "true")
    wait_until(lambda: len(monitor.calls) == 2)
    assert paths(monitor) == ["/check/start", "/check"]
    assert all(query["create"] == ["1"] for _, query, _ in monitor.calls)


def end_of(monitor, wait_until):
    wait_until(lambda: len(monitor.calls) == 2)
    return monitor.calls[1]


def test_the_end_carries_what_happened_and_what_the_job_said(cli, make_monitor, wait_until):
    monitor = make_monitor()
    line = "echo one; printf '\\033[31mtwo\\033[0m\\n' >&2; exit 3"
    cli("--ping", monitor.url, "--on", "never", "--", "sh", "-c", line)
    path, _query, text = end_of(monitor, wait_until)
    assert path == "/check/3"
    assert re.fullmatch(r"exit status 3 after [\d.]+ s\n\none\ntwo\n", text)
    assert monitor.calls[0][2] == ""
    for headers in monitor.headers:
        assert headers["User-Agent"] == f"cronwrap/{__version__}"
        assert headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("limit", ["1M", "40K", "8K"])
def test_of_much_output_the_last_10_kb_are_told_from_a_line_s_beginning_on(
    cli, make_monitor, wait_until, limit
):
    monitor = make_monitor()
    words = "--max-output", limit, "--on", "never", "--", "seq", "-f", "line %06.0f ü", "100000"
    cli("--ping", monitor.url, *words)
    text = end_of(monitor, wait_until)[2]
    first, empty, *lines = text.splitlines()
    assert (first.split()[0], empty, lines[-1]) == ("ok", "", "line 100000 ü")
    assert len(text.encode()) <= ping.BODY_LIMIT
    assert len(text.encode()) > min(ping.BODY_LIMIT, 8000) - 200
    if limit == "8K":  # all that was kept, with what stands for the rest
        assert sum("left out …]" in line for line in lines) == 1
    else:
        assert all(re.fullmatch(r"line \d{6} ü", line) for line in lines)


def test_secrets_are_taken_out_before_the_end_is_cut(cli, make_monitor, wait_until):
    monitor = make_monitor()
    cli.write_config("[redact]\npatterns = ['geheim[0-9]+']\n")
    line = "yes geheim12345 | head -n 5000"
    cli("--ping", monitor.url, "--on", "never", "--", "sh", "-c", line)
    text = end_of(monitor, wait_until)[2]
    assert "[redacted]" in text
    assert "geheim" not in text.replace("[redacted]", "")
    assert not re.search(r"heim|2345", text)


def test_failures_before_the_nth_are_told_as_a_success_with_their_words(cli, make_monitor, wait_until):
    monitor = make_monitor()
    words = "-n", "j", "--ping", monitor.url, "--ping-after", "3", "--on", "never", "--", "sh", "-c"
    for ends, line in enumerate(["exit 2", "exit 2", "exit 2", "exit 2", "exit 0", "exit 2"], 1):
        cli(*words, line)
        wait_until(lambda ends=ends: len(monitor.calls) == 2 * ends)
    assert paths(monitor)[1::2] == ["/check", "/check", "/check/2", "/check/2", "/check", "/check"]
    assert monitor.calls[1][2].startswith("failure 1 in a row, --ping-after 3: exit status 2 after ")
    assert monitor.calls[3][2].startswith("failure 2 in a row, --ping-after 3: exit status 2 after ")
    assert monitor.calls[5][2].startswith("exit status 2 after ")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_monitor_that_has_moved_is_followed_on_its_own_host_alone(cli, make_monitor, wait_until, status):
    near = make_monitor(moved=(status, ""))
    cli("--ping", near.url, "--on", "never", "--", "sh", "-c", "echo secret; exit 3")
    wait_until(lambda: len(near.calls) == 4)
    assert paths(near) == ["/check/start", "/moved/check/start", "/check/3", "/moved/check/3"]
    assert "secret" in near.calls[3][2]
    elsewhere = make_monitor()
    far = make_monitor(moved=(status, elsewhere.url.replace("127.0.0.1", "localhost")))
    cli("--ping", far.url, "--on", "never", "--", "sh", "-c", "echo secret; exit 3")
    wait_until(lambda: len(far.calls) == 2 * ping.ATTEMPTS)
    wait_until(lambda: cli.processes() == [])
    assert elsewhere.calls == []


def test_a_monitor_that_stumbles_is_asked_again(cli, make_monitor, wait_until):
    monitor = make_monitor(failing=1)
    cli("--ping", monitor.url, "--", "true")
    wait_until(lambda: len(monitor.calls) == 3)
    assert paths(monitor) == ["/check/start", "/check/start", "/check"]


def test_a_monitor_that_never_answers_delays_nothing(cli, make_monitor):
    monitor = make_monitor(silent=True)
    before = time.monotonic()
    assert cli("--ping", monitor.url, "--on", "never", "--", "sh", "-c", "exit 3").status == 3
    assert time.monotonic() - before < ping.TIMEOUT / 2


def test_a_monitor_that_never_answers_does_not_hold_the_jobs_lock(cli, make_monitor, wait_until):
    monitor = make_monitor(silent=True)
    words = "--ping", monitor.url, "-n", "one", "--overlap", "skip", "--", "true"
    assert cli(*words).status == 0
    wait_until(lambda: monitor.calls)
    assert cli(*words).status == 0


def test_a_monitor_that_never_answers_does_not_hold_what_the_caller_has_open(cli, make_monitor, wait_until):
    monitor = make_monitor(silent=True)
    read, write = os.pipe()
    assert cli.start("--ping", monitor.url, "--", "true", pass_fds=[write]).wait(20) == 0
    os.close(write)
    with open(read, "rb") as file:
        assert file.read() == b""  # at once: nobody has the other end
    wait_until(lambda: monitor.calls)


def test_a_monitor_that_is_gone_changes_nothing(cli, make_monitor):
    monitor = make_monitor()
    monitor.server.server_close()
    result = cli("--ping", monitor.url, "--", "sh", "-c", "exit 0")
    assert (result.status, result.out, result.err) == (0, b"", b"")


def test_who_tells_the_monitor_is_not_the_jobs_and_ends_with_nothing_left(cli, make_monitor, wait_until):
    monitor = make_monitor(silent=True)
    words = "--timeout", "0.3", "--on", "never", "--", "sleep", "60"
    assert cli("--ping", monitor.url, *words).status == 124
    wait_until(lambda: monitor.calls)
    monitor.release.set()
    wait_until(lambda: len(monitor.calls) >= 2)
    wait_until(lambda: cli.processes() == [], timeout=20)


def test_a_monitor_that_drips_its_answer_is_left_after_a_time(monkeypatch):
    monkeypatch.setattr(ping, "LIFETIME", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ping.Ping(f"http://127.0.0.1:{server.getsockname()[1]}/")
        connection, _ = server.accept()
        begun = time.monotonic()
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while time.monotonic() - begun < 30:
                connection.sendall(b"X: y\r\n")
                if select.select([connection], [], [], 0.05)[0] and not connection.recv(65_536):
                    break
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("failing", ["pipe", "fork"])
def test_no_process_for_the_monitor_is_no_obstacle(monkeypatch, failing):
    def none(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(ping.os, failing, none)
    told = ping.Ping("http://127.0.0.1:9/")
    told.end(failed=False, status=0, text="")
