"""``cronwrap tail``: the output of a run as it comes, to its end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from functools import partial

import click

from cronwrap.commands import views
from cronwrap.commands.dead import report_dead
from cronwrap.commands.history import bring_up_to_date
from cronwrap.commands.others import become_owner, known, named
from cronwrap.commands.views import Screen
from cronwrap.errors import StateError
from cronwrap.exit_status import (
    EXIT_ENDED,
    EXIT_INTERNAL,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SIGNAL_BASE,
    EXIT_SKIPPED,
)
from cronwrap.history import records
from cronwrap.history.live_output import Reader
from cronwrap.history.runs import Run, ambiguous, find, output_of, under_way
from cronwrap.model import STDERR
from cronwrap.report.ansi import plain
from cronwrap.spans import ago
from cronwrap.text import harmless, size

PAUSE = 0.1
"""Seconds between two looks for more output: a person takes this for at once."""
ALIVE_EVERY = 5
"""Looks without output after which it is asked whether the run is still there."""
ESCAPE_MAX = 64
"""Octets at the end of what came that may be the beginning of a terminal sequence or a character."""
NOT_FOUND, NOT_EXECUTABLE = "not found", "cannot be executed"


@click.command("tail")
@click.argument("word", metavar="[RUN|JOB]", required=False)
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
        words = views.result_words(ended.result, ended.exit_code, ended.signal)
        views.say(f"cronwrap: run {ended.run} of {ended.job} has ended {when}: {words}", err=True)
    _rest(state_dir, ended, screen)
    return status_of(ended)


def _running(state_dir: str, word: str | None) -> Run | None:
    """Give the run under way that is meant: the latest, but a part of an id must fit one alone."""
    found = under_way(state_dir, word)
    if word is not None and len({run.job for run in found}) > 1 and word not in {run.job for run in found}:
        raise StateError(ambiguous(word, found))
    return found[0] if found else None


def follow(state_dir: str, found: Run, screen: Shown) -> int | None:
    """Show a run's output to its end; give its status, or None where the record has to say it."""
    reader: Reader | None = None
    looks = 0
    alive = True
    try:
        while True:
            reader = reader or _reader(state_dir, found.run)
            if reader:
                part = reader.read(screen.offset)
                screen.take(part.pieces, part.skipped, part.next)
                if part.ended:
                    screen.finish()
                    return part.status
                if part.pieces or part.skipped:
                    looks = 0
                    continue
            if not alive:  # and what it said last has been looked for since
                screen.finish()
                return None
            looks += 1
            if looks % ALIVE_EVERY == 0:
                alive = any(fields["run"] == found.run for fields in records.running(state_dir, found.job))
                if not alive:
                    continue
            time.sleep(PAUSE)
    finally:
        if reader:
            reader.close()


def _reader(state_dir: str, run: str) -> Reader | None:
    try:
        return Reader(state_dir, run)
    except OSError:
        return None  # it is younger than a second, or its disk is full


class Shown:
    """What a person or a pipe is given, as far as that has come."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rest: tuple[int, bytes] = (0, b"")
        """What may be a part of a character or of a terminal sequence, and its stream."""
        self.offset = 0
        """The offset behind what was given."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def take(self, pieces: tuple[tuple[int, bytes], ...], skipped: int, offset: int) -> None:
        """Give what came, after so many octets that are not to be had any more."""
        out = sys.stdout.buffer
        if skipped:
            self.finish()
            views.say(f"cronwrap: {size(skipped)} left out here", err=True)
        for stream, octets in pieces:
            out.write(self._harmless(stream, octets) if self._screen.is_terminal else octets)
        out.flush()
        self.offset = offset

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
        end = _complete(octets)
        self._rest = stream, octets[end:]
        return given + self._painted(stream, octets[:end])

    def _painted(self, stream: int, octets: bytes) -> bytes:
        lines = harmless(plain(octets)).split("\n")
        colour = views.RED if stream == STDERR else ""
        return "\n".join(self._screen.paint(line, colour) for line in lines).encode(errors="replace")


def _complete(octets: bytes) -> int:
    """Give up to where octets have no sequence or character that has only begun."""
    end = len(octets)
    escape = octets.rfind(b"\x1b", max(0, end - ESCAPE_MAX))
    if escape >= 0 and not any(0x40 <= octet <= 0x7E and octet != ord("[") for octet in octets[escape + 1 :]):
        end = escape
    for back in range(1, min(4, end) + 1):
        octet = octets[end - back]
        if octet >= 0xC0:  # the first of a character in UTF-8
            length = 2 if octet < 0xE0 else 3 if octet < 0xF0 else 4
            return end - back if back < length else end
        if octet < 0x80:
            break
    return end


def _rest(state_dir: str, ended: Run, screen: Shown) -> None:
    """Give what is remembered of the output of a run that has ended, as far as it was not given before."""
    if screen.offset:
        words = "its last output could not be followed"
        views.say(f"cronwrap: {words}; see: cronwrap show {ended.run}", err=True)
        return
    kept = output_of(state_dir, ended)
    halves = (kept.head, 0), (kept.tail, kept.left_out_bytes)
    begin = 0
    for octets, skipped in halves:
        pieces = tuple(_pieces(kept.stretches, octets, begin))
        screen.take(pieces, skipped, 0)
        begin += len(octets)
    screen.finish()


def _pieces(stretches: tuple[tuple[int, int], ...], octets: bytes, begin: int) -> Iterator[tuple[int, bytes]]:
    stops = [*(offset for offset, _stream in stretches), begin + len(octets)]
    for number, (offset, stream) in enumerate(stretches):
        piece = octets[max(0, offset - begin) : max(0, stops[number + 1] - begin)]
        if piece:
            yield stream, piece


def status_of(run: Run) -> int:
    """Give the exit status that cronwrap had for a run that has ended (SPEC 2), as its record tells."""
    reasons = " ".join(run.reasons)
    if run.result in ("timeout", "stopped") or reasons.startswith(("memory (", "overlap (")):
        return EXIT_ENDED
    if run.result == "skipped":
        return EXIT_SKIPPED
    if run.result == "not-started":
        words = ((NOT_FOUND, EXIT_NOT_FOUND), (NOT_EXECUTABLE, EXIT_NOT_EXECUTABLE))
        return next((status for text, status in words if text in reasons), EXIT_INTERNAL)
    if run.result == "abandoned":
        return EXIT_INTERNAL
    if run.signal is not None:
        return EXIT_SIGNAL_BASE + run.signal
    return run.exit_code or 0
