"""What holds in a fleet whatever one of its hosts does, and what a person sees of all of them."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cronwrap.fleet.database import Database, UnreachableError, bounded, connected
from cronwrap.fleet.keeper import Keeper
from cronwrap.fleet.migrations import CREATE, steps, upgrade
from cronwrap.settings import fleet
from support.fleet import a_job, a_run, run, say, ship

# Rights -----------------------------------------------------------------------------------------


def test_a_role_makes_no_hosts_and_one_of_a_user_writes_of_that_user_alone(host, role, database):
    admin = host("admin")
    one = role(admin, "web1")
    with pytest.raises(AssertionError, match="may not write in the name of host web9"):
        say(database, "web9", user=one)
    database.sql(admin("fleet", "init", "--host", "web1", "--user", "alice").stdout)
    alice = "cronwrap_web1_alice"
    say(database, "web1", user=one)
    say(database, "web1", user=alice, user_name="alice", jobs=[a_job(user_name="alice")])
    for more in ({"user_name": "root"}, {"user_name": "alice", "runs": [a_run("x", time.time())]}):
        with pytest.raises(AssertionError, match=r"may (not )?write"):
            say(database, "web1", user=alice, **more)
    assert sorted(database.sql("SELECT user_name FROM cronwrap.senders")) == [("alice",), ("root",)]
    # Its statements may be given again, for another role too.
    again = admin("fleet", "init", "--host", "web1", "--role", one, "--user", "bob").stdout
    database.sql("\n".join(line for line in again.splitlines() if not line.startswith("CREATE ROLE")))
    with pytest.raises(AssertionError, match="may not write"):
        say(database, "web1", user=one)


def test_nobody_takes_the_minutes_to_come_nor_the_watch(host, role, database):
    one = role(host("admin"), "web1")
    for job, user, minute in (("j", "u", "+ 7200"), ("j", "u", "- 90000"), ("", "watch", "+ 60")):
        when = f"extract(epoch FROM now()) {minute}"
        claim = f"SELECT * FROM cronwrap.claim('web1', '{job}', '{user}', {when}, 'r')"
        with pytest.raises(AssertionError, match="too far from the database"):
            database.sql(claim, user=one)
    database.sql("SELECT * FROM cronwrap.claim('web1', 'j', 'u', extract(epoch FROM now()), 'r')", user=one)


def test_who_was_not_given_an_alarm_cannot_take_it_for_told(host, role, database):
    admin = host("admin")
    one, other = role(admin, "web1"), role(admin, "web2")
    for name, who in (("web1", one), ("web2", other)):
        say(database, name, user=who)
    due = time.time() - 100
    say(database, "admin", next=due, jobs=[a_job(next=due)])
    database.sql("UPDATE cronwrap.hosts SET seen = now() - interval '1 hour' WHERE host = 'admin'")
    (found,) = database.sql("SELECT what, due FROM cronwrap.watch('web1')", user=one)
    assert found[0] == "silent"
    known = {"host": "admin", "user_name": "", "job": "", "due": due}
    for what in ("silent", "heard"):
        words = json.dumps([{**known, "what": what}])
        database.sql(f"SELECT cronwrap.told('web2', '{words}')", user=other)
    assert database.sql("SELECT told IS NULL, over IS NULL FROM cronwrap.alarms") == [("t", "t")]
    database.sql(f"SELECT cronwrap.told('web1', '{json.dumps([{**known, 'what': 'silent'}])}')", user=one)
    assert database.sql("SELECT told IS NULL, over IS NULL FROM cronwrap.alarms") == [("f", "t")]


def test_a_host_that_lies_of_an_outage_silences_nobody(host, database):
    host("admin")
    say(database, "web1")
    for lie in (time.time() - 10, time.time() - 86400, time.time() + 1e9):
        say(database, "web2", failed_since=lie, number=2)
    say(database, "web2", failed_since=0, now=4e9, number=3)
    assert database.sql("SELECT patient_until = 'epoch' FROM cronwrap.settings") == [("t",)]
    database.sql("UPDATE cronwrap.hosts SET seen = now() - interval '1 hour'")
    say(database, "web2", failed_since=time.time() - 3000, number=4)  # nobody was heard of meanwhile
    assert database.sql("SELECT patient_until > now() FROM cronwrap.settings") == [("t",)]


# Late, early, twice -----------------------------------------------------------------------------


def test_what_arrives_behind_what_was_sent_after_it_changes_nothing(host, database):
    host("admin")
    say(database, "web1", number=5, jobs=[a_job(result="failed")])
    say(database, "web1", number=4, jobs=[a_job(result="ok")], runs=[a_run("x", time.time())])
    assert database.sql("SELECT result FROM cronwrap.jobs") == [("failed",)]
    assert database.sql("SELECT run FROM cronwrap.runs") == [("x",)]
    # A history that began anew has numbers of its own; and a clock that was set back does not matter.
    say(database, "web1", number=1, epoch="f", jobs=[a_job(result="ok", ended=1.0)])
    assert database.sql("SELECT result FROM cronwrap.jobs") == [("ok",)]


def test_a_database_from_a_backup_is_told_all_jobs_again(host, database):
    web = host("web1")
    for name in ("one", "two"):
        run(web, name, "--", "true")
    ship(web)
    database.sql("DELETE FROM cronwrap.hosts")
    run(web, "two", "--", "true")
    ship(web)
    assert database.sql("SELECT job FROM cronwrap.jobs ORDER BY job") == [("one",), ("two",)]


def test_a_run_that_ended_before_its_lease_was_given_away_counts(host, database):
    host("admin")
    say(database, "web1")
    database.sql(
        "INSERT INTO cronwrap.lost_leases (job, user_name, fence, at)"
        " VALUES ('j', 'root', 7, now() - interval '60 s')"
    )
    skewed = time.time() + 25
    say(
        *(database, "web1"),
        now=skewed,
        number=2,
        runs=[a_run("in-time", skewed - 65, fence=7), a_run("late", skewed - 50, fence=7)],
    )
    assert sorted(database.sql("SELECT run, late FROM cronwrap.runs")) == [("in-time", "f"), ("late", "t")]


class Gone(io.StringIO):
    """The pipe of a run that has given up."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_lease_given_to_a_run_that_has_given_up_is_given_back(host, database):
    host("admin")
    there = fleet.parse({"url": database.url(), "host": "admin"}, "test")
    words = {"job": "j", "user": "root", "run": "r", "seconds": 30, "how": "skip", "limit": None}
    with pytest.raises(BrokenPipeError):
        Keeper(there, Gone()).serve(iter([json.dumps({**words, "do": "lease"})]))
    assert database.sql("SELECT until = 'epoch' FROM cronwrap.leases") == [("t",)]


