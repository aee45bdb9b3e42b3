"""The server of the page as a process: its sockets, who the kernel says comes, and when it ends."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest

from cronwrap.errors import CronwrapError, UsageError
from cronwrap.web import server

PASS_ON = """
import os, sys, socket
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.argv[2], sys.argv[2:])
"""


def over(path, request=b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer


def test_a_socket_is_closed_to_others_and_the_kernel_says_who_comes(cli):
    path = os.path.join(cli.directory, "web.sock")
    page = cli.start("web", "--socket", path, stdout=subprocess.PIPE, umask=0)
    assert page.stdout.readline() == f"{path}\n".encode()
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert over(path).startswith(b"HTTP/1.1 200 OK")
    again = cli("web", "--socket", path)
    assert (again.status, again.stderr) == (1, f"cronwrap: --socket {path}: a page listens there already\n")
    page.terminate()
    assert page.wait(20) == 0
    assert not os.path.exists(path)


def test_over_the_loopback_the_printed_address_opens_the_page_once(cli):
    page = cli.start("web", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = page.stdout.readline().decode().strip()
    with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(
        address, timeout=20
    ) as answer:
        assert b"<h1>Jobs</h1>" in answer.read()
    assert b"another browser" in page.stderr.readline()
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(address, timeout=20)
    refused.value.close()
    page.terminate()
    assert page.wait(20) == 0


def test_a_socket_of_systemds_is_taken_over_and_an_idle_page_ends(cli):
    path = os.path.join(cli.directory, "web.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        cronwrap = os.path.join(os.path.dirname(sys.executable), "cronwrap")
        page = subprocess.Popen(
            [sys.executable, "-c", PASS_ON, str(listening.fileno()), cronwrap, "web", "--idle-exit", "1"],
            env=cli.env,
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
        )
    cli._started.append(page)
    assert over(path).startswith(b"HTTP/1.1 200 OK")
    assert page.wait(20) == 0
    assert os.path.exists(path)  # it is systemd's


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8377", "[::]:8377", "192.0.2.7:80", "example.com:80", "8377", "127.0.0.1:x"]
)
def test_an_address_that_others_could_reach_is_refused(address):
    with pytest.raises(UsageError):
        server.of_address(address)


def test_a_file_in_the_place_of_the_socket_stays(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(CronwrapError, match="something else"):
        server.of_path(str(file))
    assert file.read_text() == "mine"


def test_a_socket_that_nobody_listens_on_any_more_is_taken_away(tmp_path):
    path = str(tmp_path / "web.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    server.of_path(path).close()


def test_the_loopback_tells_whose_process_is_at_the_other_end():
    with server.of_address("127.0.0.1:0") as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        connection, _address = listening.accept()
        with connection:
            assert server.peer_of(connection).uid == os.geteuid()
