"""The page in a browser: at every width, light and dark, without a script, by keyboard alone."""

from __future__ import annotations

import subprocess

import pytest

from support.browser import CONTRAST, SCHEMES, WIDTHS, Visit, chromium, demonstration


@pytest.fixture(scope="module")
def visit(needs):
    """A visitor of the demonstration."""
    needs("chromium")
    with demonstration() as address, chromium() as browser:
        yield Visit(browser, address)


@pytest.mark.timeout(300)
def test_every_page_fits_at_every_width_can_be_read_and_asks_nobody_else(needs, visit):
    needs("minutes")
    for name, address in visit.pages().items():
        for width in WIDTHS:
            for scheme in SCHEMES:
                with visit.window(width, scheme) as page:
                    assert page.goto(visit.base + address).status == 200, name
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                    assert page.evaluate(CONTRAST) == [], (name, width, scheme)
    assert visit.complaints == []


def test_without_a_script_a_job_is_found_paused_resumed_and_its_run_looked_at(visit):
    with visit.window(script=False) as page:
        page.goto(visit.base)
        page.get_by_role("searchbox").fill("ldap")
        page.get_by_role("searchbox").press("Enter")
        assert page.locator("tr[data-row]").count() == 1
        page.get_by_role("button", name="Pause").click()
        assert "ldap-sync is paused" in page.get_by_role("status").inner_text()
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("link", name="ldap-sync").click()
        page.locator("td.name a").first.click()
        assert page.locator("dl.facts").count() == 1


def test_by_the_keyboard_alone_a_job_is_found_opened_and_muted(visit, wait_until):
    with visit.window() as page:
        page.goto(visit.base)
        page.keyboard.press("/")
        page.keyboard.type("sitemap")
        wait_until(lambda: page.locator("tr[data-row]").count() == 1)
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/**")
        page.keyboard.press("?")
        assert "the next one" in page.get_by_role("dialog").inner_text()
        page.keyboard.press("Escape")
        for _step in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Mute":
                break
        page.keyboard.press("Enter")
        page.locator(".said").wait_for()
        assert "sitemap is muted" in page.get_by_role("status").inner_text()
        wait_until(lambda: "said=" not in page.evaluate("location.search"))


def test_the_list_renews_itself_and_a_live_run_goes_on(visit, wait_until):
    live = visit.pages()["live"]
    with visit.window() as page:
        page.goto(visit.base + live)
        length = "document.getElementById('tail').textContent.length"
        before = page.evaluate(length)
        wait_until(lambda: page.evaluate(length) > before + 20, timeout=20)
        page.goto(visit.base)
        at = page.locator("footer").inner_text()
        wait_until(lambda: page.locator("footer").inner_text() != at, timeout=20)
    assert visit.complaints == []


def test_in_w3m_the_list_a_job_and_a_run_can_be_read(needs, tmp_path):
    needs("w3m")
    with demonstration() as address:
        shown = subprocess.run(
            ["w3m", "-cookie", "-o", "accept_cookie=1", "-o", "use_dictcommand=0", "-dump", address],
            env={"HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
    assert "backup-srv" in shown
    assert "failing since" in shown
    assert "Press ? for keys" not in shown  # there is no script
