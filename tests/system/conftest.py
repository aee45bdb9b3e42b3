"""What system tests stand on: daemons from Debian's packages, in places of their own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile

import pytest

from support import crond as crond_module
from support import postfix as postfix_module
from support import postgres as postgres_module
from support import servers
from support.cli import Cli


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


@pytest.fixture
def place():
    """A directory that every user may enter."""
    directory = tempfile.mkdtemp(dir="/tmp")  # what leads to the other temporary directories is closed
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory)


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


# A fleet ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql(needs, authority):
    """A running PostgreSQL; see support.postgres.Postgres."""
    needs("minutes", *postgres_module.NEEDS)
    with postgres_module.Postgres(authority) as running:
        yield running


@pytest.fixture
def database(postgresql):
    """The server, with a schema that is made anew."""
    postgresql.sql("DROP SCHEMA IF EXISTS cronwrap CASCADE")
    return postgresql


@pytest.fixture
def host(database, tmp_path):
    """Make hosts: ``host("web1")``; ``more`` are further lines of [fleet]. The first one makes the schema.

    They send when they are told to, unless they have a shipper.
    """
    made, locks = [], []

    def make(name, more="", url="", *, shipper=False):
        (tmp_path / name).mkdir()
        program = Cli(str(tmp_path / name))
        if not shipper:
            os.makedirs(os.path.join(program.state, "locks"), mode=0o700)
            os.chmod(program.state, 0o700)
            locks.append(
                os.open(os.path.join(program.state, "locks", ".fleet"), os.O_CREAT | os.O_RDWR, 0o600)
            )
            fcntl.flock(locks[-1], fcntl.LOCK_EX)
        else:
            program.env["CRONWRAP_DELIVERY_BACKGROUND"] = "true"
        program.write_config(
            f'mailto = ""\n[fleet]\nurl = "{url or database.url()}"\nhost = "{name}"\n{more}\n'
        )
        if not made:
            assert program("fleet", "init").status == 0
        made.append(program)
        return program

    yield make
    for program in made:
        program.close()
    for lock in locks:
        os.close(lock)


@pytest.fixture
def role(database):
    """Let a host in by the statements that ``fleet init`` prints; give its role."""

    def admit(admin, name):
        printed = admin("fleet", "init", "--host", name).stdout
        made = f"cronwrap_{name}"
        database.sql(f"DROP ROLE IF EXISTS {made}")
        database.sql(printed)
        return made

    yield admit
    database.sql("DROP SCHEMA IF EXISTS cronwrap CASCADE")
    for (name,) in database.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'cronwrap%'"):
        database.sql(f"DROP OWNED BY {name}")
        database.sql(f"DROP ROLE {name}")
