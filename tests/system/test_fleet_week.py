"""A week of a fleet by a faked clock: what the watch tells of, and that it tells of nothing else.

The hosts are made up; what they send is what ``schedules`` and ``batch`` give, and the database is a real one
whose clock is turned by the test.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cronwrap.crontab.audit import Watched, due_from
from cronwrap.crontab.schedule import read
from cronwrap.fleet import batch, schedules
from cronwrap.fleet.database import connected
from cronwrap.fleet.migrations import upgrade
from cronwrap.history.tally import Tally
from cronwrap.job.holds import PAUSE, Hold
from cronwrap.settings import fleet

ZONE = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
CRONTAB = {"often": "*/30 * * * *", "hourly": "0 * * * *", "night": "30 2 * * *", "weekly": "15 4 * * 0"}
LOOKS = (1, 2, 3)
"""Minutes after each quarter of an hour: an alarm is due 75 s after what was missed."""
SHIP = (
    "SELECT * FROM cronwrap.ship(%(host)s, %(about)s::jsonb, '[]'::jsonb, '[]'::jsonb, '[]'::jsonb,"
    " %(jobs)s::jsonb)"
)


class Host:
    """A host that is up all week, by a clock of its own."""

    name, skew, quiet = "steady", 0.0, False

    def __init__(self, begin):
        self.begin, self.starts, self.before, self.number = begin, {}, {}, 0

    def up(self, _at):
        return True

    def runs(self, _job, _at):
        return True

    def paused(self, _job, _at):
        return None

    def lines(self, _at):
        return CRONTAB

    def live(self, at, due):
        """Start what is due in a minute; tell whether anything was."""
        started = [job for job in due if self.up(at) and job in self.lines(at) and self.runs(job, at)]
        self.starts |= dict.fromkeys(started, at + 0.3)
        return bool(started)

    def sent(self, at, monkeypatch):
        """Give what it sends; times are by its clock."""
        now = at + 5
        lines = {job: CRONTAB[job] for job in self.lines(at)}
        monkeypatch.setattr(schedules, "watched", lambda _user: [job_of(*line) for line in lines.items()])
        held = {job for job in CRONTAB if self.paused(job, at)}
        self.before = schedules.schedules("root", self.starts, self.before, now, held)
        self.number += 1
        rows = [self._row(job, at) for job in {*self.starts, *self.before}]
        due = [
            (one[4] + one[2], one[4], one[2])
            for job, one in self.before.items()
            if one[4] is not None and not self.paused(job, at)
        ]
        about = {
            "user_name": "root",
            "version": "0",
            "ship": "runs",
            "quiet": self.quiet,
            "waiting": 0,
            "oldest": None,
            "failed_since": None,
            "now": now,
            "epoch": "e",
            "acknowledged": 0,
            "number": self.number,
            "jobs": len(rows),
            "failing": 0,
            "running": 0,
            "next": min(due)[1],
            "grace": min(due)[2],
        }
        return {"host": self.name, "about": json.dumps(about), "jobs": json.dumps(rows)}

    def _row(self, job, at):
        start = self.starts.get(job, 0.0)
        tally = Tally(job=job, user="root", run="r" if start else "", started=start, ended=start, result="ok")
        until = self.paused(job, at)
        held = [Hold(kind=PAUSE, job=job, since=at, until=until)] if until else []
        return batch.job(tally, None, held, self.before.get(job))


class Ahead(Host):
    name, skew = "ahead", 25.0


class Behind(Host):
    name, skew = "behind", -25.0


class Paused(Host):
    """One job is paused for two days, and its cron does not even start it."""

    name = "paused"

    def paused(self, job, at):
        until = self.begin + 3.52 * DAY
        return until if job == "hourly" and self.begin + 1.5 * DAY < at < until else None

    def runs(self, job, at):
        return not self.paused(job, at)


class Rebooted(Host):
    """It is away for ten minutes now and then, when nothing is due."""

    name = "rebooted"

    def up(self, at):
        return not 2 * MINUTE <= at % (5 * HOUR) <= 12 * MINUTE


class Laptop(Host):
    """It sleeps from ten to half past seven, and has leave to."""

    name, quiet = "laptop", True

    def up(self, at):
        local = datetime.fromtimestamp(at, ZONE)
        return 7.5 <= local.hour + local.minute / 60 < 22


class Dead(Host):
    """It dies on the fifth day, and comes back a day later."""

    name = "dead"

    def up(self, at):
        return not self.begin + 5.43 * DAY < at < self.begin + 6.43 * DAY


class Maimed(Dead):
    """It dies the same way, and when it is back one job is not started any more."""

    name = "maimed"

    def runs(self, job, at):
        return job != "hourly" or at < self.begin + 6 * DAY


class Edited(Host):
    """A line is taken out of its crontab by mistake, and put back after some hours."""

    name = "edited"

    def lines(self, at):
        away = self.begin + 4.3 * DAY < at < self.begin + 4.6 * DAY
        return {job: line for job, line in CRONTAB.items() if not (away and job == "hourly")}


def job_of(name, expression):
    return Watched(number=1, names=(name,), schedule=read(expression), zone="", jitter=0.0)


@pytest.fixture(scope="module", params=["2026-03-26", "2026-10-22"], ids=["spring", "autumn"])
def week(request, postgresql):
    """What was told in a week in which the clocks change: a list for each host."""
    postgresql.sql("DROP SCHEMA IF EXISTS cronwrap CASCADE")
    begin = datetime.fromisoformat(request.param).replace(tzinfo=ZONE).timestamp()
    there = fleet.parse({"url": postgresql.url(), "host": "watcher"}, "test")
    kinds = (Host, Ahead, Behind, Paused, Rebooted, Laptop, Dead, Maimed, Edited)
    with connected(there) as database, pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedules, "host_zone", lambda: ZONE)
        upgrade(database)
        postgresql.sql(
            "CREATE TABLE cronwrap.clock (at timestamptz); INSERT INTO cronwrap.clock VALUES ('epoch');"
            "CREATE OR REPLACE FUNCTION cronwrap.present() RETURNS timestamptz LANGUAGE sql VOLATILE"
            " AS 'SELECT at FROM cronwrap.clock'"
        )
        yield live(database, [kind(begin) for kind in kinds], begin, patch)


def live(database, hosts, begin, patch):
    due = {}
    for job, line in CRONTAB.items():
        for at in due_from(job_of(job, line), begin - 1, ZONE):
            if at >= begin + 7 * DAY:
                break
            due.setdefault(at, []).append(job)
    told = {host.name: [] for host in hosts}
    for number in range(int(7 * DAY / MINUTE)):
        at = begin + number * MINUTE
        for host in hosts if at in due else ():
            if host.live(at, due[at]):
                turn(database, at - host.skew + 5)
                database.call(SHIP, host.sent(at, patch))
        if number % 15 in LOOKS:
            turn(database, at + 40)
            found = database.call("SELECT * FROM cronwrap.watch('watcher')")
            alarms = [{**row, "due": row["due"].timestamp(), "seen": None} for row in found]
            for alarm in alarms:
                told[alarm["host"]].append((alarm["what"], alarm["job"], at + 40 - alarm["due"]))
            if alarms:
                database.call("SELECT cronwrap.told('watcher', %(alarms)s)", {"alarms": json.dumps(alarms)})
    return told


def turn(database, at):
    database.transaction(
        lambda cursor: cursor.execute("UPDATE cronwrap.clock SET at = %s", (datetime.fromtimestamp(at, UTC),))
    )


@pytest.mark.parametrize("name", ["steady", "ahead", "behind"])
def test_when_the_clocks_change_nothing_is_told_of_a_host_that_is_well(week, name):
    assert week[name] == []


def test_nothing_is_told_of_a_job_that_is_paused(week):
    assert week["paused"] == []


def test_nothing_is_told_of_a_reboot_in_which_nothing_is_due(week):
    assert week["rebooted"] == []


def test_nothing_is_told_of_a_laptop_that_may_sleep(week):
    assert week["laptop"] == []


def test_a_host_that_dies_is_told_of_once_within_two_minutes_and_when_it_is_back(week):
    assert [what[:2] for what in week["dead"]] == [("silent", ""), ("heard", "")]
    assert week["dead"][0][2] < 120


def test_a_job_that_does_not_start_again_after_its_host_is_back_is_told_of(week):
    assert [what[:2] for what in week["maimed"]] == [("silent", ""), ("heard", ""), ("missed", "hourly")]


def test_a_job_taken_out_of_the_crontab_is_told_of_once_and_when_it_runs_again(week):
    assert [what[:2] for what in week["edited"]] == [("missed", "hourly"), ("ran", "hourly")]
    assert week["edited"][0][2] < 120
