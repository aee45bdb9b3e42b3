"""What a person is told about a mistake on the command line: its right form, and whom it is mailed to."""

from __future__ import annotations

import shlex

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.commands import SUBCOMMANDS, mistaken
from cronwrap.commands.cli import EPILOG, main, surface
from cronwrap.crontab.right_form import of_a_job, of_job
from cronwrap.errors import UsageError
from cronwrap.settings.command_line import parse

PROGRAMS = ("ls", "rsync", "sh", "stat", "top", "crontab")


def is_program(word):
    return word in PROGRAMS or word.startswith("/bin/")


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("backup --all", "cronwrap -- backup --all"),
        ("backup 'a b' ''", "cronwrap -- backup 'a b' ''"),
        ("-n x backup --all", "cronwrap -n x -- backup --all"),
        ("backup --timeout 5m", "cronwrap -- backup --timeout 5m"),
        ("nightly --live -- /bin/x", "cronwrap --name nightly --live -- /bin/x"),
        ("rsync -a -- b", "cronwrap -- rsync -a -- b"),
        ("'ls -l | wc'", "cronwrap -c 'ls -l | wc'"),
        ("help", "cronwrap --help"),
        ("help history", "cronwrap history --help"),
        ("version", "cronwrap --version"),
        ("\u2013timeout 5m \u2013 true", "cronwrap --timeout 5m -- true"),
        ("\u2014name=x -- true", "cronwrap --name=x -- true"),
        ("\u2013n x -- true", "cronwrap -n x -- true"),
        ("-c ls -l", "cronwrap -c 'ls -l'"),
        ("-c -- 'ls -l'", "cronwrap -c 'ls -l'"),
        ("-c ls -- -l", "cronwrap -c 'ls -l'"),
        ("-c ls --timout 5m", "cronwrap --timeout 5m -c 'ls'"),
        ("-c", "cronwrap -c TEXT"),
        ("'-cls -l | wc'", "cronwrap -c 'ls -l | wc'"),
        ("--live -c=ls", "cronwrap --live -c 'ls'"),
        ("-chdir=/tmp -- ls", "cronwrap --chdir=/tmp -- ls"),
        ("FOO=1 ls", "cronwrap -- env FOO=1 ls"),
        ("cd /tmp", "cronwrap -c 'cd /tmp'"),
        ("--", "cronwrap -- COMMAND [ARG]..."),
        ("--timout 3 -- true x", "cronwrap --timeout 3 -- true x"),
        ("-timeout 3 -- true", "cronwrap --timeout 3 -- true"),
        ("--max_output 1M -- true", "cronwrap --max-output 1M -- true"),
        ("--no-such 5 -- true", "cronwrap [OPTIONS] -- true"),
        ("--timeout soon -- true", "cronwrap --timeout D -- true"),
        ("--timeout 5min -- true", "cronwrap --timeout 5m -- true"),
        ("--timeout 2 hours -- true", "cronwrap --timeout 2h -- true"),
        ("--max-output=1MB -- true", "cronwrap --max-output=1M -- true"),
        ("--on faliure -- true", "cronwrap --on failure -- true"),
        ("--mailto 'a@b.test; c@d.test' -- x", "cronwrap --mailto a@b.test,c@d.test -- x"),
        ("--mailto -- true", "cronwrap --mailto ADDRS -- true"),
        ("--live=no -- true", "cronwrap --quiet -- true"),
        ("statsu --json", "cronwrap status --json"),
        ("--json status", "cronwrap status --json"),
        ("-n 5 history", "cronwrap history -n 5"),
        ("--timeout 2h status", "cronwrap status"),
        ("--config x history --fialed", "cronwrap --config x history --failed"),
        ("history --timeout 5m", "cronwrap history"),
        ("config show --config x", "cronwrap --config x config show"),
        ("history --config='a b' --failed", "cronwrap '--config=a b' history --failed"),
        ("status --host web1", "cronwrap status --help"),
        ("outbox retry --all ID", "cronwrap outbox retry --help"),
        ("doctor --config", "cronwrap --config FILE doctor"),
        ("history -n many", "cronwrap history -n N"),
        ("history backup", "cronwrap history --job backup"),
        ("outbox drop", "cronwrap outbox drop ID"),
        ("crontab lnit --no-hots x", "cronwrap crontab lint --no-host x"),
        ("crontab -l", "cronwrap -- crontab -l"),
    ],
)
def test_the_right_form_is_what_was_typed_whole_and_quoted(monkeypatch, typed, form):
    monkeypatch.setattr(mistaken, "_is_program", is_program)
    words = shlex.split(typed)
    try:
        parse(words)
        why = f"no such subcommand: {words[0]!r}" if words[0] not in SUBCOMMANDS else "wrong"
    except UsageError as error:
        why = str(error)
    assert mistaken.explained(words, why)[1] == form


@pytest.mark.parametrize(
    ("typed", "mailed"),
    [
        ("--no-such -- x", True),
        ("-c", True),
        ("'-cls -l | wc'", True),
        ("--timeuot 5m", True),
        ("/usr/bin/backup --all", True),
        ("ls -l", True),
        ("sh -c x", True),
        ("A=1 ls", True),
        ("'ls -l | wc'", True),
        ("nothing -- x", True),
        ("nothing --timeout 5m", True),
        ("nothing", False),
        ("--no-such", False),
        ("--versoin", False),
        ("help", False),
        ("statsu", False),
        ("stat", False),
        ("histroy -n 5", False),
        ("status --jsno", False),
        ("--jsno status", False),
        ("--timeout 2h status", False),
        ("crontab wrap --in-place", False),
    ],
)
def test_a_mistake_of_a_crontabs_line_alone_is_worth_a_mail(typed, mailed):
    assert of_a_job(shlex.split(typed), [*SUBCOMMANDS], is_program) is mailed


def test_a_number_that_is_none_is_told_in_plain_words():
    with pytest.raises(UsageError, match="'x' is not a whole number"):
        main(["history", "-n", "x"])


@settings(max_examples=60)
@given(
    st.lists(
        st.text(max_size=8)
        | st.sampled_from(
            ["--", "-c", "--on", "-n", "history", "crontab", "--jsno", "lint", "\u2013", "backup"]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_command_line_has_a_right_form(words):
    text, form = mistaken.explained(words, "wrong")
    assert text
    assert form.startswith("cronwrap ")
    of_a_job(words, [*SUBCOMMANDS], is_program)


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (("cd", "/tmp"), "cronwrap -c 'cd /tmp'"),
        (("FOO=1", "ls"), "cronwrap -- env FOO=1 ls"),
        (("A=1", "cd", "/tmp"), "cronwrap -c 'A=1 cd /tmp'"),
        (("ls -l",), "cronwrap -c 'ls -l'"),
        (("nosuch", "x"), ""),
    ],
)
def test_a_command_that_only_a_shell_understands_is_told_how_it_runs(words, form):
    assert of_job(words) == form


def test_the_help_fits_a_terminal_and_tells_of_values_examples_and_the_manual(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = surface.get_help(click.Context(surface, info_name="cronwrap"))
    assert max(map(len, text.splitlines())) <= 80
    for part in ("1h30m", "64K", "man cronwrap"):
        assert part in text
    examples = [line.strip() for line in EPILOG.splitlines() if line.startswith("  cronwrap ")]
    assert len(examples) == 3
    assert all(parse(shlex.split(line)[1:]) for line in examples)
