"""The other ways to install: from a wheel and an sdist, by Ansible, and into a container's parts."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from support import debian, roots
from support.cli import SCRIPTS
from support.documents import PROJECT

TOOL_LIMIT = 300.0
"""Seconds for a tool that fetches packages."""
USER, PASSWORD = "cron@example.test", "a password of deployment"
COMMON_DATA = (
    "share/man/man1/cronwrap.1",
    "share/man/man1/cronwrap-shell.1",
    "share/man/man5/cronwrap-config.5",
    "share/bash-completion/completions/cronwrap",
    "share/zsh/site-functions/_cronwrap",
    "share/fish/vendor_completions.d/cronwrap.fish",
)


def tool(*words, **environment):
    """Run a tool of the development environment, with this machine's network; give what it said."""
    done = subprocess.run(
        [os.path.join(SCRIPTS, words[0]), *words[1:]],
        cwd=PROJECT,
        env={**debian.MACHINE, "PATH": debian.SEARCH_PATH, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TOOL_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(request, tmp_path_factory):
    """The wheel and the sdist."""
    if reason := debian.lacking((debian.MINUTES,), install=request.config.getoption("complete")):
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("distributions")
    tool("python", "-m", "build", "--outdir", str(place))
    return glob.glob(f"{place}/*.whl") + glob.glob(f"{place}/*.tar.gz")


@pytest.mark.usefixtures("needs")
def test_wheel_and_sdist_have_nothing_that_an_index_would_refuse(distributions):
    said = tool("twine", "check", "--strict", *distributions)
    assert said.count("PASSED") == 2
    assert "WARNING" not in said


@pytest.mark.usefixtures("needs")
@pytest.mark.parametrize(("way", "kind"), [("pip", 0), ("pip", 1), ("pipx", 0), ("uv", 0)])
def test_it_is_installed_with_its_manual_pages_and_completions(way, kind, distributions, tmp_path):
    file, home = distributions[kind], str(tmp_path)
    if way == "pip":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", f"{home}/venv"], check=True)
        tool("python", "-m", "pip", f"--python={home}/venv/bin/python", "install", "--quiet", file)
        programs, data = f"{home}/venv/bin", f"{home}/venv"
    elif way == "pipx":
        tool("pipx", "install", file, HOME=home, PIPX_HOME=f"{home}/pipx", PIPX_BIN_DIR=f"{home}/bin",
             PIPX_MAN_DIR=f"{home}/share/man", PIPX_DEFAULT_PYTHON=sys.executable)  # fmt: skip
        programs, data = f"{home}/bin", f"{home}/pipx/venvs/cronwrap"
        assert os.path.exists(f"{home}/share/man/man1/cronwrap.1")
    else:
        tool("uv", "tool", "install", "--python", sys.executable, file, HOME=home,
             UV_TOOL_DIR=f"{home}/tools", UV_TOOL_BIN_DIR=f"{home}/bin")  # fmt: skip
        programs, data = f"{home}/bin", f"{home}/tools/cronwrap"
    for place in COMMON_DATA:
        assert os.path.exists(f"{data}/{place}"), place
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": home, "CRONWRAP_STATE_DIR": f"{home}/state"}
    for words, status in (
        (["cronwrap", "--", "sh", "-c", "exit 3"], 3),
        (["cronwrap-shell", "-c", "exit 4"], 4),
    ):
        done = subprocess.run(words, env=environment, capture_output=True, check=False)
        assert done.returncode == status, done.stderr


HOST = (*roots.BARE, "ansible-core", "python3-apt")
"""What a host has that Ansible manages from where it stands."""
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [cronwrap]
"""
STAGE = """set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
mkdir -m 755 "$ROOT/run/secrets"
printf '%s\n' "$PASSWORD" > "$ROOT/run/secrets/smtp"
chown 10001:10001 "$ROOT/run/secrets/smtp"
chmod 400 "$ROOT/run/secrets/smtp"
mount --bind "$STATE" "$ROOT/state"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec=10001:10001 "$ROOT" env --ignore-environment PATH="$PATH" $GIVEN sh -c "$COMMAND"
"""
"""What compose.yaml asks of an engine: the user, the file system, what is mounted."""


@pytest.fixture(scope="module")
def host(request, tmp_path_factory):
    """A bare Debian 12 with Ansible, and the package on it as a file."""
    needs = (*roots.NEEDS, debian.MINUTES, "dpkg-deb")
    if reason := debian.lacking(needs, install=request.config.getoption("complete")):
        pytest.skip(reason)
    root = roots.Root.made(str(tmp_path_factory.mktemp("host") / "root"), "bookworm", HOST)
    made = tool("python", "packaging/deb.py").split()[0]
    root.put(os.path.join(PROJECT, made), "/root/cronwrap.deb")
    shutil.copytree(f"{PROJECT}/examples/ansible/roles", root.at("/root/roles"))
    yield root
    subprocess.run(["rm", "-rf", root.path], check=True)


@pytest.mark.usefixtures("needs")
@pytest.mark.timeout(600)
def test_the_role_sets_a_bare_host_up_and_changes_nothing_the_second_time(host, make_relay):
    relay = make_relay(user=USER, password=PASSWORD)
    host.put(relay.authority.ca_file, "/etc/ssl/relay.pem")
    variables = {
        "cronwrap_deb": "/root/cronwrap.deb",
        "cronwrap_mailto": "ops@example.test",
        "cronwrap_relay": relay.url,
        "cronwrap_ca_file": "/etc/ssl/relay.pem",
        "cronwrap_user": USER,
        "cronwrap_password": PASSWORD,
        "cronwrap_defaults": {"timeout": "2h"},
        "cronwrap_jobs": [
            {"name": "nightly", "hour": "3", "minute": "7", "command": "/bin/false --all"},
            {"name": "sync", "user": "root", "options": "--overlap skip", "command": "/bin/true"},
        ],
    }
    host.write("/root/site.yml", PLAY)
    host.write("/root/variables.json", json.dumps(variables))
    # doctor, which the role asks in the end, calls jobs without a cron daemon a fault.
    play = "cron && cd /root && ansible-playbook -i localhost, -e @variables.json site.yml"
    first = host.run(play)
    assert "failed=0" in first
    assert "changed=0" in host.run(play)
    with open(host.at("/etc/cron.d/cronwrap-jobs"), encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line[:1] not in ("", "#")]
    assert lines == [
        "7 3 * * * root /usr/bin/cronwrap --name nightly -- /bin/false --all",
        "* * * * * root /usr/bin/cronwrap --name sync --overlap skip -- /bin/true",
    ]
    host.run(lines[0].split("root ")[1], status=1)
    assert "nightly" in relay.wait_for(1)[0].body
    assert PASSWORD not in first


@pytest.mark.usefixtures("needs")
def test_the_parts_of_the_container_run_its_jobs_without_root_and_report(host, make_relay):
    """No engine is here: the user, the file system and the mounts are what it would make of compose.yaml."""
    relay = make_relay(user=USER, password=PASSWORD)
    with open(f"{PROJECT}/examples/container/Dockerfile", encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    given = next(line for line in text.splitlines() if line.startswith("ENV "))[4:]
    given = given.replace("smtps://smtp.example.com:465", relay.url).replace("cron@example.com", USER)
    with open(f"{PROJECT}/examples/container/crontab", encoding="utf-8") as file:
        line = next(line for line in file if "--name nightly" in line)
    host.run("dpkg --status cronwrap >/dev/null || dpkg --install /root/cronwrap.deb; mkdir -p /state")
    host.put(relay.authority.ca_file, "/etc/ssl/relay.pem")
    host.write("/usr/local/bin/nightly", "#!/bin/sh\nid -u; touch /etc/x; exit 3\n", mode=0o755)
    state = tempfile.mkdtemp(prefix="cronwrap-state-", dir="/tmp")
    os.chown(state, 10001, 10001)
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", STAGE],
        env={
            "PATH": debian.SEARCH_PATH,
            "ROOT": host.path,
            "STATE": state,
            "PASSWORD": PASSWORD,
            "GIVEN": f"{given} CRONWRAP_RELAY_CA_FILE=/etc/ssl/relay.pem",
            "COMMAND": line.split(maxsplit=5)[5],
        },
        capture_output=True,
        text=True,
        timeout=roots.RUN_LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    body = relay.wait_for(1)[0].body
    assert "10001" in body
    assert "Read-only file system" in body
    assert os.listdir(state) == ["cronwrap"]
    subprocess.run(["rm", "-rf", state], check=True)
