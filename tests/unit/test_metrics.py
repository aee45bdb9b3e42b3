"""What Prometheus is told: the text, what is known of each job, and the file's way into its directory."""

import os
import re
import sqlite3
import stat
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.errors import StateError
from cronwrap.history import database, folding, journal, tally, totals
from cronwrap.metrics import exposition, textfile

LINE = re.compile(
    r'(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (?P<value>-?[0-9.e+-]+)'
)
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')
STEP = next(number for number, step in enumerate(database.SCHEMA) if "TABLE totals" in step)
"""The version of the database before it counted."""
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
START = float(int(time.time()) - 20 * 86400)


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


def put_run(state, number=0, job="nightly", result="ok", ended=None, **more):
    started = START + 100 * number
    entry = journal.begin(
        state,
        {
            "run": f"20260101T000000-{os.urandom(4).hex()}",
            "job": job,
            "command": "secret-command",
            "host": "web1",
            "user": "u",
            "started": started,
        },
    )
    fields = {
        "ended": started + 5 if ended is None else ended,
        "duration": 5.0,
        "result": result,
        "exit_code": 0,
    }
    entry.finish({**fields, **more})
    return entry


def samples(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        labels = {
            key: re.sub(r"\\.", lambda pair: UNESCAPED[pair[0]], value)
            for key, value in LABEL.findall(match["labels"])
        }
        key = (match["name"], *(labels[name] for name in ("job", "result", "state") if name in labels))
        assert key not in found
        found[key] = float(match["value"])
    return found


def written(directory):
    with open(directory / "cronwrap-u.prom", encoding="utf-8", newline="") as file:
        return samples(file.read())


def of_jobs(known):
    return {
        job: {**values, "runs": {k: n for k, n in values["runs"].items() if n}}
        for job, values in known.items()
    }


@given(job=st.text(min_size=1), user=st.text())
@settings(max_examples=60)
def test_whatever_a_job_is_called_its_lines_read_back(job, user):
    job, user = totals.text(job), totals.text(user)
    text = "".join(exposition.of_past((job, user), {**totals.NOTHING, "runs": {"ok": 2}})[1:])
    # Lines are broken by LF alone: other separators are part of a value.
    lines = text.split("\n")[:-1]
    assert all(LINE.fullmatch(line) for line in lines)
    assert all(re.sub(r"\\.", lambda p: UNESCAPED[p[0]], LABEL.findall(line)[0][1]) == job for line in lines)


def test_each_result_is_counted_alike_from_the_journal_and_from_the_database(state):
    results = [*exposition.RESULTS, "ok", "failed", "failed", "skipped"]
    assert {result for result in results if result not in totals.NO_FAILURE} == {*tally.FAILED}
    for number, result in enumerate(results):
        put_run(state, number, result=result, signal=9 if result == "signal" else None)
    from_journal = totals.current(state)["jobs"]
    folding.fold(state)
    assert of_jobs(totals.current(state)["jobs"]) == of_jobs(from_journal)
    nightly = from_journal["nightly", "u"]
    assert nightly["runs"] == {**dict.fromkeys(exposition.RESULTS, 1), "ok": 2, "failed": 3, "skipped": 2}
    assert nightly["failures"] == 2
    assert nightly["started"] == START + 100 * (len(results) - 2)  # the skipped one did not take place
    assert nightly["last"] == START + 100 * (len(results) - 1)


def test_no_run_counts_twice_or_not_at_all_whoever_folds_meanwhile(state, tmp_path):
    for number in range(12):
        put_run(state, number)
        if number % 3 == 1:
            folding.fold(state)
        textfile.update(str(tmp_path), state, "u")
        if number % 3 == 2:
            folding.fold(state)
        assert written(tmp_path)["cronwrap_job_runs_total", "nightly", "ok"] == number + 1


def test_what_is_folded_before_a_run_could_write_is_not_left_out(state, tmp_path):
    put_run(state, 0)
    textfile.update(str(tmp_path), state, "u")
    put_run(state, 1)
    held = totals.lock(state)
    assert held.take()
    folding.fold(state)  # cannot bring the file up to date itself
    held.release()
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path)["cronwrap_job_runs_total", "nightly", "ok"] == 2


