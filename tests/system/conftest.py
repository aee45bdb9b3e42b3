"""What system tests stand on: daemons from Debian's packages, in places of their own."""

from __future__ import annotations

import contextlib
import os

import pytest

from support import crond as crond_module
from support import postfix as postfix_module
from support import servers


def pytest_collection_modifyitems(items):
    """Keep all tests here in one worker: they share the daemons."""
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.xdist_group("system"))


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
