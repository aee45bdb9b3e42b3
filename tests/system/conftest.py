"""What system tests stand on: daemons from Debian's packages, in places of their own."""

from __future__ import annotations

import os

import pytest

from support import crond as crond_module
from support import debian, servers
from support import postfix as postfix_module


def pytest_collection_modifyitems(items):
    """Mark all tests here, and keep them in one worker: they share the daemons."""
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.xdist_group("system"))


def leave_out(reason: str) -> None:
    """Skip where a person may lack the means; fail in CI, where nothing may go untested unseen."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def debian_programs():
    """Install programs: ``debian_programs({"cron": "cron"})``; skips the test where that cannot be done."""

    def require(programs):
        if reason := debian.install(programs):
            leave_out(reason)

    return require


@pytest.fixture
def crond(debian_programs, tmp_path):
    """A cron daemon that is not started yet; see support.crond.Crond."""
    debian_programs(crond_module.PROGRAMS)
    if reason := debian.cannot_unshare():
        leave_out(reason)
    (tmp_path / "crond").mkdir()
    return crond_module.Crond(str(tmp_path / "crond"))


@pytest.fixture(scope="session")
def postfix(debian_programs, authority):
    """A running Postfix with smtps and a login; see support.postfix.Postfix."""
    debian_programs(postfix_module.PROGRAMS)
    if os.geteuid() != 0:
        leave_out("Postfix' master must be started by root")
    with postfix_module.Postfix(authority) as running:
        yield running


@pytest.fixture(
    scope="session",
    params=[servers.PostfixWithDovecot, servers.Exim, servers.NodeServer],
    ids=lambda kind: kind.name,
)
def server(request, debian_programs, authority):
    """A running server with smtps and logins, one of three; see support.servers."""
    kind = request.param
    debian_programs(servers.PROGRAMS[kind.name])
    if reason := servers.lacking(kind):
        leave_out(reason)
    with kind(authority) as running:
        yield running