def test_a_counter_does_not_fall_when_runs_are_forgotten(state, tmp_path):
    for number in range(5):
        put_run(state, number)
    folding.fold(state)
    later = time.time()
    put_run(state, 0, job="other", ended=later)
    folding.fold(state, keep=60.0, now=later)
    put_run(state, 5, ended=later)
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path)["cronwrap_job_runs_total", "nightly", "ok"] == 6
    with database.reading(state) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE job = 'nightly'").fetchone()[0] == 0


def test_a_run_that_is_found_to_have_ended_earlier_does_not_pass_for_the_last(state, tmp_path):
    put_run(state, 0, result="failed", ended=START + 300, exit_code=3)
    textfile.update(str(tmp_path), state, "u")
    put_run(state, 1, ended=START + 200)
    textfile.update(str(tmp_path), state, "u")
    found = written(tmp_path)
    assert found["cronwrap_job_last_exit_code", "nightly"] == 3
    assert found["cronwrap_job_runs_total", "nightly", "ok"] == 1


def test_an_older_database_counts_the_runs_that_it_has(state):
    for number, result in enumerate(("ok", "ok", "failed")):
        put_run(state, number, result=result)
    folding.fold(state)
    with sqlite3.connect(os.path.join(state, "history.db")) as connection:
        connection.execute("DROP TABLE totals")
        connection.execute("DROP TABLE shipping")
        connection.execute("DROP INDEX runs_by_arrival")
        connection.execute("ALTER TABLE runs DROP COLUMN arrival")
        connection.execute("ALTER TABLE runs DROP COLUMN fence")
        connection.execute("ALTER TABLE runs DROP COLUMN earlier_bytes")
        connection.execute(f"PRAGMA user_version = {STEP}")
    connection.close()
    known = totals.current(state)["jobs"]["nightly", "u"]
    assert known["runs"] == {"ok": 2, "failed": 1}
    assert known["failure"] == START + 205


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_a_file_that_is_not_whole_is_made_anew(state, tmp_path, damage):
    put_run(state, 0)
    textfile.update(str(tmp_path), state, "u")
    path = os.path.join(state, totals.FILE)
    with open(path, "r+b") as file:
        content = damage if damage is not None else file.read()[:-1]
        file.seek(0)
        file.truncate()
        file.write(content)
    put_run(state, 1)
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path)["cronwrap_job_runs_total", "nightly", "ok"] == 2


def test_who_comes_while_another_one_writes_leaves_it_to_them(state, tmp_path):
    put_run(state, 0)
    held = totals.lock(state)
    assert held.take()
    textfile.update(str(tmp_path), state, "u")
    assert os.listdir(tmp_path) == ["state"]
    assert textfile.AGAIN in os.listdir(os.path.join(state, "locks"))
    held.release()
    textfile.update(str(tmp_path), state, "u")
    assert textfile.AGAIN not in os.listdir(os.path.join(state, "locks"))
    assert written(tmp_path)["cronwrap_job_runs_total", "nightly", "ok"] == 1


def test_a_run_under_way_is_seen_and_its_command_is_not(state, tmp_path):
    put_run(state, 0)
    textfile.update(str(tmp_path), state, "u")
    fields = {"run": "20260101T000000-ffffffff", "job": "slow", "command": "secret-command", "host": "h"}
    entry = journal.begin(state, {**fields, "user": "u", "started": START})
    textfile.update(str(tmp_path), state, "u", lean=True)
    assert written(tmp_path)["cronwrap_job_running", "slow"] == 1
    entry.withdraw()
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path).get(("cronwrap_job_running", "slow"), 0) == 0
    assert "secret" not in (tmp_path / "cronwrap-u.prom").read_text(encoding="utf-8")


def test_the_next_time_is_the_one_after_the_last_start(state, tmp_path, monkeypatch):
    now = time.time()
    times = [now - 50, now + 50]
    monkeypatch.setattr(
        "cronwrap.metrics.upcoming.upcoming", lambda *_: {"nightly": ("* * * * *", 0.0, times)}
    )
    put_run(state, 0)
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path)["cronwrap_job_next_run_timestamp_seconds", "nightly"] == pytest.approx(now - 50)
    put_run(state, (now - START) / 100)
    textfile.update(str(tmp_path), state, "u")
    assert written(tmp_path)["cronwrap_job_next_run_timestamp_seconds", "nightly"] == pytest.approx(now + 50)


