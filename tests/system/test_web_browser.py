"""The page in a browser: at every width, light and dark, without a script, by keyboard alone."""

from __future__ import annotations

import subprocess

import pytest
from axe_playwright_python.sync_playwright import Axe

from support.browser import AXE, CONTRAST, SCHEMES, WIDTHS, Visit, chromium, demonstration

DRAWN = """one => {
  const style = getComputedStyle(one);
  const signed = one.textContent.trim() !== "" && style.borderStyle !== "none";
  return signed && style.color !== style.backgroundColor;
}"""
"""Whether a sign can be seen, whatever its colours."""


@pytest.fixture(scope="module")
def visit(needs):
    """A visitor of the demonstration."""
    needs("minutes", "chromium")
    with demonstration() as address, chromium() as browser:
        yield Visit(browser, address)


@pytest.mark.timeout(600)
def test_every_page_fits_at_every_width_can_be_read_and_asks_nobody_else(visit):
    for name, show in visit.every():
        for width in WIDTHS:
            for scheme in SCHEMES:
                with visit.window(width, scheme) as page:
                    show(page)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                    assert page.evaluate(CONTRAST) == [], (name, width, scheme)
    assert visit.complaints == []


@pytest.mark.timeout(600)
def test_axe_finds_nothing_against_any_page(visit):
    found = []
    for name, show in visit.every():
        for width, scheme in ((320, "dark"), (1440, "light")):
            with visit.window(width, scheme) as page:
                show(page)
                told = Axe().run(page, options=AXE).response["violations"]
                found += [(name, width, one["id"], one["nodes"][0]["html"]) for one in told]
    assert found == []


def test_nothing_moves_for_who_wants_no_motion_and_states_are_told_apart_without_colours(visit):
    """The runs under way beat, for the others."""
    moving = "document.getAnimations().length"
    with visit.window() as page:
        page.goto(visit.base)
        assert page.evaluate(moving) > 0
    with visit.window(reduced_motion="reduce", forced_colors="active") as page:
        page.goto(visit.base)
        assert page.evaluate(moving) == 0
        for state in ("bad", "late", "run", "ok"):
            assert page.locator(f".badge.{state}").first.evaluate(DRAWN)
        assert (
            page.locator(".strip path.bad").first.evaluate("one => getComputedStyle(one).strokeWidth")
            != "0px"
        )


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


def test_whoever_fills_in_a_field_of_a_schedule_has_chosen_it(visit):
    with visit.window() as page:
        page.goto(visit.base + visit.pages()["new-job"])
        page.get_by_label("Day", exact=True).fill("3")
        assert page.get_by_role("radio", name="Every month on day").is_checked()
        page.get_by_role("textbox", name="Schedule").fill("@hourly")
        assert page.get_by_role("radio", name="As a crontab has it:").is_checked()
