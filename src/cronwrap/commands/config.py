"""``cronwrap config show|check|import``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cronwrap.channels.connect import offline_fault
from cronwrap.commands import views
from cronwrap.commands.views import Cell, Screen
from cronwrap.errors import ConfigError, CronwrapError, TemporaryError
from cronwrap.manage.settings import every
from cronwrap.paths import config_paths
from cronwrap.relay import certificate, credentials
from cronwrap.settings import toml_write, view
from cronwrap.settings.files import relays_in_force, targets_in_force
from cronwrap.settings.load import Settings, load
from cronwrap.settings.relays import LOCAL_KINDS, Endpoint
from cronwrap.settings.view import Shown
from cronwrap.setup import draft as setup
from cronwrap.setup import importers
from cronwrap.setup.importers import Imported
from cronwrap.trust import read_regular

if TYPE_CHECKING:
    from cronwrap.commands.cli import App


@click.group("config")
def command() -> None:
    """Show the settings in force, find mistakes in them, import another program's."""


@command.command("show", short_help="Show every setting in force, and where it comes from.")
@click.option("--job", metavar="NAME", help="With the settings of [jobs.NAME].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a setting.")
@click.pass_obj
def show(app: App, job: str | None, as_json: bool) -> None:
    """Show every setting in force and where it comes from; secrets are hidden."""
    settings = _for_job(app.settings(), job)
    shown = list(every(settings))
    if as_json:
        views.write(views.objects(map(view.public, shown)))
    else:
        screen = Screen()
        rows = [_row(one) for one in shown]
        views.write(views.table(screen, ("SETTING", "VALUE", "SOURCE"), rows))
    for fault in settings.faults:
        _say(f"fault: {fault}")


@command.command("check", short_help="List the faults of the settings.")
@click.argument("path", metavar="[FILE]", required=False)
@click.pass_context
def check(ctx: click.Context, path: str | None) -> None:
    """List the faults of the settings in force, or of FILE; exit with 1 when there is one."""
    settings = load({"config": path}, os.environ) if path else ctx.obj.settings()
    faults = [*settings.faults, *_faults_beside(settings)]
    for fault in faults:
        views.say(views.printable(fault))
    if faults:
        ctx.exit(1)
    for name in settings.paths:
        views.say(f"{name}: no faults")
    passed_over = [name for name in config_paths(settings["config"] or "", os.environ) if _passed_over(name)]
    for name in passed_over:
        views.say(f"{name}: passed over, this user may not read it")
    if not settings.paths and not passed_over:
        views.say("there is no configuration file; set one up with: cronwrap init")


@command.command("import", short_help="Take over the settings of another mailer.")
@click.argument("source", metavar="FILE")
@click.option(
    "--kind",
    metavar="KIND",
    type=click.Choice(importers.KINDS),
    help=f"What kind of file it is: {', '.join(importers.KINDS)}.  [told by itself]",
)
@click.option("--account", metavar="NAME", default="", help="The account to take, of several in the file.")
@click.option("-o", "--output", metavar="FILE", help="Write it to FILE, and each password beside it.")
@click.option("--write", is_flag=True, help="Write it to where cronwrap reads it.")
@click.option("-y", "--yes", is_flag=True, help="Replace a file that is there, keeping a backup.")
@click.pass_obj
def import_(app: App, /, source: str, output: str | None, write: bool, yes: bool, **how: str | None) -> None:
    """Take over the settings of mailx, msmtp, sSMTP, nullmailer, dma, Postfix, exim4 or esmtp.

    The result goes to standard output, without its passwords; what cannot be carried over, and why, to
    standard error.
    """
    if output and write:
        raise ConfigError("--output and --write exclude each other: both name a file")
    named = app.settings()["config"] or ""
    path = os.path.abspath(output) if output else setup.default_target(named, os.environ)
    imported = _read(source, how["kind"], how["account"] or "")
    for line, remark in imported.remarks:
        _say(f"{source}:{line}: {remark}" if line else f"{source}: {remark}")
    directory = os.path.dirname(os.path.realpath(path))
    try:
        content = toml_write.dumps(imported.placed(directory), header=f"From {os.path.basename(source)}.")
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    if output or write:
        for name in setup.install(path, content, imported.secrets, replace=yes):
            _say(f"written: {name}")
        _say("now try it: cronwrap doctor")
        return
    views.write([views.raw(content.encode())])
    for name in imported.secrets:
        _say(f"a password is not shown; --write puts it into {os.path.join(directory, name)}")


# Show -------------------------------------------------------------------------------------------


def _for_job(settings: Settings, job: str | None) -> Settings:
    if job is None:
        return settings
    flags = {"name": job}
    if settings.sources.get("config") == "the command line":
        flags["config"] = settings["config"]
    return load(flags, os.environ)


def _row(one: Shown) -> list[Cell]:
    return [Cell(text=one.key), Cell(text=one.text), Cell(text=one.source or "built in")]


# Check ------------------------------------------------------------------------------------------


def _passed_over(path: str) -> bool:
    return os.path.exists(path) and not os.access(path, os.R_OK)


def _faults_beside(settings: Settings) -> Iterator[str]:
    """Give what is wrong with the files that relays and targets name; no command is run, no relay asked."""
    try:
        found = relays_in_force(settings.paths)
    except ConfigError:
        found = ()
    for relay in found:
        if relay.fault and relay.fault not in settings.faults:
            yield f"{relay.origin}: {relay.fault}"
        if relay.fault or relay.kind in LOCAL_KINDS:
            continue
        for look in (_look_at_secret, _look_at_trust):
            try:
                look(relay)
            except TemporaryError as error:
                yield f"{relay.origin}: {error}"
    for target in targets_in_force(settings.paths):
        why = target.fault or offline_fault(target)
        if why and why not in settings.faults:
            yield f"{target.origin}: {why}"


def _look_at_secret(relay: Endpoint) -> None:
    if relay.password_file:
        credentials.secret(relay)


def _look_at_trust(relay: Endpoint) -> None:
    if relay.ca_file and not relay.fingerprint:
        certificate.context(relay)


# Import -----------------------------------------------------------------------------------------


def _read(source: str, kind: str | None, account: str) -> Imported:
    text = _content(source)
    if text is None:
        raise CronwrapError(f"{source}: there is no such file")
    kind = kind or importers.detect(text, os.path.abspath(source))

    def sibling(name: str) -> bytes | None:
        """Give a file beside this one; a path of its own, as ``/etc/mailname``, is taken as it is."""
        path = os.path.expanduser(name)
        if source == "-" and not os.path.isabs(path):
            return None
        path = os.path.join(os.path.dirname(source), path)
        return _content(path) if os.path.isfile(path) else None

    return importers.load(text, kind, source, sibling, account)


def _content(path: str) -> bytes | None:
    """Give the beginning of a file, one octet more than an importer takes; None when it is not there."""
    if path == "-":
        return sys.stdin.buffer.read(importers.SIZE_LIMIT + 1)
    try:
        return read_regular(path, importers.SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CronwrapError(f"{path}: {error.strerror}") from None


def _say(line: str) -> None:
    views.say(views.printable(line), err=True)
