"""A crontab judged, and wrapped, with a look at this host: its programs, users, shells and zones."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Protocol
from zoneinfo import ZoneInfo

from cronwrap.crontab.dialect import Dialect
from cronwrap.crontab.findings import ERROR, Finding, World
from cronwrap.crontab.lines import Assignment, jobs, parse
from cronwrap.crontab.lint import lint
from cronwrap.crontab.lint_command import CRON_PATH
from cronwrap.crontab.place import passed_over
from cronwrap.crontab.shell_check import ShellCheck
from cronwrap.crontab.store import find_program, is_user, this_program
from cronwrap.crontab.wrap import PROGRAM
from cronwrap.settings.command_line import quote

Fault = Callable[[str, str], str]
"""What a shell has against a text."""


class Table(Protocol):
    """A crontab that was read, and how it is to be read."""

    @property
    def text(self) -> str:
        """Give it as ``lines.decode`` does."""

    @property
    def system(self) -> bool:
        """Give whether it has a user column."""

    @property
    def dialect(self) -> Dialect:
        """Give whose rules hold for it."""


def mistakes(
    table: Table,
    path: str,
    subcommands: frozenset[str],
    *,
    look: bool = True,
    fault: Fault | None = None,
    only: Container[int] | None = None,
) -> tuple[Finding, ...]:
    """Give what is wrong with a crontab, line by line. ``path`` is empty where it is in no file.

    ``subcommands`` are cronwrap's; without ``look`` nothing is asked of this host. ``fault`` asks
    the shells, each time anew unless it is given. ``only`` lines of these numbers are judged.
    """
    world = World(
        find=find_program if look else lambda name, _path: name,
        is_user=is_user if look else lambda _name: True,
        subcommands=subcommands,
        fault=fault or ShellCheck().fault,
        is_zone=is_zone,
        look=look,
    )
    place = passed_over(path, table.dialect, look=look) if path else ()
    return (
        *(Finding(number=1, severity=ERROR, text=said) for said in place),
        *lint(table.text, world, system=table.system, dialect=table.dialect, only=only),
    )


def prefix_here(text: str, *, system: bool = False) -> str:
    """Give what to put before a job: the name alone if all jobs find it on their PATH, else our path."""
    return _prefix({job.environment.get("PATH", CRON_PATH) for job in jobs(parse(text, system=system))})


def prefix_at_end(text: str) -> str:
    """Give what to put before a job that is added: the name if it is on the PATH there, else our path."""
    paths = [line.value for line in parse(text) if isinstance(line, Assignment) and line.name == "PATH"]
    return _prefix({paths[-1] if paths else CRON_PATH})


def _prefix(paths: set[str]) -> str:
    if all(find_program(PROGRAM, path) for path in paths):
        return PROGRAM
    here = this_program()
    return quote(here) if here and not set("%\n\r") & set(here) else PROGRAM


def is_zone(name: str) -> bool:
    """Give whether there is a time zone of that name; also when nothing is known of any."""
    for known in (name, "UTC"):
        try:
            ZoneInfo(known)
        except (KeyError, ValueError, OSError):
            continue
        return known == name
    return True
