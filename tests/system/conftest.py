"""What system tests stand on: daemons from Debian's packages, in places of their own."""

from __future__ import annotations

import contextlib

import pytest

from support import crond as crond_module
from support import postfix as postfix_module
from support import servers


def pytest_collection_modifyitems(items):
    """Keep the tests that share a mail server in one worker; all others go wherever there is room."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "server" in names:
            item.add_marker(pytest.mark.xdist_group(item.callspec.params["server"].__name__))
        elif "postfix" in names:
            item.add_marker(pytest.mark.xdist_group("postfix"))


@pytest.fixture
def crond(needs, tmp_path):
    """A cron daemon that is not started yet; see support.crond.Crond."""
    needs(*crond_module.NEEDS)
    (tmp_path / "crond").mkdir()
    return crond_module.Crond(str(tmp_path / "crond"))


@pytest.fixture(scope="session")
def postfix(needs, authority):
    """A running Postfix with smtps and a login; see support.postfix.Postfix."""
    needs(*postfix_module.NEEDS)
    with postfix_module.Postfix(authority) as running:
        yield running


@pytest.fixture(scope="session")
def run_server(authority):
    """Give the running server of a kind, started once however the tests that want it are ordered."""
    with contextlib.ExitStack() as stack:
        running = {}

        def run(kind):
            if kind not in running:
                running[kind] = stack.enter_context(kind(authority))
            return running[kind]

        yield run


@pytest.fixture(
    params=[servers.PostfixWithDovecot, servers.Exim, servers.NodeServer], ids=lambda kind: kind.name
)
def server(request, needs, run_server):
    """A running server with smtps and logins, one of three; see support.servers."""
    kind = request.param
    needs(*servers.PROGRAMS[kind.name])
    if reason := servers.lacking(kind, install=request.config.getoption("complete")):
        pytest.skip(reason)
    return run_server(kind)
