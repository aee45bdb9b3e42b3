"""The documents keep to the truth: their commands are run, their settings read, their links followed."""

from __future__ import annotations

import configparser
import json
import os
import re

import click
import pytest

from cronwrap import __version__, exit_status
from cronwrap.commands import SUBCOMMANDS
from cronwrap.commands import cli as surface
from cronwrap.crontab import lines as crontab
from cronwrap.crontab import lint as crontab_lint
from cronwrap.settings import files as config
from cronwrap.settings import load as settings
from cronwrap.settings import options
from support import documents
from support.documents import PASSWORD, PROJECT, USER, Stage

DOCUMENTS = documents.documents()
CHECKED = {"console", "sh", "toml", "crontab", "ini", "dockerfile", "text"}
HOST = crontab_lint.World(
    find=lambda name, _path: f"/usr/bin/{name}",
    is_user=lambda _name: True,
    subcommands=frozenset(SUBCOMMANDS),
)
"""A host that has every program: what lint then still finds is wrong anywhere."""


@pytest.fixture
def stage(cli, make_relay):
    stage = Stage(cli, make_relay(user=USER, password=PASSWORD))
    yield stage
    stage.close()


def of(language):
    """Give the documents' blocks in one language, as parameters."""
    return [
        pytest.param(block, id=f"{name}:{block.line}")
        for name in DOCUMENTS
        for block in documents.blocks(documents.read(name))
        if block.language == language and not block.excused
    ]


def with_commands():
    run = ("console", "sh")
    return [
        name
        for name in DOCUMENTS
        if any(
            block.language in run and not block.excused for block in documents.blocks(documents.read(name))
        )
    ]


class TestCommands:
    @pytest.mark.parametrize("document", with_commands())
    def test_commands_do_what_the_document_shows(self, document, stage):
        for block in documents.blocks(documents.read(document)):
            if block.excused:
                continue
            if block.language == "sh":
                stage.script(block)
            elif block.language == "console":
                stage.session(block)
            elif (block.language, block.extra) == ("text", "mail"):
                assert measured(block.text) == measured(stage.shown_mail())

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_each_block_is_checked_or_says_why_not(self, document):
        unknown = [
            f"line {block.line}: {block.language!r}"
            for block in documents.blocks(documents.read(document))
            if block.language not in CHECKED and not block.excused
        ]
        assert unknown == []

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_each_command_line_that_is_mentioned_exists(self, document):
        wrong = []
        for line, mention in documents.mentions(documents.read(document)):
            fault = fault_in(documents.command_words(mention)[1:])
            if fault:
                wrong.append(f"line {line}: {mention}: {fault}")
        assert wrong == []

    @pytest.mark.parametrize(
        ("mention", "fault"),
        [
            ("cronwrap nosuch", "no subcommand nosuch"),
            ("cronwrap history --fialed", "no option --fialed"),
            ("cronwrap --timeut 2h -- job", "no option --timeut"),
            ("cronwrap outbox nosuch", "no subcommand nosuch"),
            ("cronwrap --timeout 2h -- job --nosuch", ""),
        ],
    )
    def test_a_mention_of_what_does_not_exist_is_found(self, mention, fault):
        assert fault_in(documents.command_words(mention)[1:]) == fault


class TestSettings:
    @pytest.mark.parametrize("block", of("toml"))
    def test_configurations_have_no_fault(self, block, config):
        assert faults_of(config(block.text)) == []

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_nor_have_those_in_indented_blocks(self, document, config):
        for line, text in documents.indented_tables(documents.read(document)):
            assert faults_of(config(text)) == [], f"line {line}"

    @pytest.mark.parametrize("block", of("crontab"))
    def test_crontabs_have_no_mistake(self, block):
        found = crontab_lint.lint(block.text, HOST, system=block.extra == "system")
        assert [finding for finding in found if finding.severity != crontab_lint.NOTE] == []
        lines = crontab.jobs(crontab.parse(block.text, system=block.extra == "system"))
        commands = [documents.command_words(job.command) for job in lines]
        faults = [fault_in(words[1:]) for words in commands if os.path.basename(words[0]) == "cronwrap"]
        assert faults == [""] * len(faults)

    @pytest.mark.parametrize("block", of("ini"))
    def test_units_and_settings_call_cronwrap_as_it_can_be_called(self, block):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read_string(block.text if block.text.startswith("[") else f"[top]\n{block.text}")
        commands = [
            documents.command_words(value.strip('"'))
            for section in parser.values()
            for value in section.values()
            if "cronwrap" in value.partition(" ")[0]
        ]
        assert [fault_in(words[1:]) for words in commands] == [""] * len(commands)

    @pytest.mark.parametrize("block", of("dockerfile"))
    def test_images_call_cronwrap_as_it_can_be_called(self, block):
        commands = [
            json.loads(found)
            for found in re.findall(r"^(?:CMD|ENTRYPOINT) (\[.*\])", block.text, re.MULTILINE)
        ]
        ours = [words for words in commands if words[0].endswith("cronwrap")]
        assert ours
        assert [fault_in(words[1:]) for words in ours] == [""] * len(ours)


