"""The crontabs of tests/corpus, and what wrap, lint and audit say of each."""

from __future__ import annotations

import os
import re
import sys

from cronwrap.commands import SUBCOMMANDS
from cronwrap.crontab.audit import watch
from cronwrap.crontab.dialect import BY_NAME, guess
from cronwrap.crontab.lines import decode, encode, parse
from cronwrap.crontab.lint import World, lint
from cronwrap.crontab.shell_check import ShellCheck
from cronwrap.crontab.wrap import unwrap, wrap

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(__file__)), "corpus")
GIVEN = ("cronie", "busybox")
"""Dialects that a file does not show: they are given."""
WORLD = World(
    find=lambda name, _path: name,
    is_user=lambda _name: True,
    subcommands=frozenset(SUBCOMMANDS),
    fault=ShellCheck().fault,
    is_zone=lambda name: name in ("UTC", "Europe/Berlin"),
    look=False,
)
"""As with ``--no-host``."""


def names():
    """Give the crontabs as DIALECT/NAME."""
    return sorted(
        f"{dialect}/{name.removesuffix('.crontab')}"
        for dialect in os.listdir(DIRECTORY)
        for name in os.listdir(os.path.join(DIRECTORY, dialect))
        if name.endswith(".crontab")
    )


def content(name):
    """Give the octets of a crontab."""
    with open(os.path.join(DIRECTORY, f"{name}.crontab"), "rb") as file:
        return file.read()


def how(name):
    """Give the options with which a crontab is read."""
    kind, base = name.split("/")
    dialect = BY_NAME[kind] if kind in GIVEN else guess(decode(content(name)))[0]
    return {"system": base == "system", "dialect": dialect}


def said(name):
    """Give what is said of a crontab, a line each: what wrap makes of it, its remarks, lint's, audit's."""
    text, options = decode(content(name)), how(name)
    yield f"dialect: {options['dialect'].name}{' (assumed)' if options['dialect'].assumed else ''}"
    wrapped = wrap(text, **options)
    if "cronwrap" not in text:
        assert encode(unwrap(wrapped.text, **options).text) == content(name)
    before = parse(text, **options)
    for line, new in zip(before, parse(wrapped.text, **options), strict=True):
        if line.raw != new.raw:
            yield f"wrap: {line.number}: {new.raw.rstrip(chr(10))}"
    for change in wrapped.changes:
        if change.remark:
            yield (
                f"left: {change.number}: {change.remark}"
                if not change.changed
                else (f"told: {change.number}: {change.remark}")
            )
    for finding in lint(text, WORLD, **options):
        words = re.sub(r"(cannot parse this): .*", r"\1", finding.text)  # in words of its own
        if not words.startswith("the job is not wrapped: cronwrap crontab"):
            yield f"lint: {finding.number}: {finding.severity}: {words}"
    for job in watch(wrapped.text, user="root", **options)[1]:
        yield f"audit: {job.number}: {job.reason}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for name in sys.argv[1:] for line in said(name))
