"""The page where there is no fleet, and where its database is nowhere."""

from __future__ import annotations

import pytest

from support.ports import free_port
from support.web import Page


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Give the page with some lines as its configuration."""
    made = []

    def configured(text):
        config = tmp_path / "config.toml"
        config.write_text(text)
        config.chmod(0o600)
        monkeypatch.setenv("CRONWRAP_CONFIG", str(config))
        monkeypatch.setenv("CRONWRAP_STATE_DIR", str(tmp_path / "state"))
        made.append(Page())
        return made[-1]

    yield configured
    for one in made:
        one.actor.close()


def test_without_a_fleet_there_is_no_word_of_it(page):
    alone = page("")
    assert "Fleet" not in alone.get("/runs").text
    for path in (
        "/fleet",
        "/fleet/jobs",
        "/fleet/hosts",
        "/fleet/runs",
        "/fleet/runs/r",
        "/api/v1/fleet/jobs",
    ):
        assert alone.get(path).status == 404


def test_a_database_that_is_nowhere_costs_the_fleet_alone(page):
    member = page(f'[fleet]\nurl = "postgresql://nobody@127.0.0.1:{free_port()}/fleet"\n')
    assert 'href="/fleet">Fleet</a>' in member.get("/runs").text
    assert member.get("/").status == 200
    answer = member.get("/fleet")
    assert answer.status == 503
    assert "cannot be asked" in answer.text
    assert member.get("/api/v1/fleet/hosts").json()["status"] == 503