def test_a_line_of_the_crontab_counts_from_when_it_says_so(monkeypatch):
    from cronwrap.metrics import upcoming  # noqa: PLC0415

    lines = ["0 3 * * * cronwrap -n nightly -- x\n"]
    monkeypatch.setattr(upcoming.Own, "read", lambda _: lines[0].encode())
    monkeypatch.setattr(upcoming, "SYSTEM", "/nonexistent")
    monkeypatch.setattr(upcoming, "SYSTEM_DIRECTORY", "/nonexistent/*")
    day = 86400.0
    first = upcoming.upcoming("u", {}, {}, START)
    assert START < first["nightly"][2][0] <= START + day
    later = upcoming.upcoming("u", {}, first, START + 3 * day)
    assert later["nightly"][:2] == first["nightly"][:2]
    assert later["nightly"][2][0] == first["nightly"][2][0]  # missed, and still so
    lines[0] = lines[0].replace("0 3", "0 4")
    changed = upcoming.upcoming("u", {}, later, START + 3 * day)
    assert changed["nightly"][2][0] > START + 3 * day


# The directory -----------------------------------------------------------------------------------


def test_the_file_is_open_to_all_for_reading_whatever_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        textfile.put(str(tmp_path), "x.prom", b"1\n")
        textfile.put(str(tmp_path), "x.prom", b"2\n")
    finally:
        os.umask(old)
    assert os.listdir(tmp_path) == ["x.prom"]
    assert (tmp_path / "x.prom").read_bytes() == b"2\n"
    assert stat.S_IMODE((tmp_path / "x.prom").stat().st_mode) == 0o644


def test_what_a_dead_writer_left_is_no_hindrance_and_no_link_is_followed(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / ".x.prom.new").symlink_to(other)
    (tmp_path / "x.prom").symlink_to(other)
    textfile.put(str(tmp_path), "x.prom", b"1\n")
    assert other.read_bytes() == b"mine"
    assert not (tmp_path / "x.prom").is_symlink()
    assert {*os.listdir(tmp_path)} == {"other", "x.prom"}


def _missing(path):
    del path


def _link(path):
    (path.parent / "there").mkdir()
    path.symlink_to(path.parent / "there")


def _for_anybody(path):
    path.mkdir()
    path.chmod(0o777)


KINDS = [_missing, _link, _for_anybody, os.mkfifo, lambda path: path.write_bytes(b"")]


@pytest.mark.parametrize("make", KINDS, ids=["missing", "link", "for anybody", "pipe", "file"])
def test_a_directory_that_is_none_is_told_of_once_and_costs_nothing(state, tmp_path, monkeypatch, make):
    said = []
    monkeypatch.setattr("cronwrap.log.log", said.append)
    place = tmp_path / "prom"
    make(place)
    put_run(state, 0)
    for _ in range(3):
        textfile.update(str(place), state, "u")
    assert len(said) == 1
    assert str(place) in said[0]
    assert str(place) in textfile.fault(state)
    if os.path.lexists(place):
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
    place.mkdir()
    textfile.update(str(place), state, "u")
    assert textfile.fault(state) == ""
    assert written(place)["cronwrap_job_runs_total", "nightly", "ok"] == 1


def test_a_group_may_share_the_directory_and_all_may_with_the_sticky_bit(tmp_path):
    for mode in (0o2775, 0o1777):
        tmp_path.chmod(mode)
        textfile.put(str(tmp_path), "x.prom", b"1\n")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    textfile.put(str(tmp_path), "x.prom", b"old\n")
    monkeypatch.setattr(os, "write", lambda _fd, content: len(content) // 2)
    with pytest.raises(OSError, match="short write"):
        textfile.put(str(tmp_path), "x.prom", b"new\n")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.prom"]
    assert (tmp_path / "x.prom").read_bytes() == b"old\n"


def test_without_a_history_there_is_still_something_to_tell(state):
    assert ("cronwrap_build_info",) in samples(textfile.without_history(state, "u"))
    os.makedirs(state, 0o700)
    with open(os.path.join(state, "history.db"), "wb") as file:
        file.write(b"x" * 4096)
    with pytest.raises(StateError):
        textfile.whole(state, "u")
