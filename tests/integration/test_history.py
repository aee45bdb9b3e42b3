"""The history over real SQLite files and real processes: nothing lost, nothing twice, whatever breaks."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from cronwrap.errors import StateError
from cronwrap.fleet.batch import of_note
from cronwrap.history import journal, records, shipping
from cronwrap.history import runs as history
from cronwrap.history.database import SetAsideError
from cronwrap.history.finding import find
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.model import Output
from cronwrap.state import Directory

DAY = 86400.0
NOW = 1_800_000_000.0


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state" / "cronwrap")


def begin(state, run, job="backup", started=NOW, **more):
    who = {"run": run, "job": job, "command": f"/opt/{job}", "host": "db1", "user": "root"}
    return journal.begin(state, {**who, "started": started, **more})


def record(state, run, result="ok", job="backup", started=NOW, output=None, **more):
    end = {"ended": started + 3, "duration": 3.0, "result": result, "mailed": False}
    begin(state, run, job, started).finish({**end, **more}, output)


def database(state):
    return os.path.join(state, "history.db")


def ids(found):
    return [run.run for run in found]


@pytest.fixture
def in_namespace(needs):
    """Run Python where something has been mounted."""
    needs("user namespaces")

    def run(mount, code, *arguments):
        script = f'{mount} && exec "$0" -c "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
        done = subprocess.run(
            [*command, sys.executable, code, *arguments], capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    return run


# Folding -----------------------------------------------------------------------------------------


def test_what_was_recorded_comes_back_whole(state):
    end = {
        "ended": NOW + 5.5,
        "duration": 5.25,
        "result": "failed",
        "exit_code": 2,
        "tries": 3,
        "reasons": ("exit status 2", "too long"),
        "output_bytes": 11,
        "stdout_bytes": 5,
        "stderr_bytes": 6,
        "cpu_seconds": 1.5,
        "max_rss_bytes": 1 << 40,
        "mailed": True,
        "digest": "abc",
    }
    begin(state, "r1").finish(end, Output(head=b"hello\xff\0world"))
    assert fold(state) == ()
    run = find(state, "r1")
    kept = history.output_of(state, run)
    assert {name: getattr(run, name) for name in end} == end
    assert (run.job, run.command, run.host, run.user) == ("backup", "/opt/backup", "db1", "root")
    assert run.started == NOW
    assert kept.head == b"hello\xff\0world"
    assert journal.waiting(state) == 0
    assert stat.S_IMODE(os.stat(database(state)).st_mode) == 0o600


def test_a_fold_that_died_between_commit_and_unlink_counts_nothing_twice(state, monkeypatch):
    record(state, "r1", "failed", output=Output(head=b"x"))
    with monkeypatch.context() as dying:
        dying.setattr(os, "unlink", lambda _path, **_where: None)
        fold(state)
    assert journal.waiting(state) == 1
    assert past_of(state, "backup", "root").failures_in_a_row == 1
    fold(state)
    assert ids(history.runs(state)) == ["r1"]
    assert past_of(state, "backup", "root").failures_in_a_row == 1
    assert journal.waiting(state) == 0


RUN_ONE = """
import sys
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.history import journal, records
print("ready", flush=True)
sys.stdin.readline()
number = int(sys.argv[2])
for turn in range(4):
    run = f"r{number}-{turn}"
    job = f"j{number % 3}"
    entry = journal.begin(sys.argv[1], {"run": run, "job": job, "command": "c", "host": "h", "user": "u",
                                        "started": 1000.0 + number})
    records.abandoned(sys.argv[1], job, entry)
    entry.finish({"ended": 2000.0 + number, "duration": 1.0, "result": "failed"})
    fold(sys.argv[1])
    past_of(sys.argv[1], job, "u")
