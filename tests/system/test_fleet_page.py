"""The pages of a fleet, rendered from a real PostgreSQL: what is shown first, and what is shown to nobody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from html import unescape
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe

from support.browser import AXE, CONTRAST, SCHEMES, WIDTHS, Visit, chromium
from support.fleet import a_job, a_run, run, say, ship
from support.web import Page
from support.web_document import Document
from support.web_state import MARK, NAMES

JOB_ROW = re.compile(r'<td class="name"><a href="([^"]*)">(?:<time[^>]*>)?([^<]*)<')


@pytest.fixture
def seen(host, database):
    """A host that may see the fleet: three hosts, of which one has gone silent."""
    one, now = host("web1"), time.time()
    one.env["MAILTO"] = "ops@example.org"
    run(one, "nightly", "--", "true")
    run(one, "broken", "--", "sh", "-c", "printf 'al%s\\n' as; printf 'wo%s\\n' e >&2; exit 3", status=3)
    ship(one)
    well = {"started": now - 60, "ended": now - 50, "duration": 10.0, "results": "failed ok"}
    slow = a_job(job="slow", schedule="@hourly", next=now - 3600, **well)
    gone = a_job(job="hourly", schedule="@hourly", next=now - 300, **well)  # since its host was heard of
    for name, jobs in (
        ("web2", [a_job(job="nightly", **well), slow]),
        ("db1", [a_job(job="nightly", **well), gone]),
    ):
        runs = [a_run(job["job"], now - 50, job=job["job"]) for job in jobs]
        say(database, name, jobs=jobs, runs=runs, next=now - 300)
    database.sql("UPDATE cronwrap.hosts SET seen = now() - interval '10 min' WHERE host = 'db1'")
    return one


@pytest.fixture
def page(seen, monkeypatch):
    """Its page."""
    monkeypatch.setenv("CRONWRAP_CONFIG", seen.config)
    monkeypatch.setenv("CRONWRAP_STATE_DIR", seen.state)
    page = Page()
    yield page
    page.actor.close()


def rows(answer):
    """The names and addresses of the first column of a page's lists."""
    return [(unescape(name), unescape(where)) for where, name in JOB_ROW.findall(answer.text)]


def test_what_fails_is_first_then_what_is_late_and_a_silent_host_is_told(page):
    answer = page.get("/fleet")
    assert answer.status == 200
    assert [name for name, _where in rows(answer)] == ["broken", "slow"]
    assert re.search(r"<b>db1</b></a> has gone silent. It was last heard of 10 min ago", answer.text)
    assert "exit 3" in answer.text
    assert "did not start" in answer.text
    assert 'class="here" aria-current="page">Fleet</a>' in answer.text
    hosts = re.findall(r'<th scope="row" class="(\w+)">.*?">(\w+)</a></th>', answer.text)
    assert hosts == [("late", "db1"), ("bad", "web1"), ("ok", "web2")]
    (header,) = re.findall(r"<thead>(?:(?!</thead>).)*class=\"job\".*?</thead>", answer.text, re.DOTALL)
    names = re.findall(r"<span>(\w+)</span>", header)
    assert names == ["broken", "hourly", "slow", "nightly"]
    cells = re.findall(r'class="cell (\w+)" href="[^"]*" title="(\w+) on (\w+): ', answer.text)
    assert sorted(cells) == [
        *[("bad", "broken", "web1"), ("late", "slow", "web2")],
        *[
            ("ok", "hourly", "db1"),
            ("ok", "nightly", "db1"),
            ("ok", "nightly", "web1"),
            ("ok", "nightly", "web2"),
        ],
    ]


