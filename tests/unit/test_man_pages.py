"""The manual pages: free of warnings, and complete against the tables that the program works by."""

import os
import re
import subprocess

import pytest

from cronwrap import cli, config, endpoint, options

MAN = os.path.join(os.path.dirname(__file__), "..", "..", "man")
PAGES = ("cronwrap.1", "cronwrap-config.5")
SUBCOMMANDS = (
    "init",
    "doctor",
    "status",
    "history",
    "show",
    "outbox",
    "outbox show",
    "outbox flush",
    "outbox retry",
    "outbox drop",
    "crontab wrap",
    "crontab lint",
    "crontab audit",
    "config show",
    "config check",
    "config import",
    "sendmail",
)


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


def flags(group, above=""):
    """Give each long option of the subcommands, with the words that name its subcommand."""
    for name in group.list_commands(None):
        command, words = group.get_command(None, name), f"{above} {name}".strip()
        if hasattr(command, "list_commands"):
            yield from flags(command, words)
        for parameter in command.params:
            yield from ((words, flag) for flag in parameter.opts if flag.startswith("--"))


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

    @pytest.mark.parametrize("flag", ["-c", "--version", "--help", "-h"])
    def test_so_has_each_flag_that_is_no_setting(self, flag):
        assert has_entry("cronwrap.1", flag)

    @pytest.mark.parametrize("subcommand", SUBCOMMANDS)
    def test_each_subcommand_has_an_entry(self, subcommand):
        assert has_entry("cronwrap.1", f"cronwrap {subcommand}")

    @pytest.mark.parametrize(("words", "flag"), list(flags(cli.surface)), ids=" ".join)
    def test_each_option_of_a_subcommand_stands_in_its_entry(self, words, flag):
        *group, name = words.split()
        begins = re.compile(rf"cronwrap {' '.join(group)}.*\b{name}\b")
        found = [entry for entry in plain(source("cronwrap.1")).split("\n.TP\n") if begins.match(entry)]
        assert any(flag in entry for entry in found)

    @pytest.mark.parametrize("status", ["128+ N", "124", "126, 127", "125", "75", "2"])
    def test_each_exit_status_has_an_entry(self, status):
        assert has_entry("cronwrap.1", status)

    def test_each_variable_is_named(self):
        relay = list(endpoint.VARIABLES.values())
        tables = ["CRONWRAP_DELIVERY_INLINE", "CRONWRAP_DELIVERY_LIFETIME", "CRONWRAP_DELIVERY_BACKGROUND"]
        state = ["CRONWRAP_STATE_DIR", "CRONWRAP_CONFIG", "CRONWRAP_HISTORY_KEEP", "MAILTO", "MAILFROM"]
        missing = [name for name in relay + tables + state if not has_entry("cronwrap.1", name)]
        assert missing == []

    @pytest.mark.parametrize("key", endpoint.KEYS)
    def test_each_key_of_a_relay_has_an_entry(self, key):
        assert has_entry("cronwrap-config.5", key)

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
