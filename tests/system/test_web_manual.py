"""The examples of the manual's page on the API are run, as they stand there, with curl."""

from __future__ import annotations

import dataclasses
import os

import pytest

from support import documents
from support.documents import PASSWORD, USER, Stage

PAGE = "docs/manual/web-api.md"


@pytest.fixture
def stage(cli, make_relay):
    stage = Stage(cli, make_relay(user=USER, password=PASSWORD))
    yield stage
    stage.close()


def test_what_the_manual_shows_of_curl_is_what_comes(needs, stage, cli, wait_until):
    needs("curl")
    path = os.path.join(cli.home, "web.sock")
    assert cli("-n", "backup", "--", "backup").status == 2
    cli.start("web", "--socket", path)
    wait_until(lambda: os.path.exists(path), timeout=20)
    shown = [block for block in documents.blocks(documents.read(PAGE)) if block.language == "console"]
    session = dataclasses.replace(shown[0], text="".join(block.text for block in shown), excused=False)
    stage.session(session)  # in one shell, as a reader goes through it
