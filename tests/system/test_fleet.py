"""A fleet on a real PostgreSQL: its hosts are processes with a state and a name of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest

from support import pki, postgres
from support.cli import CRONWRAP
from support.fleet import run, ship

# Shipping ---------------------------------------------------------------------------------------


def test_a_run_reaches_the_fleet_by_itself(host, database, wait_until):
    web = host("web1", shipper=True)
    run(web, "nightly", "--", "sh", "-c", "exit 3", status=3)
    rows = wait_until(lambda: database.sql("SELECT host, job, result, exit_code FROM cronwrap.runs"), 30)
    assert rows == [("web1", "nightly", "failed", "3")]


def test_runs_arrive_in_order_each_once_however_often_they_are_sent(host, database):
    web = host("web1")
    for number in range(7):
        run(web, f"job{number}", "--", "true")
    assert ship(web) == 7
    with sqlite3.connect(os.path.join(web.state, "history.db")) as history:
        history.execute("UPDATE shipping SET shipped = 2")
    assert ship(web) == 0
    assert database.sql("SELECT count(*) FROM cronwrap.runs") == [("7",)]


def test_the_output_of_a_run_that_mailed_goes_with_it(host, database):
    web = host("web1")
    web.env["MAILTO"] = "ops@example.org"
    run(web, "talks", "--", "echo", "hello")
    ship(web)
    shown = web("show", "talks").stdout
    assert "hello" in shown
    assert database.sql("SELECT length(head) > 0 FROM cronwrap.outputs") == [("t",)]


def test_what_postgresql_cannot_hold_holds_up_nothing(host, database):
    web = host("web1")
    for name in ("before", "nul", "after"):
        run(web, name, "--", "true")
    web("history")  # folds them
    with sqlite3.connect(os.path.join(web.state, "history.db")) as history:
        history.execute("UPDATE runs SET reasons = ? WHERE job = 'nul'", ("a\0b",))
        history.execute("UPDATE runs SET exit_code = ? WHERE job = 'before'", (1 << 40,))
    assert ship(web) == 2
    found = dict(database.sql("SELECT job, reasons FROM cronwrap.runs"))
    assert found == {"nul": r"a\x00b", "after": ""}


def test_a_shipper_killed_anywhere_loses_and_doubles_nothing(host, database):
    web = host("web1")
    for number in range(40):
        run(web, f"job{number % 5}", "--", "true")
    chance = random.Random(4711)
    for _ in range(15):
        shipper = web.start("fleet", "ship", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            shipper.wait(chance.uniform(0.15, 0.9))
        except subprocess.TimeoutExpired:
            shipper.send_signal(signal.SIGKILL)
            shipper.wait()
    ship(web)
    assert database.sql("SELECT count(*), count(DISTINCT run) FROM cronwrap.runs") == [("40", "40")]


def test_an_outage_is_told_and_made_up_for(host, database):
    web = host("web1")
    run(web, "one", "--", "true")
    database.kill()
    try:
        done = web("fleet", "ship")
        assert done.status == 1
        assert "cannot be asked" in done.stderr
        run(web, "two", "--", "true")
    finally:
        database.start()
    assert ship(web) == 2


def test_a_job_that_asks_for_nothing_never_connects(host, needs, tmp_path):
    needs("strace", "tracing")
    web = host("web1")
    trace = tmp_path / "trace"
    words = ["strace", "-e", "trace=connect", "-o", str(trace), CRONWRAP, "--quiet", "--", "sleep", "1.2"]
    subprocess.run(words, env=web.env, check=True)
    assert "PGSQL" not in trace.read_text()
    assert "exited with 0" in trace.read_text()


def test_changes_are_summaries_and_what_failed(host, database):
    web = host("web1", 'ship = "changes"')
    for status in (0, 0, 1, 0):
        run(web, "often", "--", "sh", "-c", f"exit {status}", status=status)
    ship(web)
    whole = "SELECT job, result FROM cronwrap.runs ORDER BY started"
    assert database.sql(whole) == [("often", "failed"), ("often", "ok")], "what failed or recovered"
    # An hour goes over when it is over; a run that comes late brings it again.
    assert database.sql("SELECT count(*) FROM cronwrap.hours") == [("0",)]
    hours_pass(web, 3)
    os.unlink(os.path.join(web.state, "fleet.sent"))
    run(web, "often", "--", "true")
    ship(web)
    summary = (
        "SELECT sum(h.runs), sum(h.failures), string_agg(j->>'results', ' ')"
        " FROM cronwrap.hours AS h, jsonb_array_elements(h.jobs) AS j"
    )
    assert database.sql(summary) == [("4", "1", "2o1x1o")]
    with sqlite3.connect(os.path.join(web.state, "history.db")) as history:
        history.execute("UPDATE shipping SET shipped = arrivals - 1")
        history.execute("UPDATE runs SET started = (SELECT min(started) FROM runs)")
    ship(web)
    assert database.sql(summary) == [("5", "1", "2o1x2o")]


def hours_pass(program, number):
    """Have a host's runs be older by some hours, all of them in one."""
    with sqlite3.connect(os.path.join(program.state, "history.db")) as history:
        history.execute(
            "UPDATE runs SET started = ? + started - (SELECT min(started) FROM runs)",
            (time.time() // 3600 * 3600 - 3600 * number + 60,),
        )


# Once -------------------------------------------------------------------------------------------


def test_once_runs_on_one_host_and_the_others_name_it(host, tmp_path):
    hosts = [host(f"web{number}") for number in range(6)]
    out = tmp_path / "ran"
    words = ("--once", "-n", "report", "--", "sh", "-c", f"echo x >> {out}")
    began = int(time.time()) // 60
    processes = [program.start(*words, stderr=subprocess.DEVNULL) for program in hosts]
    statuses = [process.wait(60) for process in processes]
    if int(time.time()) // 60 != began:
        pytest.fail("a minute went by: run this again")
    assert sorted(statuses) == [0, 75, 75, 75, 75, 75]
    assert out.read_text() == "x\n"
    winner = f"web{statuses.index(0)}"
    loser = hosts[statuses.index(75)]
    row = json.loads(loser("history", "--json").stdout)
    assert row["result"] == "skipped"
    assert row["reasons"][0].startswith(f"{winner} runs it (--once; run ")


# A lease ----------------------------------------------------------------------------------------

HOLD = ("--scope", "fleet", "-n", "import")


def test_the_same_job_runs_on_one_host_of_the_fleet(host, tmp_path, wait_until):
    one, other = host("web1"), host("web2")
    out = tmp_path / "fences"
    long = one.start("--overlap", "skip", *HOLD, "--", "sh", "-c", f"echo $CRONWRAP_FENCE >> {out}; sleep 2")
    wait_until(lambda: out.exists() and out.read_text())
    skipped = other("--overlap", "skip", *HOLD, "--", "true")
    assert skipped.status == 75
    reasons = json.loads(other("history", "--json").stdout)["reasons"]
    assert "still runs on web1" in reasons[0]
    waited = other("--overlap", "wait", *HOLD, "--", "sh", "-c", f"echo $CRONWRAP_FENCE >> {out}")
    assert waited.status == 0
    assert long.wait(30) == 0
    assert out.read_text() == "1\n2\n"


def test_kill_ends_the_run_on_the_other_host(host, tmp_path, wait_until):
    one, other = host("web1"), host("web2")
    out = tmp_path / "begun"
    long = one.start("--overlap", "skip", *HOLD, "--", "sh", "-c", f"echo x > {out}; sleep 50")
    wait_until(out.exists)
    assert other("--overlap", "kill", *HOLD, "--", "true").status == 0
    assert long.wait(30) == 124


def test_a_lease_that_was_lost_is_told_and_its_record_does_not_count(host, database, tmp_path, wait_until):
    one, other = host("web1"), host("web2")
    out = tmp_path / "begun"
    one.env["MAILTO"] = "ops@example.org"
    long = one.start(
        "--overlap", "skip", *HOLD, "--", "sh", "-c", f"echo x > {out}; sleep 14", stderr=subprocess.PIPE
    )
    wait_until(out.exists)
    # As if the holder had been stopped beyond its lease.
    database.sql("UPDATE cronwrap.leases SET until = clock_timestamp() - interval '1 second'")
    assert other("--overlap", "skip", *HOLD, "--", "true").status == 0
    _, error = long.communicate(timeout=60)
    assert b"the lease of this job was lost while it ran" in error
    ship(one)
    ship(other)
    assert sorted(database.sql("SELECT host, fence, late FROM cronwrap.runs")) == [
        ("web1", "1", "t"),
        ("web2", "2", "f"),
    ]


# Without the database ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["run", "skip", "elect"])
def test_without_the_database_the_setting_decides_and_the_record_says_so(host, database, how):
    web, other = host("web1"), host("web2")
    for program in (web, other):
        run(program, "first", "--", "true")
        ship(program)
    ship(web)  # now it knows both
    ship(other)
    database.stop()
    try:
        words = ("--once", "--unreachable", how, "-n", "report", "--", "true")
        statuses = [program(*words).status for program in (web, other)]
    finally:
        database.start()
    assert statuses == {"run": [0, 0], "skip": [75, 75]}.get(how, statuses)
    if how == "elect":
        assert sorted(statuses) == [0, 75]
    row = json.loads(web("history", "--json", "-n", "1").stdout)
    assert f"could not be asked (--unreachable {how})" in row["reasons"][-1]


def test_a_server_that_hangs_is_not_waited_for(host, database):
    web = host("web1")
    pids = [int(pid) for (pid,) in database.sql("SELECT pg_backend_pid()")]
    assert pids
    database.suspend()
    try:
        began = time.monotonic()
        assert web("--once", "--unreachable", "skip", "-n", "report", "--", "true").status == 75
        assert time.monotonic() - began < 8  # five, and two starts of Python on a busy machine
    finally:
        database.resume()


# Rights -----------------------------------------------------------------------------------------


def test_a_host_writes_in_its_own_name_alone_and_reads_nothing(host, role, database):
    admin = host("admin")
    one, two = role(admin, "web1"), role(admin, "web2")
    web = host("web1", url=database.url(one))
    run(web, "job", "--", "true")
    assert ship(web) == 1
    forger = host("web1-forged", url=database.url(two))
    forger.write_config(f'[fleet]\nurl = "{database.url(two)}"\nhost = "web1"\n')
    run(forger, "job", "--", "true")
    done = forger("fleet", "ship")
    assert done.status == 1
    assert "may not write in the name of host web1" in done.stderr
    for statement in (
        "SELECT * FROM cronwrap.runs",
        "SELECT * FROM cronwrap.hosts",
        "DELETE FROM cronwrap.runs",
        "INSERT INTO cronwrap.roles (role, host) VALUES ('cronwrap_web1', 'web2')",
        "CREATE TABLE cronwrap.mine ()",
        "DROP TABLE cronwrap.runs",
        "SELECT cronwrap.prune()",
        "SELECT cronwrap.forget('web1')",
        "SELECT cronwrap.own_host('web9', NULL)",
        "SELECT cronwrap.present()",
        "SELECT * FROM cronwrap.claim('web9', 'j', 'u', extract(epoch FROM now()), 'r')",
        "SELECT * FROM cronwrap.watch('web2')",
    ):
        with pytest.raises(AssertionError, match=r"permission denied|must be owner|may not write"):
            database.sql(statement, user=one)


def test_a_viewer_sees_all_and_changes_nothing(host, database):
    admin = host("admin")
    database.sql(admin("fleet", "init", "--viewer", "cronwrap_eyes").stdout)
    run(admin, "job", "--", "true")
    ship(admin)
    viewer = host("viewer", url=database.url("cronwrap_eyes"))
    assert "admin" in viewer("fleet", "status").stdout
    with pytest.raises(AssertionError, match="permission denied"):
        database.sql("DELETE FROM cronwrap.runs", user="cronwrap_eyes")
    assert viewer("fleet", "ship").status == 1


# The schema -------------------------------------------------------------------------------------


def test_init_may_be_repeated_and_done_by_many_at_once(host):
    web = host("web1")
    processes = [
        web.start("fleet", "init", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(4)
    ]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error


def test_a_newer_schema_is_left_alone(host, database):
    web = host("web1")
    database.sql("UPDATE cronwrap.schema_version SET version = 99")
    done = web("fleet", "init")
    assert done.status == 1
    assert "schema 99" in done.stderr


def test_old_days_are_dropped_and_days_to_come_have_a_place(host, database):
    web = host("web1")
    run(web, "job", "--", "true")
    ship(web)
    database.sql("UPDATE cronwrap.settings SET keep_days = 30")
    database.sql(
        "CREATE TABLE cronwrap.runs_20200101 PARTITION OF cronwrap.runs"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    assert web("fleet", "prune").stdout == "1 partition dropped\n"
    tables = [name for (name,) in database.sql("SELECT relname FROM pg_class WHERE relname ~ '^runs_2'")]
    assert len([name for name in tables if name.endswith(time.strftime("%Y%m%d", time.gmtime()))]) == 1
    assert database.sql("SELECT count(*) FROM cronwrap.runs") == [("1",)]


def test_a_host_is_forgotten(host, database):
    web = host("web1")
    run(web, "job", "--", "true")
    ship(web)
    assert web("fleet", "forget", "web1", "--yes").status == 0
    assert database.sql("SELECT count(*) FROM cronwrap.runs") == [("0",)]
    assert web("fleet", "forget", "web1", "--yes").status == 1


# The watch --------------------------------------------------------------------------------------


@pytest.fixture
def watched(host, database):
    """Two hosts, of which web2 has a job that is due; what web1 tells is in its outbox."""
    one, other = host("web1"), host("web2")
    one.write_config(f'mailto = "ops@example.org"\n[fleet]\nurl = "{database.url()}"\nhost = "web1"\n')
    for program in (one, other):
        run(program, "first", "--", "true")
        ship(program)
    return one, other


def look(program, database):
    """Have a host look, as if a minute had gone by."""
    database.sql("DELETE FROM cronwrap.ticks")
    done = subprocess.run(
        [os.path.join(os.path.dirname(CRONWRAP), "python"), "-m", "cronwrap.pipeline.shipping"],
        env=program.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in program("outbox", "list", "--json").stdout.splitlines()]


def due(database, seconds, seen):
    database.sql(
        f"UPDATE cronwrap.jobs SET next = clock_timestamp() - interval '{seconds} s', grace = 75,"
        f" schedule = '0 4 * * *', started = clock_timestamp() - interval '2 hours' WHERE host = 'web2';"
        f"UPDATE cronwrap.senders SET next = clock_timestamp() - interval '{seconds} s', grace = 75"
        f" WHERE host = 'web2';"
        f"UPDATE cronwrap.hosts SET seen = clock_timestamp() - interval '{seen} s', back = NULL"
        " WHERE host = 'web2'"
    )


def test_a_host_switched_off_is_told_of_once(watched, database):
    one, _other = watched
    due(database, 60, 3600)
    assert look(one, database) == []
    due(database, 80, 3600)
    (mail,) = look(one, database)
    assert "web2" in mail["subject"]
    shown = one("outbox", "show", mail["id"]).stdout
    assert "the host has gone silent" in shown
    assert "X-Cronwrap-Result: missed" in one("outbox", "show", "--raw", mail["id"]).stdout
    assert len(look(one, database)) == 1
    due(database, 200, 0)
    database.sql("UPDATE cronwrap.jobs SET next = NULL WHERE host = 'web2'")
    database.sql("UPDATE cronwrap.senders SET next = NULL WHERE host = 'web2'")
    subjects = look(one, database)
    assert len(subjects) == 2
    assert "heard of again" in one("outbox", "show", subjects[-1]["id"]).stdout
    assert len(look(one, database)) == 2


def test_a_job_that_did_not_start_on_a_host_that_is_up_is_told_of_once(watched, database):
    one, other = watched
    due(database, 80, 1)
    (mail,) = look(one, database)
    assert "did not start when 0 4 * * * was due" in one("outbox", "show", mail["id"]).stdout
    assert len(look(one, database)) == 1
    run(other, "first", "--", "true")
    ship(other)
    assert len(look(one, database)) == 2


def test_what_is_paused_quiet_or_running_is_no_alarm(watched, database):
    one, _other = watched
    for change in (
        "UPDATE cronwrap.jobs SET paused = true WHERE host = 'web2'",
        "UPDATE cronwrap.jobs SET paused = false, running = 'x' WHERE host = 'web2'",
        "UPDATE cronwrap.jobs SET running = ''; UPDATE cronwrap.hosts SET quiet = true WHERE host = 'web2'",
    ):
        database.sql(change)
        due(database, 80, 1)
        assert look(one, database) == []


def test_a_host_that_cannot_store_the_mail_leaves_it_to_another(watched, database):
    one, _other = watched
    due(database, 80, 3600)
    database.sql("DELETE FROM cronwrap.ticks")
    assert database.sql("SELECT what FROM cronwrap.watch('web2')") == [("silent",)]  # and dies
    assert look(one, database) == []
    database.sql("UPDATE cronwrap.alarms SET at = at - interval '6 minutes'")
    assert len(look(one, database)) == 1


def test_after_an_outage_hosts_have_time_to_come_back(watched, database):
    one, _other = watched
    due(database, 80, 3600)
    database.sql("UPDATE cronwrap.hosts SET seen = clock_timestamp() - interval '1 hour'")
    with sqlite3.connect(os.path.join(one.state, "history.db")) as history:
        history.execute("UPDATE shipping SET failed_since = ?, error = 'down'", (time.time() - 3500,))
    assert look(one, database) == []
    database.sql("UPDATE cronwrap.settings SET patient_until = clock_timestamp()")
    assert len(look(one, database)) == 1


# Between host and database ----------------------------------------------------------------------


@pytest.fixture
def pooler(needs, database):
    """PgBouncer in transaction mode before the server; gives its URL."""
    needs("pgbouncer")
    with postgres.pooled(database) as url:
        yield url


def claimed_once(hosts, tmp_path):
    out = tmp_path / "ran"
    words = ("--once", "-n", "report", "--", "sh", "-c", f"echo x >> {out}")
    processes = [program.start(*words, stderr=subprocess.DEVNULL) for program in hosts]
    statuses = [process.wait(60) for process in processes]
    return statuses.count(0) == 1 == out.read_text().count("x")


def test_all_goes_through_a_pooler_in_transaction_mode(host, pooler, database, tmp_path, wait_until):
    host("web0")
    hosts = [host(f"web{number}", url=pooler) for number in (1, 2, 3, 4)]
    begun = int(time.time()) // 60
    assert claimed_once(hosts, tmp_path) or int(time.time()) // 60 != begun
    out = tmp_path / "begun"
    long = hosts[0].start("--overlap", "skip", *HOLD, "--", "sh", "-c", f"echo x > {out}; sleep 3")
    wait_until(out.exists)
    assert hosts[1]("--overlap", "skip", *HOLD, "--", "true").status == 75
    assert long.wait(30) == 0
    assert sum(map(ship, hosts)) == 6
    assert database.sql("SELECT count(*) FROM cronwrap.runs") == [("6",)]


def test_all_goes_where_transactions_are_serializable(host, database, tmp_path):
    database.sql("ALTER DATABASE fleet SET default_transaction_isolation = 'serializable'")
    try:
        hosts = [host(f"web{number}") for number in range(4)]
        begun = int(time.time()) // 60
        assert claimed_once(hosts, tmp_path) or int(time.time()) // 60 != begun
        processes = [program.start("fleet", "ship", stdout=subprocess.DEVNULL) for program in hosts]
        assert [process.wait(60) for process in processes] == [0] * 4
        assert database.sql("SELECT count(*) FROM cronwrap.runs") == [("4",)]
    finally:
        database.sql("ALTER DATABASE fleet RESET default_transaction_isolation")


def test_a_server_that_nothing_trusts_is_not_spoken_to(host, database, authority, tmp_path):
    host("web0")
    database.sql("DROP ROLE IF EXISTS cronwrap_tls")
    database.sql("CREATE ROLE cronwrap_tls LOGIN SUPERUSER PASSWORD 'correct horse battery'")
    try:
        secret = tmp_path / "secret"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        (tmp_path / "other").mkdir()
        other = pki.Authority(str(tmp_path / "other"))
        for trusted, status in ((other, 1), (authority, 0)):
            more = f'ca-file = "{trusted.ca_file}"\npassword-file = "{secret}"'
            web = host(f"web{status + 1}", more, url=database.tcp_url("cronwrap_tls"))
            done = web("fleet", "ship")
            assert done.status == status, done.stderr
            assert ("certificate verify failed" in done.stderr) == bool(status)
    finally:
        database.sql("DROP ROLE cronwrap_tls")


def test_a_wrong_password_and_a_standby_are_told(host, database):
    host("web0")
    database.sql("DROP ROLE IF EXISTS cronwrap_tcp")
    database.sql("CREATE ROLE cronwrap_tcp LOGIN SUPERUSER PASSWORD 'correct horse battery'")
    try:
        web = host("web1", 'password = "wrong"', url=database.tcp_url("cronwrap_tcp"))
        done = web("fleet", "ship")
        assert done.status == 1
        assert "password authentication failed" in done.stderr
        database.sql("ALTER DATABASE fleet SET default_transaction_read_only = on")
        done = host("web2")("fleet", "ship")
        assert done.status == 1
        assert "session is read-only" in done.stderr
    finally:
        database.sql("ALTER DATABASE fleet RESET default_transaction_read_only", database="postgres")
        database.sql("DROP ROLE cronwrap_tcp")