def test_a_keeper_that_died_is_replaced_and_the_lease_kept(host, database):
    host("admin")
    there = fleet.parse({"url": database.url(), "host": "admin"}, "test")
    database.sql("SELECT * FROM cronwrap.lease('admin', 'j', 'root', 'r', 30, false)")
    words = {"do": "renew", "job": "j", "user": "root", "run": "r", "seconds": 30, "fence": 1}
    answers = io.StringIO()
    Keeper(there, answers).serve(iter([json.dumps(words)]))
    assert json.loads(answers.getvalue())["what"] == "renewed"
    assert database.sql("SELECT until = 'epoch' FROM cronwrap.leases") == [("t",)]


def test_where_no_process_may_outlive_a_run_it_sends_itself_and_no_longer_than_a_mail(host, database):
    web = host("web1", shipper=True)
    with open(web.config, "a", encoding="utf-8") as file:
        file.write("[delivery]\ninline = '5s'\n")
    web.env["CRONWRAP_DELIVERY_BACKGROUND"] = "false"
    run(web, "job", "--", "true")
    assert database.sql("SELECT job FROM cronwrap.runs") == [("job",)]
    database.suspend()
    try:
        began = time.monotonic()
        run(web, "job", "--", "true")
        assert 4 < time.monotonic() - began < 12
    finally:
        database.resume()


