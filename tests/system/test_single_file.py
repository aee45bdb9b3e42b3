"""The one file that `make single-file` builds, run by a user who has nothing but Debian's python3."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from support import debian
from support.cli import ATTACKER as USER
from support.documents import PROJECT

LOGIN, PASSWORD = "cron@example.test", "a password of one file"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = tmp_path_factory.mktemp("single")
    for name in ("one", "two"):
        done = subprocess.run(
            [sys.executable, os.path.join(PROJECT, "packaging", "single_file.py"), str(place / name)],
            env={**debian.MACHINE, "SOURCE_DATE_EPOCH": "1767225600"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    one, two = ((place / name / "cronwrap").read_bytes() for name in ("one", "two"))
    assert one == two
    return place / "one/cronwrap"


class Home:
    """A user's home with the file in it."""

    def __init__(self, path, built):
        self.path = path
        self.program = shutil.copy(built, path / "cronwrap")
        self.environment = {"HOME": str(path), "PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        os.chown(path, USER, USER)

    def command(self, *words):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words]

    def run(self, *words, status=0, **environment):
        done = subprocess.run(
            self.command(*words),
            cwd="/",
            env={
                name: value for name, value in (self.environment | environment).items() if value is not None
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    @property
    def tree(self):
        return next((self.path / ".cache/cronwrap").glob("[0-9]*"))


@pytest.fixture
def home(needs, request):
    needs("root", "setpriv", debian.MINUTES)
    path = pathlib.Path(tempfile.mkdtemp(prefix="cronwrap-home-", dir="/tmp"))
    os.chmod(path, 0o755)
    yield Home(path, request.getfixturevalue("built"))
    shutil.rmtree(path)


def test_a_job_is_run_reported_and_recorded_from_the_first_start_on(home, make_relay):
    relay = make_relay(user=LOGIN, password=PASSWORD)
    shutil.copyfile(relay.authority.ca_file, home.path / "ca.pem")
    environment = {
        **relay.environment,
        "CRONWRAP_RELAY_CA_FILE": f"{home.path}/ca.pem",
        "MAILTO": "ops@example.test",
    }
    home.run("cronwrap", "-c", "umask; env | sort >&2; echo broken; exit 3", status=3, **environment)
    body = relay.wait_for(1)[0].body
    assert "0022" in body
    assert "broken" in body
    shown = {line.partition("=")[0] for line in body.splitlines() if "=" in line}
    assert {"HOME", "PATH", "MAILTO", "CRONWRAP_RUN_ID"} <= shown
    assert not [name for name in shown if "PYTHON" in name]
    assert "exit 3" in home.run("cronwrap", "history").stdout
    assert home.tree.stat().st_mode & 0o777 == 0o700
    # Explicitly by an interpreter, as a shell of a crontab, and in place of sendmail.
    home.run("python3", home.program, "--", "sh", "-c", "exit 5", status=5, **environment)
    os.symlink("cronwrap", home.path / "cronwrap-shell")
    os.symlink("cronwrap", home.path / "mailq")
    assert home.run(f"{home.path}/cronwrap-shell", "-c", "exit 6", status=6, **environment).stdout == ""
    assert "empty" in home.run("mailq").stdout
    home.run("cronwrap", "doctor", **environment)


def test_what_is_lost_of_the_cache_is_unpacked_anew_and_a_new_version_disturbs_no_job(home):
    home.run("cronwrap", "--", "true")
    tree = home.tree
    (tree / "cronwrap/run.py").unlink()
    shutil.rmtree(tree / "cronwrap/__pycache__", ignore_errors=True)
    assert "nobody watches" in home.run("cronwrap", "--", "true").stderr  # it was unpacked just now
    unused = home.path / ".cache/cronwrap/0.0.1-0"
    unused.mkdir()
    for path in (tree, unused):
        os.utime(path, (0, 0))
    assert home.run("cronwrap", "--", "true").stderr == ""
    assert (tree / "cronwrap/run.py").exists()
    assert not unused.exists()
    # Replaced below a run: what the run has yet to load is where it was.
    script = f"echo '#!/bin/sh' > {home.program}; exit 3"
    os.chown(home.program, USER, USER)
    assert "internal error" not in home.run("cronwrap", "-c", script, status=3).stderr
    assert (
        "exit 3"
        in home.run(str(tree / "python"), "-IS", str(tree / "bin/cronwrap"), home.program, "history").stdout
    )


def test_without_a_place_for_a_cache_it_runs_from_the_file(home):
    said = home.run(
        "cronwrap", "-c", "exit 3", status=3, HOME="/nonexistent", CRONWRAP_STATE_DIR=str(home.path / "state")
    )
    assert "no relay is configured" in said.stderr
    assert not (home.path / ".cache").exists()
