"""The Debian packages: made twice, looked at by lintian, and used in bare Debian 12 and 13."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import debian, roots
from support.documents import PROJECT

pytestmark = pytest.mark.usefixtures("needs")
SUITES = ("bookworm", "trixie")
EPOCH = "1767225600"
MINUTE = 75.0
"""Seconds until cron has come round, and the mail is there."""
BUILD_LIMIT = 300.0
NEWER = "0.9.9"
BROKEN = 'raise ImportError("a module of the newer version in a run of the older one")\n'
USER, PASSWORD = "cron@example.test", "a password of packages"
TABLE = """\
* * * * * cronwrap -- sh -c 'echo broken; exit 3'
* * * * * echo said without cronwrap
"""
INIT = """
printf %s "$PASSWORD" | cronwrap init --yes --relay "$RELAY" --ca-file /etc/ssl/relay.pem \
    --user cron@example.test --mailto ops@example.test --password-stdin
"""
EXTRAS = """
import socket

client = socket.socket(socket.AF_UNIX)
client.connect("/tmp/web")
client.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
answer = b""
while part := client.recv(65536):
    answer += part
print(answer.decode())
"""


def built(checkout, target, umask=0o022, kind="deb"):
    """Build both packages of a checkout; give their paths, cronwrap's first."""
    done = subprocess.run(
        [sys.executable, f"packaging/{kind}.py"],
        cwd=checkout,
        env={**debian.MACHINE, "PATH": debian.SEARCH_PATH, "SOURCE_DATE_EPOCH": EPOCH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT,
        umask=umask,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [shutil.move(os.path.join(checkout, line), target) for line in done.stdout.splitlines()]


def checkout(place, version=""):
    """Give a copy of what the packages are made of, or of a newer version that must not be met."""
    for name in ("packaging", "src", "scripts", "man", "completions", "examples"):
        shutil.copytree(
            f"{PROJECT}/{name}", place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copyfile(f"{PROJECT}/{name}", place / name)
    if version:
        init = place / "src/cronwrap/__init__.py"
        init.write_text(re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', init.read_text()))
        for module in ("report/compose.py", "relay/smtp.py", "outbox/store.py"):
            (place / "src/cronwrap" / module).write_text(BROKEN)
    return place


@pytest.fixture(scope="module", name="_tools")
def tools(request):
    """Skip what cannot be had here, once for all tests."""
    needs = (*roots.NEEDS, debian.MINUTES, "dpkg-deb", "lintian")
    if reason := debian.lacking(needs, install=request.config.getoption("complete")):
        pytest.skip(reason)


@pytest.fixture(scope="module")
def packages(_tools, tmp_path_factory):
    """The packages of this checkout: cronwrap's, cronwrap-mta's."""
    place = tmp_path_factory.mktemp("packages")
    return built(checkout(tmp_path_factory.mktemp("checkout")), place)


@pytest.fixture(scope="module")
def installed(packages, tmp_path_factory):
    """A bare root of each suite with both packages, and what was there before; no network is used."""
    ground = tmp_path_factory.mktemp("roots")

    def make(suite):
        root = roots.Root.made(str(ground / suite), suite)
        root.before = root.files()
        for path in packages:
            root.put(path, f"/{os.path.basename(path)}")
        root.began = time.monotonic()
        root.said = root.run("dpkg --install /cronwrap*.deb", network=False)
        root.seconds = time.monotonic() - root.began
        for path in packages:
            os.unlink(root.at(f"/{os.path.basename(path)}"))
        return root

    with ThreadPoolExecutor() as pool:
        made = dict(zip(SUITES, pool.map(make, SUITES), strict=True))
    yield made
    for root in made.values():
        subprocess.run(["rm", "-rf", root.path], check=True)


@pytest.fixture(params=SUITES)
def root(request, installed):
    return installed[request.param]


def set_up(root, relay):
    """Set cronwrap up by flags, as the README tells it for scripts."""
    root.put(relay.authority.ca_file, "/etc/ssl/relay.pem")
    root.run(INIT, RELAY=relay.url, PASSWORD=PASSWORD)


def test_lintian_finds_nothing_that_is_not_explained(packages):
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *packages],
        env={**os.environ, "PATH": debian.SEARCH_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    for name in ("cronwrap", "cronwrap-mta"):
        with open(f"{PROJECT}/packaging/debian/{name}.overrides", encoding="utf-8") as file:
            lines = file.read().splitlines()
        # Each override has a comment above it.
        assert [line[:1] == "#" for line in lines] == [True, False] * (len(lines) // 2)


def test_two_builds_of_one_time_are_the_same_octets(packages, tmp_path):
    (tmp_path / "checkout").mkdir()
    (tmp_path / "made").mkdir()
    again = built(checkout(tmp_path / "checkout"), tmp_path / "made", umask=0o077)
    for one, other in zip(packages, again, strict=True):
        with open(one, "rb") as first, open(other, "rb") as second:
            assert first.read() == second.read(), one


def test_the_installation_starts_and_asks_nothing_and_touches_no_crontab(root):
    added = root.files() - root.before
    tree = os.path.basename(os.path.dirname(os.path.dirname(os.path.realpath(root.at("/usr/bin/cronwrap")))))
    places = ("/usr/", "/var/lib/cronwrap")
    assert [path for path in sorted(added) if not path.startswith(places)] == []
    assert [path for path in added if "cron/crontabs" in path or ".wants/" in path] == []
    # Byte code is where no package manager looks for files of its own.
    assert [path for path in added if "__pycache__" in path and f"/live/{tree}/" not in path] == []
    assert "/usr/share/man/man1/cronwrap.1.gz" in added
    root.run("cronwrap --version")


def test_a_quiet_run_of_any_user_loads_its_modules_as_one(root):
    user = "setpriv --reuid 4711 --regid 4711 --clear-groups env HOME=/home/alice"
    said = root.run(
        "install --directory --owner 4711 /home/alice\n"
        f"{user} cronwrap -- true\n"  # which makes the state directory
        f"{user} python3 -IS -X importtime /usr/bin/cronwrap -- true"
    )
    own = re.findall(r"\| +(cronwrap[\w.]*)$", said, re.MULTILINE)
    assert own == ["cronwrap"], said


def test_the_job_sees_what_it_would_see_without(root):
    said = root.run("env -i A=b /usr/bin/cronwrap --live -c env 2>/dev/null | sort")
    assert re.sub(r"=2.*", "=…", said).split() == ["A=b", "CRONWRAP_RUN_ID=…", "PWD=/"]


def test_another_python_of_the_systems_gets_byte_code_of_its_own(root):
    tree = os.path.basename(os.path.dirname(os.path.dirname(os.readlink(root.at("/usr/bin/cronwrap")))))
    cache = root.at(f"/usr/lib/cronwrap/live/{tree}/cronwrap/__pycache__")
    before = sorted(os.listdir(cache))
    shutil.rmtree(cache)
    root.run("/usr/share/python3/runtime.d/cronwrap.rtupdate post-rtupdate python3.10 python3.11")
    assert sorted(os.listdir(cache)) == before


@pytest.mark.timeout(300)
def test_the_first_mail_comes_with_the_first_minute_of_cron(installed, make_relay, wait_until):
    """In both systems at once: the job's report, and what cron itself hands to our sendmail."""
    relays = {suite: make_relay(user=USER, password=PASSWORD) for suite in installed}
    crons = []
    try:
        for suite, root in installed.items():
            set_up(root, relays[suite])
            relays[suite].wait_for(1)  # init's own
            root.write("/tmp/table", TABLE)
            crons.append(root.start("crontab /tmp/table && exec cron -f"))

        def subjects(suite):
            return {re.sub(r"@[^>]+", "@…", mail.subject): mail for mail in relays[suite].messages}

        expected = {
            "Cron <root@…> sh -c 'echo broken; exit 3'": "exit status 3",
            "Cron <root@…> echo said without cronwrap": "said without cronwrap",
        }
        wait_until(lambda: all(expected.keys() <= subjects(suite).keys() for suite in installed), MINUTE)
        for suite in installed:
            for subject, words in expected.items():
                assert words in subjects(suite)[subject].body
                assert subjects(suite)[subject].recipients == ("ops@example.test",)
    except AssertionError as late:
        seen = {suite: sorted(subjects(suite)) for suite in installed}
        raise AssertionError(f"{late}: {seen}") from late
    finally:
        for cron in crons:
            cron.kill()
            cron.communicate()


def test_every_extra_but_apprise_is_there(root):
    """The page and the audit by what they give; what a proxy needs, and what a page is made of, by name."""
    root.write("/tmp/extras.py", EXTRAS)
    said = root.run(
        "printf '* * * * * cronwrap -- true\\n' > /tmp/audited; cronwrap crontab audit /tmp/audited || true\n"
        "cronwrap web --socket /tmp/web & until [ -S /tmp/web ]; do sleep 0.05; done; python3 /tmp/extras.py"
    )
    assert "pip install" not in said
    assert "HTTP/1.1 200 OK" in said
    tree = os.path.dirname(
        os.path.dirname(os.path.realpath(root.at("/usr/bin/cronwrap")).removeprefix(root.path))
    )
    root.run(f"cd {tree} && PYTHONPATH=. python3 -sS -c 'import python_socks.async_.asyncio'")


def test_the_other_names_of_sendmail_do_what_they_say(root, make_relay):
    relay = make_relay(user=USER, password=PASSWORD)
    set_up(root, relay)
    message = "Subject: hello\\n\\nworld\\n"
    said = root.run(f"printf '{message}' | /usr/lib/sendmail -t root && mailq && newaliases")
    assert "hello" in [mail.subject for mail in relay.wait_for(2)]
    assert "empty" in said


@pytest.fixture(scope="module")
def newer(_tools, tmp_path_factory):
    """A newer version, whose modules no run of the older one may load."""
    place = tmp_path_factory.mktemp("newer")
    return built(checkout(tmp_path_factory.mktemp("newer-checkout"), NEWER), place)[0]


JOB = """
set -e
rm -f /tmp/go
CRONWRAP_RELAY=smtps://127.0.0.1:1 CRONWRAP_DELIVERY_INLINE=1s CRONWRAP_STATE_DIR=/tmp/other cronwrap -- false
cronwrap -- sh -c 'touch /tmp/started; until [ -e /tmp/go ]; do sleep 0.05; done; echo after it; exit 4' &
until [ -e /tmp/started ]; do sleep 0.05; done
dpkg --install /newer.deb
ls /usr/lib/cronwrap
touch /tmp/go
wait $! || echo "status $?"
cronwrap --version
"""


def test_an_upgrade_disturbs_no_job_that_runs(root, newer, make_relay):
    relay = make_relay(user=USER, password=PASSWORD)
    set_up(root, relay)
    root.put(newer, "/newer.deb")
    old = os.path.basename(os.path.dirname(os.path.dirname(os.readlink(root.at("/usr/bin/cronwrap")))))
    said = root.run(JOB.replace("cronwrap -- false", "cronwrap -- false || true"))
    mail = relay.wait_for(2)[-1]
    assert "exit status 4" in mail.body
    assert "after it" in mail.body
    assert "status 4" in said
    assert f"cronwrap {NEWER}" in said
    # The older one is gone from where dpkg keeps it, and still where the job has it from.
    assert not os.path.exists(root.at(f"/usr/lib/cronwrap/{old}"))
    assert os.path.exists(root.at(f"/usr/lib/cronwrap/live/{old}/superseded"))


def test_another_mail_server_makes_way_for_ours(installed, packages, tmp_path):
    """As apt has it, which knows no package here but those that are installed, and files."""
    root = installed["trixie"]
    other = tmp_path / "other"
    (other / "DEBIAN").mkdir(parents=True)
    (other / "DEBIAN/control").write_text(
        "Package: exim\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.test>\nDescription: another\n"
        "Provides: mail-transport-agent\nConflicts: mail-transport-agent\nReplaces: mail-transport-agent\n"
    )
    subprocess.run(["dpkg-deb", "--build", other, root.at("/tmp/other.deb")], check=True, capture_output=True)
    root.put(packages[1], "/tmp/cronwrap-mta.deb")
    root.run(
        "dpkg --remove cronwrap-mta && dpkg --install /tmp/other.deb && dpkg --status exim && "
        "apt-get install --yes /tmp/cronwrap-mta.deb && ! dpkg --status exim",
        network=False,
    )


def test_what_is_removed_leaves_its_state_and_what_is_purged_leaves_nothing(root):
    """The last test: it takes from the others what they use."""
    left = root.run("dpkg --remove cronwrap-mta cronwrap 2>&1")
    assert "not empty" not in left, left
    added = root.files() - root.before
    tests_own = ("/var/lib/apt/", "/etc/ssl/relay.pem", "/newer.deb", "/home/", "/var/spool/cron/")
    state = ("/etc/cronwrap", "/var/lib/cronwrap", *tests_own)
    assert [path for path in added if not path.startswith(state)] == []
    assert "/var/lib/cronwrap/history.db" in added
    assert "/etc/cronwrap/password" in added
    root.run("dpkg --purge cronwrap-mta cronwrap")
    added = root.files() - root.before
    assert [path for path in added if not path.startswith(tests_own)] == []


@pytest.fixture(scope="module")
def rpms(_tools, tmp_path_factory):
    """The packages of this checkout, and of a newer version, for rpm."""
    place = tmp_path_factory.mktemp("rpms")
    versions = {"": tmp_path_factory.mktemp("rpm-checkout"), NEWER: tmp_path_factory.mktemp("rpm-newer")}
    return [built(checkout(where, version), place, kind="rpm") for version, where in versions.items()]


def test_the_rpm_runs_jobs_through_an_upgrade_and_is_removed_whole(
    needs, installed, rpms, make_relay, wait_until
):
    """In a root of Debian's, where the other packages were purged: rpm knows nothing of its python3 there."""
    needs("rpm")
    root, relay = installed["trixie"], make_relay(user=USER, password=PASSWORD)
    (older, mta), (newer, _) = rpms

    def rpm(*words):
        done = subprocess.run(
            ["rpm", "--root", root.path, "--nodeps", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr

    root.run("rm -rf /etc/cronwrap /var/lib/cronwrap")
    before = root.files()
    rpm("--install", older, mta)
    set_up(root, relay)
    old = os.path.basename(os.path.dirname(os.path.dirname(os.readlink(root.at("/usr/bin/cronwrap")))))
    job = "until [ -e /tmp/go ]; do sleep 0.05; done; echo after it; exit 4"
    root.run("rm -f /tmp/go /tmp/started")
    running = root.start(f"cronwrap -- sh -c 'touch /tmp/started; {job}'")
    wait_until(lambda: os.path.exists(root.at("/tmp/started")))
    rpm("--upgrade", newer)
    assert not os.path.exists(root.at(f"/usr/lib/cronwrap/{old}"))
    root.run("touch /tmp/go")
    assert running.communicate(timeout=roots.RUN_LIMIT)[0] == ""
    assert running.returncode == 4
    assert "after it" in relay.wait_for(2)[-1].body
    rpm("--erase", "cronwrap", "cronwrap-mta")
    # The folders of other shells belong to other packages there.
    others = (
        "/var/lib/rpm",
        "/etc/cronwrap",
        "/var/lib/cronwrap",
        "/etc/ssl/relay.pem",
        "/usr/share/zsh/site-",
        "/usr/share/fish",
    )
    assert [path for path in root.files() - before if not path.startswith(others)] == []


def test_an_rpm_says_what_it_needs_and_is_the_same_octets_when_made_again(needs, rpms, tmp_path):
    needs("rpm")
    (tmp_path / "checkout").mkdir()
    again = built(checkout(tmp_path / "checkout"), tmp_path, kind="rpm")
    for one, other in zip(rpms[0], again, strict=True):
        with open(one, "rb") as first, open(other, "rb") as second:
            assert first.read() == second.read(), one
    asked = subprocess.run(
        ["rpm", "--query", "--package", "--requires", "--recommends", again[0]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {"python3 >= 3.11", "ca-certificates", "(cronie or cron)"} <= {*asked.stdout.splitlines()}


@pytest.mark.timeout(300)
def test_piuparts_finds_nothing_left_either(needs, installed, packages):
    """It installs, removes and purges in a copy of a root that rpm was not in, and compares all files."""
    needs("piuparts")
    # debconf's own folder comes with the first package that apt configures.
    options = {
        "existing-chroot": installed["bookworm"].path,
        "distribution": "bookworm",
        "mirror": f"{roots.fresh_root.mirror()} main",
        "ignore": "/var/cache/debconf/tmp.ci",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        ["piuparts", "--skip-minimize", "--no-upgrade-test", *words, packages[0]],
        env={**debian.MACHINE, **roots.fresh_root.proxies(), "PATH": debian.SEARCH_PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "DEBUG" not in line)[
        -3000:
    ]
