"""The run page in a browser while the run goes on: what the job says comes by itself, and is text."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time

import pytest

from support.debian import find
from support.web_tail import Job

SAID = (
    b"<script>document.title='pwned'</script><img src=x onerror=document.title='pwned'>\n",
    "caf\u00e9 \u4e2d \U0001f600\n".encode(),
    b"\x1b[31mred\x1b[0m\x1b]0;pwned\x07 \x00 \xff\n",
    "\u202eevil\u202c\n".encode(),
)
SHOWN = (
    "<script>document.title='pwned'</script><img src=x onerror=document.title='pwned'>\n"
    "caf\u00e9 \u4e2d \U0001f600\n"
    "red\u241b]0;pwned\u2407 \u2400 \ufffd\n"
    "\\u202eevil\\u202c\n"
)
"""The same, as it is read: a browser shows an octet that is no character as the sign for that."""


class Cutting:
    """A way to a server that can be cut: connections are passed on, and ended at a word."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def _serve(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the page has gone
                client.close()
                continue
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        one.close()

    def cut(self) -> None:
        """End every connection there is."""
        connections, self._open = self._open, []
        for one in connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def close(self) -> None:
        """End for good."""
        self._listening.shutdown(socket.SHUT_RDWR)  # it may be waited at
        self._serving.join()
        self._listening.close()
        self.cut()


@pytest.fixture
def browser(needs):
    needs("minutes", "chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # for this alone

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def way(cli):
    """A page over the loopback, and a way to it that can be cut; the address with its key."""
    page = cli.start("web", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    address = page.stdout.readline().decode().strip()
    port = int(address.split(":")[2].partition("/")[0])
    way = Cutting(port)
    way.address = address.replace(f":{port}", f":{way.port}")
    way.base = f"http://127.0.0.1:{way.port}"
    yield way
    way.close()


def text_of(page):
    return page.locator("#tail").inner_text()


def test_live_output_comes_by_itself_as_text_and_goes_on_where_it_was_cut(browser, way, cli, wait_until):
    job = Job(cli)
    job.say(SAID[0] + SAID[1][:4])  # and half a character
    wait_until(lambda: os.path.isdir(os.path.join(cli.state, "output")), timeout=20)
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(way.address)
    page.goto(f"{way.base}/runs/{job.run}")
    wait_until(lambda: "<script>" in text_of(page), timeout=20)
    for octets in (SAID[1][4:], *SAID[2:]):
        for at in range(0, len(octets), 3):  # characters and sequences are cut by pieces, and by the line
            job.say(octets[at : at + 3])
            time.sleep(0.02)
        way.cut()
    wait_until(lambda: len(text_of(page)) >= len(SHOWN.rstrip()), timeout=30)
    assert text_of(page).rstrip() == SHOWN.rstrip()
    assert "".join(page.locator("#tail .f1").all_inner_texts()) == "red"
    assert page.title() != "pwned"
    assert "ended" not in page.locator("dl.facts").inner_text().lower()
    job.end()
    page.get_by_text("Ended").wait_for(timeout=20_000)  # the page tells of the end by itself
    assert "caf\u00e9" in page.content()
    assert faults == []


def test_without_any_script_a_page_goes_on_to_the_end_of_the_run(browser, way, cli, wait_until):
    job = Job(cli)
    job.say(SAID[0])
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(way.address)
    page.goto(f"{way.base}/runs/{job.run}/live", wait_until="commit")
    job.say(b"more\n")
    job.end()
    wait_until(lambda: "exit status 0" in page.content(), timeout=20)
    assert "&lt;script&gt;" in page.content()
    assert "more\n" in page.content()
