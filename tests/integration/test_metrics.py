"""Metrics of real runs."""

import os

import pytest

from support.cli import ATTACKER
from support.hanging import run


@pytest.fixture
def place(tmp_path, cli):
    directory = tmp_path / "prom"
    directory.mkdir()
    cli.write_config(f'[metrics]\ntextfile = "{directory}"\n')
    return directory


def lines(place):
    (path,) = place.iterdir()
    return path.read_text(encoding="utf-8").splitlines()


def value(place, beginning):
    (line,) = [line for line in lines(place) if line.startswith(beginning)]
    return float(line.rpartition(" ")[2])


def test_after_runs_that_end_at_once_the_file_is_that_of_the_last(place, cli):
    started = [cli.start("-n", f"j{number % 3}", "--", "true") for number in range(24)]
    assert [process.wait(60) for process in started] == [0] * 24
    total = sum(float(line.rpartition(" ")[2]) for line in lines(place) if 'result="ok"' in line)
    assert total == 24
    printed = cli("metrics")
    assert printed.stdout.splitlines() == lines(place)
    assert [name for name in os.listdir(place) if not name.endswith(".prom")] == []


def test_a_job_that_takes_its_time_is_seen_to_run(place, cli, wait_until):
    assert cli("-n", "first", "--", "true").status == 0
    process = cli.start("-n", "slow", "--", "sleep", "60")
    wait_until(lambda: any(line.startswith('cronwrap_job_running{job="slow"') for line in lines(place)))
    assert value(place, 'cronwrap_job_running{job="slow"') == 1
    process.terminate()
    process.wait(20)
    assert value(place, 'cronwrap_job_running{job="slow"') == 0


def test_a_directory_that_cannot_be_used_costs_neither_status_nor_a_word(tmp_path, cli):
    cli.write_config(f'[metrics]\ntextfile = "{tmp_path}/none"\n')
    done = cli("-n", "a", "--", "sh", "-c", "exit 3", MAILTO="")
    assert (done.status, done.out, done.err) == (3, b"", b"")
    checked = cli("doctor", MAILTO="")
    assert "none: No such file or directory" in checked.stdout


def test_a_history_that_cannot_be_read_leaves_what_can_be_told(cli):
    assert cli("--", "true").status == 0
    with open(os.path.join(cli.state, "history.db"), "r+b") as file:
        file.write(b"no database at all")
    done = cli("metrics")
    assert done.status == 1
    assert "cronwrap_build_info" in done.stdout
    assert "history" in done.stderr


def test_another_users_sticky_directory_is_not_written(needs, place, cli):
    needs("root")
    os.chown(place, ATTACKER, ATTACKER)
    place.chmod(0o1777)
    assert cli("-n", "a", "--", "true").status == 0
    assert os.listdir(place) == []
    assert "belongs to another user" in cli("doctor").stdout


def test_a_directory_that_hangs_holds_up_no_run_for_long_and_the_next_ones_hardly(place, cli, tmp_path):
    flag = str(tmp_path / "hung")
    assert cli("-n", "j", "--", "true").status == 0
    before = lines(place)
    open(flag, "wb").close()
    for _ in range(2):
        assert run(cli, flag, "--", "true", hung=str(place)) == (0, "", "")
    assert lines(place) == before
    assert "does not answer" in cli("doctor").stdout
    os.unlink(flag)
    assert cli("-n", "j", "--", "true").status == 0
    assert lines(place) != before
