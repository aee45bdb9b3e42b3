"""``cronwrap tail``: the output of a run as it comes, to its end."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing
from functools import partial

import click

from cronwrap.commands import views
from cronwrap.commands.at_hand import read_job
from cronwrap.commands.dead import report_dead
from cronwrap.commands.history import bring_up_to_date
from cronwrap.commands.others import become_owner, known, named
from cronwrap.commands.views import Screen
from cronwrap.errors import StateError
from cronwrap.exit_status import EXIT_INTERNAL
from cronwrap.history.finding import ambiguous, find, under_way
from cronwrap.history.run import Run
from cronwrap.history.runs import output_of
from cronwrap.manage import following
from cronwrap.manage.runs import result_words
from cronwrap.model import STDERR, STDOUT
from cronwrap.report.ansi import complete, plain
from cronwrap.spans import ago
from cronwrap.text import harmless, size

PAUSE = 0.1
"""Seconds between two looks for more output: a person takes this for at once."""


@click.command("tail")
@click.argument("word", callback=read_job, metavar="[RUN|JOB]", required=False)
@click.pass_context
def command(ctx: click.Context, word: str | None) -> int:
    """Show the output of a run from its beginning and as it comes; exit with the run's status.

    The run is the one that runs now, or the latest of those; a job's, or the one with RUN in its id.
    """
    settings = ctx.obj.settings()
    state_dir = settings.state_dir
    screen = Shown(Screen())
    found = _running(state_dir, word)
    if not found and not known(state_dir, word):
        state_dir = become_owner(partial(named, word=word), word) or state_dir
        found = _running(state_dir, word)
    if found:
        status = follow(state_dir, found, screen)
        if status is not None:
            return status
    if state_dir == settings.state_dir:
        report_dead(ctx.obj, settings)
        bring_up_to_date(state_dir, settings["history.keep"])
    try:
        ended = find(state_dir, found.run if found else word)
    except StateError:
        if not found:
            raise
        views.say(f"cronwrap: run {found.run} has ended, and is not on record", err=True)
        return EXIT_INTERNAL
    if ended.result == "running":  # its cronwrap has died
        views.say(f"cronwrap: the cronwrap of run {ended.run} was killed", err=True)
        return EXIT_INTERNAL
    if not found:
        when = ago(time.time() - (ended.ended or ended.started))
        words = result_words(ended.result, ended.exit_code, ended.signal)
        views.say(f"cronwrap: run {ended.run} of {ended.job} has ended {when}: {words}", err=True)
    _rest(state_dir, ended, screen)
    return following.status_of(ended)


def _running(state_dir: str, word: str | None) -> Run | None:
    """Give the run under way that is meant: the latest, but a part of an id must fit one alone."""
    found = under_way(state_dir, word)
    if word is not None and len({run.job for run in found}) > 1 and word not in {run.job for run in found}:
        raise StateError(ambiguous(word, found))
    return found[0] if found else None


def follow(state_dir: str, found: Run, screen: Shown) -> int | None:
    """Show a run's output to its end; give its status, or None where the record has to say it."""
    with closing(following.live(state_dir, found, 0)) as pieces:
        for piece in pieces:
            if piece[0] == following.WAIT:
                screen.flush()
                time.sleep(PAUSE)
            elif piece[0] == following.END:
                screen.finish()
                return int(piece[2])
            else:
                screen.take(piece)
    screen.finish()
    return None


class Shown:
    """What a person or a pipe is given, as far as that has come."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rest: tuple[int, bytes] = (0, b"")
        """What may be a part of a character or of a terminal sequence, and its stream."""
        self.offset = 0
        """The offset behind what was given."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def take(self, piece: tuple[str, int, bytes]) -> None:
        """Give what came, or say what is not to be had any more."""
        kind, self.offset, octets = piece
        if kind == following.GAP:
            self.finish()
            views.say(f"cronwrap: {size(int(octets))} left out here", err=True)
        else:
            stream = STDERR if kind == following.ERR else STDOUT
            sys.stdout.buffer.write(self._harmless(stream, octets) if self._screen.is_terminal else octets)

    def flush(self) -> None:
        """Have a person see what was given."""
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """Give what was held back."""
        stream, rest = self._rest
        self._rest = 0, b""
        if rest:
            sys.stdout.buffer.write(self._painted(stream, rest))
        sys.stdout.buffer.flush()

    def _harmless(self, stream: int, octets: bytes) -> bytes:
        before, rest = self._rest
        given = b""
        if before == stream:
            octets = rest + octets
        elif rest:
            given = self._painted(before, rest)
        end = complete(octets)
        self._rest = stream, octets[end:]
        return given + self._painted(stream, octets[:end])

    def _painted(self, stream: int, octets: bytes) -> bytes:
        lines = harmless(plain(octets)).split("\n")
        colour = views.RED if stream == STDERR else ""
        return "\n".join(self._screen.paint(line, colour) for line in lines).encode(errors="replace")


def _rest(state_dir: str, ended: Run, screen: Shown) -> None:
    """Give what is remembered of the output of a run that has ended, as far as it was not given before."""
    for piece in following.remembered(ended, output_of(state_dir, ended), screen.offset):
        if piece[0] == following.LOST:
            words = "its last output could not be followed"
            views.say(f"cronwrap: {words}; see: cronwrap show {ended.run}", err=True)
        else:
            screen.take(piece)
    screen.finish()
