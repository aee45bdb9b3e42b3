"""``cronwrap web``: the page for a browser and for programs, as long as somebody looks."""

from __future__ import annotations

import sys
from typing import Any

import click

from cronwrap.commands import views
from cronwrap.errors import CronwrapError
from cronwrap.settings.values import duration

PARTS = ("starlette", "uvicorn", "jinja2", "anyio", "h11", "markupsafe")


def _read_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("web")
@click.option("--listen", metavar="HOST:PORT", help="An address of the loopback  [127.0.0.1:8377]")
@click.option("--socket", "path", metavar="PATH", help="A Unix socket: the kernel says who comes.")
@click.option("--read-only", is_flag=True, help="Nothing can be changed.")
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@click.option("--idle-exit", metavar="D", callback=_read_duration, help="End when nobody has looked for D.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Serve the page: your jobs, runs, crontab and outbox; root's shows everyone's.

    It runs in the foreground until Ctrl-C. The address it prints has a key that works once.
    """
    if given["listen"] and given["path"]:
        raise click.UsageError("--listen and --socket exclude each other")
    if given["opens"] and given["path"]:
        raise click.UsageError("--open needs an address: a browser does not come by a socket")
    settings = ctx.obj.settings()
    try:
        from cronwrap.web.server import Listening, Way  # noqa: PLC0415  # an extra that may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PARTS:
            raise
        raise CronwrapError(f"{error.name} is not installed: pip install 'cronwrap[web]'") from None
    way = Way(
        listen=given["listen"] or "",
        path=given["path"] or "",
        read_only=given["read_only"],
        idle_exit=given["idle_exit"],
    )
    page = Listening(settings, way, lambda line: views.say(line, err=True))
    try:
        views.say(page.address())
        sys.stdout.flush()
        if given["opens"]:
            import webbrowser  # noqa: PLC0415  # for this alone

            webbrowser.open(page.address())
        page.serve(settings["web.hosts"])
    finally:
        page.close()