def test_all_of_another_user_of_the_host_is_kept_apart(host, database):
    host("admin")
    say(database, "web1", waiting=3, jobs=[a_job()])
    say(database, "web1", user_name="alice", epoch="x", jobs=[a_job(user_name="alice")], failing=1)
    rows = database.sql("SELECT user_name, waiting, failing FROM cronwrap.senders ORDER BY user_name")
    assert rows == [("alice", "0", "1"), ("root", "3", "0")]
    assert database.sql("SELECT count(*) FROM cronwrap.jobs") == [("2",)]


# The schema -------------------------------------------------------------------------------------

SHAPE = """
SELECT md5(string_agg(what, chr(10) ORDER BY what)) FROM (
    SELECT format('%s %s %s %s', table_name, column_name, data_type, is_nullable) AS what
    FROM information_schema.columns WHERE table_schema = 'cronwrap'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'cronwrap'
    UNION ALL SELECT p.proname || coalesce(p.proacl::text, '') || pg_get_functiondef(p.oid) FROM pg_proc AS p
    WHERE p.pronamespace = 'cronwrap'::regnamespace) AS shape
"""


@pytest.mark.parametrize("version", range(len(steps()) + 1))
def test_the_schema_is_the_same_whatever_version_it_came_from(database, version):
    there = fleet.parse({"url": database.url(), "host": "admin"}, "test")

    def make(cursor):
        for statement in CREATE.strip().split(";\n"):
            cursor.execute(statement)
        for step in steps()[:version]:
            cursor.execute(step)
        cursor.execute("UPDATE cronwrap.schema_version SET version = %s", (version,))

    with connected(there) as opened:
        upgrade(opened)
        whole = database.sql(SHAPE)
        database.sql("DROP SCHEMA cronwrap CASCADE")
        opened.transaction(make)
        if version:
            database.sql("INSERT INTO cronwrap.hosts (host) VALUES ('of before')")
        assert upgrade(opened) == (version, len(steps()))
        assert upgrade(opened) == (len(steps()), len(steps()))
    assert database.sql(SHAPE) == whole
    assert len(database.sql("SELECT host FROM cronwrap.hosts")) == bool(version)


def test_days_that_somebody_looks_at_are_left_for_later(host, database):
    web = host("web1")
    run(web, "job", "--", "true")
    database.sql(
        "CREATE TABLE cronwrap.runs_20200101 PARTITION OF cronwrap.runs"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02'); DELETE FROM cronwrap.ticks"
    )
    there = fleet.parse({"url": database.url(), "host": "admin"}, "test")
    with connected(there) as reader:

        def look(cursor):
            cursor.execute("SELECT count(*) FROM cronwrap.runs")
            began = time.monotonic()
            assert ship(web) == 1
            return time.monotonic() - began

        assert reader.transaction(look) < 10
    assert isinstance(reader, Database)
    assert ship(web) == 0
    assert database.sql("SELECT count(*) FROM pg_class WHERE relname = 'runs_20200101'") == [("0",)]


def test_what_takes_too_long_is_ended():
    with pytest.raises(UnreachableError), bounded(0.05):
        time.sleep(5)


def test_in_a_thread_that_gets_no_signals_a_question_that_takes_too_long_is_ended_as_well(database):
    there = fleet.parse({"url": database.url(), "host": "admin", "timeout": "1s"}, "test")

    def ask():
        with connected(there) as opened:
            opened.call("SELECT pg_sleep(20)")

    began = time.monotonic()
    with ThreadPoolExecutor() as pool, pytest.raises(UnreachableError, match="not answered for 1 s"):
        pool.submit(ask).result()
    assert time.monotonic() - began < 10


# What a person sees -----------------------------------------------------------------------------