class TestClaims:
    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_links_lead_somewhere(self, document):
        text = "\n".join(line for _, line in documents.unfenced(documents.read(document)))
        dead = []
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            place = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
            if not os.path.exists(os.path.join(PROJECT, place)) or (
                anchor and anchor not in anchors(documents.read(place))
            ):
                dead.append(target)
        assert dead == []

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_each_variable_that_is_mentioned_exists(self, document):
        known = {option.variable for option in (*options.OPTIONS, *options.SECTIONS)}
        named = set(re.findall(r"\bCRONWRAP_[A-Z_]+[A-Z]\b", documents.read(document)))
        assert named - known - set(settings.OTHER_VARIABLES) == set()

    def test_the_index_leads_to_every_page(self):
        index = documents.read("docs/README.md")
        pages = [os.path.relpath(name, "docs") for name in DOCUMENTS if name.startswith("docs/")]
        assert [page for page in pages if page != "README.md" and f"]({page})" not in index] == []

    @pytest.mark.parametrize("document", ["README.md", "docs/manual/exit-status.md"])
    def test_the_table_of_exit_statuses_is_whole(self, document):
        first_cells = re.findall(r"^\| ([^|]+) \|", documents.read(document), re.MULTILINE)
        told = {int(number) for cell in first_cells for number in re.findall(r"\d+", cell)}
        statuses = {value for name, value in vars(exit_status).items() if name.startswith("EXIT_")}
        assert statuses <= told

    def test_the_architecture_names_every_package_and_no_other(self):
        page = documents.read("docs/ARCHITECTURE.md")
        named = re.findall(r"^      ([a-z_]+(?:\.py|/)) ", page, re.MULTILINE)
        assert sorted(named) == sorted(parts())

    def test_the_changelog_has_the_present_version(self):
        assert f"## [{__version__}]" in documents.read("CHANGELOG.md")

    @pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.key)
    def test_each_option_is_explained_in_the_manual(self, option):
        manual = [name for name in DOCUMENTS if name.startswith("docs/manual/")]
        assert [name for name in manual if f"`{option.flag}" in documents.read(name)]

    @pytest.mark.parametrize("subcommand", surface.SUBCOMMANDS)
    def test_each_subcommand_is_explained_in_the_manual(self, subcommand):
        manual = [name for name in DOCUMENTS if name.startswith("docs/manual/")]
        assert [name for name in manual if f"cronwrap {subcommand}" in documents.read(name)]


def measured(text):
    """Take the figures out of a mail: times, sizes and ids are others on each run."""
    text = re.sub(r"run( +)(cronwrap show )\d{8}T\d{6}-[0-9a-f]{8}", r"run\1\2ID", text)
    text = re.sub(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b", "DAY", text)
    text = re.sub(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "MONTH", text)
    text = re.sub(r"[+-]\d{4}\b", "ZONE", text)
    text = re.sub(r"(?<!exit )(?<!status )\b\d+(?:[.:,]\d+)*", "N", text)
    return [line.rstrip() for line in text.strip().splitlines()]


def faults_of(path):
    """Give what cronwrap finds wrong with a configuration, the paths' own existence left out."""
    return config.values(config.File(path))["faults"]


def fault_in(words):
    """Say what of a command line does not exist, as far as that can be told without running it."""
    if words and words[0] in SUBCOMMANDS:
        return fault_in_subcommand(words)
    known = {"-c", "-h", "--help", "--version"}
    for option in options.OPTIONS:
        known |= {option.flag, f"-{option.short}"}
    for word in words:
        if word in ("--", "-c"):
            return ""
        if word.startswith("-") and word.partition("=")[0] not in known:
            return f"no option {word}"
    if words and re.fullmatch(r"[a-z-]+", words[0]):
        return f"no subcommand {words[0]}"
    return ""


def fault_in_subcommand(words):
    context = click.Context(surface.surface)
    command, known = surface.surface, {"-h", "--help"}
    for word in words:
        known |= {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        if isinstance(command, click.Group) and not word.startswith(("-", "[")):
            following = command.get_command(context, word)
            if following is None and re.fullmatch(r"[a-z]+", word):
                return f"no subcommand {word}"
            command = following or command
        elif word.startswith("-") and command.ignore_unknown_options:
            continue
        elif word.startswith("--") and word.partition("=")[0] not in known:
            return f"no option {word}"
    return ""


def anchors(text):
    """Give the anchors of a document's headings, as forges make them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def parts():
    """Give what lies at the top of the package: modules and packages."""
    with os.scandir(os.path.join(PROJECT, "src/cronwrap")) as found:
        for entry in found:
            if entry.is_dir() and not entry.name.startswith("__"):
                yield f"{entry.name}/"
            elif entry.name.endswith(".py") and entry.name != "__init__.py":
                yield entry.name