def test_one_job_is_shown_on_all_hosts_side_by_side_and_from_there_its_runs(page):
    side = page.get("/fleet/jobs?job=nightly")
    assert [name for name, _where in rows(side)] == ["db1", "web1", "web2"]
    assert side.text.count('class="level"') == 3
    (_name, where) = rows(side)[1]
    of_host = page.get(where)
    assert f'<span class="host">{os.uname().nodename}</span>' in of_host.text
    assert "nightly on web1" in of_host.text
    assert "nightly on web1: ok" in page.get(rows(of_host)[-1][1]).text
    assert [name for name, _where in rows(page.get("/fleet/jobs?host=web2"))] == ["slow", "nightly"]
    assert [name for name, _where in rows(page.get("/fleet/jobs?state=failing"))] == ["broken"]
    assert "No job is like that" in page.get("/fleet/jobs?job=nobody").text
    assert page.get("/fleet/jobs?state=wild").status == 422


def test_hosts_and_runs_of_all_are_listed_and_a_run_has_its_output_both_streams_apart(page):
    hosts = page.get("/fleet/hosts")
    assert [name for name, _where in rows(hosts)] == ["db1", "web1", "web2"]
    assert [name for name, _where in rows(page.get("/fleet/hosts?q=WEB"))] == ["web1", "web2"]
    runs = page.get("/fleet/runs")
    assert len(rows(runs)) == 6
    failed = rows(page.get("/fleet/runs?failed=true"))
    assert len(failed) == 1
    whole = page.get(failed[0][1])
    assert ">alas\n" in whole.text
    assert re.search(r'class="err">woe', whole.text)
    assert "alas" not in page.get(f"{failed[0][1]}&stream=stderr").text
    assert "<b>exit 3</b>" in runs.text
    assert page.get("/fleet/runs/nothing").status == 404


