"""``cronwrap outbox``: the reports that wait to be sent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click

from cronwrap import dispatch
from cronwrap.cli import App
from cronwrap.errors import StateError
from cronwrap.outbox import Item, Outbox
from cronwrap.rehearsal import readable
from cronwrap.text import ago, duration, shorten, visible


@click.group("outbox", invoke_without_command=True, help="The reports that wait to be sent.")
@click.option("--json", "as_json", is_flag=True, help="one object a line")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List, unless told otherwise."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=as_json)


@command.command("list", help="List what waits and what was given up, the oldest first.")
@click.option("--json", "as_json", is_flag=True, help="one object a line")
@click.pass_obj
def list_(app: App, *, as_json: bool) -> None:
    """List the outbox."""
    box = Outbox(app.settings().state_dir)
    items = [*box.items()[0], *box.failed()]
    for line in map(json.dumps, map(as_object, items)) if as_json else lines(items, time.time()):
        click.echo(line)


@command.command("show", help="Show a message as its reader would see it.")
@click.argument("identity", metavar="ID")
@click.option("--raw", is_flag=True, help="the message as it will be sent")
@click.option("--json", "as_json", is_flag=True, help="one object")
@click.pass_obj
def show(app: App, identity: str, *, raw: bool, as_json: bool) -> None:
    """Show one message."""
    box = Outbox(app.settings().state_dir)
    item = box.find(identity)
    if as_json:
        click.echo(json.dumps(as_object(item)))
        return
    content = box.content(item)
    if raw:
        sys.stdout.buffer.write(content)
        return
    for line in lines([item], time.time()):
        click.echo(line)
    click.echo()
    click.echo(readable(content))


@command.command("flush", help="Send everything now, whatever its schedule says.")
@click.option("--json", "as_json", is_flag=True, help="one object a message that was tried")
@click.pass_context
def flush(ctx: click.Context, *, as_json: bool) -> None:
    """Send everything; exit 1 when something is left."""
    settings = ctx.obj.settings()
    box = Outbox(settings.state_dir)
    if not box.ids():
        if not as_json:
            click.echo("the outbox is empty")
        return

    def told(item: Item, words: str) -> None:
        if as_json:
            click.echo(json.dumps({"id": item.id, "job": item.job, "outcome": words}))
        else:
            click.echo(f"{item.id}  {visible(shorten(item.subject, 60))}: {words}")

    if not dispatch.flush(settings, told):
        raise StateError("another process is sending; try again when it is done")
    if box.ids():
        ctx.exit(1)


@command.command("retry", help="Queue a message again that was given up, due at once.")
@click.argument("identity", metavar="ID")
@click.pass_obj
def retry(app: App, identity: str) -> None:
    """Queue a message again."""
    box = Outbox(app.settings().state_dir)
    item = box.find(identity)
    if not item.envelope.recipients:
        raise StateError(f"{item.id} cannot be sent: {item.last_error}")
    again = item.replace(state="queued", attempts=0, next_attempt=0.0, queued=time.time(), relay_fault=False)
    box.update(item, again)
    click.echo(f"{item.id} is queued; send it with: cronwrap outbox flush")


@command.command("drop", help="Throw a message away, unsent.")
@click.argument("identity", metavar="ID")
@click.pass_obj
def drop(app: App, identity: str) -> None:
    """Throw a message away."""
    box = Outbox(app.settings().state_dir)
    item = box.find(identity)
    box.remove(item)
    click.echo(f"{item.id} is gone")


def as_object(item: Item) -> dict[str, Any]:
    """Give a message as SPEC's JSON object; times are ISO 8601 with offset."""
    return {
        "id": item.id,
        "job": item.job,
        "to": list(item.envelope.recipients),
        "subject": item.subject,
        "queued": _iso(item.queued),
        "attempts": item.attempts,
        "next_attempt": _iso(item.next_attempt),
        "last_error": item.last_error or None,
        "state": item.state,
    }


def _iso(moment: float) -> str | None:
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds") if moment else None


def lines(items: Iterable[Item], now: float) -> Iterator[str]:
    """Give the lines that a person reads."""
    nothing = True
    for item in items:
        nothing = False
        yield f"{item.id}  {item.state}, {ago(now - item.queued) if item.queued else 'age unknown'}"
        yield f"    {visible(shorten(item.subject, 74))}"
        yield f"    to {visible(', '.join(item.envelope.recipients) or 'nobody')}"
        tries = f"{item.attempts} attempts" if item.attempts != 1 else "1 attempt"
        if item.state == "queued":
            due = item.next_attempt - now
            tries += f", next in {duration(due)}" if due > 0 else ", due now"
        yield f"    {tries}"
        if item.last_error:
            yield f"    {visible(item.last_error)}"
    if nothing:
        yield "the outbox is empty"
