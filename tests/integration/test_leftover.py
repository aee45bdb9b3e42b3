"""A process that outlives its job and goes on talking: nobody kills it, and nobody waits for it."""

from __future__ import annotations

import contextlib
import os

import pytest

from support.jobs import lives, number

CHATTY = """\
trap 'echo pipe >{0}/killed; exit' PIPE
while [ ! -e {0}/enough ]; do
    echo said; echo said >&2; echo x >>{0}/rounds; sleep 0.02
done
echo >{0}/ended
"""
"""A daemon that keeps its output open and goes on talking; `ended` is its last word."""


def open_files(pid):
    """Give what a process has open, as far as it may be looked at, by its numbers."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def others_with(pipes, but):
    """Give the processes outside of a session that have one of its pipes open."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(ProcessLookupError):
            if pipes & set(open_files(pid).values()) and os.getsid(pid) != but:
                found.append(pid)
    return found


@pytest.mark.parametrize("elsewhere", ["", "2>/dev/null", ">/dev/null"])
def test_a_daemon_that_keeps_its_output_open_goes_on_and_its_words_are_dropped(
    cli, tmp_path, wait_until, elsewhere
):
    script = tmp_path / "daemon.sh"
    script.write_text(CHATTY.format(tmp_path))
    line = f"setsid sh {script} {elsewhere} & echo $! >{tmp_path}/pid; echo started"
    options = "--drain", "0.2", "--on", "never", "-n", "daemon", "--overlap", "skip"
    assert cli(*options, "--", "sh", "-c", line).status == 0
    pid = number(f"{tmp_path}/pid")
    files = open_files(pid)
    try:
        pipes = {files[1], files[2]} - {os.devnull}
        # For one moment after the run it may still be closing what it does not need.
        wait_until(
            lambda: (
                [{*open_files(one).values()} for one in others_with(pipes, pid)] == [{*pipes, os.devnull}]
            ),
            10,
            "one process that has the pipes open, and nothing else",
        )
        (reader,) = others_with(pipes, pid)
        assert cli(*options, "--", "true").status == 0  # the run's lock has gone with it
        done = (tmp_path / "rounds").stat().st_size
        wait_until(lambda: (tmp_path / "rounds").stat().st_size > done + 20, 10, "further words")
    finally:
        (tmp_path / "enough").touch()
    wait_until((tmp_path / "ended").exists, 10, "the daemon's end by its own will")
    assert not (tmp_path / "killed").exists()
    wait_until(lambda: not lives(reader), 10, "the end of who read on")


def test_whoever_started_cronwrap_does_not_wait_for_the_daemon(cli, tmp_path):
    """Not crond, which reads the pipes of cronwrap to their end."""
    (tmp_path / "daemon.sh").write_text(CHATTY.format(tmp_path))
    line = f"setsid sh {tmp_path}/daemon.sh & echo started"
    try:
        done = cli("--live", "--drain", "0.1", "--on", "never", "--", "sh", "-c", line, timeout=20)
        assert "started\n" in done.stdout
    finally:
        (tmp_path / "enough").touch()


def test_a_run_that_is_tried_again_keeps_none_of_its_readers_for_its_own_job(cli, tmp_path, wait_until):
    (tmp_path / "daemon.sh").write_text(CHATTY.format(tmp_path))
    line = f"setsid sh {tmp_path}/daemon.sh & echo $! >>{tmp_path}/pids; exit 3"
    options = "--drain", "0.1", "--on", "never", "--retries", "2", "--retry-delay", "0.1"
    try:
        assert cli(*options, "--", "sh", "-c", line).status == 3
        pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 3
        assert all(lives(pid) for pid in pids)
    finally:
        (tmp_path / "enough").touch()
    wait_until((tmp_path / "ended").exists, 10, "the daemons' end by their own will")
    assert not (tmp_path / "killed").exists()
