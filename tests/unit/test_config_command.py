"""What ``config show`` makes of settings."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cronwrap import paths
from cronwrap.commands.config import command
from cronwrap.settings import files as config
from cronwrap.settings import load as settings
from cronwrap.settings import options, values
from cronwrap.settings import relays as endpoint
from cronwrap.settings import view as config_view

SECRET = "hunter2 #1"


@pytest.fixture(autouse=True)
def no_system_file(monkeypatch):
    """Who uses cronwrap on this machine has one."""
    monkeypatch.setattr(paths, "SYSTEM_CONFIG", "/nonexistent/config.toml")


def shown(relay=None, **values):
    found = settings.load(values, {"HOME": "/nonexistent", "CRONWRAP_STATE_DIR": "/nonexistent/state"})
    settings_of_all = list(config_view.settings(found))
    return settings_of_all + (list(config_view.relay(1, relay)) if relay else [])


def test_every_setting_is_shown_once():
    keys = [one.key for one in shown()]
    wanted = {option.key for option in (*options.OPTIONS, *options.SECTIONS) if not option.sets}
    assert len(keys) == len(set(keys))
    assert set(keys) == (wanted - {"dry-run", "name"}) | {"state directory"}


@given(st.floats(0, values.LONGEST_DURATION).map(lambda seconds: round(seconds, 3)))
def test_a_duration_is_shown_as_it_can_be_written(seconds):
    assert values.duration(config_view._duration(seconds)) == pytest.approx(seconds, abs=0.001)


@given(st.integers(0, 10**14))
def test_a_size_is_shown_as_it_can_be_written(octets):
    assert values.size(config_view._size(octets)) == octets


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (1.5, "1.5s"), (30.0, "30s"), (5400.0, "1h30m"), (432_000.0, "5d")]
)
def test_a_duration_is_shown_as_a_person_writes_it(seconds, text):
    assert config_view._duration(seconds) == text


@pytest.mark.parametrize(
    "keys",
    [
        {"password": SECRET},
        {"password-command": f"echo '{SECRET}'"},
        {"token-command": f"echo '{SECRET}'"},
        {"url": "smtps://u:hunter2%20%231@h"},
    ],
)
def test_no_secret_is_shown_but_that_there_is_one(keys):
    table = {"url": "smtps://h", "user": "u"} | keys
    found = shown(endpoint.parse(table, "file: relay 1"))
    assert "hunter2" not in repr(found)
    assert [one.source for one in found if config_view.HIDDEN in one.text] == ["file: relay 1"]


def test_a_login_in_the_url_of_a_monitor_is_hidden():
    (ping,) = [one for one in shown(ping="https://me:hunter2@monitor.test/x") if one.key == "ping"]
    assert ping.text == "https://(hidden)@monitor.test/x"


def test_a_relay_that_is_not_used_says_why():
    relay = endpoint.parse({"url": "smtps://h"}, "file: relay 1").replace(fault="chmod 600 file")
    assert {one.key: one.text for one in shown(relay)}["relay 1 not used"] == "chmod 600 file"


def test_the_state_directory_comes_with_the_variable_that_names_it():
    assert [one.source for one in shown() if one.key == "state directory"] == ["CRONWRAP_STATE_DIR"]


@pytest.mark.parametrize("option", [option for option in options.OPTIONS if option.metavar in ("D", "SIZE")])
def test_each_limit_is_shown_as_it_can_be_written(option):
    text = "1h30m" if option.metavar == "D" else "64K"
    (found,) = [one for one in shown(**{option.key: option.read(text)}) if one.key == option.key]
    assert (found.value, found.text) == (text, text)


def test_check_names_a_file_that_is_passed_over(tmp_path, monkeypatch):
    """What another user's permissions do is done by hand here: to root every file is open."""
    path = tmp_path / "config.toml"
    path.write_text("")

    def closed(name):
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(paths, "SYSTEM_CONFIG", str(path))
    monkeypatch.setattr(config, "File", closed)
    monkeypatch.setattr(os, "access", lambda *_args, **_options: False)
    app = SimpleNamespace(settings=lambda: settings.load({}, os.environ))
    done = CliRunner().invoke(command, ["check"], obj=app)
    assert (done.exit_code, done.output) == (0, f"{path}: passed over, this user may not read it\n")
