"""Configuration files and what they name: not used where another user could change them."""

from __future__ import annotations

import os
import shutil

import pytest

from support.cli import ATTACKER

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

JOB = ("--", "sh", "-c", "echo said; exit 3")


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


@pytest.fixture
def evil(job, tmp_path):
    """A configuration that has a program run as whoever sends the report."""
    (tmp_path / "bin").mkdir(mode=0o755)
    program = tmp_path / "bin" / "p"
    program.write_text(f"#!/bin/sh\nid -u >{tmp_path}/ran\n", encoding="ascii")
    os.chmod(program, 0o755)
    job.write_config(f'mailto = "ops@example.test"\n[[relay]]\nurl = "sendmail:{program}"\n', 0o644)
    return program


def ran(program):
    return os.path.exists(program.parent.parent / "ran")


def test_a_program_of_the_users_own_is_run(job, evil):
    assert job(*JOB).status == 3
    assert ran(evil)
    assert job("config", "check").status == 0


@pytest.mark.parametrize("how", ["owner", "mode", "directory"])
def test_a_configuration_that_somebody_else_can_write_is_not_obeyed(job, evil, how):
    if how == "owner":
        os.chown(job.config, ATTACKER, -1)
    elif how == "mode":
        os.chmod(job.config, 0o666)
    else:
        os.chmod(job.directory, 0o777)
    for _again in range(2):
        result = job(*JOB)
        assert result.status == 3
        assert f"{job.config} is not used" in result.stderr
        assert ("chown" if how == "owner" else "chmod go-w") in result.stderr
    assert not ran(evil)
    checked = job("config", "check")
    assert (checked.status, f"{job.config} is not used" in checked.stdout) == (1, True)
    examined = job("doctor")
    assert (examined.status, f"{job.config} is not used" in examined.stdout) == (1, True)


def test_a_directory_that_is_closed_again_is_noticed_at_once(job):
    os.utime(job.config, (1_700_000_000, 1_700_000_000))
    os.chmod(job.directory, 0o777)
    assert "is not used" in job("--", "true").stderr
    os.chmod(job.directory, 0o755)
    assert job("--", "true").stderr == ""


@pytest.mark.parametrize("how", ["owner", "mode", "directory", "link"])
def test_a_program_that_somebody_else_can_change_is_not_run(job, evil, how, tmp_path):
    if how == "owner":
        os.chown(evil, ATTACKER, -1)
    elif how == "mode":
        os.chmod(evil, 0o757)
    elif how == "directory":
        os.chmod(evil.parent, 0o757)
    else:
        (tmp_path / "d").mkdir()
        shutil.move(evil, tmp_path / "d" / "q")
        os.symlink(tmp_path / "d" / "q", evil)
        os.chmod(tmp_path / "d", 0o707)
    result = job(*JOB)
    assert result.status == 3
    assert f"sendmail {evil} is not used" in result.stderr
    assert not ran(evil)
    assert f"{evil} is not used" in job("config", "check").stdout
    examined = job("doctor")
    assert (examined.status, f"{evil} is not used" in examined.stdout) == (1, True)


@pytest.mark.parametrize("key", ["ca-file", "password-file", "password-command"])
def test_what_a_relay_names_must_be_the_users_alone(job, relay, key, tmp_path):
    place = tmp_path / "beside"
    place.mkdir()
    os.chmod(place, 0o755)
    ca_file = place / "ca.pem"
    shutil.copy(relay.authority.ca_file, ca_file)
    secret = place / "secret"
    secret.write_text(relay.policy.password, encoding="ascii")
    os.chmod(secret, 0o600)
    password = (
        f'password-command = "cat {secret}"' if key == "password-command" else f'password-file = "{secret}"'
    )
    job.write_config(
        f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n[[relay]]\nurl = "smtps://localhost:{relay.port}"\n'
        f'user = "{relay.policy.user}"\n{password}\nca-file = "{ca_file}"\n'
    )
    assert job(*JOB).stderr == ""
    assert len(relay.messages) == 1
    os.chown(ca_file if key == "ca-file" else secret, ATTACKER, -1)
    result = job(*JOB)
    assert (result.status, len(relay.messages)) == (3, 1)
    assert f"uid {ATTACKER}" in result.stderr
    checked = job("config", "check")
    assert (checked.status, f"uid {ATTACKER}" in checked.stdout) == (1, True)


def test_a_maildir_that_leads_elsewhere_is_not_written_to(job, tmp_path):
    box = tmp_path / "box"
    job.write_config(f'mailto = "ops@example.test"\n[[relay]]\nurl = "maildir:{box}"\n')
    assert job(*JOB).stderr == ""
    assert len(os.listdir(box / "new")) == 1
    (tmp_path / "victim").mkdir()
    os.chown(box, ATTACKER, -1)
    os.rename(box / "new", box / "old")
    os.symlink(tmp_path / "victim", box / "new")
    assert "is not used" in job(*JOB).stderr
    assert os.listdir(tmp_path / "victim") == []
