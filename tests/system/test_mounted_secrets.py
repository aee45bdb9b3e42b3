"""Secrets as Kubernetes and Docker mount them, with real modes, ids, links and a read-only file system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from support.cli import SCRIPTS

USER, GROUP, STRANGER = 4711, 4712, 4713
"""The pod's user, its fsGroup, and a group it is not in."""

LAYOUT = """
import grp, json, os, pwd, sys  # before the library is out of reach
place, owner, mode, options, file, gid, groups = json.loads(sys.argv[1])
os.system(f"mount -t tmpfs -o mode=0755 tmpfs {place}")
os.mkdir(f"{place}/..2026_11_25")
os.symlink("..2026_11_25", f"{place}/..data")
os.symlink(f"..data/{file}", f"{place}/{file}")
path = f"{place}/..2026_11_25/{file}"
with open(path, "w") as stream:
    stream.write(sys.stdin.read().replace("PLACE", place))
os.chown(path, owner, gid)
os.chmod(path, mode)
if options:
    os.system(f"mount -o remount,{options} {place}")
# All that is imported later: below root's home another user cannot read it.
from cronwrap.errors import TemporaryError
from cronwrap.relay import credentials, program
from cronwrap.settings import files, relays, toml_write, values
import difflib, tempfile
os.setgroups(groups)
os.setgid(USER)
os.setuid(USER)
said = {}
try:
    if file == "password":
        table = {"url": "smtps://h", "user": "u", "password-file": f"{place}/password"}
        said["secret"] = credentials.secret(relays.parse(table, "test")).decode()
    else:
        found = files.relays_in_files((f"{place}/{file}",))
        said["faults"] = [relay.fault for relay in found]
except TemporaryError as error:
    said["error"] = str(error)
print(json.dumps(said))
""".replace("USER", str(USER))


@pytest.fixture
def mounted(needs):
    """Mount one file as a kubelet does, and have the pod's user look at it; gives what that says."""
    needs("namespaces")
    place = tempfile.mkdtemp(prefix="cronwrap-mounted-", dir="/tmp")
    os.chmod(place, 0o755)

    def look(mode, content="word\n", file="password", **more):
        how = {"owner": 0, "gid": GROUP, "groups": [GROUP], "options": "ro"} | more
        told = [place, how["owner"], mode, how["options"], file, how["gid"], how["groups"]]
        done = subprocess.run(
            ["unshare", "--mount", os.path.join(SCRIPTS, "python"), "-P", "-c", LAYOUT, json.dumps(told)],
            input=content,
            env={"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield look
    shutil.rmtree(place)


@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_secret_of_kubernetes_is_taken_by_a_pod_that_is_not_root(mounted, mode):
    assert mounted(mode) == {"secret": "word"}


def test_a_secret_that_the_users_own_group_may_read_is_taken(mounted):
    assert mounted(0o440, gid=USER, groups=()) == {"secret": "word"}


def test_a_secret_of_roots_that_the_user_cannot_change_is_taken(mounted):
    assert mounted(0o440, options="") == {"secret": "word"}


@pytest.mark.parametrize("more", [{}, {"options": ""}])
def test_a_secret_that_others_may_write_is_not_taken(mounted, more):
    assert "error" in mounted(0o460, **more)


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_secret_of_docker_with_uid_and_mode_is_taken(mounted, mode):
    assert mounted(mode, owner=USER) == {"secret": "word"}


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        (0o444, {}),
        (0o644, {}),
        (0o444, {"gid": STRANGER}),
        (0o640, {"gid": USER, "owner": USER, "options": ""}),
    ],
)
def test_a_secret_that_others_may_read_is_not_taken(mounted, mode, more):
    error = mounted(mode, **more)["error"]
    assert "is open to other users" in error
    assert ("chmod 600" in error) == ("options" in more)
    assert ("fsGroup" in error) == ("options" not in more)


def test_a_secret_of_root_that_the_pod_cannot_read_says_so(mounted):
    assert "Permission denied" in mounted(0o400)["error"]


def test_a_secret_of_a_strangers_is_not_taken(mounted):
    assert "belongs to another user" in mounted(0o440, owner=STRANGER)["error"]


def relay(source):
    return f'[[relay]]\nurl = "smtps://smtp.example.com"\nuser = "cron@example.com"\n{source}\n'


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o440])
def test_a_config_map_that_names_a_variable_holds_no_secret(mounted, mode):
    content = relay('password-env = "SMTP_PASSWORD"')
    assert mounted(mode, content, "config.toml") == {"faults": [""]}


@pytest.mark.parametrize(("mode", "closed"), [(0o644, False), (0o440, True)])
def test_a_configuration_with_a_password_in_it_must_be_closed_all_the_same(mounted, mode, closed):
    (fault,) = mounted(mode, relay('password = "word"'), "config.toml")["faults"]
    assert (fault == "") == closed


def test_the_interpreter_is_the_one_of_the_tests():
    assert os.path.samefile(os.path.join(SCRIPTS, "python"), sys.executable)
