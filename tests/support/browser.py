"""The pages of the demonstration in Debian's Chromium: a server of its own, and what to look at."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from support.debian import find

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
WIDTHS = (320, 768, 1440)
SCHEMES = ("light", "dark")
HEIGHT = 900
STARTED = 60.0
CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length && found[3] !== 0) return found;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || element.closest(".vh, .skip, option, :disabled")) continue;
    if (!element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const pair = [light(parse(style.color)), light(behind(element))].sort((a, b) => b - a);
    const height = parseFloat(style.fontSize);
    const large = height >= 24 || (height >= 18.6 && style.fontWeight >= 700);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const words = walk.currentNode.data.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${words}`);
  }
  return bad;
}"""
"""Gives the texts whose contrast is below AA (WCAG 2.2, 1.4.3)."""
AXE = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}
"""What axe-core looks for."""


@contextlib.contextmanager
def demonstration():
    """Serve the demonstration; give its address with a key."""
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "tools", "demo_web.py"), "--host", "web1.example.com"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "tests"), "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        line = process.stdout.readline()
        yield line.split()[-1]
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        process.wait()


@contextlib.contextmanager
def chromium():
    """Give Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A visitor with a session, whose windows complain of nothing and ask no other host."""

    def __init__(self, browser, address):
        self._browser = browser
        self.base = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        context = browser.new_context()
        context.new_page().goto(address)
        self._state = context.storage_state()
        context.close()
        self.complaints: list[str] = []

    @contextlib.contextmanager
    def window(self, width=1440, scheme="light", *, script=True, **more):
        """Give a window of a width; ``more`` is for Playwright's contexts."""
        context = self._browser.new_context(
            storage_state=self._state,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            java_script_enabled=script,
            **more,
        )
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._look)
        yield page
        context.close()

    def _hear(self, message):
        if not message.text.startswith("Failed to load resource: the server responded with a status of 4"):
            self.complaints.append(message.text)

    def _look(self, request):
        if not request.url.startswith(f"{self.base}/"):
            self.complaints.append(f"asked {request.url}")

    def pages(self):
        """Give the address of each kind of page, by a name."""
        with self.window() as page:
            page.goto(self.base)
            user = page.locator(".who").inner_text()
            job = page.goto(f"{self.base}/jobs/{user}/backup-srv").text()
            photo = page.goto(f"{self.base}/jobs/{user}/photo-copy").text()
            live = re.search(r'<dt>Running</dt><dd><a href="(/runs/[^"?]*)', photo)[1]
            wait_for_output(page, self.base + live)
            messages = page.goto(f"{self.base}/outbox").text()
            crontab = f"/crontab/user:{user}"
            page.goto(f"{self.base}{crontab}/edit")
            write(page, "# Not wrapped yet:", "# To be wrapped:")
            page.get_by_role("button", name="Show the difference").click()
            page.get_by_role("button", name="Save").click()
            states = page.goto(f"{self.base}{crontab}/states").text()
        return {
            "jobs": "/",
            "job": f"/jobs/{user}/backup-srv",
            "run": re.search(r'<td class="name"><a href="(/runs/[^"?]*)', job)[1],
            "live": live,
            "runs": "/runs",
            "found": re.search(r'<td class="name"><a href="(/runs/[^"?]*)', job)[1] + "?q=bucket",
            "crontab": crontab,
            "findings": f"{crontab}/findings",
            "new-job": f"{crontab}/add",
            "edit": f"{crontab}/edit",
            "states": f"{crontab}/states",
            "undo": re.findall(rf'href="({crontab}/states/[^"]*)', states)[-1],
            "outbox": "/outbox",
            "message": re.search(r'href="(/outbox/[^"?]*)', messages)[1],
            "settings": "/settings",
            "nothing": "/nothing",
        }

    def every(self):
        """Give all that can be looked at: its name, and what has a page show it."""
        pages = self.pages()
        for name, address in pages.items():
            yield name, lambda page, address=address: page.goto(self.base + address)
        for name, (where, act) in STEPS.items():
            yield name, lambda page, where=where, act=act: (page.goto(self.base + pages[where]), act(page))


def write(page, old, new):
    """Write something else in the field of a crontab."""
    page.locator("textarea").evaluate(
        "(field, [old, changed]) => { field.value = field.value.replace(old, changed); }", [old, new]
    )


def difference(page):
    """See what an edit changes, and what there is to say of it."""
    write(page, "*/30 * * * * /opt/old", "*/31 * * * * /opt/old")
    write(page, "0 3 * * *", "61 3 * * *")
    page.get_by_role("button", name="Show the difference").click()


def wrapping(page):
    """See what wrapping changes."""
    page.get_by_role("checkbox").last.check()
    page.get_by_role("button", name="Wrap the chosen", exact=True).click()


def wrong(page):
    """Fill in a form so that something is wrong with it."""
    page.get_by_label("Command").fill("backup --all")
    page.get_by_label("As a crontab has it:").check()
    page.get_by_role("textbox", name="Schedule").fill("61 * * * *")
    page.get_by_role("button", name="Look at the line").click()


def tried(page):
    """Try the command of a new job."""
    page.get_by_label("Command").fill("echo 'it works'; echo 'mostly' >&2; exit 3")
    page.get_by_role("button", name="Try the command now").click()


def overtaken(page):
    """Have somebody else save first."""
    with page.context.new_page() as other:
        other.goto(page.url)
        write(other, "# The crontab", f"# Seen at {time.monotonic()}\n# The crontab")
        other.get_by_role("button", name="Show the difference").click()
        other.get_by_role("button", name="Save").click()
    write(page, "0 3 * * *", "0 4 * * *")
    page.get_by_role("button", name="Show the difference").click()


STEPS = {
    "difference": ("edit", difference),
    "wrapping": ("crontab", wrapping),
    "wrong": ("new-job", wrong),
    "tried": ("new-job", tried),
    "overtaken": ("edit", overtaken),
}
"""What is only there behind a form: by its name the page that it begins at, and how it comes."""


def wait_for_output(page, address):
    """Wait until a run has said something, so that its page has something to show."""
    until = time.monotonic() + STARTED
    while "copying" not in page.goto(address).text() and time.monotonic() < until:
        time.sleep(0.5)
