"""The help texts of the subcommands, which are to read as by one hand."""

from __future__ import annotations

import click
import pytest

from cronwrap.commands import SUBCOMMANDS
from cronwrap.commands.cli import CONTEXT, surface


def commands(group=surface, words=()):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


EVERY = dict(commands())
OWN_FORM = ("sendmail",)
"""What other programs call as sendmail(8) has its form of help."""


@pytest.mark.parametrize("words", [words for words in EVERY if words[0] not in OWN_FORM], ids=" ".join)
def test_options_are_told_in_sentences_and_values_in_capitals(words):
    command = EVERY[words]
    for option in command.params:
        if isinstance(option, click.Option):
            told = option.help or ""
            assert told[:1].isupper(), told
            assert told.rstrip("]").endswith(".") or told.endswith("]"), told
            assert option.is_flag or (option.metavar or "").isupper(), option.name


@pytest.mark.parametrize("words", [words for words in EVERY if words[0] not in OWN_FORM], ids=" ".join)
def test_a_help_begins_with_what_the_command_does(words):
    first = (EVERY[words].help or "").strip().split()[0]
    assert first[0].isupper()
    assert not first.endswith("s")
    assert first != "The"


@pytest.mark.parametrize("words", [words for words, one in EVERY.items() if isinstance(one, click.Group)])
def test_a_group_lists_its_subcommands_without_cutting_a_sentence(words):
    context = click.Context(EVERY[words], info_name=" ".join(words), terminal_width=80, **CONTEXT)
    assert "..." not in EVERY[words].get_help(context).partition("Commands:")[2]


@pytest.mark.parametrize("words", [[], ["config"], ["crontab"]])
def test_a_bare_group_prints_help_and_is_a_mistake(cli, words):
    done = cli(*words)  # a process of its own: click keeps the help option that it was first asked for
    assert done.status == 2
    assert done.stdout == ""
    assert "Usage: cronwrap" in done.stderr
    assert "-h, --help" in done.stderr


def test_every_subcommand_has_a_help():
    assert {words[0] for words in EVERY} == set(SUBCOMMANDS)
    assert all(one.help for one in EVERY.values())
