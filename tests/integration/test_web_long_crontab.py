"""A crontab of ten thousand lines on the page: in parts, in little time, and nothing of it is lost."""

import base64
import re
import time

import pytest

from cronwrap.crontab import places
from cronwrap.crontab.store import user_name
from cronwrap.web.deeds import crontab_table
from cronwrap.web.deeds.base import surroundings
from cronwrap.web.deeds.perform import perform
from support.cli import CRONWRAP
from support.crontab_program import put_crontab_program
from support.web import Page

LINES = 10_000
ME = f"user:{user_name()}"
AT = f"/crontab/{ME}"
SOON = 2.5
"""Seconds of this process for one page, on a machine that has other things to do; it took eight and more."""
LARGEST = 400_000
"""Octets of a page that does not have the whole crontab as a field."""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A crontab with ten thousand lines, one of them wrong."""
    table = tmp_path / "spool"
    put_crontab_program(tmp_path / "bin", table)
    (tmp_path / "bin" / "cronwrap").symlink_to(CRONWRAP)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(places, "SYSTEM_PATHS", (str(tmp_path / "none"), f"{tmp_path}/nothing/"))
    lines = [b"PATH=%s/bin:/usr/bin:/bin" % str(tmp_path).encode()]
    for number in range(2, LINES + 1):
        wrapped = b"cronwrap -- " if number % 3 else b""
        lines.append(
            b"%d %d * * * %sjob-%d --all 'a b' && echo %d"
            % (number % 60, number % 24, wrapped, number, number)
        )
    lines[7341] = b"61 * * * * never"
    table.write_bytes(b"\n".join(lines) + b"\n")
    return table


@pytest.fixture
def page():
    return Page()


def in_time(ask, *asked):
    begun = time.process_time()
    found = ask(*asked)
    assert time.process_time() - begun < SOON, asked[0]
    assert found.status == 200
    return found


def test_each_page_of_it_comes_soon_and_is_of_bounded_size(table, page):
    shown = in_time(page.get, AT)
    assert len(shown.body) < LARGEST
    assert f"1 to {crontab_table.LINES_SHOWN} of 10,000" in shown.text
    following = re.search(r'href="([^"]*)">Next</a>', shown.text)[1]
    assert 'id="line-251"' in in_time(page.get, following).text
    assert 'id="line-10000"' in in_time(page.get, f"{AT}?line=10000").text
    for number in ("0", "99999", "x", "-1", "٣"):
        assert page.get(f"{AT}?line={number}").status == 200
    there = in_time(page.get, f"{AT}?line=7342")
    assert "1 error" in there.text
    for form in (in_time(page.get, f"{AT}/edit"), in_time(page.get, f"{AT}/states")):
        assert len(form.body) < 2 * table.stat().st_size


def test_a_line_of_it_is_changed_wrapped_and_added_in_time(table, page):
    etag = page.get(AT).fields("etag")[0]
    form = table.read_bytes().decode()
    changed = in_time(
        page.post, f"{AT}/difference", {"form": form.replace("job-5000 ", "job-5000x "), "etag": etag}
    )
    assert changed.text.count('class="row added"') == 1
    wrapped = in_time(page.post, f"{AT}/wrap", {"line": "9", "do": "wrap", "etag": etag})
    assert wrapped.text.count('class="row added"') == 1
    fields = {"when": "written", "schedule": "@daily", "command": "true", "wrapped": "yes", "do": "look"}
    assert "Line 10001" in in_time(page.post, f"{AT}/add", fields).text


def test_all_of_it_changed_at_once_is_shown_whole_and_judged_in_part(table, page):
    etag = page.get(AT).fields("etag")[0]
    form = table.read_bytes().decode().replace("* * *", "* * 1")
    changed = in_time(page.post, f"{AT}/difference", {"form": form, "etag": etag})
    assert len(changed.body) < 8 * table.stat().st_size  # both, and the new one once more to be saved
    assert changed.text.count("\n+") == LINES - 1
    assert "9,749 jobs more are changed" in changed.text
    text = base64.b64decode(changed.fields("text")[0])
    saved = page.post(f"{AT}/save", {"text": changed.fields("text")[0], "etag": etag, "what": "saved"})
    assert saved.status == 303
    assert table.read_bytes() == text == form.encode()


def test_a_variable_above_makes_the_lines_below_judged_anew(table):
    around = surroundings(user_name())
    octets = table.read_bytes().replace(b":/usr/bin:/bin\n", b":/nowhere\n", 1)
    octets = b"\n".join(octets.split(b"\n")[:50]) + b"\n"
    text = base64.b64encode(octets).decode()
    found = perform("crontabs.diff", {"id": ME, "text": text}, around.user)
    assert found["unjudged"] == 0
    assert {one["line"] for one in found["findings"]} >= set(range(2, 51))


def test_what_there_is_to_say_of_all_lines_is_a_page_of_its_own(table, page):
    lines = table.read_bytes().split(b"\n")
    table.write_bytes(b"\n".join(lines[:1] + lines[7000:7600]) + b"\n")
    shown = page.get(AT)
    assert f"{AT}/findings" in shown.text
    found = page.get(f"{AT}/findings")
    assert f"{AT}?line=343#line-343" in found.text
    assert found.text.index("1 error") < found.text.index("warnings")
