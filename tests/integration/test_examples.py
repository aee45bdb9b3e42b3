"""What a user copies has to work as it stands."""

from __future__ import annotations

import configparser
import os
import subprocess
import tomllib

import pytest

from cronwrap.settings.load import load

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "examples")


def read(name):
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        return file.read()


def uncommented(text):
    """Take the comment signs off the lines that are settings, not prose."""
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if " = " in line or line.startswith(("[", "# ["))
    ]
    alternatives = ("password ", "password-env", "password-command", "token-command")
    return "\n".join(line for line in lines if not line.startswith(alternatives))


def test_the_configuration_is_toml_with_its_comments_and_without():
    settings = tomllib.loads(read("config.toml"))
    assert settings["relay"][0]["url"] == "smtps://smtp.example.com:465"
    full = tomllib.loads(uncommented(read("config.toml")))
    assert len(full["relay"]) == 4
    assert full["delivery"] == {"inline": "30s", "background": True, "lifetime": "5d"}
    assert full["redact"] == {"patterns": [r"token=\S+"]}


def test_cron_accepts_the_crontab(needs):
    needs("crontab", "crontab -n")
    checked = subprocess.run(
        ["crontab", "-n", os.path.join(EXAMPLES, "crontab")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_job_of_the_crontab_is_wrapped():
    jobs = [line for line in read("crontab").splitlines() if line[:1] and line[0] in "0123456789*"]
    before_the_shell = [line for line in jobs if "find" not in line and "report.log" not in line]
    assert len(before_the_shell) == len(jobs) - 2
    assert all(" cronwrap " in line for line in before_the_shell)


UNITS = {
    "backup": ("timer", "Nightly backup", "/usr/local/bin/cronwrap --name backup -- "),
    "cronwrap-outbox": ("timer", "Reports of cron jobs that wait", "/usr/local/bin/cronwrap outbox flush"),
    "cronwrap-web": ("socket", "The page of cronwrap", "/usr/local/bin/cronwrap web --idle-exit 10m"),
}


@pytest.mark.parametrize("name", UNITS)
def test_the_units_are_read_as_systemd_reads_them(name):
    kind, description, command = UNITS[name]
    units = {}
    for one in (kind, "service"):
        units[one] = configparser.ConfigParser(strict=False, interpolation=None)
        units[one].optionxform = str
        units[one].read_string(read(f"systemd/{name}.{one}"))
        assert units[one]["Unit"]["Description"].startswith(description)
    assert units["service"]["Service"]["ExecStart"].startswith(command)
    if kind == "socket":
        assert units[kind]["Socket"]["ListenStream"] == "/run/cronwrap/web.sock"


def test_cronwrap_finds_no_fault_in_the_configuration(config, tmp_path):
    environment = {
        "CRONWRAP_CONFIG": config(read("config.toml")),
        "CRONWRAP_STATE_DIR": str(tmp_path / "state"),
    }
    settings = load({}, environment, "true")
    assert settings.faults == ()
    assert settings.relays == 1
    assert settings["mailto"] == "ops@example.com"


def test_the_containers_crontab_is_right_for_its_scheduler(cli):
    table = os.path.join(EXAMPLES, "container", "crontab")
    done = cli("crontab", "lint", "--no-host", "--dialect", "supercronic", table)
    assert (done.status, done.stdout) == (0, ""), done.stdout
