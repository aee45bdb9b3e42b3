"""The journal: one file a run, and what becomes of it when its writer, its disk or its bytes fail."""

import contextlib
import fcntl
import os
import resource
import stat
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronwrap.errors import StateError
from cronwrap.history import journal, kept_output, records
from cronwrap.history.journal import tag
from cronwrap.model import STDERR, STDOUT, Mark, Output

START = {"command": "backup /home", "host": "db1.example.com", "user": "root", "started": 1000.0}
END = {"ended": 1003.0, "duration": 3.0, "result": "ok"}


def fields(run="r1", job="backup"):
    return {**START, "run": run, "job": job}


def file_names(state):
    return sorted(name for name in os.listdir(os.path.join(state, "runs")))


def other_process(code, *arguments, **options):
    """Run Python in a process of its own, since a lock says nothing to the process that holds it."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, **options
    ).stdout.strip()


PREPARE = """
import os, resource, signal, sys
sys.dont_write_bytecode = True  # a limit on files would cut the byte code of the checkout short as well
from cronwrap.history import journal, records
from cronwrap.errors import StateError
from cronwrap.model import Output
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
start = {"run": "r1", "job": "backup", "command": "c", "host": "h", "user": "u", "started": 1000.0}
"""
BEGIN = PREPARE + "entry = journal.begin(sys.argv[1], start)\n"
HOLD = (
    BEGIN
    + """
print("begun", flush=True)
sys.stdin.read()
"""
)


@contextlib.contextmanager
def holder(state):
    """Give a process that has begun a run and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"begun\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state" / "cronwrap")


def test_a_run_that_ended_has_both_its_start_and_its_end(state):
    journal.begin(state, fields()).finish(END)
    [(path, record)] = records.ended(state)
    assert record.items() >= {**fields(), **END, "pid": os.getpid()}.items()
    assert record["boot_id"] == journal.boot_id()
    assert path.endswith(".end")
    assert journal.waiting(state) == 1


def test_directories_are_closed_to_others_and_files_too(state):
    old = os.umask(0)
    try:
        journal.begin(state, fields()).finish(END)
    finally:
        os.umask(old)
    runs = os.path.join(state, "runs")
    [name] = os.listdir(runs)
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (state, runs, os.path.join(runs, name))]
    assert modes == [0o700, 0o700, 0o600]


def test_the_job_does_not_inherit_the_lock(state):
    entry = journal.begin(state, fields())
    assert not os.get_inheritable(entry._fd)
    entry.release()


@pytest.mark.parametrize("run", ["", "../../etc/passwd", ".hidden", "a/b", "a b", "r1.end"])
def test_a_run_id_that_is_no_file_name_is_refused(state, run):
    with pytest.raises(StateError, match="run id"):
        journal.begin(state, fields(run=run))


def test_a_run_under_way_is_running_and_cannot_be_claimed(state):
    with holder(state):
        assert [run["run"] for run in records.running(state)] == ["r1"]
        assert records.abandoned(state) == []
        assert list(records.ended(state)) == []


def test_a_lock_that_is_held_says_more_than_any_process_id(state, monkeypatch):
    with holder(state):
        monkeypatch.setattr(records, "process_started", lambda _pid: 1)
        assert len(list(records.running(state))) == 1
        assert records.abandoned(state) == []


def test_who_comes_second_to_a_dead_run_does_not_claim_what_is_left_of_it(state, monkeypatch):
    with holder(state) as process:
        process.kill()
        process.wait()
    real = records._content

    def overtaken(fd):
        """Let another claimer do all its work between our reading the file and our locking it."""
        monkeypatch.setattr(records, "_content", real)
        content = real(fd)
        for entry in records.abandoned(state):
            entry.finish({"result": "abandoned", "ended": 2000.0})
        return content

    monkeypatch.setattr(records, "_content", overtaken)
    assert records.abandoned(state) == []
    assert journal.waiting(state) == 1


def test_a_run_of_this_very_process_is_running(state):
    entry = journal.begin(state, fields())
    assert [run["run"] for run in records.running(state)] == ["r1"]
    assert records.abandoned(state, own=entry) == []
    entry.finish(END)
    assert list(records.running(state)) == []


