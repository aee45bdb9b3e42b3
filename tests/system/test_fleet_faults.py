"""A fleet when things go wrong: a day without its database, full disks, stopped hosts, clocks gone astray."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from cronwrap.fleet import shipper
from cronwrap.history import shipping as how_far
from cronwrap.pipeline import shipping
from support.cli import ENTRY
from support.fleet import run, ship
from support.past import Was, remember
from support.postgres import PASSWORD, own, slowed

HOUR = 3600.0


def start(program, before, *words, **options):
    """Start ``cronwrap WORDS`` with Python text run before it in its process."""
    return program.start("-c", before + ENTRY, *words, program=sys.executable, **options)


# Shipping ---------------------------------------------------------------------------------------


def test_after_a_day_without_the_database_all_is_there_once_and_in_order(host, database, monkeypatch):
    web = host("web1")
    for name, value in web.env.items():
        monkeypatch.setenv(name, value)
    now, attempts = [time.time()], []
    monkeypatch.setattr(time, "time", lambda: now[0])
    back = now[0] + 24 * HOUR

    def sleep(seconds):
        for _ in range(int((now[0] + seconds) // HOUR - now[0] // HOUR)):
            remember(web.state, [Was(f"job{number}", now[0] + number) for number in range(3)])
        now[0] += seconds

    def send():
        if now[0] > back and not database.runs:
            database.start()
        attempts.append((now[0], shipping.main()))
        return attempts[-1][1]

    database.stop()
    try:
        os.unlink(os.path.join(web.state, "locks", ".fleet"))  # the lock that keeps shippers away in tests
        remember(web.state, [Was("first", now[0])])
        shipper.stay(web.state, sleep, send)
    finally:
        if not database.runs:
            database.start()
    failed = [at for at, status in attempts if status == shipper.TRY_AGAIN]
    assert attempts[-1][1] == shipper.ALL_THERE
    assert 24 < len(failed) < 200  # at least once an hour, and by chance some more
    rows = database.sql("SELECT run, extract(epoch FROM started) FROM cronwrap.runs")
    assert len(rows) == len({run for run, _started in rows}) >= 1 + 24 * 3
    assert how_far.shipping(web.state).waiting == 0


@contextlib.contextmanager
def small_disk(place, kilobytes):
    """Give a directory on a file system of its own that holds so much."""
    os.makedirs(place, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Leave no octet free; give the file that takes them."""
    path = os.path.join(place, "filler")
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path


def test_a_host_whose_disk_is_full_sends_again_what_it_could_not_write_down(host, database, tmp_path):
    web = host("web1")
    with small_disk(str(tmp_path / "full"), 2048):
        web.env["CRONWRAP_STATE_DIR"] = str(tmp_path / "full")
        for number in range(5):
            run(web, f"job{number}", "--", "true")
        web("history")
        filler = fill(str(tmp_path / "full"))
        done = web("fleet", "ship")
        assert done.status == 1, done.stdout
        assert f"what the fleet has cannot be written down: {tmp_path}/full: No space left" in done.stderr
        os.unlink(filler)
        ship(web)
        ship(web)
        assert database.sql("SELECT count(*), count(DISTINCT run) FROM cronwrap.runs") == [("5", "5")]
        assert "fleet:" not in web("status").stdout


def test_a_database_whose_disk_is_full_is_an_outage_and_nothing_is_lost(host, database):
    place = "/tmp/cronwrap-small-tablespace"
    with small_disk(place, 48 << 10):
        own(place)
        database.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        try:
            database.sql("CREATE DATABASE small TABLESPACE small")
            web = host("web1", url=database.url(database="small"))
            run(web, "before", "--", "true")
            ship(web)
            with pytest.raises(AssertionError, match="No space left on device"):
                database.sql(
                    "CREATE TABLE filler (t text); ALTER TABLE filler ALTER t SET STORAGE EXTERNAL;"
                    "INSERT INTO filler SELECT repeat('x', 100000) FROM generate_series(1, 1000)",
                    database="small",
                )
            filled = fill(place)
            said = [(1, bytes(range(256)) * 2000)]
            remember(web.state, [Was(f"job{n}", time.time() + n, said=said, mailed=True) for n in range(40)])
            done = web("fleet", "ship")
            assert done.status == 1
            assert "No space left on device" in done.stderr
            assert "out of reach since" in web("status").stdout
            os.unlink(filled)
            ship(web)
            rows = database.sql("SELECT count(*), count(DISTINCT run) FROM cronwrap.runs", database="small")
            assert rows == [("41", "41")]
        finally:
            database.sql("DROP DATABASE IF EXISTS small WITH (FORCE)")
            database.sql("DROP TABLESPACE small")


# A lease ----------------------------------------------------------------------------------------

SHORT = "import cronwrap.pipeline.shared as s; s.LIFE, s.RENEW, s.AGAIN = 3.0, 1.0, 0.3\n"
"""A lease of three seconds, where it is half a minute."""


def test_a_lease_is_kept_over_a_slow_network(host, database, tmp_path, wait_until):
    host("web0")
    with slowed(database, 0.4) as url:
        one, other = host("web1", url=url), host("web2")
        out = tmp_path / "begun"
        words = ("--overlap", "skip", "--scope", "fleet", "-n", "import", "--", "sh", "-c")
        long = start(one, SHORT, *words, f"echo x > {out}; sleep 4")
        wait_until(out.exists)
        assert other(*words, "true").status == 75
        assert long.wait(30) == 0
        ship(one)
    rows = database.sql("SELECT fence, late, reasons FROM cronwrap.runs WHERE host = 'web1'")
    assert rows == [("1", "f", "")]
    assert json.loads(one("history", "--json", "-n", "1").stdout)["reasons"] == []