@pytest.fixture
def two(host, database):
    """Two hosts of which one has a job that fails and one that is late; the first is given."""
    one, other = host("web1"), host("web2")
    one.env["MAILTO"] = "ops@example.org"
    run(one, "nightly", "--", "true")
    run(one, "broken", "--", "sh", "-c", "echo alas; exit 3", status=3)
    run(other, "nightly", "--", "true")
    run(other, "slow", "--", "true")
    ship(one)
    ship(other)
    database.sql("UPDATE cronwrap.jobs SET next = now() - interval '1 hour' WHERE job = 'slow'")
    return one


def test_the_jobs_of_all_hosts_are_shown_what_fails_first_then_what_is_late(two):
    shown = two("status", "--fleet")
    lines = shown.stdout.splitlines()
    assert shown.status == two("status", "--fleet", "--json").status == 1, "while a job is failing"
    assert two("status", "--fleet", "-j", "nightly").status == 0
    assert two("status", "--fleet", "-j", "nightly", "--json").status == 0
    assert lines[0].split() == ["HOST", "JOB", "RESULT", "ENDED", "TOOK", "USUALLY"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["web1", "broken"],
        ["web2", "slow"],
        ["web1", "nightly"],
        ["web2", "nightly"],
    ]
    assert "exit 3" in lines[1]
    assert "late: was due 1 h ago" in lines[2]
    side = two("status", "--fleet", "-j", "nightly", "--json").stdout.splitlines()
    assert [json.loads(line)["host"] for line in side] == ["web1", "web2"]
    some = two("status", "--fleet", "-n", "1").stdout.splitlines()
    assert some[2] == "4 jobs on 2 hosts, 1 failing; these are the first 1: -n shows more"
    assert two("status", "--fleet", "--host", "web2", "--json").stdout.count('"late": true') == 1


def test_programs_are_given_every_job_however_many(two, database):
    say(database, "many")
    database.sql(
        "INSERT INTO cronwrap.jobs (host, user_name, job)"
        " SELECT 'many', 'root', format('job%s', n) FROM generate_series(1, 2300) AS n"
    )
    for more, number in (((), 2304), (("-n", "1500"), 1500), (("--host", "many"), 2300)):
        lines = two("status", "--fleet", "--json", *more).stdout.splitlines()
        assert len(lines) == len(set(lines)) == number
    assert len(two("status", "--fleet").stdout.splitlines()) == 202


def test_the_runs_of_all_hosts_are_shown_and_one_with_its_output(two):
    lines = two("history", "--fleet").stdout.splitlines()
    assert lines[0].split()[:2] == ["RUN", "HOST"]
    assert {line.split()[1] for line in lines[1:]} == {"web1", "web2"}
    (failed,) = two("history", "--fleet", "--failed", "--json").stdout.splitlines()
    identity = json.loads(failed)["run"]
    for word in ("broken", identity, identity[-8:]):
        assert "alas" in two("show", "--fleet", word).stdout
    assert json.loads(two("show", "--fleet", "--json", "broken").stdout)["output_head"] == "alas\n"
    assert two("show", "--fleet", "nobody").status == 1
    assert two("history", "--host", "web2").status == 2
    assert two("status", "--host", "web2").status == 2
    assert two("status", "--fleet", "--next").status == 2


def test_status_and_doctor_say_how_far_behind_this_host_is_and_why(two, database):
    assert "fleet:" not in two("status").stdout
    assert "knows this host as web1, and 2 hosts of the last day" in two("doctor").stdout
    database.stop()
    try:
        run(two, "nightly", "--", "true")
        assert two("fleet", "ship").status == 1
        (line,) = [one for one in two("status").stdout.splitlines() if one.startswith("fleet:")]
        assert "1 run yet to be sent" in line
        assert "out of reach since" in line
        doctor = two("doctor").stdout
        assert "nothing is lost meanwhile" in doctor
        assert "cronwrap fleet ship" in doctor
    finally:
        database.start()
    ship(two)
    assert "fleet:" not in two("status").stdout
    with sqlite3.connect(os.path.join(two.state, "history.db")) as history:
        history.execute("UPDATE shipping SET shipped = shipped - 1")
        history.execute("UPDATE runs SET ended = ended - 400")
    assert "fleet: 1 run yet to be sent, the oldest ended 6 min ago" in two("status").stdout