def test_a_killed_run_is_abandoned_and_reported_once(state):
    with holder(state) as process:
        process.kill()
        process.wait()
    [entry] = records.abandoned(state, "backup")
    assert entry.fields["run"] == "r1"
    assert records.why_abandoned(entry.fields) == "cronwrap was killed while it ran"
    entry.finish({"result": "abandoned", "ended": 2000.0})
    assert records.abandoned(state) == []
    [(_, record)] = records.ended(state)
    assert record["result"] == "abandoned"


def test_a_claimer_that_dies_leaves_the_claim_to_the_next(state):
    with holder(state) as process:
        process.kill()
        process.wait()
    claim = "import sys; from cronwrap.history import records; print(len(records.abandoned(sys.argv[1])))"
    assert other_process(claim, state) == "1"
    assert other_process(claim, state) == "1"


def test_of_many_claimers_one_gets_the_run(state):
    with holder(state) as process:
        process.kill()
        process.wait()
    code = """
import sys
from cronwrap.history import journal, records
print("ready", flush=True)
sys.stdin.readline()
for entry in records.abandoned(sys.argv[1]):
    entry.finish({"result": "abandoned", "ended": 1.0})
    print("claimed", flush=True)
"""
    with contextlib.ExitStack() as stack:
        claimers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, state],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(8)
        ]
        for claimer in claimers:
            assert claimer.stdout.readline() == "ready\n"
        for claimer in claimers:
            claimer.stdin.write("\n")
            claimer.stdin.flush()
        assert "".join(claimer.communicate()[0] for claimer in claimers) == "claimed\n"


def test_a_run_of_an_earlier_boot_is_abandoned_whatever_process_has_its_pid(state, monkeypatch):
    monkeypatch.setattr(journal, "boot_id", lambda: "an-earlier-boot")
    journal.begin(state, fields()).release()
    monkeypatch.undo()
    [entry] = records.abandoned(state)
    assert records.why_abandoned(entry.fields) == "the machine went down while it ran"
    entry.release()


def test_without_locks_the_process_itself_tells(state, monkeypatch):
    monkeypatch.setattr(records, "_try_lock", lambda _fd, _lock: None)
    entry = journal.begin(state, fields())
    assert records.abandoned(state) == []
    monkeypatch.setattr(records, "process_started", lambda _pid: 1)  # the pid was given to another process
    assert [claim.fields["run"] for claim in records.abandoned(state)] == ["r1"]
    entry.release()


def test_without_locks_another_machines_run_is_left_to_it(state, monkeypatch):
    monkeypatch.setattr(records, "_try_lock", lambda _fd, _lock: None)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "uname", lambda: os.uname_result(("Linux", "elsewhere", "", "", "")))
        elsewhere.setattr(journal, "process_started", lambda _pid: 1)
        journal.begin(state, fields()).release()
    assert records.abandoned(state) == []


def test_a_run_killed_between_its_last_write_and_the_rename_has_ended(state):
    other_process(BEGIN + 'entry._append({"result": "ok", "ended": 2.0})', state)
    assert records.abandoned(state) == []
    [(_, record)] = records.ended(state)
    assert record["result"] == "ok"


def test_jobs_are_told_apart(state):
    for number, job in enumerate(("a", "b", "a")):
        journal.begin(state, fields(f"r{number}", job)).finish(END)
    assert [record["run"] for _, record in records.ended(state, "a")] == ["r0", "r2"]


def test_a_name_of_any_octets_is_kept(state):
    job = "n\udcff/ä\n\0"
    journal.begin(state, {**fields(job=job), "command": "echo \udcfe"}).finish(END)
    [(_, record)] = records.ended(state, job)
    assert (record["job"], record["command"]) == (job, "echo \udcfe")