def test_a_holder_that_is_stopped_beyond_its_lease_finds_it_lost_and_does_not_count(
    host, database, tmp_path, wait_until
):
    one, other = host("web1"), host("web2")
    one.env["MAILTO"] = "ops@example.org"
    out = tmp_path / "fences"
    words = ("--overlap", "skip", "--scope", "fleet", "-n", "import", "--", "sh", "-c")
    noted = f"echo $CRONWRAP_FENCE >> {out}"
    long = start(one, SHORT, *words, f"{noted}; sleep 6", stderr=subprocess.PIPE)
    wait_until(lambda: out.exists() and out.read_text())
    until = database.sql("SELECT until FROM cronwrap.leases")
    wait_until(lambda: database.sql("SELECT until FROM cronwrap.leases") != until)  # it has been renewed
    assert other(*words, "true").status == 75
    stopped = [process for process in one.processes() if "postgres" not in process.name()]
    assert any("cronwrap.fleet.keeper" in " ".join(process.cmdline()) for process in stopped)
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        taken = wait_until(lambda: other(*words, noted).status == 0, 20)
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    assert taken
    _, error = long.communicate(timeout=60)
    assert b"the lease of this job was lost while it ran" in error
    assert out.read_text() == "1\n2\n"
    for program in (one, other):
        ship(program)
    rows = database.sql("SELECT host, fence, late FROM cronwrap.runs WHERE fence IS NOT NULL")
    assert sorted(rows) == [("web1", "1", "t"), ("web2", "2", "f")]


# Clocks -----------------------------------------------------------------------------------------

CRONTAB = "#!/bin/sh\necho '*/5 * * * * cronwrap --once --name report -- true'\n"


def test_hosts_whose_clocks_are_off_and_whose_cron_is_slow_claim_one_minute(host, database, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "crontab").write_text(CRONTAB)
    (programs / "crontab").chmod(0o755)
    # By its own clock each host starts the job at the crontab's time, or as much later as its cron is slow.
    due = time.time() // 300 * 300
    out = tmp_path / "ran"
    running = []
    for number, (skew, slow) in enumerate(((25, 0), (-25, 1), (0, 2), (25, 70), (-25, 100), (12, 31))):
        web = host(f"web{number}")
        web.env["PATH"] = f"{programs}:{web.env['PATH']}"
        by_its_clock = f"import time; real = time.time; off = {due + slow} - real()\n"
        arrives = f"time.time = lambda: real() + off; time.sleep({(25 - skew) / 50})\n"
        words = ("--once", "-n", "report", "--", "sh", "-c", f"echo {number} >> {out}")
        running.append(start(web, by_its_clock + arrives, *words, stderr=subprocess.DEVNULL))
    statuses = [process.wait(60) for process in running]
    assert sorted(statuses) == [0, 75, 75, 75, 75, 75]
    assert out.read_text() == f"{statuses.index(0)}\n"
    minutes = database.sql(
        "SELECT extract(epoch FROM minute)::bigint FROM cronwrap.ticks WHERE job = 'report'"
    )
    assert minutes == [(f"{due:.0f}",)]


# Without the database ---------------------------------------------------------------------------


@pytest.fixture
def over_tcp(database, tmp_path):
    """What stands in [fleet] for a role that logs in over TLS; gives the URL and further lines."""
    database.sql(f"CREATE ROLE cronwrap_far LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    lines = f'ca-file = "{database.authority.ca_file}"\npassword-file = "{secret}"'
    yield database.tcp_url("cronwrap_far"), lines, secret
    database.sql("DROP ROLE cronwrap_far")


@contextlib.contextmanager
def expired(database, _secret):
    database.certify(datetime.now(UTC) - timedelta(days=1))
    try:
        yield
    finally:
        database.certify()


@contextlib.contextmanager
def standby(database, _secret):
    database.sql("ALTER DATABASE fleet SET default_transaction_read_only = on")
    try:
        yield
    finally:
        database.sql("ALTER DATABASE fleet RESET default_transaction_read_only", database="postgres")


@contextlib.contextmanager
def wrong_password(_database, secret):
    secret.write_text("another")
    yield


@contextlib.contextmanager
def refused(database, _secret):
    database.stop()
    try:
        yield
    finally:
        database.start()


@contextlib.contextmanager
def hanging(database, _secret):
    database.suspend()
    try:
        yield
    finally:
        database.resume()


FAULTS = {
    expired: "certificate verify failed",
    standby: "read-only",
    wrong_password: "password authentication failed",
    refused: "Connection refused",
    hanging: "no answer within",
}


def test_whatever_is_wrong_with_the_database_it_is_decided_within_five_seconds(host, database, over_tcp):
    url, lines, secret = over_tcp
    host("web0")
    web = host("web1", lines, url=url)
    assert web("--once", "-n", "well", "--", "true").status == 0
    for number, (fault, words) in enumerate(FAULTS.items()):
        with fault(database, secret):
            for how, status in (("skip", 75), ("run", 0)):
                began = time.monotonic()
                done = web("--once", "--unreachable", how, "-n", f"report{number}", "--", "true")
                assert time.monotonic() - began < 8  # five, and two starts of Python on a busy machine
                assert done.status == status, (fault, how)
                row = json.loads(web("history", "--json", "-n", "1").stdout)
                assert f"--unreachable {how}" in row["reasons"][-1]
                assert words in row["reasons"][-1]
        secret.write_text(PASSWORD)
