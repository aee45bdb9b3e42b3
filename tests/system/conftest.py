"""What system tests stand on: daemons from Debian's packages, in places of their own."""

from __future__ import annotations

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


@pytest.fixture(
    scope="session",
    params=[servers.PostfixWithDovecot, servers.Exim, servers.NodeServer],
    ids=lambda kind: kind.name,
)
def server(request, needs, authority):
    """A running server with smtps and logins, one of three; see support.servers."""
    kind = request.param
    needs(*servers.PROGRAMS[kind.name])
    if reason := servers.lacking(kind, install=request.config.getoption("complete")):
        pytest.skip(reason)
    with kind(authority) as running:
        yield running