def test_the_output_is_kept_with_its_streams(state):
    output = Output(
        head=b"one\nERR\ntwo\n",
        stdout_bytes=8,
        stderr_bytes=4,
        marks=(
            Mark(offset=0, stream=STDOUT, elapsed=0.0),
            Mark(offset=2, stream=STDOUT, elapsed=0.0),
            Mark(offset=4, stream=STDERR, elapsed=0.1),
            Mark(offset=8, stream=STDOUT, elapsed=0.2),
        ),
    )
    journal.begin(state, fields()).finish(END, output)
    [(_, record)] = records.ended(state)
    assert kept_output.unpack(record["output"]) == kept_output.Kept(
        head=output.head, stretches=((0, STDOUT), (4, STDERR), (8, STDOUT))
    )


@given(
    head=st.integers(0, 200_000),
    tail=st.integers(0, 200_000),
    left_out=st.integers(0, 3),
    where=st.lists(st.integers(0, 400_000), max_size=20, unique=True),
)
def test_of_a_long_output_both_ends_stay_and_nothing_is_unaccounted_for(head, tail, left_out, where):
    tail = tail if left_out else 0
    marks = tuple(
        Mark(offset=offset, stream=number % 2 + 1, elapsed=0.0)
        for number, offset in enumerate(sorted({0, *(spot for spot in where if spot < head + tail)}))
    )
    output = Output(
        head=bytes(range(256)) * (head // 256) + bytes(head % 256),
        tail=bytes(range(256)) * (tail // 256) + bytes(tail % 256),
        left_out_bytes=left_out,
        stdout_bytes=head + tail + left_out,
        marks=marks,
    )
    remembered = kept_output.unpack(kept_output.pack(output))
    assert output.kept.startswith(remembered.head)
    assert output.kept.endswith(remembered.tail)
    assert len(remembered.head + remembered.tail) + remembered.left_out_bytes == output.total_bytes
    assert len(remembered.head + remembered.tail) <= 2 * kept_output.KEEP_BYTES
    offsets = [offset for offset, _ in remembered.stretches]
    assert offsets == sorted(set(offsets))
    assert all(offset <= len(remembered.head + remembered.tail) for offset in offsets)


def test_a_full_disk_still_takes_the_end_without_the_output(state):
    code = (
        BEGIN
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
entry.finish({"result": "ok", "ended": 2.0}, Output(head=os.urandom(9999), stdout_bytes=9999))
"""
    )
    other_process(code, state)
    [(_, record)] = records.ended(state)
    assert record["result"] == "ok"
    assert "output" not in record


def test_an_end_that_cannot_be_written_is_said_and_does_not_pass_for_abandoned(state):
    code = (
        BEGIN
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    entry.finish({"result": "ok", "ended": 2.0})
except StateError as error:
    print(error)
"""
    )
    assert "File too large" in other_process(code, state)
    assert records.abandoned(state) == []
    assert list(records.ended(state)) == []


def test_a_start_that_cannot_be_written_leaves_nothing_behind(state):
    code = (
        PREPARE
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    journal.begin(sys.argv[1], start)
except StateError as error:
    print(error)
"""
    )
    assert "File too large" in other_process(code, state)
    assert file_names(state) == []


def test_a_state_directory_that_is_none_is_a_state_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be recorded"):
        journal.begin(str(tmp_path / "file"), fields())


def test_a_synced_run_ends_like_any_other(state):
    entry = journal.begin(state, fields())
    entry.sync()
    entry.finish(END)
    assert journal.waiting(state) == 1


def test_what_was_never_put_in_place_is_swept_a_day_later(state):
    journal.begin(state, fields()).finish(END)
    leftover = os.path.join(state, "runs", ".new-r9.00000000")
    with open(leftover, "w", encoding="ascii"):
        pass
    records.sweep(state)
    assert os.path.exists(leftover)
    records.sweep(state, time.time() + 2 * 86400)
    assert file_names(state) == [name for name in file_names(state) if name.endswith(".end")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_torn_or_foreign_file_is_never_taken_for_a_record(tmp_path, data):
    state = str(tmp_path / "state")
    journal.begin(state, fields("good")).finish(END)
    path = os.path.join(state, "runs", f"bad.{journal.tag('backup')}.end")
    with open(os.path.join(state, "runs", f"good.{journal.tag('backup')}.end"), "rb") as file:
        whole = file.read()
    kind = data.draw(st.sampled_from(["cut", "flipped", "garbage", "zeros"]))
    if kind == "cut":
        content = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "flipped":
        spot = data.draw(st.integers(0, len(whole) - 1))
        content = whole[:spot] + bytes([whole[spot] ^ data.draw(st.integers(1, 255))]) + whole[spot + 1 :]
    else:
        content = data.draw(st.binary(max_size=300)) if kind == "garbage" else bytes(len(whole))
    with open(path, "wb") as file:
        file.write(content)
    found = {os.path.basename(path).split(".")[0]: record for path, record in records.ended(state)}
    assert found["good"]["result"] == "ok"
    # One bit of the header's case (0x61 and 0x41) says the same number: then the record is the true one.
    assert not found["bad"] or found["bad"] == found["good"]


def test_a_file_too_large_to_be_ours_is_not_read_into_memory(state):
    journal.begin(state, fields()).finish(END)
    path = os.path.join(state, "runs", "huge.00000000.end")
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [bool(record) for _, record in records.ended(state)] == [False, True]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_what_is_no_run_among_the_starts_is_found_and_set_aside(state):
    journal.begin(state, fields()).finish(END)
    with open(os.path.join(state, "runs", "stray"), "wb") as file:
        file.write(b"")
    assert records.abandoned(state) == []
    assert records.unreadable(state) == ["stray"]
    assert os.path.exists(records.set_aside(state, "stray"))
    assert records.unreadable(state) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"cronwrap-run 1 ", b"\xff" * 5000])
def test_a_start_that_cannot_be_read_is_claimed_once_as_a_run_that_died(state, content):
    journal.begin(state, fields()).finish(END)
    name = f"20260102T030405-0badcafe.{tag('nightly')}"
    path = os.path.join(state, "runs", name)
    with open(path, "wb") as file:
        file.write(content)
    assert records.unreadable(state) == []
    assert records.abandoned(state, "another") == []
    with open(path, "rb") as held:  # as one that is under way
        fcntl.flock(held, fcntl.LOCK_EX)
        assert records.abandoned(state, "nightly") == []
    (entry,) = records.abandoned(state, "nightly")
    assert (entry.fields["run"], entry.fields["job"]) == ("20260102T030405-0badcafe", "nightly")
    assert entry.fields["started"] == time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    assert os.path.exists(os.path.join(state, "runs", "broken", name)) == bool(content)
    assert "record" in records.why_abandoned(entry.fields)
    assert records.abandoned(state, "nightly") == []
    entry.release()  # whoever claimed it died
    (entry,) = records.abandoned(state, known=lambda: ["x", "nightly"])
    entry.finish({**END, "result": "abandoned"})
    assert [end["result"] for _name, end in records.ended(state, "nightly")][-1] == "abandoned"
    assert records.abandoned(state) == []


def test_looking_at_the_journal_of_nobody_finds_nothing(state):
    assert (journal.waiting(state), list(records.ended(state)), list(records.running(state))) == (0, [], [])
    assert records.abandoned(state) == []
    assert journal.fold_due(state)


def test_what_killed_writers_left_is_swept_when_it_is_old(tmp_path):
    state_dir = str(tmp_path / "state")
    os.makedirs(f"{state_dir}/runs", mode=0o700)
    os.chmod(state_dir, 0o700)
    names = ["history.db.new-77-1", "history.db.new-77-1-wal", "settings.cache.77", "runs/.new-r1.00"]
    for name in [*names, "history.db", "settings.cache"]:
        with open(f"{state_dir}/{name}", "wb"):
            pass
    records.sweep(state_dir, time.time())
    assert all(os.path.exists(f"{state_dir}/{name}") for name in names)
    records.sweep(state_dir, time.time() + records.LEFTOVER_AGE + 60)
    assert not any(os.path.exists(f"{state_dir}/{name}") for name in names)
    assert os.path.exists(f"{state_dir}/history.db")
    assert os.path.exists(f"{state_dir}/settings.cache")
