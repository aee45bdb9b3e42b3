"""A job's name, a crontab's and a file's may have octets that are no UTF-8: each is one name everywhere."""

import json
import os
import subprocess

import pytest

from cronwrap.crontab import places
from cronwrap.crontab.store import user_name
from support.cli import CRONWRAP
from support.crontab_program import put_crontab_program
from support.web import Page

ME = user_name()
JOB = f"/jobs/{ME}/caf%5Cxe9"
"""What a person sees of ``caf\xe9`` in Latin-1, as an address."""


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page, beside a crontab whose jobs have such names."""
    put_crontab_program(tmp_path / "bin", tmp_path / "table")
    (tmp_path / "bin" / "cronwrap").symlink_to(CRONWRAP)
    place = tmp_path / "cron.d"
    place.mkdir()
    with open(os.fsencode(place) + b"/na\xefve", "wb") as file:
        file.write(b"0 1 * * * ro\xefot caf\xe9\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{place}/"))
    variables = f"PATH={os.environ['PATH']}\nCRONWRAP_STATE_DIR={tmp_path}/state\n".encode()
    (tmp_path / "table").write_bytes(
        variables + b"1 2 * * * cronwrap --name caf\xe9 --on never -- echo h\xe9llo\nCRONWRAP_NAME=jos\xe9\n"
    )
    return Page()


def cronwrap(*words):
    return subprocess.run([CRONWRAP, *words], capture_output=True, check=False)


def test_a_job_is_run_and_paused_by_the_name_that_is_shown(page):
    """The page could not run it, and said that it was paused when it was not."""
    ran = page.post(f"{JOB}/run", {})
    assert (ran.status, ran.location.partition("?")[0][:6]) == (303, "/runs/")
    assert page.get(JOB).status == 200
    assert "caf\\xe9 is paused" in page.get(page.post(f"{JOB}/pause", {"for": "1h"}).location).text
    assert cronwrap("-n", b"caf\xe9", "--", "true").returncode == 75
    assert cronwrap("resume", b"caf\xe9").returncode == 0
    assert cronwrap("-n", b"caf\xe9", "--", "true").returncode == 0
    shown = [json.loads(cronwrap("show", word, "--json").stdout)["job"] for word in (b"caf\xe9", "caf\\xe9")]
    assert shown == ["caf\\xe9", "caf\\xe9"]


def test_a_command_is_tried_under_such_a_name(page):
    fields = {"when": "written", "schedule": "@daily", "command": "echo hi", "wrapped": "yes", "do": "try"}
    assert "The command ended well" in page.post(f"/crontab/user:{ME}/add", fields).text


def test_no_answer_in_json_has_half_a_character(page):
    if os.geteuid():
        pytest.skip("root alone sees the system's crontabs")
    answer = page.get("/api/v1/crontabs")
    assert "cron.d:na=EFve" in answer.text
    assert "/na\\\\xefve" in answer.text
    for address in ("/api/v1/crontabs", "/api/v1/jobs", f"/api/v1{JOB}", "/api/v1/crontabs/user:x%ED%B3%BF"):
        json.dumps(page.get(address).json(), ensure_ascii=False).encode()
