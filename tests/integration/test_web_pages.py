"""The pages of jobs, runs, outbox and settings: what they show, and what their forms do."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from cronwrap.crontab import named
from cronwrap.history.runs import runs as runs_of
from cronwrap.job import holds
from cronwrap.mail import Envelope, Message
from cronwrap.model import STDERR, STDOUT
from cronwrap.outbox.store import Outbox
from cronwrap.paths import user_name
from support.cli import CRONWRAP
from support.crontab_program import put_crontab_program
from support.past import Was, remember
from support.web import Page

ME = user_name()
SAID = [(STDOUT, b"\033[32mgood\033[0m <b>\n"), (STDERR, b"no such bucket\n"), (STDOUT, b"\n" * 3 + b"end\n")]


@pytest.fixture
def ground(tmp_path, monkeypatch):
    """A state with some jobs, and the crontab that they are in."""
    programs, state = tmp_path / "bin", tmp_path / "state"
    put_crontab_program(programs, tmp_path / "table")
    (programs / "cronwrap").symlink_to(CRONWRAP)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(state))
    monkeypatch.setattr(named, "_system_crontabs", lambda: iter(()))
    (tmp_path / "table").write_text(
        f"PATH={os.environ['PATH']}\nCRONWRAP_STATE_DIR={state}\nCRONWRAP_MAILTO=\n"
        "0 3 * * * cronwrap --name backup -- true\n"
        "0 0 1 1 * cronwrap --name slow -c 'echo begun; sleep 60'\n"
        "0 4 * * * rm -rf /tmp/cache-*\n"
    )
    now = time.time()
    past = [
        Was("backup", now - 7200, took=2.0),
        Was("a/b", now - 50, said=SAID, result="failed", exit_code=2),
    ]
    remember(str(state), past)
    return str(state)


@pytest.fixture
def page():
    page = Page()
    yield page
    page.actor.close()


def lines(state):
    with open(os.path.join(state, "audit.log"), encoding="ascii") as file:
        return list(map(json.loads, file))


def store(state, *, failed=False):
    message = Message(
        content=b"Subject: Cron job\r\n\r\nexit status 2\r\n",
        envelope=Envelope(sender="a@example.com", recipients=("b@example.com",)),
        job="backup",
        subject="Cron job",
    )
    box = Outbox(state)
    item = box.store("20260101T000000-0000abcd", message, time.time() - 7200)
    box.update(item, item.replace(last_error="refused", attempts=2, state="failed" if failed else "queued"))
    return box


@pytest.mark.usefixtures("ground")
def test_the_list_has_every_job_what_needs_somebody_first(page):
    text = page.get("/").text
    names = re.findall(r'<td class="name"><a href="([^"]*)"', text)
    assert names[0] == f"/jobs/{ME}/a%2Fb"
    assert len(names) == 4
    assert "rm -rf /tmp/cache-*" in text
    assert "Every day at 03:00" in text
    assert "not in the crontab" in text


@pytest.mark.usefixtures("ground")
@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("q=backup", 1),
        ("q=CACHE", 1),
        ("q=0+4", 1),
        ("state=failing", 1),
        ("state=unwrapped&order=name", 1),
        ("q=zzz", 0),
    ],
)
def test_search_filter_and_order_are_in_the_address(page, query, number):
    assert (
        page.get(f"/?{query}").text.count("<tr class=") - page.get(f"/?{query}").text.count("note") == number
    )


@pytest.mark.usefixtures("ground")
@pytest.mark.parametrize(
    "query", ["state=x", "order=x", "cursor=x", "cursor=-1", "cursor=99999999999999", "q=%00%ff"]
)
def test_an_address_that_nobody_made_is_answered_all_the_same(page, query):
    assert page.get(f"/?{query}").status in {200, 422}


def test_a_job_of_any_name_has_a_page_with_its_runs_and_their_chart(ground, page):
    remember(ground, [Was("..", 1000.0), Was("x\ny", 2000.0), Was("%2e/./é", 3000.0)])
    for address in re.findall(r'<td class="name"><a href="([^"]*)"', page.get("/").text):
        assert page.get(address.replace("&amp;", "&")).status == 200
    assert page.get(f"/jobs/{ME}/nothing").status == 404
    assert page.get("/jobs/nobody/backup").status == 404 or ME == "root"


def test_a_job_is_paused_and_resumed_by_a_form_and_it_is_written_down_who_did(ground, page):
    answer = page.post(f"/jobs/{ME}/backup/pause", {"for": "2h"}, referer="http://localhost/?q=b")
    assert answer.status == 303
    assert answer.location.startswith("/?q=b&said=backup+is+paused+until")
    hold = holds.read(ground, holds.PAUSE, "backup")
    assert (hold.by, round(hold.until - time.time(), -2)) == (ME, 7200)
    assert "is paused until" in page.get(answer.location).text
    assert "Resume" in page.get(f"/jobs/{ME}/backup").text
    assert page.post(f"/jobs/{ME}/backup/resume").status == 303
    assert holds.read(ground, holds.PAUSE, "backup") is None
    first, second = lines(ground)
    assert (first["who"], first["what"], first["before"], first["outcome"]) == (
        ME,
        "jobs.pause",
        None,
        "done",
    )
    assert first["after"] == second["before"]
    assert os.stat(os.path.join(ground, "audit.log")).st_mode & 0o777 == 0o600


def test_a_job_is_muted_until_it_succeeds_and_unmuted(ground, page):
    assert page.post(f"/jobs/{ME}/backup/mute", {"for": "1h", "until_ok": "yes"}).status == 303
    assert holds.read(ground, holds.MUTE, "backup").until_ok
    assert page.post(f"/jobs/{ME}/backup/unmute").status == 303


@pytest.mark.parametrize(
    "fields", [{"for": "x"}, {"for": "0"}, {"until": "yesterday"}, {"for": "1h", "until": "18:00"}]
)
def test_a_time_that_is_none_holds_nothing_back(ground, page, fields):
    answer = page.post(f"/jobs/{ME}/backup/pause", fields)
    assert answer.status == 422
    assert "<h1>" in answer.text
    assert holds.every(ground) == []


@pytest.mark.usefixtures("ground")
def test_nothing_is_put_into_the_pages_mouth_and_no_form_leads_elsewhere(page):
    assert "phone us" not in page.get("/?said=phone+us&by=0123456789abcdef").text
    for referer in (
        "http://evil.example/x",
        "http://localhost//evil.example/",
        "http://localhost/\\evil",
        "",
    ):
        answer = page.post(f"/jobs/{ME}/backup/pause", referer=referer)
        assert answer.location.startswith(f"/jobs/{ME}/backup?")


@pytest.mark.usefixtures("ground")
def test_a_job_is_run_by_hand_watched_and_stopped(page, wait_until):
    answer = page.post(f"/jobs/{ME}/slow/run")
    run = re.match(r"/runs/([\w-]+)", answer.location)[1]
    assert "▸" in page.get(f"/runs/{run}").text
    wait_until(lambda: "begun" in page.get(f"/runs/{run}").text, timeout=30)
    assert "slow" in page.get("/?state=running").text
    assert page.post(f"/runs/{run}/stop").status == 303
    wait_until(lambda: page.get(f"/api/v1/runs/{run}").json()["result"] == "stopped", timeout=30)
    assert f"by {ME} (on the page)" in page.get(f"/runs/{run}").text
    again = page.post(f"/runs/{run}/stop")
    assert "This+run+has+ended" in again.location
    assert "by hand" in page.get("/runs").text


def test_a_job_that_is_not_wrapped_is_on_record_when_it_is_run_by_hand(ground, page, tmp_path):
    (tmp_path / "table").write_text(f"CRONWRAP_STATE_DIR={ground}\nCRONWRAP_MAILTO=\n0 4 * * * echo hello\n")
    name = re.search(r'href="(/jobs/[^"]*hello[^"]*)"', page.get("/").text)[1]
    assert page.post(f"{name}/run").location.startswith("/runs/")


def test_a_run_shows_its_output_with_its_streams_apart_and_finds_lines_in_it(ground, page):
    run = next(runs_of(ground, job="a/b")).run
    text = page.get(f"/runs/{run}").text
    assert '<span class="f2">good</span> &lt;b&gt;' in text
    assert '<span class="err">no such bucket' in text
    assert "exit status" not in re.sub(r"<[^>]*>", "", text) or "exit 2" in text
    only = page.get(f"/runs/{run}?stream=stderr").text
    assert "no such bucket" in only
    assert "good" not in only
    found = page.get(f"/runs/{run}?q=BUCKET").text
    assert re.search(r"     2  </span><span class=\"err\">no such bucket", found)
    assert page.get(f"/runs/{run}?q=%3Cb%3E").text.count("&lt;b&gt;") >= 1
    assert page.get("/runs/20000101T000000-00000000").status == 404


def test_runs_are_listed_page_by_page_and_failed_ones_alone(ground, page):
    remember(ground, [Was("many", 1_700_000_000.0 + number) for number in range(120)])
    seen, address = [], "/runs"
    while address:
        text = page.get(address).text
        seen += re.findall(r'<td class="name"><a href="/runs/([\w-]+)', text)
        following = re.search(r'href="([^"]*)" rel="next"', text)
        address = following and following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 122
    assert page.get("/runs?failed=true").text.count('<td class="name">') == 1


def test_a_message_is_read_and_thrown_away(ground, page):
    store(ground, failed=True)
    assert "could not be delivered" in page.get("/").text
    text = page.get("/outbox").text
    assert "Given up" in text
    assert "refused" in text
    address = re.search(r'href="(/outbox/[^"]*)"', text)[1]
    assert "exit status 2" in page.get(address).text
    identity = address.partition("?")[0]
    assert page.post(f"{identity}/drop").location.startswith("/outbox")
    assert page.get(identity).status == 404
    assert lines(ground)[-1]["before"]["subject"] == "Cron job"


def test_a_message_is_tried_again_at_once(ground, page, make_relay, config, monkeypatch):
    relay = make_relay()
    monkeypatch.setenv("CRONWRAP_CONFIG", config(f'mailfrom = "a@example.com"\n{relay.table}'))
    box = store(ground, failed=True)
    answer = page.post("/outbox/20260101T000000-0000abcd/retry")
    assert "delivered" in answer.location or "it+is+being+sent" in answer.location
    relay.wait_for(1)
    assert box.ids("failed") == []


@pytest.mark.usefixtures("ground")
def test_settings_say_what_is_in_force_and_hide_secrets(page, config, monkeypatch):
    monkeypatch.setenv(
        "CRONWRAP_CONFIG", config('mailto = "x@example.com"\n[[relay]]\nurl = "smtps://u:hunter2@h"')
    )
    text = page.get("/settings").text
    assert "x@example.com" in text
    assert "hunter2" not in text
    assert "(hidden)" in text


@pytest.mark.usefixtures("ground")
def test_doctor_is_asked_by_a_form(page):
    answer = page.post("/settings/doctor")
    assert answer.status == 200
    assert "no relay is configured" in answer.text


def test_a_read_only_page_has_no_form_that_changes(ground):
    store(ground)
    page = Page(read_only=True)
    run = next(runs_of(ground)).run
    for address in ("/", f"/jobs/{ME}/backup", f"/runs/{run}", "/outbox", "/settings", "/crontab"):
        assert 'method="post"' not in page.get(address).text
    assert "read-only" in page.get("/").text


def test_a_history_that_is_broken_is_said_and_hides_nothing_else(ground, page):
    with open(os.path.join(ground, "history.db"), "r+b") as file:
        file.write(b"x" * 4096)
    answer = page.get("/")
    assert answer.status in {200, 503}
    assert page.get("/").status == 200
    assert page.get("/outbox").status == 200


def test_a_button_says_what_it_does_by_its_name_and_value_alone_as_text_browsers_know_it(ground, page):
    """Nothing but the list could be done in w3m and lynx: they know neither ``formaction`` nor ``form``."""
    del ground
    for address in ("/", f"/jobs/{ME}/backup", "/outbox"):
        shown = page.get(address).text
        assert not re.search(r"<button[^>]* form(action)?=", shown)
        for form in re.findall(r"<form[^>]*>", shown):
            assert 'action="/' in form
    paused = page.post("/jobs", {"pause": f"{ME}/backup"})
    assert (paused.status, "backup is paused" in page.get(paused.location).text) == (303, True)
    page.post("/jobs", {"do": "resume", "of": f"{ME}/backup"})
    muted = page.post("/jobs", {"do": "mute-until-ok", "of": f"{ME}/backup", "for": "1h"})
    assert "muted until it succeeds" in page.get(muted.location).text
    for wrong in ({}, {"do": "drop", "of": f"{ME}/backup"}, {"do": "run", "of": "backup"}, {"run": ""}):
        assert page.post("/jobs", wrong).status == 422
    assert page.post("/outbox/none", {"do": "burn"}).status == 422


def test_a_request_for_no_path_is_answered(page):
    assert page.ask("GET", "*").status == 404
