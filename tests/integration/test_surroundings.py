"""What surrounds cronwrap misleads or breaks it, and the job comes first all the same."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from support.jobs import catches

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def job(cli, relay):
    """The installed cronwrap with a relay configured."""
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    return cli


@pytest.mark.parametrize("script", ["cronwrap", "cronwrap-shell"])
def test_modules_of_a_jobs_own_in_pythonpath_are_not_taken_for_the_librarys(job, relay, tmp_path, script):
    for name in ("email", "queue", "sqlite3", "ssl"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')")
    words = ("-c", "echo $PYTHONPATH; exit 3")
    process = job.start(
        str(SCRIPTS / script), *words, program=sys.executable, env={"PYTHONPATH": str(tmp_path)}
    )
    assert process.wait() == 3
    assert str(tmp_path) in relay.messages[0].body


@pytest.mark.parametrize("variable", ["PYTHONWARNINGS=error", "PYTHONINSPECT=1", "PYTHONIOENCODING=utf-16"])
def test_pythons_own_variables_do_no_harm_and_reach_the_job(job, relay, variable):
    name, _, value = variable.partition("=")
    result = job("--", "sh", "-c", f"echo it is ${name}; exit 3", **{name: value})
    assert (result.status, result.stderr) == (3, "")
    assert f"it is {value}" in relay.messages[0].body


def test_a_python_that_looks_for_us_elsewhere_runs_the_job_loudly_if_unwatched(job, relay):
    result = job("--", "sh", "-c", "echo $PYTHONEXECUTABLE; exit 3", PYTHONEXECUTABLE="/bin/false")
    assert result.status == 3
    if not relay.messages:  # where Python finds us all the same it is a run like any other
        assert "nobody watches it" in result.stderr
        assert result.stdout == "/bin/false\n"


def test_a_bug_after_the_job_leaves_its_status_and_no_traceback(job, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import cronwrap.pipeline.reporting as it; it.report = None")
    result = job("--", "sh", "-c", "exit 3", PYTHONPATH=str(tmp_path))
    assert result.status == 3
    assert result.stderr.startswith("cronwrap: internal error: TypeError")
    assert result.stderr.count("\n") == 1


def test_a_cronwrap_that_cannot_load_itself_says_so_in_a_line_and_runs_the_job(job, tmp_path):
    broken = "import sys; sys.modules['cronwrap.run'] = sys.modules['cronwrap.pipeline.mistakes'] = None"
    (tmp_path / "sitecustomize.py").write_text(broken)
    result = job("--", "sh", "-c", "exit 3", PYTHONPATH=str(tmp_path))
    assert result.status == 3
    assert result.stderr.startswith("cronwrap: the job runs, but nobody watches it")
    assert result.stderr.count("\n") == 1


def test_the_shell_of_a_crontab_is_not_shown_as_the_jobs(job, relay):
    job("-c", "echo $SHELL", SHELL="/usr/local/bin/cronwrap-shell")
    assert relay.messages[0].parsed.get_all("X-Cron-Env")[0] == "<SHELL=/bin/sh>"
    assert "/bin/sh" in relay.messages[0].body


def test_a_job_that_cannot_be_started_is_told_to_who_watches(job):
    assert job("--live", "--", "no-such-program").stderr == "cronwrap: no-such-program: command not found\n"
    assert job("--", "no-such-program").stderr == ""


def test_a_run_that_is_told_to_end_before_its_time_is_on_record(job, wait_until):
    process = job.start("-n", "late", "--jitter", "10d", "--", "true")
    wait_until(lambda: catches(process.pid, signal.SIGTERM))
    process.terminate()
    assert process.wait() == 143
    assert json.loads(job("history", "--json").stdout)["result"] == "skipped"
