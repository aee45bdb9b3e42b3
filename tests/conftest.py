"""Fixtures of all tests: own home and state, servers, the installed program."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import tempfile
import time

import hypothesis
import pytest

from support import debian
from support.cli import Cli, user_name, write_private
from support.guard import Guard, real_directories
from support.hook import Hook
from support.misbehaving import Misbehaving
from support.pki import Authority
from support.relay import Policy, Relay
from support.waiting import wait_until as wait_until_true

KEPT = ("COVERAGE_", "PYTEST_", "CI", "TERM", "LD_LIBRARY_PATH")
"""Beginnings of the variables that tests inherit. All others might let in what is the tester's own, or the
machine's: MAILTO, locale and time zone, proxies, XDG and PYTHON variables, make's."""
PLAIN_PATH = re.compile(r"[\w./-]{,64}", re.ASCII)
"""A directory that may stand in a test's script as it is, with room for a socket's name below it."""


def in_ci():
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_addoption(parser):
    parser.addoption(
        "--complete",
        action="store_true",
        help="install what is missing (as root, by apt-get), and take a test that is left out for a failure",
    )


# How long one example takes tells of the machine's load, not of the code: pytest-timeout bounds the whole.
# In CI the examples are the same for the same tests, so that it does not fail for a change it has not seen;
# EXAMPLES=same is for what CI starts without CI=true.
SAME = in_ci() or os.environ.get("EXAMPLES") == "same"
hypothesis.settings.register_profile("cronwrap", deadline=None, derandomize=SAME, max_examples=60)
hypothesis.settings.load_profile("cronwrap")


def pytest_configure(config):
    hear_signals()
    os.umask(0o022)
    if not PLAIN_PATH.fullmatch(tempfile.gettempdir()):
        tempfile.tempdir = os.environ["TMPDIR"] = "/tmp"
    config.stash[GUARD] = Guard(real_directories())
    config.stash[GUARD].install()


def hear_signals():
    """Begin as from a login shell: who starts the tests in the background has them ignore SIGINT."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """Mark what needs more than any machine has: `make test-system` runs that, and leaves out nothing."""
    for item in items:
        if "needs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.system)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Tell where a skipped test is rather than where skip was called; let nothing go untested unseen."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        report.longrepr = (str(item.path), item.location[1] + 1, reason)
        if may_not_skip(item):
            report.outcome, report.longrepr = "failed", f"left out, which may not be here: {reason}"
    return report


def may_not_skip(item):
    """Tell whether leaving this test out is a failure: CI sees to the others by `make test-system`."""
    return item.config.getoption("complete") or (in_ci() and not item.get_closest_marker("system"))


GUARD = pytest.StashKey[Guard]()


@pytest.fixture(scope="session")
def needs(pytestconfig):
    """Say what a test needs beyond python3, venv and make: ``needs("root", "cron")``; see support.debian.

    Where it is not to be had the test is skipped; `make test-system` installs it. Nothing else skips.
    """

    def require(*names):
        if reason := debian.lacking(names, install=pytestconfig.getoption("complete")):
            pytest.skip(reason)

    return require


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    """A home, a state and a temporary directory that belong to this session alone."""
    ground = tmp_path_factory.mktemp("ground")
    user = user_name()
    known = {"PATH": debian.SEARCH_PATH, "LANG": "C.UTF-8", "LOGNAME": user, "USER": user, "SHELL": "/bin/sh"}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if not name.startswith(KEPT)]:
            patch.delenv(name)
        for name, value in known.items():
            patch.setenv(name, value)
        time.tzset()
        for name, place in (("HOME", "home"), ("CRONWRAP_STATE_DIR", "state"), ("TMPDIR", "tmp")):
            (ground / place).mkdir(mode=0o700)
            patch.setenv(name, str(ground / place))
        patch.setattr(tempfile, "tempdir", str(ground / "tmp"))
        yield ground


@pytest.fixture
def zone():
    """Put this process into a time zone: ``zone("Europe/Berlin")``."""
    with pytest.MonkeyPatch.context() as patch:

        def put(name):
            patch.setenv("TZ", name)
            time.tzset()

        yield put
    time.tzset()


@pytest.fixture(autouse=True)
def on_own_ground(request):
    """Fail a test that touches the real home or state directories, or leaves the loopback."""
    guard = request.config.stash[GUARD]
    guard.settle()
    yield
    if trespasses := guard.settle():
        pytest.fail("left its ground: " + "; ".join(trespasses), pytrace=False)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority; ``authority.ca_file`` is what a client has to trust."""
    return Authority(str(tmp_path_factory.mktemp("authority")))


@pytest.fixture
def make_relay(authority):
    """Start relays: ``make_relay(tls="starttls", max_connections=2)``, see support.relay.Policy."""
    relays = []

    def make(certificate=None, context=None, port=0, **policy):
        relay = Relay(authority, Policy(**policy), certificate=certificate, context=context, port=port)
        relays.append(relay)
        return relay.__enter__()

    yield make
    for relay in relays:
        relay.__exit__(None, None, None)


@pytest.fixture
def relay(make_relay):
    """A relay with implicit TLS that wants a login."""
    return make_relay()


@pytest.fixture
def make_hook(authority):
    """Start servers of webhooks: ``make_hook(500, 204)``, see support.hook.Hook."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers, **how: stack.enter_context(Hook(authority, *answers, **how))


@pytest.fixture
def make_misbehaving(authority):
    """Start misbehaving servers: ``make_misbehaving("rcpt", "hang", mode="starttls")``."""
    servers = []

    def make(stage="", fault="", **options):
        server = Misbehaving(authority, stage, fault, **options)
        servers.append(server)
        return server.__enter__()

    yield make
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def cli(tmp_path):
    """The installed cronwrap: ``cli("--", "true").status``; see support.cli.Cli."""
    (tmp_path / "cli").mkdir()
    program = Cli(str(tmp_path / "cli"))
    yield program
    program.close()


@pytest.fixture
def config(tmp_path):
    """Write a configuration file (0600) and give its path: ``config('mailto = "a@b"')``."""

    def write(text, name="cronwrap.toml", mode=0o600):
        return write_private(str(tmp_path / name), text, mode)

    return write


@pytest.fixture
def wait_until():
    """Wait for a condition: ``wait_until(lambda: ready, timeout=5)``."""
    return wait_until_true
