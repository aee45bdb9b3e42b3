"""The page in w3m and lynx, which know neither scripts nor what is new in forms: all but watching live."""

from __future__ import annotations

import subprocess
import time

import pytest

from cronwrap.paths import user_name
from support.browser import demonstration
from support.waiting import wait_until

SIZE = ("-x", "120", "-y", "160")
KEY_TAKES = 0.7
"""Seconds: a program in a terminal reads a key when it is ready, and nobody can ask it whether it is."""
W3M = "w3m -cookie -o accept_cookie=1 -o use_dictcommand=0"
BROWSERS = {"w3m": (W3M, ("U", "C-u")), "lynx": ("lynx -accept_all_cookies", ("g",))}
"""How each is started, and which keys ask for an address."""


class Terminal:
    """A text browser in a terminal of its own, in which one page is open at a time."""

    def __init__(self, browser: str, home: str, address: str) -> None:
        command, self._go = BROWSERS[browser]
        self._socket = f"{home}/tmux"
        self._environment = {"HOME": home, "TERM": "screen", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        self._tmux("new-session", "-d", *SIZE, f"{command} '{address}'")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False, timeout=20
        ).stdout

    def _type(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(KEY_TAKES)

    def screen(self) -> str:
        """Give what is seen, blanks and lines run together."""
        return " ".join(self._tmux("capture-pane", "-p").split())

    def shows(self, text: str) -> str:
        """Wait until something is seen."""
        try:
            return wait_until(lambda: text in (screen := self.screen()) and screen, timeout=20, what=text)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.screen()}") from None

    def open(self, address: str, text: str) -> str:
        """Open a page that has a text; give what is seen."""
        self._type(*self._go, address, "Enter")
        return self.shows(text)

    def press(self, label: str, said: str) -> str:
        """Go to a button and press it; give what is seen once something is said."""
        self._type("/", label, "Enter", "Enter")
        return self.shows(said)

    def end(self) -> None:
        """Close it."""
        self._tmux("kill-server")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("browser", sorted(BROWSERS))
def test_in_a_text_browser_everything_can_be_read_and_done_but_watching_live(needs, tmp_path, browser):
    needs("minutes", "tmux", browser)
    with demonstration() as address:
        base, user = address.partition("/?")[0], user_name()
        terminal = Terminal(browser, str(tmp_path), address)
        try:
            jobs = terminal.shows("backup-srv")
            assert " exit 2 " in jobs
            assert "RunPause" not in jobs
            terminal.open(f"{base}/?q=sitemap", "sitemap")
            terminal.press("Pause", "sitemap is paused")
            terminal.open(f"{base}/jobs/{user}/sitemap", "Every hour at :50")
            terminal.press("Mute until", "sitemap is muted until it succeeds")
            terminal.press("Resume", "sitemap runs again")
            terminal.open(f"{base}/outbox", "refuses the login")
            terminal.press("Send now", "legacy-export: ")
            terminal.open(f"{base}/crontab/user:{user}", "cronwrap --name backup-srv")
            terminal.open(f"{base}/crontab/user:{user}/edit", "The crontab")
            terminal.press("Show the", "Nothing would change")
            terminal.open(f"{base}/runs", "bounce-mails")
        finally:
            terminal.end()
