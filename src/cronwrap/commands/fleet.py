"""``cronwrap fleet``: the database that many hosts share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cronwrap.commands import views
from cronwrap.commands.questions import confirm
from cronwrap.commands.views import Cell, Screen
from cronwrap.errors import CronwrapError
from cronwrap.fleet import grants
from cronwrap.fleet.database import connected, host_name
from cronwrap.fleet.migrations import upgrade
from cronwrap.fleet.ship import ship
from cronwrap.fleet.view import Host, hosts
from cronwrap.history.shipping import shipping
from cronwrap.manage.fleet import in_force, public_host
from cronwrap.spans import ago, count, duration

if TYPE_CHECKING:
    from cronwrap.commands.cli import App

SKEW_SHOWN = 1.0
"""Seconds by which a host's clock may differ before it is told of."""


@click.group("fleet")
def command() -> None:
    """One history over many hosts, in a PostgreSQL."""


@command.command("init")
@click.option("--host", metavar="NAME", help="Print the grants for this host [this one's name].")
@click.option("--role", metavar="ROLE", help="The role that the host logs in with [cronwrap_HOST].")
@click.option(
    "--viewer", metavar="ROLE", help="Print the grants for a role that sees all and changes nothing."
)
@click.option("--user", metavar="USER", default="", help="The role is for the jobs of this user alone.")
@click.option("--keep", metavar="DAYS", type=click.IntRange(1, 36500), help="Keep runs so long [90 days].")
@click.pass_obj
def init(  # one each option
    app: App, host: str | None, role: str | None, viewer: str | None, user: str, keep: int | None
) -> None:
    """Make or upgrade the schema; print the grants of a host."""
    fleet = in_force(app.settings())
    with connected(fleet) as database:
        before, after = upgrade(database)
        if keep is not None:
            database.transaction(
                lambda cursor: cursor.execute("UPDATE cronwrap.settings SET keep_days = %s", (keep,))
            )
        name = host or host_name(fleet)
        views.say(_upgraded(before, after), err=True)
        owner = database.call("SELECT current_user AS name")[0]["name"]
        views.write(
            grants.viewer(viewer, fleet.database, owner)
            if viewer
            else grants.host(name, role, fleet.database, user)
        )


def _upgraded(before: int, after: int) -> str:
    if before == after:
        return f"the schema is up to date (version {after})"
    return (
        f"the schema is made (version {after})"
        if not before
        else f"the schema is upgraded: {before} → {after}"
    )


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a host.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """List the hosts: when heard of, how far behind."""
    app: App = ctx.obj
    fleet = in_force(app.settings())
    behind = shipping(app.settings().state_dir)
    with connected(fleet, writing=False) as database:
        found = hosts(database)
    if as_json:
        views.write(views.objects(map(public_host, found)))
        return
    screen = Screen()
    views.write(lines(screen, found))
    if words := behind.words(time.time()):
        views.say(f"this host: {words}", err=True)


@command.command("ship")
@click.pass_obj
def ship_(app: App) -> None:
    """Send now what the fleet does not have yet."""
    stored = ship(app.settings(), in_force(app.settings()))
    views.say(f"{count(stored, 'run')} sent")


@command.command("forget")
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def forget(app: App, host: str, yes: bool) -> None:
    """Take a host, and all that is on record of it, out of the fleet."""
    if not yes:
        if not sys.stdin.isatty():
            raise CronwrapError("nothing is forgotten without a terminal to ask on; --yes does not ask")
        if not confirm(f"forget {views.printable(host)} and all its runs?"):
            raise CronwrapError("nothing is forgotten")
    with connected(in_force(app.settings())) as database:
        if not database.call("SELECT cronwrap.forget(%(host)s) AS found", {"host": host})[0]["found"]:
            raise CronwrapError(f"no host {host} is in the fleet; cronwrap fleet status lists them")
    views.say(f"{host} is forgotten")


@command.command("prune")
@click.option("--keep", metavar="DAYS", type=click.IntRange(1, 36500), help="Keep runs so long from now on.")
@click.pass_obj
def prune(app: App, keep: int | None) -> None:
    """Drop the days that are too old, as hosts do once an hour."""
    with connected(in_force(app.settings())) as database:
        if keep is not None:
            database.transaction(
                lambda cursor: cursor.execute("UPDATE cronwrap.settings SET keep_days = %s", (keep,))
            )
        dropped = database.call("SELECT cronwrap.prune() AS dropped")[0]["dropped"]
    views.say(f"{count(dropped, 'partition')} dropped")


def lines(screen: Screen, found: list[Host]) -> Iterator[str]:
    """Give the lines that people see."""
    if not found:
        yield "no host has sent anything yet"
        return
    heads = ("HOST", "SEEN", "JOBS", "FAILING", "BEHIND", "CLOCK", "VERSION", "")
    yield from views.table(screen, heads, [_row(host) for host in found])


def _row(host: Host) -> list[Cell]:
    seen = "never" if host.seen is None else ago(host.now - host.seen)
    behind = ""
    if host.waiting:
        behind = count(host.waiting, "run")
        behind += f", {duration(host.now - host.oldest)}" if host.oldest else ""
    skew = ""
    if host.skew is not None and abs(host.skew) >= SKEW_SHOWN:
        skew = f"{duration(abs(host.skew))} {'ahead' if host.skew > 0 else 'behind'}"
    return [
        Cell(text=host.host),
        Cell(text=seen),
        Cell(text=str(host.jobs)),
        Cell(text=str(host.failing or ""), colour=views.RED),
        Cell(text=behind, colour=views.YELLOW),
        Cell(text=skew, colour=views.YELLOW),
        Cell(text=host.version),
        Cell(text="silent", colour=views.RED)
        if host.silent
        else Cell(text="may go quiet" if host.quiet else "", colour=views.DIM),
    ]