def test_lists_go_on_where_they_ended_and_have_each_thing_once(page, database):
    now = time.time()
    more = [a_job(job=f"job{number % 7}", user_name=f"u{number // 7}") for number in range(35)]
    for number, job in enumerate(more):
        if number % 5 == 0:
            job |= {"failures": 1, "failing_since": now - number // 10, "result": "failed"}
        elif number % 5 == 1:
            job |= {"next": now - 1000 - number // 10}
    say(database, "many", jobs=more)
    say(database, "many", number=2, runs=[a_run(f"r{number:02}", now - number // 4) for number in range(21)])
    for path, total in (("jobs", 41), ("jobs?host=many", 35), ("runs", 27), ("hosts", 4)):
        found, where = [], f"/api/v1/fleet/{path}{'&' if '?' in path else '?'}limit=4"
        while where:
            answer = page.get(where).json()
            assert len(answer["items"]) <= 4
            found += [json.dumps(item, sort_keys=True) for item in answer["items"]]
            where = answer["next"]
        assert len(found) == len(set(found)) == total
    first = page.get("/fleet/jobs").text
    assert first.index('tr class="bad"') < first.index('tr class="late"') < first.index('tr class="ok"')


def test_a_place_that_no_list_has_named_is_refused(page):
    places = (
        "1",
        "x",
        "[]",
        '[0, null, "a", "b", "c"]',
        '[7, 1.0, "a", "b", "c"]',
        '[0, NaN, "a", "b", "c"]',
    )
    for cursor in (*places, '[0, 1e300, "a", "b", "c"]', "[" * 900):
        for path in ("jobs", "runs"):
            assert page.get(f"/fleet/{path}?cursor={quote(cursor)}").status == 422, cursor


def test_programs_are_told_the_same_as_people(page):
    hosts = page.get("/api/v1/fleet/hosts").json()["items"]
    assert [(one["host"], one["silent"]) for one in hosts] == [
        ("db1", True),
        ("web1", False),
        ("web2", False),
    ]
    jobs = page.get("/api/v1/fleet/jobs").json()["items"]
    assert [(one["job"], one["late"]) for one in jobs][:2] == [("broken", False), ("slow", True)]
    (failed,) = page.get("/api/v1/fleet/runs?failed=true").json()["items"]
    whole = page.get(f"/api/v1/fleet/runs/{failed['run']}?host=web1").json()
    assert (whole["exit_code"], whole["host"]) == (3, "web1")
    assert page.get(f"/api/v1/fleet/runs/{failed['run']}/output?stream=stderr").body == b"woe\n"


def test_a_role_that_may_not_see_is_told_what_lets_it(page, host, role, database, monkeypatch):
    plain = host("plain", url=database.url(role(host("admin"), "plain")))
    monkeypatch.setenv("CRONWRAP_CONFIG", plain.config)
    answer = page.get("/fleet")
    assert answer.status == 403
    assert "cronwrap fleet init --viewer" in answer.text


def test_a_database_that_is_away_or_hangs_is_told_of_and_the_rest_of_the_page_is_there(
    page, database, monkeypatch
):
    monkeypatch.setattr("cronwrap.web.deeds.fleet.ANSWER", 1.0)
    monkeypatch.setattr("cronwrap.fleet.database.CONNECT_SECONDS", 2)
    database.suspend()
    try:
        began = time.monotonic()
        assert page.get("/fleet").status == 503
        assert page.get("/").status == 200
        assert time.monotonic() - began < 8
    finally:
        database.resume()
    database.stop()
    try:
        assert "cannot be asked" in page.get("/fleet").text
    finally:
        database.start()
    assert page.get("/fleet").status == 200


def test_the_list_of_jobs_says_how_far_behind_this_host_is(page, seen, database):
    assert "has not heard everything" not in page.get("/").text
    database.stop()
    try:
        run(seen, "nightly", "--", "true")
        assert seen("fleet", "ship").status == 1
        answer = page.get("/").text
        assert "has not heard everything of this host: 1 run yet to be sent" in answer
        assert "out of reach since" in answer
    finally:
        database.start()


def test_what_hosts_say_is_text_and_nothing_else(page, database):
    for name in NAMES:
        say(
            *(database, name),
            jobs=[
                a_job(
                    job=name,
                    user_name=name,
                    schedule=name,
                    results=name,
                    result=name,
                    failures=1,
                    failing_since=1.0,
                )
            ],
            runs=[
                a_run(name, time.time(), job=name, command=name, result=name, reasons=name, quiet_reason=name)
            ],
        )
    paths = ["/fleet", "/fleet/jobs", "/fleet/hosts", "/fleet/runs"]
    for path in (*paths, *(f"/fleet/jobs?job={MARK}&host={MARK}",)):
        answer = page.get(path)
        assert answer.status == 200
        assert Document(answer.text).faults == []
        for _name, where in rows(answer)[:30]:
            led = page.get(where)
            assert led.status in (200, 404)
            assert Document(led.text).faults == []


@pytest.mark.timeout(300)
def test_every_page_fits_at_every_width_and_a_failed_run_is_found_without_a_script(seen, needs):
    needs("chromium")
    served = seen.start("web", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    address = served.stdout.readline().decode().split()[-1]
    with chromium() as browser:
        visit = Visit(browser, address)
        with visit.window(script=False) as window:
            window.goto(f"{visit.base}/")
            window.get_by_role("link", name="Fleet").click()
            window.get_by_role("link", name=re.compile("broken.*: exit 3")).click()
            window.locator("table.runs td.name a").first.click()
            assert "alas" in window.locator("pre.output").inner_text()
            whole = window.url.removeprefix(visit.base)
        for path in ("/fleet", "/fleet/jobs?job=nightly", "/fleet/hosts", "/fleet/runs", whole):
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with visit.window(width, scheme) as window:
                        assert window.goto(visit.base + path).status == 200
                        assert window.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                        assert window.evaluate(CONTRAST) == [], (path, width, scheme)
                        if (width, scheme) in ((320, "dark"), (1440, "light")):
                            told = Axe().run(window, options=AXE).response["violations"]
                            found = [(one["id"], one["nodes"][0]["html"]) for one in told]
                            assert found == [], (path, width)
        assert visit.complaints == []
    served.terminate()
    served.communicate(timeout=30)
