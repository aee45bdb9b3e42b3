"""A state directory, or a configuration, on a file system that does not answer: jobs run, and are told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.hanging import SOON, run
from support.tracing import need_strace


@pytest.fixture
def job(cli, relay):
    cli.write_config(f'mailto = "ops@example.test"\nmailfrom = "cron@example.test"\n{relay.table}')
    os.utime(cli.config, (1_700_000_000, 1_700_000_000))
    assert cli("-n", "j", "--", "true").status == 0
    return cli


@pytest.fixture
def flag(job):
    return f"{job.directory}/hung"


@pytest.mark.parametrize("how", ["allow", "skip"])
def test_a_state_that_hangs_keeps_no_job_from_starting_and_its_report_goes_out(job, flag, relay, how):
    open(flag, "wb").close()
    status, _out, err = run(job, flag, "--overlap", how, "--", "sh", "-c", "echo said; exit 7")
    assert status == 7
    assert f"{job.state}: the file system does not answer" in err
    assert "not on record" in err
    (mail,) = relay.messages
    assert "\nsaid\n" in mail.body
    assert "the file system does not answer" in mail.body


def test_a_quiet_run_beside_a_state_that_hangs_runs_and_says_so(job, flag):
    open(flag, "wb").close()
    status, _out, err = run(job, flag, "--jitter", "0.1", "--", "true")
    assert status == 0
    assert "though it may be paused" in err


def test_a_state_that_hangs_by_the_kernels_doing_keeps_no_job_from_starting(job, wait_until):
    need_strace()
    traces = f"{job.directory}/ran"
    hang = ["-P", job.state, "-e", "trace=openat", "-e", "inject=openat:delay_enter=60000000"]
    words = ["-f", "-qq", "-o", "/dev/null", *hang, sys.executable, "-c"]
    code = "from cronwrap import beside\nbeside.STATE_PATIENCE = 1\n"
    code += "from cronwrap.__main__ import *\nleave(main())"
    process = job.start(*words, code, "--", "touch", traces, program="strace", stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(traces), timeout=SOON)
    process.kill()


def test_a_configuration_that_hangs_keeps_no_job_from_starting(job, flag):
    open(flag, "wb").close()
    status, _out, err = run(job, flag, "--", "sh", "-c", "exit 7", hung=job.config)
    assert status == 7
    assert f"{job.config} is not used: the file system does not answer" in err


def test_a_state_that_hangs_when_a_quiet_run_ends_does_not_hold_it_up_and_has_the_end_later(
    job, flag, wait_until
):
    status, _out, err = run(job, flag, "--", "sh", "-c", f"sleep 0.5; touch {flag}")
    assert status == 0
    assert "not on record as ended" in err
    os.unlink(flag)
    ended(job, wait_until, {"ok"})


def test_a_state_that_hangs_while_a_short_job_runs_leaves_no_run_that_seems_to_have_died(
    job, flag, relay, wait_until
):
    assert run(job, flag, "--", "touch", flag)[0] == 0
    os.unlink(flag)
    wait_until(lambda: not job.processes(), timeout=SOON)
    assert job("-n", "j", "--", "true").stderr == ""
    assert relay.messages == []


def test_a_state_that_hangs_when_a_run_ends_costs_no_report_and_the_run_is_not_called_abandoned(
    job, flag, relay, wait_until
):
    status, _out, err = run(job, flag, "--", "sh", "-c", f"echo said; sleep 1.5; touch {flag}; exit 7")
    assert status == 7
    assert "the file system does not answer" in err
    os.unlink(flag)
    ended(job, wait_until, {"failed", "ok"})
    assert job("-n", "j", "--", "true").stderr == ""
    (mail,) = relay.messages
    assert mail.parsed["X-Cronwrap-Result"] == "exit 7"


def ended(job, wait_until, results):
    """Wait until the runs are on record with just these results."""

    def known():
        lines = job("history", "--json").stdout.splitlines()
        return len(lines) == 2 and {json.loads(line)["result"] for line in lines} == results

    wait_until(known, timeout=SOON)


def test_the_word_left_too_late_of_a_run_is_that_of_the_run_and_gone_with_it(job, relay, wait_until):
    assert job("-n", "j", "--", "true").status == 0  # no new configuration any more: it is kept
    code = "import time\nfrom cronwrap import beside\nbeside.STATE_PATIENCE = 0.2\n"
    code += "from cronwrap import state\nreal = state.Directory.create\n"
    code += "def create(*words):\n    time.sleep(1)\n    handle = real(*words)\n"
    code += "    open(sys.argv[-1], 'wb').close()\n    return handle\n"
    code += "state.Directory.create = create\nfrom cronwrap.__main__ import *\nleave(main())"
    marked = f"{job.directory}/marked"
    line = f"until test -e {marked}; do sleep 0.05; done; sleep 0.5; echo $CRONWRAP_RUN_ID; "
    line += f"ls -A {job.state}/runs"
    words = ["-n", "j", "--format", "cron", "--live", "--", "sh", "-c", line, marked]
    process = job.start("-c", code, *words, program=sys.executable, stdout=subprocess.PIPE)
    own, *names = process.communicate(timeout=60)[0].decode().split()
    assert process.returncode == 0
    assert [name for name in names if name.startswith(".new-") and own not in name] == []
    wait_until(lambda: not job.processes(), timeout=SOON)
    assert [name for name in os.listdir(f"{job.state}/runs") if name.startswith(".new-")] == []
    told = len(relay.messages)
    assert job("-n", "j", "--", "true").stderr == ""
    assert len(relay.messages) == told
