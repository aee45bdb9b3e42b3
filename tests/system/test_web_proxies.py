"""The page behind the reverse proxies of Debian, and over a real sshd: live output to the octet."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest

from support.cli import user_name
from support.ssh import Sshd
from support.web_proxies import PROXIES, USER, proxy
from support.web_tail import Connection, Follower, Job, cut_off_all_the_time

DROPS = 100


@pytest.fixture
def web(cli, place):
    """A page on a Unix socket that a proxy may speak for; its path."""
    cli.write_config(f'[web]\nproxy-user = "{USER}"\nproxy-root = true\n')
    path = os.path.join(place, "web.sock")
    page = cli.start("web", "--socket", path, stdout=subprocess.PIPE)
    page.stdout.readline()
    return path


@pytest.mark.parametrize("kind", PROXIES)
def test_over_100_drops_behind_a_proxy_what_is_received_is_what_the_job_has_said(
    needs, cli, web, kind, place
):
    needs("minutes", "root", "setpriv", kind)
    job = Job(cli)
    with proxy(kind, os.path.join(place, kind), web, user_name()) as port:
        job.say(b"the first word")
        follower = Follower(port, job.run)
        cut_off_all_the_time(job, follower, DROPS)
        assert follower.received == job.said
        assert (follower.end, follower.gaps) == ({"status": 0}, 0)
        connection = Connection(port)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/v1/runs/{job.run}/output", headers={"X-Remote-User": "nobody"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200  # what the visitor writes into the header is not what the proxy does
            assert int(answer.headers["Cronwrap-Left-Out"]) == len(job.said) - 2 * 65536


def test_over_100_drops_of_ssh_what_is_received_is_what_the_job_has_said(needs, cli, web):
    needs("minutes", "root", "ssh", "sshd")
    sshd = Sshd(os.path.join(cli.directory, "sshd"))
    job = Job(cli)
    try:
        job.say(b"the first word")
        follower = Follower(web, job.run)
        with contextlib.ExitStack() as forwards:

            def anew():
                """Have the whole connection cut, each time."""
                forwards.close()
                return forwards.enter_context(sshd.forward(web))

            cut_off_all_the_time(job, follower, DROPS, anew)
        assert follower.received == job.said
        assert (follower.end, follower.gaps) == ({"status": 0}, 0)
    finally:
        sshd.close()
