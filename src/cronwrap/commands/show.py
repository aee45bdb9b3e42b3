"""``cronwrap show``: one run whole, with its output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import partial

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.commands.dead import report_dead
from cronwrap.commands.history import bring_up_to_date
from cronwrap.commands.others import become_owner, known, named
from cronwrap.commands.views import Screen
from cronwrap.history.finding import find
from cronwrap.history.kept_output import Kept
from cronwrap.history.run import Run
from cronwrap.history.runs import output_of
from cronwrap.job import use
from cronwrap.job.use import Use
from cronwrap.manage.runs import waiting_report, whole
from cronwrap.model import STDERR, STDOUT
from cronwrap.outbox.store import Item
from cronwrap.report.ansi import plain
from cronwrap.spans import ago, count, duration
from cronwrap.text import harmless, moment, size


@click.command("show")
@click.argument("word", callback=read_job, metavar="[RUN|JOB]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, output included.")
@click.option("--fleet", "whole_fleet", is_flag=True, help="A run of any host.")
@click.pass_context
def command(ctx: click.Context, word: str | None, as_json: bool, whole_fleet: bool) -> None:
    """Show one run whole, with its output: the latest, a job's latest, or the one with RUN in its id."""
    settings = ctx.obj.settings()
    if whole_fleet:
        from cronwrap.manage import fleet  # noqa: PLC0415  # for those who have one

        tell(*fleet.find(settings, word), None, as_json=as_json)
        return
    report_dead(ctx.obj, settings)
    bring_up_to_date(settings.state_dir, settings["history.keep"])
    state_dir = settings.state_dir
    if not known(state_dir, word):
        state_dir = become_owner(partial(named, word=word), word) or state_dir
    found = find(state_dir, word)
    tell(found, output_of(state_dir, found), waiting_report(state_dir, found.run), as_json=as_json)


def tell(found: Run, kept: Kept, report: Item | None, *, as_json: bool) -> None:
    """Show a run and its output."""
    if as_json:
        views.write(views.objects([whole(found, kept)]))
    else:
        screen = Screen()
        views.write(itertools.chain(details(screen, found, time.time(), report), output(screen, kept)))


def details(screen: Screen, found: Run, now: float, report: Item | None = None) -> Iterator[str]:
    """Give what is known of a run but its output, a line each; ``report`` is the one that waits."""
    cell = views.result_cell(found)
    known = [
        ("run", found.run),
        ("job", found.job),
        ("command", found.command),
        ("result", screen.paint(cell.text, cell.colour)),
        ("because", "; ".join(found.reasons)),
        ("started", f"{moment(found.started)} ({ago(now - found.started)})"),
        ("ended", "" if found.ended is None else moment(found.ended)),
        ("took", "" if found.duration is None else duration(found.duration)),
        ("tries", str(found.tries) if found.tries > 1 else ""),
        ("uses", _uses(use.of_run(found)) if found.result == "running" else ""),
        ("CPU time", "" if found.cpu_seconds is None else duration(found.cpu_seconds)),
        ("memory", "" if found.max_rss_bytes is None else f"{size(found.max_rss_bytes)} at most"),
        ("by", f"{found.user} at {found.host}{', by hand' if found.by_hand else ''}"),
        ("mailed", _not_yet(report) if report else _mailed(found)),
        ("output", _sizes(found)),
    ]
    for name, value in known:
        if value:
            yield f"{name:<9} {value if name == 'result' else views.printable(value)}"


def _uses(now: Use | None) -> str:
    if now is None:
        return ""
    return (
        f"{size(now.rss_bytes)} of memory and {duration(now.cpu_seconds)} of CPU time "
        f"in {count(now.processes, 'process', 'processes')}"
    )


def _not_yet(report: Item) -> str:
    if report.state == "failed":
        return f"no, given up: {report.last_error}"
    return f"not yet: {report.last_error or 'it is on its way'}"


def _mailed(found: Run) -> str:
    if found.result == "running":
        return ""
    if found.mailed:
        return "yes"
    return f"no: {found.quiet_reason}" if found.quiet_reason else "no"


def _sizes(found: Run) -> str:
    if not found.output_bytes:
        return "" if found.result == "running" else "none"
    both = found.stdout_bytes and found.stderr_bytes
    stderr = f", {size(found.stderr_bytes)} of it on stderr" if both else ""
    return size(found.output_bytes) + stderr + (" on stderr" if found.stderr_bytes and not both else "")


def output(screen: Screen, kept: Kept) -> Iterator[str | bytes]:
    """Give what is remembered of the output: harmless on a terminal, as it was written elsewhere."""
    if not kept.head and not kept.tail:
        return
    yield ""
    border = len(kept.head)
    yield from _half(screen, kept, 0, border)
    if kept.left_out_bytes:
        lines = f", {count(kept.left_out_lines, 'line')}" if kept.left_out_lines else ""
        yield screen.paint(f"[… {size(kept.left_out_bytes)}{lines} left out …]", views.DIM)
        yield from _half(screen, kept, border, border + len(kept.tail))


def _half(screen: Screen, kept: Kept, begin: int, end: int) -> Iterator[bytes]:
    content = kept.head + kept.tail
    offsets = [*(offset for offset, _stream in kept.stretches), end]
    streams = [STDOUT, *(stream for _offset, stream in kept.stretches)]
    first = begin
    for last, stream in zip(offsets, streams, strict=True):
        piece = content[first : min(last, end)] if last > first else b""
        if screen.is_terminal and piece:
            colour = views.RED if stream == STDERR else ""
            yield b"".join(
                screen.paint(text, colour).encode() + ending
                for text, ending in _lines(harmless(plain(piece)))
            )
        else:
            yield piece
        first = max(first, min(last, end))
    if not content[begin:end].endswith(b"\n"):
        yield b"\n"


def _lines(text: str) -> Iterator[tuple[str, bytes]]:
    for line in text.split("\n")[:-1]:
        yield line, b"\n"
    yield text.rpartition("\n")[2], b""