"""


def test_two_hundred_runs_at_once_are_all_recorded_once(state):
    """50 processes with 4 runs each, all begun, folded and looked up at the same time."""
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RUN_ONE, state, str(number)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(50)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.communicate()[1] for process in processes] == [""] * 50
    assert journal.waiting(state) == 0
    assert len(set(ids(history.runs(state, limit=None)))) == 200
    assert sum(tally.failures for tally, _ in history.jobs(state)) == 200
    assert not list(records.running(state))


def test_an_unreadable_record_is_set_aside_and_said_once(state):
    record(state, "r1")
    with open(os.path.join(state, "runs", "r2.00000000.end"), "wb") as file:
        file.write(b"garbage")
    [notice] = fold(state)
    assert "runs/broken/r2.00000000.end" in notice
    assert fold(state) == ()
    assert ids(history.runs(state)) == ["r1"]


@pytest.mark.parametrize(
    "end",
    [
        {"ended": "soon", "result": "ok"},
        {"ended": 1.0, "result": None, "exit_code": 2**70},
        {"ended": None, "result": "ok"},
        {"ended": 1.0, "result": 7},
        {"ended": 1.0, "result": "ok", "reasons": 5},
    ],
)
def test_a_record_of_wrong_types_is_set_aside_too(state, end):
    begin(state, "r1").finish(end)
    record(state, "r2")
    assert len(fold(state)) == 1
    assert ids(history.runs(state)) == ["r2"]


def test_old_runs_are_forgotten_with_their_output_and_their_jobs(state):
    record(state, "old", job="gone", started=NOW - 100 * DAY, output=Output(head=b"x"))
    record(state, "older", started=NOW - 95 * DAY)
    record(state, "new", started=NOW - 80 * DAY)
    fold(state, keep=90 * DAY, now=NOW)
    assert ids(history.runs(state)) == ["new"]
    assert [tally.job for tally, _ in history.jobs(state)] == ["backup"]
    with contextlib.closing(sqlite3.connect(database(state))) as connection:
        assert connection.execute("SELECT count(*) FROM outputs").fetchone() == (0,)


def test_a_run_that_ended_lately_is_not_old_however_early_it_began(state):
    record(state, "r1", started=NOW - 100 * DAY, ended=NOW - DAY)
    fold(state, keep=90 * DAY, now=NOW)
    assert ids(history.runs(state)) == ["r1"]
    assert len(history.jobs(state)) == 1


def test_names_of_any_octets_are_found_again(state):
    record(state, "r1", "failed", job="n\udcff\0ä")
    assert past_of(state, "n\udcff\0ä", "root").failures_in_a_row == 1
    fold(state)
    assert past_of(state, "n\udcff\0ä", "root").failures_in_a_row == 1
    assert [run.job for run in history.runs(state, job="n\udcff\0ä")] == ["n\\xff\0ä"]


# What the verdict asks ---------------------------------------------------------------------------


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "waiting in the journal"])
def test_the_past_counts_failures_mails_and_successes(state, folded):
    steps = [("ok", False), ("failed", False), ("signal", True), ("skipped", False), ("timeout", False)]
    for number, (result, mailed) in enumerate(steps):
        record(state, f"r{number}", result, started=NOW + 10 * number, mailed=mailed, digest=f"d{number}")
        if folded:
            fold(state)
    past = past_of(state, "backup", "root")
    assert past.results == ("ok", "failed", "signal", "skipped", "timeout")
    assert past.durations == (3.0,)
    assert (past.failures_in_a_row, past.failing_since, past.last_success) == (3, NOW + 10, NOW + 3)
    assert (past.last_failure_mailed, past.failures_since_mail) == (NOW + 23, 1)
    assert past.last_failure_digest == "d4"


def test_a_success_ends_the_row_of_failures(state):
    record(state, "r1", "failed", mailed=True, digest="d")
    record(state, "r2", "ok", started=NOW + 10)
    past = past_of(state, "backup", "root")
    assert (past.failures_in_a_row, past.failing_since, past.last_failure_mailed) == (0, None, None)
    assert past.last_failure_digest == "d"


def test_failures_nobody_was_told_of_are_counted_from_the_first(state):
    for number in range(3):
        record(state, f"r{number}", "failed", started=NOW + number)
    past = past_of(state, "backup", "root")
    assert (past.last_failure_mailed, past.failures_since_mail) == (None, 3)


def test_the_past_remembers_the_last_twenty(state):
    for number in range(30):
        record(state, f"r{number}", "ok", started=NOW + number, duration=float(number))
    fold(state)
    past = past_of(state, "backup", "root")
    assert (len(past.results), past.durations[0], past.durations[-1]) == (20, 10.0, 29.0)
    assert len(past_of(state, "backup", "root", limit=5).results) == 5


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "waiting in the journal"])
def test_a_run_found_dead_after_a_later_one_ended_is_not_the_last_one(state, folded):
    record(state, "r2", "ok", started=NOW + 10)
    record(state, "r1", "abandoned", started=NOW, ended=NOW + 20, duration=None, mailed=True)
    if folded:
        fold(state)
    past = past_of(state, "backup", "root")
    assert (past.results, past.failures_in_a_row) == (("abandoned", "ok"), 0)
    fold(state)
    ((tally, _running),) = history.jobs(state)
    assert (tally.run, tally.result, tally.duration) == ("r2", "ok", 3.0)


@pytest.mark.parametrize(("mailed", "unmailed"), [(True, 1), (False, 2)])
def test_a_run_found_dead_before_a_failure_lengthens_the_row(state, mailed, unmailed):
    record(state, "r2", "failed", started=NOW + 10)
    record(state, "r1", "abandoned", started=NOW, ended=NOW + 20, mailed=mailed)
    past = past_of(state, "backup", "root")
    assert (past.failures_in_a_row, past.failing_since) == (2, NOW)
    assert (past.last_failure_mailed, past.failures_since_mail) == (NOW + 20 if mailed else None, unmailed)


def test_of_jobs_whose_names_share_a_digest_each_has_its_own_past(state, monkeypatch):
    for module in (journal, records):
        monkeypatch.setattr(module, "tag", lambda _job: "00000000")
    record(state, "r1", "failed", job="a")
    record(state, "r2", "failed", job="b")
    assert past_of(state, "a", "root").failures_in_a_row == 1
    with contextlib.closing(history.runs(state, job="a")) as found:
        assert ids(found) == []


def test_a_run_that_is_killed_counts_as_a_failure_once_it_is_found(state):
    code = (
        "import os, sys; from cronwrap.history import journal, records; journal.begin(sys.argv[1],"
        " {'run': 'r1', 'job': 'backup', 'command': 'c', 'host': 'h', 'user': 'root', 'started': 1.0});"
        " os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, state], check=False)
    [entry] = records.abandoned(state, "backup")
    entry.finish({"result": "abandoned", "ended": NOW, "mailed": True})
    fold(state)
    run = find(state, "r1")
    assert (run.result, run.duration) == ("abandoned", None)
    assert past_of(state, "backup", "root").failures_in_a_row == 1


# What people ask ---------------------------------------------------------------------------------


def test_runs_come_newest_first_with_the_ones_under_way(state):
    record(state, "r1", started=NOW)
    record(state, "r2", "failed", started=NOW + 10)
    entry = begin(state, "r3", started=NOW + 5)
    record(state, "r4", job="other", started=NOW + 7)
    fold(state)
    assert ids(history.runs(state)) == ["r2", "r4", "r3", "r1"]
    assert ids(history.runs(state, job="backup")) == ["r2", "r3", "r1"]
    assert ids(history.runs(state, failed=True)) == ["r2"]
    assert ids(history.runs(state, since=NOW + 6)) == ["r2", "r4"]
    assert ids(history.runs(state, limit=3)) == ["r2", "r4", "r3"]
    assert ids(history.runs(state, limit=None)) == ["r2", "r4", "r3", "r1"]
    entry.finish({"ended": NOW, "result": "ok"})


def test_a_run_is_found_by_any_part_of_its_id_that_fits_no_other(state):
    record(state, "abc1", started=NOW)
    record(state, "abc2", started=NOW + 1)
    entry = begin(state, "abd", started=NOW - 1)
    fold(state)
    assert find(state, "abc1").run == "abc1"
    assert find(state, "abd").result == "running"
    assert find(state).run == "abc2"
    record(state, "20260302T040506-1a2b3c4d", started=NOW - 5)
    fold(state)
    assert find(state, "1a2b3c4d").run == "20260302T040506-1a2b3c4d"
    with pytest.raises(StateError, match="more than one run"):
        find(state, "abc")
    with pytest.raises(StateError, match="no job x"):
        find(state, "x")
    with pytest.raises(StateError, match="no job %"):
        find(state, "%")
    entry.release()


def test_a_run_that_is_just_ending_is_found_at_every_step(state, monkeypatch):
    record(state, "r1")
    fold(state)
    entry = begin(state, "abc1")
    seen, rename = [], Directory.rename

    def look_first(*words):
        seen.append(find(state, "abc1").result)
        rename(*words)

    monkeypatch.setattr(Directory, "rename", look_first)
    entry.finish({"ended": NOW, "result": "ok"})
    assert seen == ["running"]
    assert find(state, "abc1").result == "ok"  # it waits in the journal: nobody has folded it


def test_without_any_run_there_is_nothing_and_no_database_is_made_by_looking(state):
    assert (list(history.runs(state)), history.jobs(state)) == ([], [])
    with pytest.raises(StateError, match="no run is on record"):
        find(state)
    assert not os.path.exists(state)


def test_jobs_have_their_last_result_and_what_is_under_way(state):
    record(state, "r1", "failed", exit_code=2)
    entry = begin(state, "r2", started=NOW + 10)
    new = begin(state, "r3", job="new", started=NOW + 20)
    fold(state)
    [(backup, running), (other, first)] = history.jobs(state)
    assert (backup.result, backup.exit_code, backup.failures, running.run) == ("failed", 2, 1, "r2")
    assert (other.job, other.result, first.run) == ("new", "", "r3")
    entry.release()
    new.release()


def test_a_run_that_ends_a_row_of_failures_is_told_from_others_where_that_is_asked_for(state):
    for number, result in enumerate(("ok", "failed", "timeout", "skipped", "ok", "ok", "abandoned")):
        record(state, f"r{number}", result, started=NOW + number)
    record(state, "r8", "ok", job="other", started=NOW + 8)
    record(state, "r9", "ok", started=NOW + 9)
    history.fold(state)
    found = shipping.next_batch(state, 100, 1 << 20, recoveries=True)
    assert [arrival.run["run"] for arrival in found if arrival.recovered] == ["r4", "r9"]
    assert [a.run["run"] for a in of_note(found)] == ["r1", "r2", "r4", "r6", "r9"]
    assert not any(arrival.recovered for arrival in shipping.next_batch(state, 100, 1 << 20))


def test_starts_are_given_by_job(state):
    record(state, "r1", started=NOW)
    record(state, "r2", started=NOW + 60)
    entry = begin(state, "r3", started=NOW + 120)
    record(state, "r4", "skipped", job="other", started=NOW + 30)
    assert history.starts(state, NOW + 10) == {"backup": [NOW + 60, NOW + 120], "other": [NOW + 30]}
    entry.release()


# What breaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_broken_database_is_set_aside_said_once_and_a_new_one_begins(state, content):
    record(state, "r1")
    fold(state)
    with open(database(state), "wb") as file:
        file.write(content)
    record(state, "r2")
    with pytest.raises(SetAsideError, match=r"history\.db\.broken-\d{8}T\d{6}, and a new one begins"):
        fold(state)
    assert fold(state) == ()
    assert ids(history.runs(state)) == ["r2"]
    [broken] = [name for name in os.listdir(state) if ".broken-" in name]
    with open(os.path.join(state, broken), "rb") as file:
        assert file.read() == content


def test_pages_overwritten_in_the_middle_are_noticed(state):
    for number in range(300):
        record(state, f"r{number}", "failed", started=NOW + number, output=Output(head=os.urandom(500)))
    fold(state)
    with open(database(state), "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(os.path.getsize(database(state)) - 4096))
    with pytest.raises(SetAsideError):
        list(history.runs(state, limit=None))
    assert list(history.runs(state)) == []


def test_what_others_began_in_the_meantime_is_not_set_aside(state, monkeypatch):
    record(state, "r1")
    fold(state)
    with open(database(state), "wb") as file:
        file.write(b"x" * 5000)
    inodes = iter((1, 2))
    monkeypatch.setattr("cronwrap.history.database._inode", lambda _path: next(inodes))
    with pytest.raises(StateError, match="has just been set aside"):
        list(history.runs(state))
    assert [name for name in os.listdir(state) if ".broken-" in name] == []


def test_a_newer_schema_is_left_alone_and_said(state):
    record(state, "r1")
    fold(state)
    with contextlib.closing(sqlite3.connect(database(state))) as connection:
        connection.execute("PRAGMA user_version = 99")
    record(state, "r2")
    for question in (
        lambda: fold(state),
        lambda: past_of(state, "backup", "root"),
        lambda: list(history.runs(state)),
    ):
        with pytest.raises(StateError, match="newer cronwrap"):
            question()
    assert journal.waiting(state) == 1


def test_an_empty_database_file_is_filled(state):
    os.makedirs(state)
    with open(database(state), "wb"):
        pass
    record(state, "r1")
    fold(state)
    assert ids(history.runs(state)) == ["r1"]


def test_a_locked_database_delays_a_fold_but_not_for_ever(state, monkeypatch):
    monkeypatch.setattr("cronwrap.history.database.BUSY_SECONDS", 0.05)
    record(state, "r1", "failed")
    fold(state)
    record(state, "r2", "failed")
    with contextlib.closing(sqlite3.connect(database(state), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked"):
            fold(state)
        # Who only asks is not kept waiting, and what waits in the journal counts all the same.
        assert past_of(state, "backup", "root").failures_in_a_row == 2
    fold(state)
    assert ids(history.runs(state)) in (["r1", "r2"], ["r2", "r1"])


def test_a_full_disk_loses_nothing(in_namespace, tmp_path):
    code = """
