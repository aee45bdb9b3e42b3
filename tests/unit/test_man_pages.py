"""The manual pages: free of warnings, and complete against the tables that the program works by."""

import os
import re
import subprocess

import pytest

from cronwrap import exit_status
from cronwrap.commands import cli
from cronwrap.settings import files as config
from cronwrap.settings import load as settings
from cronwrap.settings import notify, options, values
from cronwrap.settings import relays as endpoint

MAN = os.path.join(os.path.dirname(__file__), "..", "..", "man")
PAGES = ("cronwrap.1", "cronwrap-config.5")


def source(page):
    with open(os.path.join(MAN, page), encoding="utf-8") as stream:
        return stream.read()


def plain(text):
    """Give a page's text without fonts and escapes, as far as searching needs it."""
    text = (
        re.sub(r"\\f[BIRP]|\\%", "", text)
        .replace("\\-", "-")
        .replace("\\(dq", '"')
        .replace("\\e", "\\")
        .replace(' ", " ', ", ")
    )
    return re.sub(r"^\.(?:BR|IR|RB|BI|RI|IB|B|I) ", "", text, flags=re.MULTILINE).replace('"', "")


def entries(page):
    """Give the tags of a page's lists, one text each."""
    return plain("\n".join(re.findall(r"^\.T[PQ]\n(.*)$", source(page), re.MULTILINE))).splitlines()


def has_entry(page, name):
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", tag) for tag in entries(page))


def subcommands(group, above=""):
    """Give each subcommand that does something by the words that name it."""
    for name in group.list_commands(None):
        command, words = group.get_command(None, name), f"{above} {name}".strip()
        if hasattr(command, "list_commands"):
            yield from subcommands(command, words)
        else:
            yield words, command


SUBCOMMANDS = dict(subcommands(cli.surface))
FLAGS = [
    (words, flag)
    for words, command in SUBCOMMANDS.items()
    for parameter in command.params
    for flag in parameter.opts
    if flag.startswith("--")
]
STATUSES = sorted(value for name, value in vars(exit_status).items() if name.startswith("EXIT_"))
SECTIONS = [
    section for section in options.SECTIONS if section.key != "redact.patterns"
]  # a list has no variable


def items_of(words):
    """Give the items of the list whose tag names a subcommand, tag and text."""
    *group, name = words.split()
    begins = re.compile(rf"cronwrap {' '.join(group)}.*\b{name}\b")
    return [item for item in plain(source("cronwrap.1")).split("\n.TP\n") if begins.match(item)]


class TestForm:
    @pytest.mark.parametrize("page", PAGES)
    def test_man_has_no_warning_and_fills_80_columns_at_most(self, needs, page):
        needs("man")
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"}
        # "w" is every warning; groff's "all" leaves out misspelt macros (groff(1), -w).
        command = ["man", "-l", "--warnings=w", os.path.join(MAN, page)]
        shown = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        assert shown.stderr == ""
        assert shown.returncode == 0
        assert "SEE ALSO" in shown.stdout
        assert max(map(len, re.sub(".\x08", "", shown.stdout).splitlines())) <= 80


class TestCompleteness:
    @pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.key)
    def test_each_option_has_an_entry(self, option):
        assert has_entry("cronwrap.1", f"--{option.key}")
        if option.short:
            assert has_entry("cronwrap.1", f"-{option.short}")

    def test_each_event_stands_in_the_entry_of_on(self):
        entry = plain(source("cronwrap.1")).partition("--on  EVENTS\n")[2].partition(".TP")[0]
        assert set(values.EVENTS) <= set(re.findall(r"\w+", entry))

    def test_so_has_each_flag_that_is_no_setting(self):
        named = {flag for parameter in cli.surface.params for flag in parameter.opts}
        named |= set(cli.surface.context_settings["help_option_names"])
        assert {flag for flag in named if not has_entry("cronwrap.1", flag)} == set()

    @pytest.mark.parametrize("words", SUBCOMMANDS)
    def test_each_subcommand_has_an_entry(self, words):
        assert items_of(words)

    @pytest.mark.parametrize(("words", "flag"), FLAGS)
    def test_each_option_of_a_subcommand_stands_in_its_entry(self, words, flag):
        assert any(flag in item for item in items_of(words))

    @pytest.mark.parametrize("status", STATUSES)
    def test_each_exit_status_has_an_entry(self, status):
        assert has_entry("cronwrap.1", str(status))

    @pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.key)
    def test_each_variable_of_the_other_tables_has_an_entry(self, section):
        assert has_entry("cronwrap.1", section.variable)

    @pytest.mark.parametrize("name", [*settings.OTHER_VARIABLES, "CRONWRAP_CONFIG", "MAILTO", "MAILFROM"])
    def test_each_variable_that_is_no_option_has_an_entry(self, name):
        assert has_entry("cronwrap.1", name)

    @pytest.mark.parametrize("key", endpoint.KEYS)
    def test_each_key_of_a_relay_has_an_entry(self, key):
        assert has_entry("cronwrap-config.5", key)

    @pytest.mark.parametrize("key", notify.KEYS)
    def test_each_key_of_a_target_has_an_entry(self, key):
        section = (
            plain(source("cronwrap-config.5")).partition(".SS [[notify]]")[2].partition(".SS [delivery]")[0]
        )
        assert re.search(rf"^\.TP\n.*(?<![\w-]){key}(?![\w-])", section, re.MULTILINE)

    @pytest.mark.parametrize("section", options.SECTIONS, ids=lambda section: section.key)
    def test_each_key_of_the_other_tables_has_an_entry(self, section):
        table, _, key = section.key.partition(".")
        assert has_entry("cronwrap-config.5", key)
        assert f"[{table}]" in source("cronwrap-config.5")

    def test_each_option_is_a_key_of_the_jobs(self):
        keys = [option.key for option in options.OPTIONS if option.key not in config.NOT_IN_FILES]
        assert [key for key in keys if not has_entry("cronwrap-config.5", key)] == []

    def test_the_percent_trap_is_explained(self):
        assert "date +\\%F" in plain(source("cronwrap.1"))
