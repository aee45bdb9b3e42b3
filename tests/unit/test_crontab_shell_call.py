"""cronwrap-shell takes whatever sh takes: what runs a job is wrapped, anything else is sh's."""

import os
import subprocess

import pytest

from cronwrap.crontab.shell_call import SHORT_SCRIPT, job_of


@pytest.fixture(autouse=True)
def standard_input():
    """Lend a standard input that is neither the terminal nor a script, as crond's."""
    kept = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    yield
    os.dup2(kept, 0)
    os.close(kept)


def command(*words):
    found = job_of(words)
    return None if found is None else found.command({})


@pytest.mark.parametrize(
    "words",
    [
        ("-ec", "echo a"),
        ("-lc", "echo a"),
        ("-e", "-c", "echo a"),
        ("-c", "--", "echo a"),
        ("-c", "-e", "echo a"),
        ("-c", "echo a", "name", "one"),
        ("-c", "+e", "echo a"),
        ("-o", "errexit", "-c", "echo a"),
        ("-eo", "nounset", "-c", "echo a"),
        ("+e", "-c", "echo a"),
        ("--login", "-c", "echo a"),
        ("-", "-c", "echo a")[1:],
    ],
)
def test_a_text_is_a_job_under_any_options_and_the_report_shows_the_text(words):
    found = command(*words)
    assert found.text == "echo a"
    assert found.argv == ("/bin/sh", *words)


def test_a_short_script_is_shown_by_its_text_and_a_long_one_by_its_path(tmp_path):
    short, long = tmp_path / "cron-1.sh", tmp_path / "long script.sh"
    short.write_text("#!/bin/sh\n\ncd /srv && ./backup\n")
    long.write_text("echo a\n" * SHORT_SCRIPT)
    assert command(str(short)).text == "cd /srv && ./backup"
    assert command(str(short), "a b").text == "cd /srv && ./backup 'a b'"
    assert command(str(long), "one").text == f"'{long}' one"
    assert command("-e", str(short)).argv == ("/bin/sh", "-e", str(short))
    assert command(str(tmp_path / "gone")).text == str(tmp_path / "gone")  # sh says so, and that is mailed


@pytest.mark.parametrize("words", [(), ("-s",), ("-s", "one"), ("-e",), ("+e",), ("-o", "errexit")])
def test_a_script_on_standard_input_is_a_job_and_stays_unread(words, tmp_path):
    script = tmp_path / "x"
    script.write_text("echo from standard input\n")
    with open(script, "rb") as file:
        os.dup2(file.fileno(), 0)
        assert command(*words).text == "echo from standard input"
        assert os.read(0, 4) == b"echo"


def test_a_script_from_a_pipe_is_a_job_without_a_name_of_its_own():
    assert command("-s", "a b").text == "sh 'a b'"


@pytest.mark.parametrize(
    "words", [("-i",), ("-ic", "echo a"), ("-n", "x"), ("-c",), ("--version",), ("--help",)]
)
def test_what_runs_no_job_is_left_to_sh(words):
    assert command(*words) is None


def test_a_terminal_is_left_to_sh():
    ours, theirs = os.openpty()
    os.dup2(theirs, 0)
    assert command() is None
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    "text",
    [
        "cronwrap -- ls",
        "cd /x && cronwrap -- ls",
        "[ -x /usr/bin/cronwrap ] && /usr/bin/cronwrap -n a -c 'ls'",
        "sh -c 'cronwrap -- ls'",
        "if true; then cronwrap -- ls; fi",
        "nice -n 5 cronwrap --timeout 2h -- ls",
    ],
)
def test_a_text_that_calls_cronwrap_is_not_wrapped_again(text, tmp_path):
    script = tmp_path / "cron.sh"
    script.write_text(text + "\n")
    assert command("-c", text) is None
    assert command(str(script)) is None


@pytest.mark.parametrize(
    "text", ["ls /etc/cronwrap", "echo a # cronwrap -- b", "rm -f /tmp/cronwrap-old -- x"]
)
def test_a_text_that_only_speaks_of_cronwrap_is_wrapped(text):
    assert command("-c", text).text == text


@pytest.mark.parametrize(
    "words",
    [
        ("-ec", "exit 3"),
        ("-c", "--", "exit 3"),
        ("-c", "exit $1", "name", "3"),
        ("-o", "errexit", "-c", "exit 3"),
    ],
)
def test_sh_takes_these_words_as_we_understand_them(words):
    assert subprocess.run(command(*words).argv, check=False).returncode == 3
