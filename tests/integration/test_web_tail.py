"""The live output over HTTP: what is received is what the job has said, however often the line is cut."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing

import pytest

from cronwrap.history import records
from cronwrap.history.finding import find
from cronwrap.manage import following
from support.web_tail import Connection, Follower, Job, cut_off_all_the_time

TOKEN = "ghp_abcdefghij1234567890abcd"


@pytest.fixture
def web(cli):
    """A page on a Unix socket; its path."""
    path = os.path.join(cli.directory, "web.sock")
    page = cli.start("web", "--socket", path, stdout=subprocess.PIPE)
    page.stdout.readline()
    return path


def output_files(cli):
    return os.listdir(os.path.join(cli.state, "output"))


def test_what_is_received_over_100_drops_is_what_the_job_has_said(cli, web, wait_until):
    job = Job(cli)
    job.say(b"the first word")
    wait_until(lambda: os.path.isdir(os.path.join(cli.state, "output")), timeout=20)
    follower = Follower(web, job.run)
    cut_off_all_the_time(job, follower, 100)
    assert follower.received == job.said
    assert (follower.end, follower.gaps, follower.offset) == ({"status": 0}, 0, len(job.said))
    late = Follower(web, job.run)
    late.follow()
    assert late.received == job.said
    assert output_files(cli) != []  # for who was cut off and comes again


def test_who_comes_before_the_first_second_and_stays_sees_all_and_many_may_look_at_once(cli, web):
    job = Job(cli)
    first = Follower(web, job.run)
    job.say(b"one\n")
    first.follow(1)
    job.say(b"two\n")
    job.end()
    first.follow()
    assert (first.received, first.end) == (b"one\ntwo\n", {"status": 0})


def test_of_a_run_that_ended_while_nobody_looked_the_rest_comes_from_the_history(cli, web):
    job = Job(cli)
    job.say(b"abc" * 50_000 + b"\n")
    job.end()
    job.process.wait(30)
    follower = Follower(web, job.run)
    follower.offset = 100
    follower.follow()
    kept = 65536
    assert follower.received == job.said[100:kept] + job.said[-kept:]
    assert follower.gaps == len(job.said) - 2 * kept
    assert follower.end == {"status": 0}


def test_of_a_run_with_retries_that_ended_while_nobody_looked_the_last_try_goes_on_where_it_was(
    cli, web, wait_until
):
    """It was told to be lost, and the octets of the tries before it were not counted."""
    done = os.path.join(cli.directory, "done")
    line = (
        f"[ -e {done} ] && {{ echo 'the second'; exit 3; }}; echo {TOKEN}; echo first; sleep 1.5; "
        f"touch {done}; exit 2"
    )
    options = ("-n", "again", "--retries", "1", "--retry-delay", "0.1s")
    process = cli.start(*options, "--", "sh", "-c", line)
    run = wait_until(lambda: next((f["run"] for f in records.running(cli.state, "again")), ""))
    with closing(following.followed(cli.state, find(cli.state, run))) as pieces:
        _kind, offset, octets = wait_until(lambda: (piece := next(pieces))[2] and piece, timeout=20)
    assert octets == b"[redacted]\nfirst\n"
    assert process.wait(30) == 3
    assert output_files(cli) == []
    late = Follower(web, run)
    late.offset = offset - 2
    late.follow()
    assert (late.gaps, late.received, late.end) == (2, b"the second\n", {"status": 3})


def test_who_goes_away_is_noticed_and_what_was_held_open_is_let_go(cli, web, wait_until):
    job = Job(cli)
    page = next(process for process in cli._started if "web" in process.args)
    before = len(os.listdir(f"/proc/{page.pid}/fd"))
    connections = []
    for _ in range(20):
        connections.append(Connection(web))
        connections[-1].request("GET", f"/api/v1/runs/{job.run}/tail")
        assert connections[-1].getresponse().status == 200
    for connection in connections:
        connection.sock.close()
        connection.close()
    wait_until(lambda: len(os.listdir(f"/proc/{page.pid}/fd")) <= before + 4, timeout=20)
    job.end()


def test_without_any_script_the_page_itself_takes_as_long_as_the_run(cli, web):
    job = Job(cli)
    job.say(b"<b>one</b>\xc3")
    connection = Connection(web)
    connection.request("GET", f"/runs/{job.run}/live", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    content = b""
    while b"&lt;b&gt;one" not in content:
        content += answer.read1(4096)
    assert b"</html>" not in content
    job.say(b"\xa9\x1b[31mred\n")
    job.end()
    content += answer.read()
    connection.close()
    assert '&lt;b&gt;one&lt;/b&gt;é<span class="f1">red\n</span>'.encode() in content
    assert b"exit status 0" in content
    assert content.rstrip().endswith(b"</html>")


def test_the_output_is_a_file_of_text_whatever_it_is(cli, web, request):
    job = Job(cli)
    job.say(b"<script>alert(1)</script>\n")
    job.end()
    job.process.wait(30)
    connection = Connection(web)
    request.addfinalizer(connection.close)
    connection.request("GET", f"/api/v1/runs/{job.run}/output?download=true")
    answer = connection.getresponse()
    assert answer.read() == job.said
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job.run}.txt"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    connection.request("GET", f"/api/v1/runs/{job.run}x/output")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    answer.read()


def test_whoever_cannot_keep_up_is_told_how_much_is_missing_and_costs_no_memory(cli, web, request):
    job = Job(cli, "flood", "--max-output", "256K")
    page = next(process for process in cli._started if "web" in process.args)
    job.say(b"begin\n")
    follower = Follower(web, job.run)
    follower.follow(1)
    connection = Connection(web)
    connection.request("GET", f"/api/v1/runs/{job.run}/tail")
    request.addfinalizer(connection.close)
    answer = connection.getresponse()  # and reads no further
    request.addfinalizer(answer.close)
    line = b"all is well, as it was before, and as it will be ever after that\n"  # nothing that is a secret
    for _ in range(30):
        job.say(line * 15_000)
    before = rss(page.pid)
    job.end()
    assert job.process.wait(60) == 0
    follower.follow()
    assert follower.end == {"status": 0}
    assert follower.gaps > 0
    assert len(follower.received) + follower.gaps == len(job.said) == follower.offset
    assert follower.received.startswith(b"begin\n")
    assert rss(page.pid) - before < 16 << 20


def rss(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
