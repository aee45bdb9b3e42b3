"""A crontab in a real browser's form: what nobody touched comes back to the octet, without a script."""

from __future__ import annotations

import random
import subprocess

import pytest

from cronwrap.crontab.store import user_name
from support.browser import Visit, chromium
from support.crontab_program import put_crontab_program

PIECES = (
    *(
        b"0 3 * * *\ttool",
        b"# Gr\xc3\xbc\xc3\x9fe",
        b"\xe9\xff",
        b"\xe2\x80\xaeevil",
        b"a\rb",
        b"\0",
        b"\x1b[31m",
    ),
    *(
        b"\xf4\x8f\xbc\x81",
        b"\xef\xbb\xbf",
        b"\xef\xbf\xbe",
        b"</textarea><b>",
        b"&#13;&amp;",
        b"\x0c",
        b"\xe2\x80\xa8",
    ),
    *(
        b" ",
        b"\t",
        b"\r",
        b"\xc2\x85",
        b"a\xe2\x80\x8db",
        b"\xed\xa0\x80",
        b"e\xcc\x81",
        b"\xc3\xa9",
        b"\xef\xac\x81",
    ),
)
CRONTABS = 40


@pytest.fixture
def table(tmp_path):
    put_crontab_program(tmp_path / "bin", tmp_path / "table")
    return tmp_path / "table"


@pytest.fixture
def visit(needs, cli, table):
    needs("minutes", "chromium")
    path = f"{table.parent}/bin:/usr/bin:/bin"
    process = cli.start("web", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, env={"PATH": path})
    with chromium() as browser:
        yield Visit(browser, process.stdout.readline().decode().strip())


def some_crontab(draw):
    lines = [b"".join(draw.choices(PIECES, k=draw.randrange(4))) for _ in range(draw.randrange(6))]
    ends = [draw.choice([b"\n", b"\r\n"]) for _ in lines]
    whole = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    return whole + draw.choice([b"", draw.choice(PIECES)])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", [True, False])
def test_what_a_browser_sends_back_untouched_changes_no_octet(visit, table, script):
    draw = random.Random(4711)
    address = f"{visit.base}/crontab/user:{user_name()}"
    with visit.window(script=script) as page:
        for _ in range(CRONTABS):
            octets = some_crontab(draw)
            table.write_bytes(octets)
            page.goto(f"{address}/edit")
            page.get_by_role("button", name="Show the difference").click()
            said = page.locator("main .hunk, main > p").first
            said.wait_for()
            assert said.inner_text() == "Nothing would change.", octets
    assert visit.complaints == []


def test_an_edit_in_a_browser_leaves_every_other_octet(visit, table):
    before = b"# \xe9\r\n0 3 * * *\ttool\n\x00\xe2\x80\xae\r\nlast"
    table.write_bytes(before)
    with visit.window(320) as page:
        page.goto(f"{visit.base}/crontab/user:{user_name()}/edit")
        page.locator("textarea").evaluate(
            "field => field.setRangeText('4', field.value.indexOf('3'), field.value.indexOf('3') + 1)"
        )
        page.get_by_role("button", name="Show the difference").click()
        page.get_by_role("button", name="Save").click()
        assert "Saved" in page.get_by_role("status").inner_text()
    assert table.read_bytes() == before.replace(b"3", b"4")