import os, sys
from cronwrap.history import runs as history
from cronwrap.history import journal, records
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.errors import StateError
from cronwrap.model import Output
state = sys.argv[1] + "/state"
def record(run, size):
    entry = journal.begin(
        state, {"run": run, "job": "j", "command": "c", "host": "h", "user": "u", "started": 1.0})
    entry.finish({"ended": 2.0, "result": "failed"}, Output(head=os.urandom(size)))
record("r1", 10)
fold(state)
for number in range(4):
    record(f"big{number}", 100_000)
ballast = os.open(state + "/ballast", os.O_WRONLY | os.O_CREAT)
try:
    while os.write(ballast, bytes(4096)):
        pass
except OSError:
    pass
try:
    fold(state)
except StateError as error:
    print(error)
assert past_of(state, "j", "u").failures_in_a_row == 5
os.ftruncate(ballast, 0)
fold(state)
print(len(list(history.runs(state))), journal.waiting(state))
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    said, _, counted = in_namespace(mount, code, str(disk)).partition("\n")
    assert "disk is full" in said or "disk I/O error" in said
    assert counted == "5 0"


def test_a_read_only_disk_still_answers(state, in_namespace, tmp_path):
    record(state, "r1", "failed")
    fold(state)
    record(state, "r2", "failed", started=NOW + 1)
    code = """
import sys
from cronwrap.history import runs as history
from cronwrap.history.folding import fold
from cronwrap.history.past import past as past_of
from cronwrap.errors import StateError
for question in (fold, lambda state: past_of(state, "backup", "root").failures_in_a_row,
                 lambda state: [run.run for run in history.runs(state)]):
    try:
        print(question(sys.argv[1]))
    except StateError as error:
        print("StateError")
"""
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    assert in_namespace(mount, code, state) == "StateError\n2\n['r1']"


def test_on_a_network_file_system_no_memory_is_shared(state, monkeypatch):
    def mode(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("PRAGMA journal_mode").fetchone()[0]

    record(state, "r1")
    fold(state)
    assert mode(database(state)) == "wal"
    os.unlink(database(state))
    monkeypatch.setattr(
        "cronwrap.history.database.NETWORK_FILE_SYSTEMS", ("",)
    )  # any file system counts as one
    record(state, "r2")
    fold(state)
    assert mode(database(state)) == "delete"
    assert ids(history.runs(state)) == ["r2"]


def test_making_the_database_leaves_nothing_beside_it(state):
    record(state, "r1")
    fold(state)
    assert sorted(os.listdir(state)) == ["history.db", "runs"]
